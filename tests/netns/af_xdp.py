#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""shunt-xdp with AF_XDP sockets, on a veth: what its workers send and count, together with the
program that forwards in their stead, is what the core makes of the same frames; and nothing is lost
while a worker is slow, stopped, killed or started again.

usage: af_xdp.py BIN CASE    exit: 0 passed, 1 failed, 77 cannot run here

Root, in namespaces of its own: a network, and a BPF file system that goes with it. Frames come
and go by wire0, the other end of uplink0. Which of them a socket gets and which the program keeps is
a matter of timing on a machine that has other things to do; what comes out must not be.
"""
import ctypes
import mmap
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import devices
import traffic
from devices import check, run, until

HERE = os.path.dirname(os.path.abspath(__file__))
MTU = 1600


def config(engine="af_xdp", device="uplink0"):
    text = devices.CONFIG % ("uplink0", device, MTU, "auto", "")
    return text.replace("dataplane:\n", f"dataplane:\n  engine: {engine}\n", 1) + devices.L2


class Balancer(devices.Balancer):
    """shuntd and shunt-xdp."""

    def __init__(self, programs, scratch, text, *options):
        self.options = options
        super().__init__(programs, scratch, text)

    def start(self, name, *options):
        if name == "shunt-dpdk":
            name, options = "shunt-xdp", self.options
        return super().start(name, *options)

    def log(self, name="shunt-xdp"):
        return super().log(name)

    def said(self, pattern):
        super().said(pattern.replace("engine dpdk with", "engine (af_)?xdp on uplink0"))

    def freeze(self):
        """Stops it, and sees every thread stopped."""
        def state(thread):
            with open(f"/proc/{self.engine.pid}/task/{thread}/stat", encoding="ascii") as file:
                return file.read().rsplit(")", 1)[1].split()[0]
        self.engine.send_signal(signal.SIGSTOP)
        while any(state(thread) != "T" for thread in os.listdir(f"/proc/{self.engine.pid}/task")):
            time.sleep(0.0005)

    def thaw(self):
        self.engine.send_signal(signal.SIGCONT)

    def configure(self, engine):
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(config(engine))

    def carrier(self):
        return until(lambda: self.show("engine"), "the engine is there")[0]["workers"][0]

    def by_socket(self):
        until(lambda: self.carrier()["by"] == "socket, copy", "the socket carries the traffic")


class Case:
    """shunt-xdp on uplink0, and the wire."""

    engine, options = "af_xdp", ()

    def __init__(self, programs, scratch):
        self.programs, self.scratch = programs, scratch
        self.prepare()
        # Without a program of its own a veth takes nothing that its peer's program sends.
        for _, name in socket.if_nameindex():
            if name.startswith("wire"):
                run(sys.executable, f"{HERE}/../lab/xdp_pass.py", name)
        self.wire = devices.KernelWire("wire0")
        self.balancer = None

    def prepare(self):
        devices.network(MTU)

    def balance(self):
        self.balancer = Balancer(self.programs, self.scratch, config(self.engine), *self.options)
        self.balancer.ready()

    def test(self):
        raise NotImplementedError

    def end(self):
        if self.balancer:
            if sys.exc_info()[0]:
                print(self.balancer.log(), self.balancer.log("shuntd"))
                self.balancer.print_counted()
            self.balancer.end()
        self.wire.close()

    # --- Packets of known flows, to be counted

    def frames(self, count, first=0):
        """UDP packets of 64 flows, each known by its number."""
        frames = []
        for n in range(first, first + count):
            datagram = traffic.udp(20000 + n % 64, 53, n.to_bytes(4, "big"))
            packet = traffic.ip4(traffic.V4("198.51.100.7"), traffic.VIP4, traffic.UDP, datagram)
            frames.append(traffic.BALANCER + traffic.ROUTER + b"\x08\x00" + packet)
        return frames

    def receive(self, came, wait_seconds):
        """Takes in what has come, by number; waits for something."""
        while select.select([self.wire.socket], [], [], wait_seconds)[0]:
            data = self.wire.socket.recv(65535)
            if data[6:12] == traffic.BALANCER:
                number = int.from_bytes(data[-4:], "big")
                came[number] = came.get(number, 0) + 1
            wait_seconds = 0

    def send(self, frames, came, chunk=32):
        """A few at a time, so that no queue of the kernel's on the way overflows."""
        for start in range(0, len(frames), chunk):
            for frame in frames[start:start + chunk]:
                self.wire.socket.send(frame)
            self.receive(came, 0.001)

    def all_came(self, came, count):
        def here():
            self.receive(came, 0.01)
            return len(came) >= count
        try:
            until(here, "every packet comes out")
        finally:
            twice = sum(times > 1 for times in came.values())
            print(f"{count} packets in, {len(came)} out, {count - len(came)} lost, {twice} twice;",
                  self.balancer.carrier() if self.balancer.engine.poll() is None else "")
        check(not twice, "a packet came out twice")


