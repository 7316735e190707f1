#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Bad luck with two interfaces: links that are down at the start and later, devices that are deleted and
made again, a device that is not there at the start. Each is told once, with the mend; the other interface
goes on; every frame has its verdict; and traffic resumes by itself, with its flows, under the same shuntd.

usage: links.py BIN dpdk|dpdk-af_xdp|xdp    exit: 0 passed, 1 failed, 77 cannot run here

shunt-dpdk has one interface on a veth and one on a tap, or both on veths with XDP sockets, shunt-xdp both on
veths; XDP takes root. All goes out by uplink0.
"""
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import devices
import dpdk
from devices import check, is_root, run, skip, until

CONFIG = """
version: 1
fleet_seed: "000102030405060708090a0b0c0d0e0f"
dataplane:
  interfaces:
    - { name: uplink0, device: "%s", mac: "02:00:00:00:00:01", gateway_mac: "02:00:00:00:00:fe",
        answer: arp }
    - { name: side0, device: "%s", mac: "02:00:00:00:00:02", exception: off }
  flows: 10K
services:
  - name: web
    vip: 203.0.113.10
    protocol: tcp
    port: 443
    backends: [{ address: 10.0.1.1 }, { address: 10.0.1.2 }]
"""
UPLINK, SIDE = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")  # as stations


class Lab:
    """With shunt-dpdk."""

    devices = "net_af_packet0,iface=up0", "net_tap0,iface=lb0"
    polled = "DPDK polls net_af_packet"
    down = "link down, DPDK polls net_af_packet"
    side = "lb0"  # where frames are put in to come by side0

    def __init__(self, programs, scratch):
        self.ports, self.scratch = iter(range(2000, 60000)), scratch
        self.prepare()
        self.balancer = self.start(programs, scratch, CONFIG % self.devices)

    def prepare(self):
        self.wire_make(up=False)

    def start(self, programs, scratch, text):
        return devices.Balancer(programs, scratch, text)

    def wire_make(self, up=True):
        run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "wire0")
        run("ip", "link", "set", "up0", "up")
        run("ethtool", "-K", "wire0", "tx", "off")
        if up:
            run("ip", "link", "set", "wire0", "up")

    def wire_delete(self):
        run("ip", "link", "delete", "wire0")

    def gone_told(self, times):
        self.told(f"interface uplink0: its device `{self.devices[0]}` is gone; waits for it to come back",
                  times)

    def back_told(self, times):
        self.told(f"interface uplink0: its device `{self.devices[0]}` is back and forwards again", times)

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
        station = UPLINK if wire == "wire0" else SIDE
        wire = dpdk.Wire(wire)
        for port in ports:
            wire.send(dpdk.frame(station, dpdk.packet(port, flags)))
        wire.socket.close()

    def forwarded(self, wire, ports=None, count=40):
        """Sends them, and returns the backend of each flow, all having come out at wire0."""
        ports = ports or [next(self.ports) for _ in range(count)]
        out = dpdk.Wire("wire0")
        self.send(wire, ports)
        frames = out.receive(len(ports))
        out.socket.close()
        check(len(frames) == len(ports), f"{len(frames)} of {len(ports)} frames from {wire} came out:\n"
              f"{self.counted()}\n{self.balancer.log()}")
        return {int.from_bytes(f[54:56], "big"): socket.inet_ntoa(f[30:34]) for f in frames}

    def resumes(self, wire, ports=None):
        """By itself: a first frame gets through within a second or so, then all do."""
        out = dpdk.Wire("wire0")
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


class SupervisedBalancer(devices.Balancer):
    """shunt-dpdk is started again as long as it does not end with 0."""

    def start(self, name, *options):
        if name != "shunt-dpdk":
            return super().start(name, *options)
        loop = (f"until {self.programs}/shunt-dpdk -f {self.config} --run-dir {self.scratch}/run; "
                "do echo \"status $?\" >&2; sleep 0.2; done")
        with open(f"{self.scratch}/shunt-dpdk.log", "w", encoding="utf-8") as log:
            return subprocess.Popen(["sh", "-c", loop], stderr=log, start_new_session=True)

    def end(self):
        if self.engine.poll() is None:
            os.killpg(self.engine.pid, signal.SIGKILL)
        super().end()


class Sockets(Lab):
    """With shunt-dpdk over XDP sockets and DPDK's own program, which begins without uplink0."""

    devices = "net_af_xdp0,iface=up0", "net_af_xdp1,iface=in0"
    polled = "DPDK polls net_af_xdp, an XDP program of its own"
    down = "link down, DPDK polls net_af_xdp"
    side = "wire1"

    def start(self, programs, scratch, text):
        return SupervisedBalancer(programs, scratch, text)

    def back_told(self, times):
        """By DPDK's driver only in another process."""
        self.told("net_af_xdp takes it up in a new process alone: ends, to be started again", times)
        self.told("status 75", times)
        self.told("goes on with the flows of the dataplane before it", times)
        self.shown("uplink0", self.polled)

    def prepare(self):
        devices.dpdk_leaks(self.scratch)
        run("ip", "link", "add", "in0", "type", "veth", "peer", "name", "wire1")
        run("ip", "link", "set", "in0", "up")
        run("ip", "link", "set", "wire1", "up")


