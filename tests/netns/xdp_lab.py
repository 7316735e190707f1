# SPDX-License-Identifier: BSD-2-Clause
"""The balancer of xdp.sh as its stories see it: shunt-xdp, its program, and every packet counted."""
import json
import os
import subprocess
import sys

import lab
from report import expect

PEER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "exception_peer.py")
PIN_DIR = "/sys/fs/bpf/shunt"
LB = {"IPv4": "10.0.9.1", "IPv6": "2001:db8:9::1"}


def ok(text):
    print(f"ok   {text}", flush=True)


def ip(namespace, *words):
    return lab.run("ip", "-n", namespace, *words)


def peer(namespace, *words):
    return lab.inside(namespace, sys.executable, "-B", PEER, *map(str, words))


def pings(namespace, address, packet_bytes=84):
    return subprocess.run(peer(namespace, "ping", address, packet_bytes), check=False).returncode == 0


def link(namespace, name):
    return json.loads(ip(namespace, "-s", "-j", "link", "show", name))[0]


def program(name="up0"):
    """The id of the program on an interface of the balancer, or None."""
    return link("lb", name).get("xdp", {}).get("prog", {}).get("id")


def start_shuntd():
    lab.topology("lab_shuntd")


def start(*, fresh=True):
    """shunt-xdp, which forwards when this returns."""
    lab.topology("lab_engine")
    lab.generation()
    expect(fresh or program(), "no program on up0")


def log(name=lab.DATAPLANE):
    with open(f"{lab.DIR}/{name}.log", encoding="utf-8") as file:
        return file.read()


def reachable():
    lab.wait_for("next hops", lambda: all(b["reachable"] for s in lab.show("services")
                                          for b in s["backends"]))
    lab.generation()


def verdicts():
    return {v["reason"]: v["packets"] for v in lab.show("drops")["verdicts"]}


def unseen():
    """Packets on the wire that have no verdict: those from before the program was there, and a
    constant from then on."""
    return lab.wire()["tx"]["packets"] - sum(verdicts().values())


def expect_all_seen(before):
    """Every packet since then has a verdict, and what was forwarded is counted by service too."""
    found = {}

    def alike():
        found.update(unseen=unseen() - before,
                     forward=sum(v["packets"] for v in lab.show("drops")["verdicts"]
                                 if v["action"] == "forward"),
                     by_service=sum(s["packets"] for s in lab.show("services")))
        return found["unseen"] == 0 and found["forward"] == found["by_service"]
    lab.wait_for("every packet has a verdict", alike, 15)


def served(port, count=1):
    for number, family in enumerate(lab.FAMILIES):
        for i in range(count):
            answer = lab.fetch(family, port + 2 * i + number, "/").decode()
            expect(answer.startswith("hello from b"), f"the answer is {answer!r}")