class Same(Case):
    """10,000 frames of every kind, as devices.py has them."""

    def test(self):
        mixture = traffic.Mixture(devices.SEED, MTU, True, False)
        expected = devices.Windows(self.programs, self.scratch, config(),
                            mixture.frames(devices.FRAMES))
        self.balance()
        self.balancer.by_socket()
        before = self.balancer.counted(0)
        start = time.monotonic()
        came = devices.exchange(self.wire, expected)
        print(f"{len(expected.frames)} frames in, {len(came)} out in "
              f"{time.monotonic() - start:.1f} s")
        expected.compare(came)
        counted = self.balancer.counted(devices.FRAMES + sum(before.values()))
        expected.compare_counters(counted - before)
        carrier = self.balancer.carrier()
        print(carrier)
        check(carrier["steered"] > devices.FRAMES / 4, "the sockets had next to nothing")
        check(carrier["starved"] == 0, "frames found no buffer")
        self.balancer.by_socket()  # which has its buffers back
        self.balancer.stop()


class Slow(Case):
    """A worker that now and then is not there, with few buffers: 64 wait for frames."""

    FRAMES, STOPPED = 20000, 1000
    options = ("--buffers", "128")

    def slow(self, came):
        """Stopped and let go on in turns, for less than what makes it stalled, while frames come: so
        its buffers fill, and the program has to know it beforehand."""
        for first in range(0, self.FRAMES, 200):
            self.balancer.engine.send_signal(signal.SIGSTOP)
            self.send(self.frames(200, first), came)
            self.balancer.thaw()
            time.sleep(0.005)  # for its thread to run at all; what it then does is not counted on
        self.all_came(came, self.FRAMES)

    def stopped(self, came):
        """Not there at all. A socket gets what there is room for, and once nobody has looked at it for
        longer than the heartbeat, nothing: that comes out while the worker is still stopped."""
        steered = self.balancer.carrier()["steered"]
        self.balancer.freeze()
        time.sleep(0.1)
        self.send(self.frames(32, 500000), came)
        self.all_came(came, self.FRAMES + 32)
        self.balancer.thaw()
        self.balancer.by_socket()
        self.balancer.freeze()
        self.send(self.frames(self.STOPPED, self.FRAMES), came)
        until(lambda: self.receive(came, 0.01) or len(came) >= self.FRAMES + self.STOPPED - 32,
              "the program forwards for a stopped worker")
        self.balancer.thaw()
        self.all_came(came, self.FRAMES + self.STOPPED + 32)
        steered = self.balancer.carrier()["steered"] - steered
        check(steered <= 64, f"{steered} frames went to a worker with 64 buffers that was stopped")

    def test(self):
        self.balance()
        self.balancer.by_socket()
        came = {}
        self.slow(came)
        carrier = self.balancer.carrier()
        check(carrier["steered"] > 1000 and carrier["fallen_back"] > 1000,
              f"both ways were to be used: {carrier}")
        self.balancer.by_socket()
        self.stopped(came)
        check(self.balancer.carrier()["starved"] == 0, "frames found no buffer")
        total = self.FRAMES + self.STOPPED + 32
        counted = self.balancer.counted(total)
        check(counted["flow"] + counted["maglev"] == total, f"not {total}: {counted}")
        # Where the two write at the same time, the insertion of one may be lost.
        check(64 <= counted["maglev"] <= 80, f"64 flows have one beginning each: {counted}")
        self.balancer.by_socket()
        self.balancer.stop()


