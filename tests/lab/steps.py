#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The steps of scripts/demo: what a load balancer promises, tried and measured.

usage: steps.py [--ci]      environment: topology.sh's, and
  LAB_BUILT_AT   when the build had ended, in seconds since the epoch
  LAB_RECORD_FD  descriptor of the record, if one is written
"""
import hashlib
import os
import signal
import sys
import time

import lab
from chi_square import p_value
from report import Broken, Report, expect, failure_logs

CONNECTIONS = 1200  # of each family
FIRST_PORT = 10000
FETCH_PORT = 9000
FIRST_REPLY_SECONDS = 20
UNLIKELY = 1e-6
BYPASS_SHARE = 0.05
LEAVING = "b1"

landed = {}  # family name to {port: backend}, filled by connections()


def broken_config():
    """Two mistakes at once, and what each is called."""
    text = lab.config_read()
    text = text.replace("weight: 3", "weight: three", 1).replace("protocol:", "protcol:", 1)
    return text, ["three", "protcol"]


def carets(text):
    """The words that carets point at: each stands below the line that is wrong."""
    lines = text.splitlines()
    return [above[len(below) - 1:] for above, below in zip(lines, lines[1:])
            if below.strip() == "^" and len(above) >= len(below)]


def expect_carets(text, words):
    found = carets(text)
    for word in words:
        expect(any(rest.startswith(word) for rest in found), f"no caret points at `{word}`:\n{text}")


def expect_as_explained(found, family):
    explained = lab.explain(family, list(found))
    wrong = [p for p, name in found.items() if explained[p] != name]
    expect(not wrong, f"{len(wrong)} of {len(found)} connections landed elsewhere; from port "
           f"{wrong[0] if wrong else 0}: {found.get(wrong[0]) if wrong else ''} instead of "
           f"{explained.get(wrong[0]) if wrong else ''}")


def tally(found):
    names = list(found.values())
    return {name: names.count(name) for name in lab.BACKENDS}


def spell(counts):
    return ", ".join(f"{name} {count}" for name, count in counts.items())


# --- steps ---

def check(report):
    path = f"{lab.DIR}/broken.yaml"
    text, words = broken_config()
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    report.quote(f"shunt check -f {lab.CONFIG}", lab.run("shunt", "check", "-f", lab.CONFIG))
    said = lab.run("shunt", "check", "-f", path, status=65)
    expect_carets(said, words)
    report.quote(f"shunt check -f {path}", said)
    report.figure(f"{len(carets(said))} mistakes, each with its place and a caret; exit status 65")


def first_packet(report):
    for port, family in enumerate(lab.FAMILIES, FETCH_PORT):
        answer = lab.fetch(family, port, "/").decode()
        if family is lab.FAMILIES[0]:
            seconds = time.time() - float(os.environ["LAB_BUILT_AT"])
        expect(answer.startswith("hello from b"), f"the answer is {answer!r}")
        report.quote(f"curl --local-port {port} http://{lab.bracket(family.vip)}/", answer)
    report.timing(f"the first answer came {seconds:.1f} s after the build")
    expect(seconds < FIRST_REPLY_SECONDS, f"the first answer came {seconds:.1f} s after the build, "
           f"more than {FIRST_REPLY_SECONDS} s")


def connections(report):
    for family in lab.FAMILIES:
        found = lab.Load(family, FIRST_PORT, CONNECTIONS).landed()
        expect_as_explained(found, family)
        landed[family.name] = found
        report.figure(f"{family.name} by {family.encapsulation}: {len(found)} connections, "
                      f"{len(found)} as explained ({spell(tally(found))})")
    report.figure(f"{sum(map(len, landed.values()))} of {CONNECTIONS * len(lab.FAMILIES)} "
                  "connections landed where they had to")


def spread(report):
    for family in lab.FAMILIES:
        wanted = lab.weights(family.service)
        counts = [tally(landed[family.name])[name] for name in lab.BACKENDS]
        told = p_value(counts, [wanted[name] for name in lab.BACKENDS])
        equal = p_value(counts, [1] * len(lab.BACKENDS))
        ratio = ":".join(str(wanted[name]) for name in lab.BACKENDS)
        report.figure(f"{family.name}: against the weights {ratio} p = {told:.2g}, "
                      f"against equal weights p = {equal:.1g}")
        expect(told > UNLIKELY, f"{counts} do not fit the weights {ratio}: p = {told:.2g}")
        expect(equal < UNLIKELY, f"{counts} would fit equal weights: p = {equal:.2g}")


def bypass(report):
    wanted = lab.large_file()
    for port, family in enumerate(lab.FAMILIES, FETCH_PORT + 100):
        before = lab.wire()["tx"]["bytes"]
        data = lab.fetch(family, port, "/large")
        received = lab.wire()["tx"]["bytes"] - before
        share = received / len(data)
        expect(hashlib.sha256(data).hexdigest() == wanted["sha256"], "the download is not the file")
        expect(received > 0, "the balancer saw nothing of the download, not even requests")
        expect(share < BYPASS_SHARE, f"the balancer received {received} bytes while the client "
               f"downloaded {len(data)}: {share:.2%}")
        report.figure(f"{family.name}: the client downloaded {len(data):,} bytes, the balancer "
                      f"received {share:.2%} of that")


def port_of(family, backend, first):
    """A source port whose connections go to the backend."""
    return next(p for p, name in lab.explain(family, range(first, first + 100)).items()
                if name == backend)


def remove_weight(text, backend):
    """The configuration with weight 0 for the backend, in every service."""
    lines = text.splitlines(keepends=True)
    marks = (f"address: 10.0.{backend[1]}.1,", f"address: 2001:db8:{backend[1]}::1,")
    for i, line in enumerate(lines):
        if any(mark in line for mark in marks):
            lines[i] = line.partition("weight:")[0] + "weight: 0 }\n"
    return "".join(lines)


def reload_to(text):
    lab.config_write(text)
    lab.hang_up()


def drain(report):
    good = lab.config_read()
    ports = {f: port_of(f, LEAVING, 20000) for f in lab.FAMILIES}
    downloads = {f: lab.Download(f, port) for f, port in ports.items()}
    for family, download in downloads.items():
        expect(download.backend == LEAVING, f"the download came from {download.backend}")
    reload_to(remove_weight(good, LEAVING))
    lab.wait_for("shuntd applies the new weights",
                 lambda: all(lab.weights(f.service)[LEAVING] == 0 for f in lab.FAMILIES))
    lab.generation()
    for family, port in ports.items():
        found = lab.Load(family, 21000, 200).landed()
        expect_as_explained(found, family)
        expect(LEAVING not in found.values(), f"a new connection still went to {LEAVING}")
        now = lab.explain(family, [port])[port]
        expect(now != LEAVING, f"a new connection from port {port} would still go to {LEAVING}")
        report.figure(f"{family.name}: 200 new connections: {spell(tally(found))}")
    wanted = lab.large_file()
    for family, download in downloads.items():
        expect(download.goes_on(), "the download ended before the reload was through")
        expect(download.finish() == wanted, "the download is not the file")
        report.figure(f"{family.name}: the download from {LEAVING} went on and is complete, "
                      f"{wanted['bytes']:,} bytes with the right SHA-256")
    reload_to(good)
    lab.wait_for("the weights are back", lambda: lab.weights("web6")[LEAVING] > 0)
    lab.generation()


def refused(report):
    good, before = lab.config_read(), lab.generation()
    family = lab.FAMILIES[0]
    download = lab.Download(family, port_of(family, "b2", 22000))
    logged = len(lab.log_text())
    text, words = broken_config()
    reload_to(text)
    lab.wait_for("shuntd refuses the file", lambda: len(carets(lab.log_text()[logged:])) >= 2)
    said = lab.log_text()[logged:]
    expect_carets(said, words)
    lab.run("shunt", "reload", status=65)
    report.quote("kill -HUP $(cat shuntd.pid); tail shuntd.log", said)
    expect(lab.generation() == before, "the broken file changed what is published")
    for each in lab.FAMILIES:
        found = lab.Load(each, 23000, 100).landed()
        expect_as_explained(found, each)
    expect(download.goes_on() and download.finish() == lab.large_file(), "a download broke off")
    lab.config_write(good)
    lab.run("shunt", "reload")
    report.figure("refused with a caret at each mistake; `shunt reload` says so too, with status 65")
    report.figure("a download went on, and 200 new connections landed as explained")


def books(report):
    """Frames on the wire against verdicts, once both are at rest."""
    def balanced():
        wire = lab.wire()
        verdicts = lab.show("drops")["verdicts"]
        seen = sum(v["packets"] for v in verdicts)
        sent = sum(v["packets"] for v in verdicts if v["action"] == "forward")
        found.update(wire_in=wire["tx"]["packets"], wire_out=wire["rx"]["packets"], seen=seen,
                     sent=sent)
        return seen > 0 and seen == wire["tx"]["packets"] and sent == wire["rx"]["packets"]

    found = {}
    try:
        lab.wait_for("every packet has a verdict", balanced)
    except Broken as broken:
        raise Broken(f"{broken}: {found}") from None
    report.quote("shunt show", lab.run("shunt", "show"))
    report.quote("shunt show drops", lab.run("shunt", "show", "drops"))
    report.figure(f"{found['wire_in']:,} packets arrived and {found['seen']:,} verdicts were given; "
                  f"{found['sent']:,} were to forward, and {found['wire_out']:,} packets left")


STEPS = [
    ("A configuration is checked before it is used",
     "`shunt check` tells every mistake of a file at once. It needs no privileges and nothing "
     "that runs.", check),
    ("The balancer forwards",
     "A client asks two virtual addresses. shunt picks a web server for the connection, wraps the "
     "packets (IPv4 in IPIP, IPv6 in GUE), and the web server answers the client directly.",
     first_packet),
    ("Every connection lands where `shunt explain` says",
     "Connections from different source ports go to three web servers. shuntd is then asked about "
     "each of them, and has to name the server that answered.", connections),
    ("The spread follows the weights",
     "A chi-square test on the same counts: they have to be plausible under the configured "
     "weights, and out of the question under equal ones.", spread),
    ("Replies bypass the balancer",
     "Large downloads: the balancer sees requests and acknowledgements only, less than 5 % of "
     "what the client gets.", bypass),
    ("A server leaves without a broken connection",
     f"In the middle of two slow downloads from {LEAVING}, a reload sets its weight to 0. New "
     "connections go elsewhere, from the same ports too; the downloads go on to their end.",
     drain),
    ("A broken file changes nothing",
     "The same mistakes as above, but now the running shuntd is told to reload.", refused),
    ("Every packet has a verdict",
     "What was dropped, passed or forwarded, and why. The verdicts add up to the packets on the "
     "wire, and so do the forwarded ones.", books),
]


def main():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # whoever reads may have seen enough
    descriptor = os.environ.get("LAB_RECORD_FD")
    report = Report(compact="--ci" in sys.argv[1:])
    try:
        for step in STEPS:
            report.step(*step)
    except Broken:
        failure_logs(f"{lab.DIR}/{name}.log" for name in ("shuntd", "shunt-dpdk"))
        return 1
    if descriptor:
        report.record(int(descriptor))
    return 0


if __name__ == "__main__":
    sys.exit(main())
