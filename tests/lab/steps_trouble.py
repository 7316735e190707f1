# SPDX-License-Identifier: BSD-2-Clause
"""The steps of the demo on what leaves, dies and comes back: a backend in order, a backend without
warning, the control plane, the dataplane; and what the counters say after all of it."""
import os
import time

import lab
from claims import balance, connect, killed_untold, port_of, spell, tally
from report import expect

TALKERS = 40  # of each service
EVERYONE = [(f, service) for f in lab.FAMILIES for service in (lab.TCP, lab.UDP)]
# `fall` checks take one, three in an emulated guest; the rest is for a machine that is busy.
DOWN_SECONDS = 20 if "LAB_DEVICE" in os.environ else 5
DRAINED, KILLED, LEAVING = "b1", "b2", "b3"

untold = [(0, 0, 0)]  # of a dataplane that was killed: killed_untold()
earlier = {}  # verdicts of the dataplane that was killed, by action, where its wire went with it
killed = set()


def order(command, backend, report=None):
    """`shunt drain` or `shunt undrain`, by both of its addresses."""
    for family in lab.FAMILIES:
        address = lab.backend(family.service, backend)["address"]
        said = lab.run("shunt", command, address)
        if report:
            report.quote(f"shunt {command} {address}", said)
    lab.generation()


def drain(report):
    downloads = {f: lab.Download(f, port_of(f, DRAINED, 20000)) for f in lab.FAMILIES}
    for family, download in downloads.items():
        expect(download.backend == DRAINED, f"the download came from {download.backend}")
    order("drain", DRAINED, report)
    for family in lab.FAMILIES:
        found = connect(family, 21000, 200)
        expect(DRAINED not in found.values(), f"a new connection still went to {DRAINED}")
        report.figure(f"{family.name}: 200 new connections: {spell(tally(found))}")
    for family in lab.FAMILIES:
        lab.wait_for("the download is the only flow left",
                     lambda f=family: lab.backend(f.service, DRAINED)["flows"] == 1)
        report.figure(f"{family.name}: `shunt show` says that {DRAINED} has 1 flow left")
    for family, download in downloads.items():
        expect(download.goes_on(), "the download ended too early to show anything")
        expect(download.finish() == lab.large_file(), "the download is not the file")
        report.figure(f"{family.name}: the download from {DRAINED} went on and is complete, "
                      f"{lab.large_file()['bytes']:,} bytes with the right SHA-256")
    order("undrain", DRAINED, report)
    for family in lab.FAMILIES:
        found = connect(family, 21500, 50)
        expect(DRAINED in found.values(), f"no new connection goes to {DRAINED} again")
    report.figure(f"new connections go to {DRAINED} again")


def shuntd_dies(report):
    ports = range(25000, 25100)
    wanted = {f: lab.explain(f, ports) for f in lab.FAMILIES}
    talk = lab.Talk(EVERYONE, 32000, TALKERS)
    lab.kill("shuntd")
    lab.run("shunt", "show", status=69)
    for family in lab.FAMILIES:
        found = lab.Load(family, ports[0], len(ports)).landed()
        expect(found == wanted[family], "without shuntd, connections went elsewhere")
    talk.expect_whole()
    report.figure(f"without shuntd: {talk.count} conversations go on, and 200 new connections "
                  "land where they would have")
    lab.topology("lab_shuntd")
    lab.generation()
    for family in lab.FAMILIES:
        expect(lab.explain(family, ports) == wanted[family], "the new shuntd has other tables")
    talk.expect_whole()
    report.figure(f"with the next one: the same tables, and all {talk.count} go on")
    talk.end()
    balance({})
    report.figure("counters go on too: one verdict for each packet since the first")


