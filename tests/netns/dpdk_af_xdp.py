#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""shunt-dpdk over net_af_xdp, with shunt's own program below: what its workers send and count, together
with the program that forwards in their stead, is what the core makes of the same frames; killing it
costs no flow, and shunt-xdp can take its place, and it that of shunt-xdp.

usage: dpdk_af_xdp.py BIN CASE    exit: 0 passed, 1 failed, 77 cannot run here

As af_xdp.py, of whose frames and checks this makes use.
"""
import json
import os
import re
import select
import signal
import subprocess
import sys

import af_xdp
import devices
import traffic
from devices import check, run, until

RING = 1024  # places of a DPDK queue's, to receive
BURST = 32   # frames that a worker had taken, but not sent
PIN_DIR = "/sys/fs/bpf/shunt"


def config(engine="dpdk", device="net_af_xdp0,iface=uplink0", more=""):
    text = devices.CONFIG % ("front0", device, af_xdp.MTU, "auto", more)
    return text.replace("dataplane:\n", f"dataplane:\n  engine: {engine}\n", 1) + devices.L2


class Balancer(af_xdp.Balancer):
    """shuntd and shunt-dpdk; or shunt-xdp in its place."""

    program = "shunt-dpdk"

    def start(self, name, *options):
        if name == "shunt-dpdk":
            name, options = self.program, self.options
        return devices.Balancer.start(self, name, *options)

    def log(self, name=None):
        return devices.Balancer.log(self, name or self.program)

    def said(self, pattern):
        devices.Balancer.said(self, re.sub("engine dpdk with$", "engine (dpdk|af_xdp) on up",
                                            pattern))

    def kill(self):
        self.engine.kill()
        self.engine.wait()

    def exchange(self, program):
        """Another program in place of the one that has ended."""
        self.program = program
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(config("af_xdp" if program == "shunt-xdp" else "dpdk"))
        self.engine = self.start("shunt-dpdk")
        self.ready()
        self.by_socket()


class Case(af_xdp.Case):
    def prepare(self):
        super().prepare()
        devices.dpdk_leaks(self.scratch)

    def balance(self):
        self.balancer = Balancer(self.programs, self.scratch, config(), *self.options)
        self.balancer.ready()

    def credit(self):
        """How many frames the program may still give to the socket, by its map."""
        text = run("bpftool", "-j", "map", "lookup", "pinned", PIN_DIR + "/workers", "key", "hex",
                   "00", "00", "00", "00")
        value = bytes(int(byte, 16) for byte in json.loads(text)["value"])
        word = lambda at: int.from_bytes(value[at:at + 8], "little")
        return word(64) - word(24)


class Same(Case):
    """10,000 frames of every kind; and what is not for a service is the kernel's."""

    def kernel_has_its_own(self):
        """The kernel answers on the interface itself, and there is no other for its share."""
        mac = json.loads(run("ip", "-j", "link", "show", "uplink0"))[0]["address"]
        mine, theirs = "192.0.2.2", "192.0.2.1"
        share = devices.KernelShare()
        question = b"\xff" * 6 + traffic.ROUTER + b"\x08\x06" + \
            share.arp(1, traffic.ROUTER, theirs, bytes(6), mine)
        answer = traffic.ROUTER + bytes.fromhex(mac.replace(":", "")) + b"\x08\x06" + \
            share.arp(2, bytes.fromhex(mac.replace(":", "")), mine, traffic.ROUTER, theirs)
        share.wire = self.wire
        run("ip", "address", "add", mine + "/24", "dev", "uplink0")
        until(lambda: share.answered(question.ljust(60, b"\0"), answer), "the kernel answers")
        check(not self.balancer.show("status")["dataplanes"][0]["kernel_sent"], "over a port")
        links = [link["ifname"] for link in json.loads(run("ip", "-j", "link"))]
        check(sorted(links) == ["lo", "uplink0", "wire0"], f"interfaces: {links}")

    def test(self):
        mixture = traffic.Mixture(devices.SEED, af_xdp.MTU, True, False)
        expected = devices.Windows(self.programs, self.scratch, config(),
                                   mixture.frames(devices.FRAMES))
        self.balance()
        self.balancer.by_socket()
        before = self.balancer.counted(0)
        came = devices.exchange(self.wire, expected)
        expected.compare(came)
        counted = self.balancer.counted(devices.FRAMES + sum(before.values()))
        expected.compare_counters(counted - before)
        carrier = self.balancer.carrier()
        print(carrier)
        check(carrier["steered"] > devices.FRAMES / 4, "the sockets had next to nothing")
        check(carrier["starved"] == 0, "frames found no buffer")
        self.balancer.by_socket()
        check(self.credit() == RING, f"room for {self.credit()} frames, not for {RING}")
        self.kernel_has_its_own()
        engine = self.balancer.show("engine")[0]
        check(engine["engine"] == "dpdk" and "while shunt-dpdk is away, by the program" in
              engine["carried_by"] and engine["interfaces"][0]["state"].endswith(", copy"), engine)
        text = run(f"{self.programs}/shunt", "show", "engine", "--run-dir", self.scratch + "/run")
        check("worker 0     socket, copy; steered" in text, text)
        self.balancer.stop()