class Killed(Case):
    """kill -9, and a start again: the program forwards on at once, and steers again later."""

    options = ("--buffers", "128")

    def test(self):
        self.balance()
        self.balancer.by_socket()
        came = {}
        self.send(self.frames(1000), came)
        self.all_came(came, 1000)
        self.balancer.engine.kill()
        self.balancer.engine.wait()
        self.send(self.frames(1000, 1000), came)
        self.all_came(came, 2000)
        self.balancer.engine = self.balancer.start("shunt-dpdk")
        self.balancer.ready()
        self.balancer.by_socket()
        before = self.balancer.carrier()["steered"]
        check(before > 0, "the count of what was steered lives on")
        def steered():
            self.send(self.frames(100, 2000 + 100 * self.rounds), came)
            self.rounds += 1
            return self.balancer.carrier()["steered"] > before
        until(steered, "frames go to the sockets again")
        self.all_came(came, 2000 + 100 * self.rounds)
        # The credit of the one that was killed went with its buffers.
        self.balancer.freeze()
        self.send(self.frames(1000, 200000), came, 128)
        self.balancer.thaw()
        self.all_came(came, 3000 + 100 * self.rounds)
        # Worker and program know each other's flows, and those of a worker that is gone.
        counted = self.balancer.counted(len(came))
        check(64 <= counted["maglev"] <= 80, f"64 flows have one beginning each: {counted}")
        tries = missing = 0
        while not missing:
            tries += 1
            check(tries <= 10, "a killed process never had a packet in its socket")
            missing = self.lost(came, 300000 + 1000 * tries)
        missing += self.lost_before_xdp(came, 400000)
        tries += self.tries
        # What ends of its own accord hands over what it has.
        self.balancer.engine.send_signal(signal.SIGTERM)
        self.send(self.frames(1000, 100000), came)
        check(self.balancer.engine.wait(10) == 0, "shunt-xdp ends")
        self.all_came(came, 4000 + 100 * self.rounds + 200 * tries - missing)

    def lost_before_xdp(self, came, first):
        """Where the next process has no sockets, it tells and shows it all the same."""
        missing, program = 0, run("ip", "-j", "link", "show", "uplink0")
        while not missing:
            self.tries += 1
            check(self.tries <= 10, "a killed process never had a packet in its socket")
            missing = self.lost(came, first + 1000 * self.tries, "xdp")
            text = run(f"{self.programs}/shunt", "show", "engine", "--run-dir",
                       self.scratch + "/run")
            check("worker 0     kernel; lost " in text, text)
            self.balancer.stop()
            self.balancer.configure("af_xdp")
            self.balancer.engine = self.balancer.start("shunt-dpdk")
            self.balancer.ready()
            self.balancer.by_socket()
        check(run("ip", "-j", "link", "show", "uplink0") == program, "the program was replaced")
        return missing

    def lost(self, came, first, successor="af_xdp"):
        """What a process that is killed has in its socket is lost with it, but counted. There it is
        only because the process was stopped before, and had no time to take it; where stopping took
        so long that the program had noticed, there is nothing. Returns how many."""
        before, lost = len(came), self.balancer.carrier()["lost"]
        self.balancer.freeze()
        self.send(self.frames(200, first), came, 200)
        self.balancer.engine.kill()
        self.balancer.engine.wait()
        until(lambda: self.receive(came, 0.02) or not select.select([self.wire.socket], [], [], 0.2)[0],
              "no packet comes any more")
        missing = before + 200 - len(came)
        self.balancer.configure(successor)
        self.balancer.engine = self.balancer.start("shunt-dpdk")
        self.balancer.ready()
        if successor == "af_xdp":
            self.balancer.by_socket()
        carrier = self.balancer.carrier()
        print(f"{missing} packets were in the socket of the process that was killed;", carrier)
        check(missing <= 64 and carrier["lost"] - lost == missing, "those lost are counted")
        if missing:
            self.balancer.said(f"was killed with {missing} packets? of queue 0 of uplink0 in its")
        return missing

    rounds = tries = 0


