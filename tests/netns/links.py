#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Bad luck with shunt-dpdk's interfaces, one of which stands on a veth and one on a tap: links that are
down at the start and later, devices that are deleted and made again, a device that is not there when it
starts. Each is told once, with the mend; the other interface goes on; every frame has its verdict; and
traffic resumes by itself, with its flows, under the same shuntd.

usage: links.py BIN    exit: 0 passed, 1 failed, 77 cannot run here
"""
import os
import signal
import socket
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import dpdk
from devices import Balancer, check, is_root, run, skip, until

CONFIG = """
version: 1
fleet_seed: "000102030405060708090a0b0c0d0e0f"
dataplane:
  interfaces:
    - { name: uplink0, device: "net_af_packet0,iface=up0", mac: "02:00:00:00:00:01",
        gateway_mac: "02:00:00:00:00:fe" }
    - { name: side0, device: "net_tap0,iface=lb0", mac: "02:00:00:00:00:02", exception: off }
  flows: 10K
services:
  - name: web
    vip: 203.0.113.10
    protocol: tcp
    port: 443
    backends: [{ address: 10.0.1.1 }, { address: 10.0.1.2 }]
"""
STATIONS = {"up0": bytes.fromhex("020000000001"), "lb0": bytes.fromhex("020000000002")}
UP0, LB0 = "wire0", "lb0"  # where frames are put in to come by the one and the other
DEVICES = {"uplink0": "net_af_packet0,iface=up0", "side0": "net_tap0,iface=lb0"}


class Lab:
    def __init__(self, programs, scratch):
        self.balancer = Balancer(programs, scratch, CONFIG)
        self.ports = iter(range(2000, 60000))

    def counted(self):
        return self.balancer.counted(0)

    def states(self):
        return {i["name"]: i["state"] for e in self.balancer.show("engine") for i in e["interfaces"]}

    def told(self, sentence, times=1):
        until(lambda: self.balancer.log().count(sentence) == times,
              f"`{sentence}` said {times} times, in\n{self.balancer.log()}")

    def shown(self, name, state):
        until(lambda: self.states().get(name) == state, f"{name} shown as {state}, not {self.states()}")

    def send(self, wire, ports, flags=dpdk.ACK):
        """Frames of these flows, put in at a wire of ours."""
        station = STATIONS["up0" if wire == UP0 else "lb0"]
        wire = dpdk.Wire(wire)
        for port in ports:
            wire.send(dpdk.frame(station, dpdk.packet(port, flags)))
        wire.socket.close()

    def forwarded(self, wire, ports=None, count=40):
        """Sends them, and returns the backend of each flow, all having come out at wire0."""
        ports = ports or [next(self.ports) for _ in range(count)]
        out = dpdk.Wire(UP0)
        self.send(wire, ports)
        frames = out.receive(len(ports))
        out.socket.close()
        check(len(frames) == len(ports), f"{len(frames)} of {len(ports)} frames from {wire} came out:\n"
              f"{self.counted()}\n{self.balancer.log()}")
        return {int.from_bytes(f[54:56], "big"): socket.inet_ntoa(f[30:34]) for f in frames}

    def resumes(self, wire, ports=None):
        """By itself: a first frame gets through within a second or so, then all do."""
        out = dpdk.Wire(UP0)
        probe = next(self.ports)

        def through():
            self.send(wire, [probe])
            return out.receive(1, 0.1)
        until(through, f"traffic from {wire} resumes")
        out.socket.close()
        return self.forwarded(wire, ports)

    def dropped(self, wire, count=50):
        """Each of them has its verdict: there was no sending it."""
        before = self.counted()
        self.send(wire, [next(self.ports) for _ in range(count)])
        until(lambda: sum((self.counted() - before).values()) >= count, "every frame has a verdict")
        after = self.counted() - before
        check(after["queue_full"] == count and not after["maglev"] and not after["flow"],
              f"{count} frames to a dead link: {after}")

    def end(self):
        self.balancer.end()


def wire_make(up=True):
    run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "wire0")
    run("ip", "link", "set", "up0", "up")
    run("ethtool", "-K", "wire0", "tx", "off")
    if up:
        run("ip", "link", "set", "wire0", "up")


def down_at_the_start(lab):
    lab.told("interface uplink0: its link is down, and what should be sent there is dropped as "
             "queue_full until it is up: `ip link set up0 up`, or look at the cable if it has NO-CARRIER")
    lab.shown("uplink0", "link down, DPDK polls net_af_packet")
    lab.shown("side0", "DPDK polls net_tap")
    lab.dropped(LB0)
    run("ip", "link", "set", "wire0", "up")
    lab.told("interface uplink0: its link is up again")
    lab.shown("uplink0", "DPDK polls net_af_packet")
    lab.resumes(LB0)
    lab.resumes(UP0)


def down_later(lab):
    """Of the interface itself, and of its other end."""
    for times, name in ((2, "up0"), (3, "wire0")):
        run("ip", "link", "set", name, "down")
        lab.told("interface uplink0: its link is down", times)
        lab.dropped(LB0)
        run("ip", "link", "set", name, "up")
        lab.told("interface uplink0: its link is up again", times)
        lab.resumes(LB0)
        lab.forwarded(UP0)
    run("ip", "link", "set", "lb0", "down")
    lab.told("interface side0: its link is down, and what should be sent there is dropped as queue_full "
             "until it is up: `ip link set lb0 up` in its namespace")
    lab.forwarded(UP0)
    run("ip", "link", "set", "lb0", "up")
    lab.told("interface side0: its link is up again")
    lab.resumes(LB0)


def tap_is_deleted(lab):
    """It is made anew. The other interface forwards meanwhile, and the flows are the same."""
    ports = [next(lab.ports) for _ in range(100)]
    first = lab.forwarded(LB0, ports)
    run("ip", "link", "delete", "lb0")
    lab.told(f"interface side0: its device `{DEVICES['side0']}` is gone; waits for it to come back")
    check(lab.forwarded(UP0, ports) == first, "flows move while an interface is gone")
    lab.told(f"interface side0: its device `{DEVICES['side0']}` is back and forwards again")
    lab.shown("side0", "DPDK polls net_tap")
    before = lab.counted()
    check(lab.resumes(LB0, ports) == first, "flows move when an interface is back")
    check((lab.counted() - before)["flow"] >= len(ports), "the flow table does not know them")


def wire_is_deleted(lab):
    ports = [next(lab.ports) for _ in range(100)]
    first = lab.forwarded(UP0, ports)
    for times in (1, 2):
        run("ip", "link", "delete", "wire0")
        lab.told(f"interface uplink0: its device `{DEVICES['uplink0']}` is gone; waits for it to come "
                 "back", times)
        lab.shown("uplink0", "gone")
        lab.dropped(LB0)
        wire_make()
        lab.told(f"interface uplink0: its device `{DEVICES['uplink0']}` is back and forwards again", times)
        check(lab.resumes(UP0, ports) == first, "flows move when an interface is back")
        check(lab.forwarded(LB0, ports) == first, "flows of the other interface move")


def replaced_at_once(lab):
    """Between two looks: it has the same name, and is another."""
    subprocess.run(["ip", "-batch", "-"], check=True, text=True,
                   input="link delete wire0\nlink add up0 type veth peer name wire0\n"
                   "link set up0 up\nlink set wire0 up\n")
    lab.told(f"interface uplink0: its device `{DEVICES['uplink0']}` is back and forwards again", 3)
    lab.resumes(UP0)
    lab.resumes(LB0)


def absent_at_the_start(lab):
    """shunt-dpdk ends with a status at which a supervisor starts it again, until the device is there."""
    lab.balancer.stop()
    run("ip", "link", "delete", "wire0")
    balancer = lab.balancer
    loop = (f"until {balancer.programs}/shunt-dpdk -f {balancer.config} --run-dir "
            f"{balancer.scratch}/run; do echo \"status $?\" >&2; sleep 0.2; done")
    with open(f"{balancer.scratch}/shunt-dpdk.log", "w", encoding="utf-8") as log:
        balancer.engine = subprocess.Popen(["sh", "-c", loop], stderr=log, start_new_session=True)
    until(lambda: balancer.log().count("status 69") >= 2, "the supervisor starts it again")
    check("interface uplink0 should listen at up0, which does not exist; `ip link` shows what does"
          in balancer.log(), balancer.log())
    wire_make()
    balancer.ready()
    lab.resumes(UP0)
    os.killpg(balancer.engine.pid, signal.SIGTERM)


STEPS = [down_at_the_start, down_later, tap_is_deleted, wire_is_deleted, replaced_at_once,
         absent_at_the_start]


def inside(programs):
    run("ip", "link", "set", "lo", "up")
    run("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
    wire_make(up=False)
    with tempfile.TemporaryDirectory() as scratch:
        lab = Lab(programs, scratch)
        try:
            lab.balancer.ready()
            for step in STEPS:
                step(lab)
                check(lab.balancer.shuntd.poll() is None, "shuntd has ended")
                print("ok:", step.__name__.replace("_", " "), flush=True)
        except BaseException:
            print(lab.balancer.log(), lab.balancer.log("shuntd"), sep="\n", file=sys.stderr)
            raise
        finally:
            lab.end()


def main():
    programs = os.path.realpath(sys.argv[1])
    if sys.argv[2:] == ["inside"]:
        inside(programs)
        return
    if not os.path.exists("/dev/net/tun"):
        skip("/dev/net/tun is missing: modprobe tun")
    flags = "-nm" if is_root() else "-Urnm"
    if subprocess.run(["unshare", flags, "true"], stderr=subprocess.DEVNULL, check=False).returncode:
        skip(f"namespaces are refused here (unshare {flags})")
    os.execvp("unshare", ["unshare", flags, "/usr/bin/python3", os.path.realpath(__file__), programs,
                          "inside"])


if __name__ == "__main__":
    main()