class Killed(Case):
    """Killed under a stream, started again, exchanged for shunt-xdp and back: every flow keeps the
    backend that it had, though a change of weights has moved its slot."""

    FLOWS = 400
    sent = 0

    def flows(self):
        """One packet of each flow, known by its number: which of them it was is its source port."""
        frames = []
        for n in range(self.FLOWS):
            datagram = traffic.udp(20000 + n, 53, (1000000 + self.sent).to_bytes(4, "big"))
            packet = traffic.ip4(traffic.V4("198.51.100.7"), traffic.VIP4, traffic.UDP, datagram)
            frames.append(traffic.BALANCER + traffic.ROUTER + b"\x08\x00" + packet)
            self.sent += 1
        return frames

    def backends(self):
        """Where each flow goes now: the outer destination of its packet."""
        frames, found = self.flows(), {}
        first = self.sent - self.FLOWS + 1000000
        def receive():
            while select.select([self.wire.socket], [], [], 0.01)[0]:
                data = self.wire.socket.recv(65535)
                number = int.from_bytes(data[-4:], "big") - first
                if data[6:12] == traffic.BALANCER and 0 <= number < self.FLOWS:
                    found[number] = data[14:14 + 40] if data[12:14] == b"\x86\xdd" else data[14:34]
            return len(found) == self.FLOWS
        for start in range(0, self.FLOWS, 32):
            for frame in frames[start:start + 32]:
                self.wire.socket.send(frame)
            receive()
        until(receive, "every flow's packet comes out")
        return [found[n][24:40] if found[n][0] >> 4 == 6 else found[n][16:20]
                for n in range(self.FLOWS)]

    def kept(self, homes, what):
        now = self.backends()
        lost = sum(home != here for home, here in zip(homes, now))
        check(lost == 0, f"{what}: {lost} of {self.FLOWS} flows went elsewhere")
        print(f"{what}: {self.FLOWS} flows stay;", self.balancer.carrier()
              if self.balancer.engine.poll() is None else "the program alone")

    def moved(self, homes):
        """Which flows the Maglev table alone would send elsewhere."""
        asked = "".join(f"udp 198.51.100.7:{20000 + n} 203.0.113.10:53\n" for n in range(self.FLOWS))
        reply = subprocess.run([f"{self.programs}/shunt", "explain", "--json", "-", "--run-dir",
                                self.scratch + "/run"], input=asked, capture_output=True, text=True,
                               timeout=20, check=True)
        names = {4: lambda b: ".".join(map(str, b)), 16: lambda b: "2001:db8:b::2"}
        return sum(json.loads(line)["backend"] != names[len(home)](home)
                   for line, home in zip(reply.stdout.splitlines(), homes, strict=True))

    def drain(self):
        """One backend drained, one added."""
        with open(self.balancer.config, encoding="utf-8") as file:
            text = file.read()
        old = '{ address: 10.0.1.1 }, { address: "2001:db8:b::2" } ] }'
        check(old in text, "the service has other backends")
        self.text = text.replace(old, '{ address: 10.0.1.1, state: drain }, { address: 10.0.1.2 }, '
                                 '{ address: "2001:db8:b::2" } ] }')
        self.write()
        run(f"{self.programs}/shunt", "reload", "--run-dir", self.scratch + "/run")
        self.balancer.ready()

    def write(self):
        with open(self.balancer.config, "w", encoding="utf-8") as file:
            file.write(self.text)

    def exchange(self, program):
        engine = "af_xdp" if program == "shunt-xdp" else "dpdk"
        self.text = self.text.replace("engine: dpdk", "engine: @").replace("engine: af_xdp", "engine: @")
        self.text = self.text.replace("engine: @", f"engine: {engine}")
        self.write()
        self.balancer.program = program
        self.balancer.engine = self.balancer.start("shunt-dpdk")
        self.balancer.ready()
        self.balancer.said("goes on with the tables and flows in")
        self.balancer.by_socket()

    def killed_under_a_stream(self):
        """What was in the socket is lost, and counted; from then on the program forwards."""
        came, first = {}, 500000
        frames = self.frames(20000, first)
        for start in range(0, len(frames), 32):
            if start == 9600:
                self.balancer.engine.kill()  # the stream doesn't wait for it to be dead
            for frame in frames[start:start + 32]:
                self.wire.socket.send(frame)
            self.receive(came, 0.0005)
        self.balancer.engine.wait()
        until(lambda: not select.select([self.wire.socket], [], [], 0.3)[0] or
              self.receive(came, 0.01), "what is under way comes")
        missing = len(frames) - len(came)
        print(f"kill -9 under a stream: {len(frames)} packets in, {missing} lost, "
              f"{sum(times > 1 for times in came.values())} twice")
        check(missing <= RING, f"{missing} packets lost: more than a ring holds")
        self.missing = missing
        check(all(first + n in came for n in range(19000, 20000)), "the program does not forward")

    def test(self):
        self.balance()
        self.balancer.by_socket()
        homes = self.backends()
        self.drain()
        moved = self.moved(homes)
        check(moved >= 100, f"only {moved} of {self.FLOWS} slots moved")
        self.kept(homes, f"{moved} slots moved")
        program = run("ip", "-j", "link", "show", "uplink0")
        program = json.loads(program)[0]["xdp"]["prog"]["id"]
        self.killed_under_a_stream()
        self.kept(homes, "shunt-dpdk is dead")
        self.exchange("shunt-dpdk")
        lost = self.balancer.carrier()["lost"]
        check(self.missing - BURST <= lost <= self.missing, f"{lost} of them are told")
        self.kept(homes, "shunt-dpdk is back")
        self.balancer.kill()
        self.exchange("shunt-xdp")
        self.kept(homes, "shunt-xdp instead")
        self.balancer.kill()
        self.kept(homes, "shunt-xdp is dead")
        self.exchange("shunt-dpdk")
        self.kept(homes, "shunt-dpdk instead")
        now = json.loads(run("ip", "-j", "link", "show", "uplink0"))[0]["xdp"]["prog"]["id"]
        check(now == program, f"program {program} was replaced by {now}")
        # What ends of its own accord hands over what it has, and leaves the program where it is.
        came = {}
        self.balancer.engine.send_signal(signal.SIGTERM)
        self.send(self.frames(2000, 100000), came)
        check(self.balancer.engine.wait(10) == 0, "shunt-dpdk ends")
        self.all_came(came, 2000)
        self.kept(homes, "shunt-dpdk has ended")