class Switched(Case):
    """To the engine xdp and back, while frames come as fast as the wire takes them: nothing is
    lost."""

    ROUNDS = 3

    def stream(self):
        while not self.enough.is_set():
            self.send(self.frames(64, self.sent), self.came)
            self.sent += 64

    def more(self):
        """Waits until so many more have been sent."""
        wanted = self.sent + 1000
        until(lambda: self.sent > wanted, "frames are sent")

    def switch(self, to):
        self.balancer.stop()
        self.more()
        self.balancer.configure(to)
        self.balancer.engine = self.balancer.start("shunt-dpdk")
        self.balancer.said(f"engine {to} on")
        self.more()

    def to_sockets(self):
        before = self.balancer.carrier()["steered"]
        until(lambda: self.balancer.carrier()["steered"] > before + 1000, "the sockets get frames")

    def test(self):
        self.came, self.sent, self.enough = {}, 0, threading.Event()
        self.balance()
        sender = threading.Thread(target=self.stream)
        sender.start()
        try:
            for _ in range(self.ROUNDS):
                self.to_sockets()
                self.switch("xdp")
                self.switch("af_xdp")
        finally:
            self.enough.set()
            sender.join()
        self.balancer.ready()
        self.all_came(self.came, self.sent)
        check(self.balancer.carrier()["lost"] == 0, "frames were left in a socket")


class Ports(Case):
    """In at one interface with two queues, out at another with one: a worker has sockets of both. It
    never sleeps here, for a change."""

    COUNT = 2000

    def prepare(self):
        run("ip", "link", "add", "uplink0", "mtu", str(MTU), "numrxqueues", "2", "numtxqueues", "2",
            "type", "veth", "peer", "wire0", "mtu", str(MTU), "numrxqueues", "2", "numtxqueues", "2")
        run("ip", "link", "add", "inner0", "mtu", str(MTU), "type", "veth", "peer", "wire1", "mtu",
            str(MTU))
        for name in ("wire0", "uplink0", "wire1", "inner0"):
            run("ip", "link", "set", name, "up")
        run("ip", "address", "add", "10.0.1.254/24", "dev", "inner0")
        run("ip", "neighbour", "replace", "10.0.1.1", "lladdr", "02:00:00:00:00:fe", "dev",
            "inner0", "nud", "permanent")

    def config(self):
        interface = ("    - { name: %s, mac: \"%s\", mtu: 1600 }\n")
        return ("version: 1\nfleet_seed: \"000102030405060708090a0b0c0d0e0f\"\ndataplane:\n"
                "  engine: af_xdp\n  interfaces:\n" +
                interface % ("uplink0", "02:00:00:00:00:01") +
                interface % ("inner0", "02:00:00:00:00:02") +
                "  flows: 100K\ndefaults: { outer_source_v4: 10.0.0.1 }\nservices:\n"
                "  - { name: dns, vip: 203.0.113.10, protocol: udp, port: 53, encapsulation: ipip,\n"
                "      backends: [ { address: 10.0.1.1 } ] }\n")

    def test(self):
        self.balancer = Balancer(self.programs, self.scratch, self.config(), "--busy-poll")
        self.balancer.ready()
        until(lambda: all(worker["by"] == "socket, copy"
                          for worker in self.balancer.show("engine")[0]["workers"]),
              "sockets carry the traffic")
        inner = devices.KernelWire("wire1")
        came = set()
        def receive():
            while select.select([inner.socket], [], [], 0.01)[0]:
                data = inner.socket.recv(65535)
                if data[6:12] == bytes.fromhex("020000000002"):
                    came.add(int.from_bytes(data[-4:], "big"))
        frames = self.frames(self.COUNT)
        for start in range(0, self.COUNT, 32):
            for frame in frames[start:start + 32]:
                self.wire.socket.send(frame)
            receive()
        until(lambda: receive() or len(came) == self.COUNT, "every packet comes out")
        inner.close()
        carriers = self.balancer.show("engine")[0]["workers"]
        print(carriers)
        check(len(carriers) == 3, "a worker for each queue")
        check(carriers[0]["steered"] > 0 and carriers[1]["steered"] > 0, "one queue had nothing")
        check(sum(carrier["steered"] + carrier["fallen_back"] for carrier in carriers) == self.COUNT,
              "every packet was the sockets' or kept from them")
        counted = self.balancer.counted(self.COUNT)
        check(counted["flow"] + counted["maglev"] == self.COUNT, counted)
        self.balancer.stop()