def dataplane_dies(report):
    talk = lab.Talk(EVERYONE, 33000, TALKERS)
    order("drain", LEAVING)
    stay = 0
    for family, service in EVERYONE:
        found = talk.backends(family, service)
        leaving = [port for port, name in found.items() if name == LEAVING]
        now = lab.explain(family, leaving, service)
        expect(leaving and LEAVING not in now.values(), f"nothing was with {LEAVING}")
        stay += len(leaving)
    counted = lab.verdicts()
    lab.kill(lab.DATAPLANE)
    killed.add(lab.DATAPLANE)
    start = time.monotonic()
    lab.wait_for("shuntd has noticed", lambda: not lab.show("status")["dataplanes"])
    left = lab.verdicts()
    expect(all(left[action] >= count for action, count in counted.items()),
           f"of the verdicts {counted}, {left} are left with {lab.DATAPLANE} gone")
    if lab.IN_KERNEL:
        without_process(report, talk)
    else:
        earlier.update(left)
    lab.topology("lab_dataplane")
    lab.generation()
    talk.expect_whole()
    report.measure(f"everyone was answered again {time.monotonic() - start:.1f} s after the kill")
    report.figure(f"{talk.count} conversations over TCP and UDP are each with their backend still")
    report.figure(f"{stay} of them are with {LEAVING}, where nothing new goes")
    talk.end()
    untold[0] = killed_untold()
    order("undrain", LEAVING)


def without_process(report, talk):
    """The engine is the kernel's program: it neither stops nor forgets, nor needs to be told."""
    talk.expect_whole()
    for family in lab.FAMILIES:
        connect(family, 33500, 100)
    report.figure(f"with no {lab.DATAPLANE}: {talk.count} conversations go on, and 200 new "
                  "connections landed as explained")


def health_is(state):
    return all(lab.backend(f.service, KILLED)["health"]["state"] == state for f in lab.FAMILIES)


def server_dies(report):
    before = {f: lab.explain(f, range(24000, 24100)) for f in lab.FAMILIES}
    talk = lab.Talk([(f, lab.TCP) for f in lab.FAMILIES], 31000, TALKERS)
    had = {f: talk.backends(f, lab.TCP) for f in lab.FAMILIES}
    start = time.monotonic()
    lab.kill(f"nginx-{KILLED}")
    lab.wait_for(f"{KILLED} is found down", lambda: health_is("down"))
    seconds = time.monotonic() - start
    expect(seconds < DOWN_SECONDS, f"{KILLED} was found down after {seconds:.1f} s only")
    report.measure(f"{KILLED} was found down {seconds:.1f} s after it was killed")
    reason = lab.backend("web4", KILLED)["health"]["reason"]
    report.figure(f"{KILLED} is down: {reason}")
    lab.generation()
    broken = talk.round()
    for family, found in had.items():
        lost = [port for port, name in found.items() if name == KILLED]
        expect(lost and set(broken[family, lab.TCP]) == set(lost),
               f"{len(lost)} connections were with {KILLED}, these broke: {broken}")
        now = lab.explain(family, lost)
        expect(KILLED not in now.values(), f"their ports still lead to {KILLED}")
        found = connect(family, 24000, 100)
        expect(KILLED not in found.values(), f"a new connection still went to {KILLED}")
        report.figure(f"{family.name}: the {len(lost)} connections with {KILLED} broke, "
                      f"{TALKERS - len(lost)} others went on; 100 new ones: {spell(tally(found))}")
    talk.end()
    lab.topology("lab_web_server", KILLED)
    lab.wait_for(f"{KILLED} is found up", lambda: health_is("up"))
    lab.generation()
    for family in lab.FAMILIES:
        expect(lab.Load(family, 24100, 100).landed() == lab.explain(family, range(24100, 24200)),
               "connections went elsewhere")
        expect(lab.explain(family, before[family]) == before[family], "not all is as before")
    report.figure(f"{KILLED} is back, checked, and has its share of new connections")


def books(report):
    found = balance(earlier, untold[0])
    report.quote("shunt show", lab.run("shunt", "show"))
    report.quote("shunt show drops", lab.run("shunt", "show", "drops"))
    if earlier:
        report.measure(f"before {lab.DATAPLANE} was killed, {sum(earlier.values()):,} verdicts")
    report.measure(f"{found['given']:,} verdicts since, for {found['arrived']:,} packets")
    report.measure(f"{found['forward']:,} of these were to forward, and {found['left']:,} packets left")
    report.figure("every packet that arrived has one verdict, and every one to forward has left")
    if lab.BY_SOCKETS and killed:
        report.measure(f"of these, {untold[0][0]:,} are in no total: what the killed {lab.DATAPLANE} "
                       "had counted since its main thread last looked")
    if killed:
        report.figure(f"what the killed {lab.DATAPLANE} had {'told' if lab.BY_SOCKETS else 'counted'} "
                      "is in the totals, by verdict and by service")
