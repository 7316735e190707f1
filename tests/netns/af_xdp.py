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
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time

import devices
import traffic
from devices import check, run, until

HERE = os.path.dirname(os.path.abspath(__file__))
MTU = 1600


def config(engine="af_xdp"):
    text = devices.CONFIG % ("uplink0", "uplink0", MTU, "auto", "")
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

    def carrier(self):
        return self.show("workers")[0]["carrier"]

    def by_socket(self):
        until(lambda: self.carrier()["by"] == "socket, copy", "the socket carries the traffic")


class Expected(devices.Expected):
    """What the core makes of the frames. Two ways lead through the balancer, so that within a window
    one frame may overtake another."""

    def windows(self, frames):
        begin = 0
        for start in range(0, len(self.frames), devices.WINDOW):
            end = begin + sum(self.sends[start:start + devices.WINDOW])
            yield from sorted(frames[begin:end])
            begin = end

    def compare(self, came):
        check(len(came) == len(self.out), f"{len(came)} frames came out, not {len(self.out)}")
        for n, (got, wanted) in enumerate(zip(self.windows(came), self.windows(self.out))):
            check(got == wanted, f"frame {n} out is\n  {got.hex()}\nnot\n  {wanted.hex()}")


class Case:
    """shunt-xdp on uplink0, and the wire."""

    engine, options = "af_xdp", ()

    def __init__(self, programs, scratch):
        self.programs, self.scratch = programs, scratch
        self.wire = devices.KernelWire("wire0")
        self.balancer = None

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
        expected = Expected(self.programs, self.scratch, config().replace("uplink0", "uplink0"),
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
        self.balancer.stop()


CASES = {"same": Same}


def main():
    programs, name = sys.argv[1:3]
    if len(sys.argv) == 3:
        if not devices.is_root():
            devices.skip("XDP programs are loaded by root only, not in a user namespace")
        os.execvp("unshare", ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child",
                              "--mount-proc", sys.executable, "-B", *sys.argv, "inside"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("out of time"))
    run("mount", "-t", "bpf", "bpf", "/sys/fs/bpf")
    devices.network(MTU)
    # Without a program of its own a veth takes nothing that its peer's program sends.
    run(sys.executable, f"{HERE}/../lab/xdp_pass.py", "wire0")
    with tempfile.TemporaryDirectory() as scratch:
        case = CASES[name](programs, scratch)
        try:
            case.test()
        finally:
            case.end()


main()
