#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The steps of scripts/demo: what a load balancer promises, tried and measured.

usage: steps.py [--ci]      environment: topology.sh's, and
  LAB_BUILT_AT   when the build had ended, in seconds since the epoch
  LAB_RECORD_FD  descriptor of the record, if one is written
  LAB_STEPS      the names of the functions of some steps, for no others to be run
"""
import os
import signal
import sys

import lab
from report import Broken, Report, failure_logs
from steps_config import check, refused
from steps_traffic import bypass, connections, datagrams, first_packet, spread, workers
from steps_trouble import (DRAINED, KILLED, LEAVING, books, dataplane_dies, drain, server_dies,
                           shuntd_dies)

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
    ("The workers share the work",
     ("A worker is one receive queue of the device, which spreads the connections over them; here "
      "are two." if lab.IN_KERNEL else
      "A worker is one core with a queue of its own. The device spreads the connections over them; "
      "here are two, if the machine has two cores."), workers),
    ("UDP is balanced like TCP",
     "Datagrams from one port stay together: with the backend that `shunt explain` names, and "
     "after a reload with other weights too.", datagrams),
    ("A server leaves without a broken connection",
     f"In the middle of two slow downloads from {DRAINED} it is drained. New connections go "
     "elsewhere, what is left is counted, and the downloads go on to their end.", drain),
    ("A broken file changes nothing",
     "The same mistakes as above, but now the running shuntd is told to reload.", refused),
    ("kill -9 of shuntd stops no packet",
     "The control plane dies under conversations over TCP and UDP. The dataplane needs it for "
     "changes only, and the next shuntd takes over where it was.", shuntd_dies),
    (f"kill -9 of {lab.DATAPLANE} moves no flow",
     f"{LEAVING} is drained first, so that the hash alone would send its flows elsewhere. Then the "
     "dataplane dies under load; " +
     ("the kernel forwards on, and the next one finds what is there." if lab.IN_KERNEL else
      "the next one is handed the flow tables, which shuntd has kept."), dataplane_dies),
    ("A server dies, and only its connections with it",
     f"The web server of {KILLED} is killed. Health checks notice within about a second: new "
     "connections avoid it, those with others go on. Started again, it gets its share again.",
     server_dies),
    ("Every packet has a verdict",
     "What was dropped, passed or forwarded, and why. Over all that has happened here the verdicts "
     "add up to the packets on the wire.", books),
]


def chosen():
    names = os.environ.get("LAB_STEPS", "").split()
    unknown = set(names) - {action.__name__ for _, _, action in STEPS}
    if unknown:
        sys.exit(f"steps.py: there is no step {min(unknown)}")
    return [step for step in STEPS if not names or step[2].__name__ in names]


def main():
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # whoever reads may have seen enough
    descriptor = os.environ.get("LAB_RECORD_FD")
    report = Report(compact="--ci" in sys.argv[1:])
    if "LAB_DEVICE" in os.environ:
        lab.count_from_now()
    try:
        for step in chosen():
            report.step(*step)
    except Broken:
        failure_logs(f"{lab.DIR}/{name}.log" for name in ("shuntd", lab.DATAPLANE))
        return 1
    if descriptor:
        report.record(int(descriptor))
    return 0


if __name__ == "__main__":
    sys.exit(main())