class Stopped(Case):
    """A worker that is not there: the program forwards for it once nobody has looked for longer than the
    heartbeat, and nothing is lost."""

    def test(self):
        self.balance()
        self.balancer.by_socket()
        came = {}
        self.send(self.frames(2000), came)
        self.all_came(came, 2000)
        self.balancer.freeze()
        self.send(self.frames(5000, 2000), came)
        until(lambda: self.receive(came, 0.01) or len(came) >= 7000 - RING,
              "the program forwards for a stopped worker")
        self.balancer.thaw()
        self.all_came(came, 7000)
        self.balancer.by_socket()
        carrier = self.balancer.carrier()
        check(carrier["starved"] == 0 and carrier["falls"] > 0, carrier)
        counted = self.balancer.counted(7000)
        check(counted["flow"] + counted["maglev"] == 7000, f"not 7000: {counted}")
        self.balancer.stop()


class Queue(Case):
    """DPDK on the second queue of two: the first one's packets are the program's."""

    COUNT = 2000

    def prepare(self):
        super().prepare()
        run("ip", "link", "set", "uplink0", "down")
        run("ip", "link", "delete", "uplink0")
        run("ip", "link", "add", "uplink0", "mtu", "1600", "numrxqueues", "2", "numtxqueues", "2",
            "type", "veth", "peer", "wire0", "mtu", "1600", "numrxqueues", "2", "numtxqueues", "2")
        for name in ("wire0", "uplink0"):
            run("ip", "link", "set", name, "up")
        for address in devices.L2_BACKENDS:
            run("ip", "route", "add", address, "dev", "uplink0")
        devices.neighbours()

    def test(self):
        self.balancer = Balancer(self.programs, self.scratch,
                                 config(device="net_af_xdp0,iface=uplink0,start_queue=1"))
        self.balancer.ready()
        workers = lambda: self.balancer.show("engine")[0]["workers"]
        until(lambda: [w["by"] for w in workers()] == ["kernel", "socket, copy"],
              "one queue is the program's, one has a socket")
        came = {}
        self.send(self.frames(self.COUNT), came)
        self.all_came(came, self.COUNT)
        first, second = workers()
        print(first, second)
        check(first["steered"] == first["fallen_back"] == 0 and second["steered"] > 0, "steered")
        counted = self.balancer.counted(self.COUNT)
        check(counted["flow"] + counted["maglev"] == self.COUNT, counted)
        packets = [worker["packets"] for worker in self.balancer.show("workers")]
        check(min(packets) > 0 and sum(packets) >= self.COUNT, f"{packets} packets")
        self.balancer.stop()


