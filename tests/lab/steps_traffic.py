# SPDX-License-Identifier: BSD-2-Clause
"""The steps of the demo on a balancer where all is well: who gets what, and by which way."""
import hashlib
import os
import time

import lab
from chi_square import p_value
from claims import balance, connect, spell, tally
from report import expect

CONNECTIONS = int(os.environ.get("LAB_CONNECTIONS", "1200"))  # of each family
FIRST_PORT = 10000
FETCH_PORT = 9000
TALKERS = 150
FIRST_REPLY_SECONDS = 20
UNLIKELY = 1e-6
BYPASS_SHARE = 0.05
BYPASS_TOLD = 0.01  # what it is in practice, if nothing had to be sent twice
WORKER_SHARE = 0.1

landed = {}  # family name to {port: backend}, filled by connections()


def first_packet(report):
    for port, family in enumerate(lab.FAMILIES, FETCH_PORT):
        answer = lab.fetch(family, port, "/").decode()
        if family is lab.FAMILIES[0]:
            seconds = time.time() - float(os.environ["LAB_BUILT_AT"])
        expect(answer.startswith("hello from b"), f"the answer is {answer!r}")
        report.quote(f"curl --local-port {port} http://{lab.bracket(family.vip)}/", answer)
    report.measure(f"the first answer came {seconds:.1f} s after the build")
    expect(seconds < FIRST_REPLY_SECONDS, f"the first answer came {seconds:.1f} s after the build, "
           f"more than {FIRST_REPLY_SECONDS} s")


def connections(report):
    for family in lab.FAMILIES:
        found = connect(family, FIRST_PORT, CONNECTIONS)
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


def workers(report):
    given = balance({})["given"]
    found = lab.show("workers")
    packets = [worker["packets"] for worker in found]
    report.quote("shunt show workers", lab.run("shunt", "show", "workers"), record=False)
    wanted = 2 if lab.IN_KERNEL else min(2, len(os.sched_getaffinity(0)))
    expect(len(found) == wanted, f"there are {len(found)} workers")
    expect(min(packets) > sum(packets) * WORKER_SHARE, f"the workers were given {packets} packets")
    expect(sum(packets) >= given, f"of {given} packets the workers had {packets}")
    many = f"{len(found)} workers" if len(found) > 1 else "1 worker"
    report.figure(f"{many}, each with more than {WORKER_SHARE:.0%} of the packets, "
                  "together with all of them")


def prefer_first(text):
    """The configuration with nine times as much for b1 in the UDP services, where no weight is
    given."""
    for address in ("10.0.1.1", "2001:db8:1::1"):
        text = text.replace(f"address: {address} }}", f"address: {address}, weight: 9 }}")
    return text


def datagrams(report):
    """From as many ports, then the tables change under them."""
    good = lab.config_read()
    talk = lab.Talk([(f, lab.UDP) for f in lab.FAMILIES], 30000, TALKERS)
    before = {f: talk.backends(f, lab.UDP) for f in lab.FAMILIES}
    for family, found in before.items():
        expect(found == lab.explain(family, found, lab.UDP), "datagrams went elsewhere")
    lab.config_write(prefer_first(good))
    lab.run("shunt", "reload")
    lab.generation()
    talk.expect_whole()
    for family, found in before.items():
        now = lab.explain(family, found, lab.UDP)
        moved = sum(now[port] != name for port, name in found.items())
        expect(moved > TALKERS / 5, f"the reload moved only {moved} slots")
        report.figure(f"{family.name} by {family.encapsulation}: {len(found)} of {TALKERS} ports "
                      f"as explained; a reload gives {moved} of their slots away, all stay")
    talk.end()
    lab.config_write(good)
    lab.run("shunt", "reload")
    lab.generation()


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
        limit = BYPASS_TOLD if share < BYPASS_TOLD else BYPASS_SHARE
        report.figure(f"{family.name}: the client downloaded {len(data):,} bytes, the balancer "
                      f"received less than {limit:.0%} of that")
