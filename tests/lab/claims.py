# SPDX-License-Identifier: BSD-2-Clause
"""What several steps of the demo claim of connections and of error messages."""
import time

import lab
from report import Broken, expect

REST_SECONDS = 20   # within which packets that are under way arrive
REST_PAUSE_S = 0.3  # in which nothing moves any more
UNTOLD_SHARE = 50   # of what arrived, one part at most may be untold


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


def books(before):
    """Frames on the wire, which is as old as the dataplane; verdicts since then; all verdicts to
    forward and the services' own counters."""
    before = before or lab.start.verdicts
    wire, now = lab.wire(), lab.verdicts()
    since = {action: count - before.get(action, 0) for action, count in now.items()}
    return {"arrived": wire["tx"]["packets"], "left": wire["rx"]["packets"],
            "given": sum(since.values()), "forward": since["forward"],
            "forward_ever": now["forward"],
            "by_service": sum(service["packets"] for service in lab.show("services"))}


def gaps(found):
    return (found["arrived"] - found["given"], found["left"] - found["forward"],
            found["forward_ever"] - found["by_service"])


def balance(before, untold=(0, 0, 0)):
    """The books agree once everything is at rest, but for what is untold."""
    def balanced():
        found.update(books(before))
        return found["arrived"] > 0 and gaps(found) == untold

    found = {}
    try:
        lab.wait_for("every packet has a verdict", balanced, REST_SECONDS)
    except Broken as broken:
        raise Broken(f"{broken}: {found}, untold {untold}") from None
    return found


def killed_untold():
    """What threads with sockets have counted since their main thread last looked, some milliseconds
    before it was killed, is in no total: the gaps in the books that it has left. Others leave none."""
    seen = [books({})]

    def rest():
        time.sleep(REST_PAUSE_S)
        seen.append(books({}))
        return seen[-1] == seen[-2]
    if not lab.BY_SOCKETS:
        return 0, 0, 0
    lab.wait_for("everything is at rest", rest, REST_SECONDS)
    found = gaps(seen[-1])
    expect(all(0 <= gap <= seen[-1]["arrived"] // UNTOLD_SHARE for gap in found[:2]) and
           abs(found[2]) <= seen[-1]["arrived"] // UNTOLD_SHARE,
           f"the killed {lab.DATAPLANE} has left {found} untold: {seen[-1]}")
    return found