class Own(Case):
    """Where shunt's program can't be below, DPDK's own is, and it is said why; nothing is pinned."""

    def own(self, what, why, *options):
        self.balancer = Balancer(self.programs, self.scratch, what, *options)
        self.balancer.said(r"engine dpdk with \d")
        text = self.balancer.log()
        check("gives shunt-dpdk all that comes by uplink0, and nobody when it is killed; " + why in text,
              text)
        check(not os.path.exists(PIN_DIR), f"{PIN_DIR} is there")
        check("front0" in run("ip", "link"), "the kernel gets no share")
        engine = until(lambda: self.balancer.show("engine"), "the engine is there")[0]
        check(engine["interfaces"][0]["state"].endswith("an XDP program of its own"), engine)
        check(engine["carried_by"] == "the workers of its process", engine)
        self.balancer.stop()
        self.balancer.end()
        check("xdp" not in run("ip", "link", "show", "uplink0"), "DPDK's program is left")

    def test(self):
        self.own(config(more="    - { name: nowhere0, device: net_null0 }\n"),
                 "shunt's own serves one interface alone")
        self.own(config(), "for shunt's own mount a BPF file system", "--pin-dir", "/tmp/shunt")


class Gone(Case, af_xdp.Gone):
    """The same as shunt-xdp's: DPDK's sockets are dead as well, and the program has all of it."""


class Refused(Case):
    """What is in the way is told, and nothing changes."""

    def said(self, pattern):
        with open(self.scratch + "/shunt.yaml", "w", encoding="utf-8") as file:
            file.write(config())
        reply = subprocess.run([f"{self.programs}/shunt-dpdk", "-f", self.scratch + "/shunt.yaml",
                                "--run-dir", self.scratch], capture_output=True, text=True,
                               timeout=20, check=False)
        check(reply.returncode == 69, f"exit status {reply.returncode}\n{reply.stderr}")
        check(re.search("^shunt-dpdk: " + pattern, reply.stderr, re.M), reply.stderr)

    def test(self):
        before = "xdp" in run("ip", "link", "show", "uplink0")
        other, _memory = af_xdp.socket_of_another()
        self.said(r"queue 0 of uplink0 has no AF_XDP socket \(Device or resource busy\): another program's")
        other.close()
        check(not before and "xdp" not in run("ip", "link", "show", "uplink0"), "a program was left")
        run(sys.executable, f"{af_xdp.HERE}/../lab/xdp_pass.py", "uplink0")
        self.said("interface front0: another XDP program is on uplink0, alone: take it off")
        os.unlink("/sys/fs/bpf/pass-uplink0")
        self.balance()
        self.balancer.by_socket()
        self.said("another process looks after the tables in /sys/fs/bpf/shunt: end it first")
        self.balancer.by_socket()
        self.balancer.stop()


CASES = {"same": Same, "killed": Killed, "stopped": Stopped, "queue": Queue, "own": Own,
         "gone": Gone, "refused": Refused}

if __name__ == "__main__":
    af_xdp.main(CASES)
