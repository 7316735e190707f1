# SPDX-License-Identifier: BSD-2-Clause
"""What several steps of the demo claim of connections and of error messages."""
import lab
from report import Broken, expect

REST_SECONDS = 20  # within which packets that are under way arrive


def expect_as_explained(found, family):
    explained = lab.explain(family, list(found))
    wrong = [p for p, name in found.items() if explained[p] != name]
    expect(not wrong, f"{len(wrong)} of {len(found)} connections landed elsewhere; from port "
           f"{wrong[0] if wrong else 0}: {found.get(wrong[0]) if wrong else ''} instead of "
           f"{explained.get(wrong[0]) if wrong else ''}")


def connect(family, first, count):
    """New connections: all succeed, and land as explained."""
    found = lab.Load(family, first, count).landed()
    expect_as_explained(found, family)
    return found


def tally(found):
    names = list(found.values())
    return {name: names.count(name) for name in lab.BACKENDS}


def spell(counts):
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def port_of(family, backend, first):
    """A source port whose connections go to the backend."""
    return next(p for p, name in lab.explain(family, range(first, first + 100)).items()
                if name == backend)


def carets(text):
    """The words that carets point at: each stands below the line that is wrong."""
    lines = text.splitlines()
    return [above[len(below) - 1:] for above, below in zip(lines, lines[1:])
            if below.strip() == "^" and len(above) >= len(below)]


def expect_carets(text, words):
    found = carets(text)
    for word in words:
        expect(any(rest.startswith(word) for rest in found), f"no caret points at `{word}`:\n{text}")


def balance(before):
    """Frames on the wire, which is as old as the dataplane, against verdicts since then, and all
    verdicts against the services' own counters, once everything is at rest."""
    before = before or lab.start.verdicts

    def balanced():
        wire, now = lab.wire(), lab.verdicts()
        since = {action: count - before.get(action, 0) for action, count in now.items()}
        found.update(arrived=wire["tx"]["packets"], left=wire["rx"]["packets"],
                     given=sum(since.values()), forward=since["forward"],
                     forward_ever=now["forward"],
                     by_service=sum(service["packets"] for service in lab.show("services")))
        return (found["given"] == found["arrived"] > 0 and found["forward"] == found["left"]
                and found["by_service"] == found["forward_ever"])

    found = {}
    try:
        lab.wait_for("every packet has a verdict", balanced, REST_SECONDS)
    except Broken as broken:
        raise Broken(f"{broken}: {found}") from None
    return found