class KernelBalancer(devices.Balancer):
    """shuntd and shunt-xdp."""

    def start(self, name, *options):
        return super().start(name.replace("shunt-dpdk", "shunt-xdp"), *options)

    def log(self, name="shunt-xdp"):
        return super().log(name)

    def said(self, pattern):
        super().said(pattern.replace("engine dpdk with", "engine xdp on"))


class Kernel(Sockets):
    """With shunt-xdp: a program sends to a veth only where another is at its other end."""

    devices = "up0", "in0"
    polled = "native mode, 1 queue, alone there"
    down = "link down, native mode, 1 queue, alone there"

    def prepare(self):
        super().prepare()
        self.wire_make(up=False)
        run("mount", "-t", "bpf", "bpf", "/sys/fs/bpf")
        self.programs_pass()

    def programs_pass(self):
        run(sys.executable, f"{devices.HERE}/../lab/xdp_pass.py", "wire0")

    def start(self, programs, scratch, text):
        return KernelBalancer(programs, scratch, text.replace("dataplane:\n", "dataplane:\n  engine: xdp\n"))

    def wire_make(self, up=True):
        super().wire_make(up)
        if up:
            self.programs_pass()

    def wire_delete(self):
        super().wire_delete()
        os.unlink("/sys/fs/bpf/pass-wire0")

    def gone_told(self, times):
        self.told("interface uplink0: up0 is gone; waits for it to come back", times)

    def back_told(self, times):
        self.shown("uplink0", self.polled)


def absent_at_the_start(lab):
    """shunt-dpdk ends with a status at which a supervisor starts it again, until the device is there."""
    balancer = lab.balancer
    until(lambda: balancer.log().count("status 69") >= 2, "the supervisor starts it again")
    check("interface uplink0 should listen at up0, which does not exist; `ip link` shows what does"
          in balancer.log(), balancer.log())
    lab.wire_make(up=False)
    balancer.ready()


def down_at_the_start(lab):
    lab.told("interface uplink0: its link is down, and what should be sent there is dropped as "
             "queue_full until it is up: `ip link set up0 up`, or look at the cable if it has NO-CARRIER")
    lab.shown("uplink0", lab.down)
    lab.dropped(lab.side)
    run("ip", "link", "set", "wire0", "up")
    lab.told("interface uplink0: its link is up again")
    lab.shown("uplink0", lab.polled)
    lab.resumes(lab.side)
    lab.resumes("wire0")


def down_later(lab):
    """Of the interface itself, and of its other end."""
    for times, name in ((2, "up0"), (3, "wire0")):
        run("ip", "link", "set", name, "down")
        lab.told("interface uplink0: its link is down", times)
        lab.dropped(lab.side)
        heard = dpdk.Wire("wire0") if name == "up0" else None
        run("ip", "link", "set", name, "up")
        lab.told("interface uplink0: its link is up again", times)
        if heard:
            until(lambda: announced(heard), "the VIP is announced anew")
        lab.resumes(lab.side)
        lab.forwarded("wire0")