class Gone(Case):
    """The interface goes and comes back, another one to the kernel: its sockets are dead, and the
    program has all of it."""

    def interface(self):
        """Before shuntd was told anew it is None."""
        return next((engine["interfaces"][0]["state"] for engine in self.balancer.show("engine")),
                    None)

    def test(self):
        self.balance()
        self.balancer.by_socket()
        check(self.interface().endswith(", copy"), self.interface())
        self.wire.close()
        run("ip", "link", "delete", "uplink0")
        until(lambda: self.interface() == "gone", "that it is gone is shown")
        os.unlink("/sys/fs/bpf/pass-wire0")
        self.prepare()
        run(sys.executable, f"{HERE}/../lab/xdp_pass.py", "wire0")
        self.wire = devices.KernelWire("wire0")
        until(lambda: (self.interface() or "").endswith("alone there"),
              "the program is on the new one")
        self.balancer.ready()
        carrier = self.balancer.carrier()
        check(carrier["by"] == "kernel" and "the interface has gone" in carrier["why"], carrier)
        came = {}
        self.send(self.frames(500), came)
        self.all_came(came, 500)
        self.balancer.stop()
        self.balancer.engine = self.balancer.start("shunt-dpdk")
        self.balancer.ready()
        self.balancer.by_socket()


# --- Machines that lack something -----------------------------------------------------------