def announced(wire):
    """Whether a frame is an ARP request for the VIP by itself."""
    vip = socket.inet_aton("203.0.113.10")
    if not select.select([wire.socket], [], [], 0.1)[0]:
        return False
    frame = wire.socket.recv(2048)
    return frame[6:14] == UPLINK + b"\x08\x06" and frame[28:32] == frame[38:42] == vip


def tap_down_later(lab):
    run("ip", "link", "set", "lb0", "down")
    lab.told("interface side0: its link is down, and what should be sent there is dropped as queue_full "
             "until it is up: `ip link set lb0 up` in its namespace")
    lab.forwarded("wire0")
    run("ip", "link", "set", "lb0", "up")
    lab.told("interface side0: its link is up again")
    lab.resumes("lb0")


def tap_is_deleted(lab):
    """It is made anew. The other interface forwards meanwhile, and the flows are the same."""
    ports = [next(lab.ports) for _ in range(100)]
    first = lab.forwarded("lb0", ports)
    run("ip", "link", "delete", "lb0")
    lab.told(f"interface side0: its device `{lab.devices[1]}` is gone; waits for it to come back")
    check(lab.forwarded("wire0", ports) == first, "flows move while an interface is gone")
    lab.told(f"interface side0: its device `{lab.devices[1]}` is back and forwards again")
    lab.shown("side0", "DPDK polls net_tap")
    before = lab.counted()
    check(lab.resumes("lb0", ports) == first, "flows move when an interface is back")
    check((lab.counted() - before)["flow"] >= len(ports), "the flow table does not know them")


def wire_is_deleted(lab):
    ports = [next(lab.ports) for _ in range(100)]
    first = lab.forwarded("wire0", ports)
    side = lab.forwarded(lab.side, ports)
    for times in (1, 2):
        lab.wire_delete()
        lab.gone_told(times)
        lab.shown("uplink0", "gone")
        lab.dropped(lab.side)
        lab.wire_make()
        lab.back_told(times)
        check(lab.resumes("wire0", ports) == first, "flows move when an interface is back")
        check(lab.forwarded(lab.side, ports) == side, "flows of the other interface move")


def replaced_at_once(lab):
    """Between two looks: it has the same name, and is another."""
    lab.balancer.engine.send_signal(signal.SIGSTOP)
    lab.wire_delete()
    lab.wire_make()
    lab.balancer.engine.send_signal(signal.SIGCONT)
    lab.back_told(3)
    lab.resumes("wire0")
    lab.resumes(lab.side)


STEPS = {
    "dpdk": (Lab, [down_at_the_start, down_later, tap_down_later, tap_is_deleted, wire_is_deleted,
                   replaced_at_once]),
    "dpdk-af_xdp": (Sockets, [absent_at_the_start, down_at_the_start, down_later, wire_is_deleted]),
    "xdp": (Kernel, [down_at_the_start, down_later, wire_is_deleted]),
}


def inside(programs, engine):
    lab_of, steps = STEPS[engine]
    run("ip", "link", "set", "lo", "up")
    run("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
    with tempfile.TemporaryDirectory() as scratch:
        lab = lab_of(programs, scratch)
        try:
            if steps[0] != absent_at_the_start:
                lab.balancer.ready()
            for step in steps:
                step(lab)
                check(lab.balancer.shuntd.poll() is None, "shuntd has ended")
                print("ok:", step.__name__.replace("_", " "), flush=True)
        except BaseException:
            print(lab.balancer.log(), lab.balancer.log("shuntd"), sep="\n", file=sys.stderr)
            raise
        finally:
            lab.end()


def main():
    programs, engine = os.path.realpath(sys.argv[1]), sys.argv[2]
    if sys.argv[3:] == ["inside"]:
        inside(programs, engine)
        return
    if engine != "dpdk" and not is_root():
        skip("XDP programs are loaded by root only, not in a user namespace")
    if not os.path.exists("/dev/net/tun"):
        skip("/dev/net/tun is missing: modprobe tun")
    flags = "-nm" if is_root() else "-Urnm"
    if subprocess.run(["unshare", flags, "true"], stderr=subprocess.DEVNULL, check=False).returncode:
        skip(f"namespaces are refused here (unshare {flags})")
    os.execvp("unshare", ["unshare", flags, "/usr/bin/python3", os.path.realpath(__file__), programs,
                          engine, "inside"])


if __name__ == "__main__":
    main()