def no_af_xdp():
    """Refuses sockets of AF_XDP to what this process becomes, as a kernel without them does."""
    load, equal, ret = 0x20, 0x15, 0x06
    number, family = 0, 16  # offsets in struct seccomp_data: the call, its first argument
    steps = [(load, 0, 0, number), (equal, 0, 3, 41), (load, 0, 0, family), (equal, 0, 1, 44),
             (ret, 0, 0, 0x00050000 | 97), (ret, 0, 0, 0x7FFF0000)]  # EAFNOSUPPORT
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = struct.pack("@HxxxxxxQ", len(steps), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(22, 2, ctypes.create_string_buffer(program, len(program))):  # PR_SET_SECCOMP
        raise OSError(ctypes.get_errno(), "seccomp")


def socket_of_another():
    """An AF_XDP socket on queue 0 of uplink0. To be closed; and its memory."""
    other = socket.socket(44, socket.SOCK_RAW)
    memory = mmap.mmap(-1, 1 << 16)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    rings = {"rx": 2, "fill": 5, "completion": 6}
    other.setsockopt(283, 4, struct.pack("=QQIIIxxxx", start, 1 << 16, 4096, 0, 0))  # the UMEM
    for number in rings.values():
        other.setsockopt(283, number, 8)
    address = struct.pack("=HHIII", 44, 0, socket.if_nametoindex("uplink0"), 0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.bind(other.fileno(), ctypes.create_string_buffer(address, len(address)), len(address)):
        raise OSError(ctypes.get_errno(), "an AF_XDP socket")
    return other, memory


def little_memory():
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (1 << 20, 1 << 20))


class Faults(Case):
    """A machine that lets no socket be: one sentence, nothing is changed; `auto` is xdp there."""

    def said(self, *command, before=None):
        reply = subprocess.run([*command, "-f", self.scratch + "/shunt.yaml", "--run-dir",
                                self.scratch, "--pin-dir", "/sys/fs/bpf/other"],
                               capture_output=True, text=True, timeout=20, check=False,
                               preexec_fn=before)
        check(reply.returncode == 69, f"exit status {reply.returncode}\n{reply.stderr}")
        check(len(reply.stderr.splitlines()) == 1, f"not one line:\n{reply.stderr}")
        check("xdp" not in run("ip", "link", "show", "uplink0"), "a program is on uplink0")
        return reply.stderr

    def refused(self):
        program = f"{self.programs}/shunt-xdp"
        with open(self.scratch + "/shunt.yaml", "w", encoding="utf-8") as file:
            file.write(config())
        said = self.said(program, before=no_af_xdp)
        check("queue 0 of uplink0 has no AF_XDP socket (Address family not supported by protocol): "
              "this kernel has no AF_XDP sockets" in said, said)
        said = self.said("setpriv", "--bounding-set=-ipc_lock", program, before=little_memory)
        check("the limit for locked memory is too low" in said, said)
        other, _memory = socket_of_another()
        said = self.said(program)
        check("(Device or resource busy): another program's AF_XDP socket is there" in said, said)
        other.close()

    def auto(self):
        """Goes on with xdp where there can be no sockets, and says why."""
        self.balance()
        self.balancer.stop()
        self.balancer.configure("auto")
        log = open(self.scratch + "/shunt-xdp.log", "w", encoding="utf-8")
        self.balancer.engine = subprocess.Popen(
            [f"{self.programs}/shunt-xdp", "-f", self.balancer.config, "--run-dir",
             self.scratch + "/run"], stderr=log, preexec_fn=no_af_xdp)
        log.close()
        self.balancer.ready()
        engine = self.balancer.show("engine")[0]
        check(engine["engine"] == "xdp" and "DPDK, and queue 0" in engine["why"], engine)
        check(self.balancer.carrier()["by"] == "kernel", "the program carries")
        came = {}
        self.send(self.frames(100), came)
        self.all_came(came, 100)
        self.balancer.stop()
        self.balancer.engine = self.balancer.start("shunt-dpdk")
        self.balancer.ready()
        engine = self.balancer.show("engine")[0]
        check(engine["engine"] == "af_xdp" and "sockets can be made" in engine["why"], engine)
        check(", copy" in engine["interfaces"][0]["state"], engine)
        text = run(f"{self.programs}/shunt", "show", "engine", "--run-dir", self.scratch + "/run")
        check("worker 0     socket, copy; steered 0," in text, text)
        self.balancer.stop()
        self.other_program("shunt-dpdk", "uplink0", "af_xdp", "no device is given to DPDK")
        self.other_program("shunt-xdp", "net_null0,no-rx=1", "dpdk", "a device is given to DPDK")

    def other_program(self, started, device, engine, why):
        """Whichever is started becomes the one that the configuration's devices ask for."""
        with open(self.balancer.config, "w", encoding="utf-8") as file:
            file.write(config("auto", device))
        self.balancer.engine = devices.Balancer.start(self.balancer, started)
        shown = until(lambda: [e for e in self.balancer.show("engine") if e["forwards"]],
                      "the engine forwards")[0]
        check(shown["engine"] == engine and why in shown["why"], shown)
        self.balancer.stop()

    def options_refused(self):
        for count in ("100", "64", "32768", "4096x", ""):
            reply = subprocess.run([f"{self.programs}/shunt-xdp", "-f", "none", "--buffers", count],
                                   capture_output=True, text=True, timeout=20, check=False)
            check(reply.returncode == 64 and "power of two from 128 to 16384" in reply.stderr,
                  f"--buffers {count}: {reply.returncode}\n{reply.stderr}")

    def test(self):
        self.options_refused()
        self.refused()
        self.auto()


CASES = {"same": Same, "slow": Slow, "killed": Killed, "switched": Switched,
         "ports": Ports, "gone": Gone, "faults": Faults}


def main(cases):
    programs, name = sys.argv[1:3]
    if len(sys.argv) == 3:
        if not devices.is_root():
            devices.skip("XDP programs are loaded by root only, not in a user namespace")
        os.execvp("unshare", ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child",
                              "--mount-proc", sys.executable, "-B", *sys.argv, "inside"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("out of time"))
    run("mount", "-t", "bpf", "bpf", "/sys/fs/bpf")
    run("ip", "link", "set", "lo", "up")
    with tempfile.TemporaryDirectory() as scratch:
        case = cases[name](programs, scratch)
        try:
            case.test()
        finally:
            case.end()


if __name__ == "__main__":
    main(CASES)
