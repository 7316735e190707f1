#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""One device under the running programs: 10,000 frames go in, and what comes out, in which order,
and what is counted, is what the core alone makes of the same frames (`shunt replay`).

usage: devices.py BIN DPDK_WIRE DEVICE    exit: 0 passed, 1 failed, 77 cannot run here

shuntd and shunt-dpdk run as they would, in a namespace of their own. Next hops are the same as
replay's by `gateway_mac`, those of `l2` by permanent neighbours. Outer sources are single
addresses and flows never expire meanwhile, so nothing depends on time. Frames are sent a few at a
time, the next ones when what these made has come back: then no queue can overflow.

The kernel talks on its interfaces too. It gets no address on them, hence has nothing to say, and
what comes back is taken by the balancer's MAC as its source; were it to say something, the
counters would tell. Where the kernel is the other end, the MTU bounds the frames; elsewhere some
are longer, and come as chains of buffers. net_af_packet gets no fragments: DPDK has the kernel
put them together before shunt sees them.
"""
import collections
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

import traffic

HERE = os.path.dirname(os.path.abspath(__file__))
SEED = 20240611
FRAMES = 10000
WINDOW = 32
MTU = 1600
PATIENCE_SECONDS = 20
HUGE_PAGES = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"

CONFIG = """
version: 1
fleet_seed: "000102030405060708090a0b0c0d0e0f"
dataplane:
  interfaces:
    - name: %s
      device: "%s"
      mac: "02:00:00:00:00:01"
      gateway_mac: "02:00:00:00:00:fe"
      mtu: %d
      exception: %s
%s  flows: 100K
  flow_timeout: 1h
defaults: { outer_source_v4: 10.0.0.1, outer_source_v6: "2001:db8:f::1" }
services:
  - { name: web, vip: 203.0.113.10, protocol: tcp, port: 443, encapsulation: ipip,
      backends: [ { address: 10.0.1.1, weight: 3 }, { address: 10.0.1.2 }, { address: "2001:db8:b::1" } ] }
  - { name: web6, vip: "2001:db8:a::10", protocol: tcp, port: 443, encapsulation: gue,
      backends: [ { address: 10.0.1.1 }, { address: "2001:db8:b::1" } ] }
  - { name: dns, vip: 203.0.113.10, protocol: udp, port: 53, encapsulation: gue,
      backends: [ { address: 10.0.1.1 }, { address: "2001:db8:b::2" } ] }
  - { name: dns6, vip: "2001:db8:a::10", protocol: udp, port: 53, encapsulation: ipip,
      backends: [ { address: 10.0.1.2 }, { address: "2001:db8:b::2" } ] }
  - { name: gone, vip: 203.0.113.12, protocol: tcp, port: 443,
      backends: [ { address: 10.0.1.1, weight: 0 } ] }
"""
L2 = """
  - { name: l2, vip: 203.0.113.11, protocol: tcp, port: any, encapsulation: l2,
      backends: [ { address: 10.0.1.9 } ] }
  - { name: l2u, vip: 203.0.113.11, protocol: udp, port: any, encapsulation: l2,
      backends: [ { address: 10.0.1.9 } ] }
  - { name: l2v6, vip: "2001:db8:a::11", protocol: tcp, port: any, encapsulation: l2,
      backends: [ { address: "2001:db8:b::9" } ] }
"""

L2_BACKENDS = ["10.0.1.9", "2001:db8:b::9"]

# What the frames have to meet at every device, or the comparison shows little.
REASONS = {
    "flow", "maglev", "not_ip", "tags", "other_mac", "other_address", "truncated", "bad_version",
    "bad_header_len", "bad_len", "bad_csum", "ttl_zero", "martian", "land", "own_mac", "l2_group",
    "icmp", "unmatched", "no_backend", "too_big",
}


def skip(reason):
    print("skipped: " + reason)
    sys.exit(77)


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def until(condition, what):
    """Waits for a condition that comes by itself; returns what it gave."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not (value := condition()):
        check(time.monotonic() < end, f"waited {PATIENCE_SECONDS} s in vain: {what}")
        time.sleep(0.02)
    return value


def run(*command):
    reply = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    check(reply.returncode == 0, f"`{' '.join(command)}`: {reply.returncode}\n{reply.stderr}")
    return reply.stdout


def is_root():
    """Of the system, not of a user namespace."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return os.geteuid() == 0 and file.read().split() == ["0", "0", "4294967295"]


def dpdk_leaks(scratch):
    """Has the sanitizer pass over what DPDK's AF_XDP driver leaves behind when it ends: 80 bytes."""
    with open(scratch + "/leaks", "w", encoding="ascii") as file:
        file.write("leak:xsk_umem__create\n")
    os.environ["LSAN_OPTIONS"] = f"suppressions={scratch}/leaks:print_suppressions=0"


# --- Wires ----------------------------------------------------------------------------------

class KernelWire:
    """The kernel's interface at the other end."""

    def __init__(self, name):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.setsockopt(263, 23, 1)  # SOL_PACKET, PACKET_IGNORE_OUTGOING
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind((name, 0))

    def close(self):
        self.socket.close()


class DpdkWire:
    """dpdk_wire, which has the other end of the device."""

    def __init__(self, program, name, device):
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = subprocess.Popen([program, name, device, str(theirs.fileno())],
                                        pass_fds=[theirs.fileno()], stdout=subprocess.PIPE)
        theirs.close()

    def wait(self):
        ready = select.select([self.process.stdout], [], [], PATIENCE_SECONDS)[0]
        check(ready and self.process.stdout.readline() == b"ready\n", "dpdk_wire does not run")
        return self

    def close(self):
        self.socket.close()
        self.process.kill()  # it may be waiting for room that never comes
        self.process.wait()


def exchange(wire, expected):
    """Sends the frames, a window at a time. Returns what came."""
    came, sends = [], expected.sends
    for start in range(0, len(expected.frames), WINDOW):
        for frame in expected.frames[start:start + WINDOW]:
            wire.socket.send(frame)
        wanted = sum(sends[:start + WINDOW])
        end = time.monotonic() + PATIENCE_SECONDS
        while len(came) < wanted:
            if not select.select([wire.socket], [], [], 0.1)[0]:
                if time.monotonic() > end:
                    expected.compare(came)
                continue
            data = wire.socket.recv(65535)
            if data[6:12] == traffic.BALANCER:
                came.append(data)
    return came


# --- The balancer ---------------------------------------------------------------------------

class Balancer:
    """shuntd and shunt-dpdk on one device."""

    def __init__(self, programs, scratch, text):
        self.programs, self.scratch = programs, scratch
        self.config = scratch + "/shunt.yaml"
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(text)
        os.makedirs(scratch + "/run", exist_ok=True)
        self.shuntd = self.start("shuntd", "--state-dir", scratch + "/state")
        until(lambda: os.path.exists(scratch + "/run/api.sock"), "shuntd runs")
        self.engine = self.start("shunt-dpdk")

    def start(self, name, *options):
        with open(f"{self.scratch}/{name}.log", "w", encoding="utf-8") as log:
            return subprocess.Popen([f"{self.programs}/{name}", "-f", self.config, "--run-dir",
                                     self.scratch + "/run", *options], stderr=log)

    def log(self, name="shunt-dpdk"):
        with open(f"{self.scratch}/{name}.log", encoding="utf-8") as file:
            return file.read()

    def said(self, pattern):
        def found():
            check(self.engine.poll() is None, f"shunt-dpdk ended with {self.engine.returncode}")
            return re.search(pattern, self.log())
        until(found, f"shunt-dpdk says `{pattern}`")

    def show(self, view):
        return json.loads(run(f"{self.programs}/shunt", "show", view, "--json", "--run-dir",
                              self.scratch + "/run"))

    def ready(self):
        """The worker uses the tables, and every backend can be reached."""
        def settled():
            status = self.show("status")
            planes = status["dataplanes"]
            return planes and all(p["generation"] == status["generation"] for p in planes)
        def astray():
            return [f"{b['address']}: {b['reason']}" for s in self.show("services")
                    for b in s["backends"] if not b["reachable"]]
        self.said("engine dpdk with")
        until(lambda: not astray(), f"every backend can be reached, but {astray()}")
        until(settled, "the dataplane uses what shuntd published")

    def counted(self, count):
        """The verdicts given, once there are so many."""
        def histogram():
            return collections.Counter({v["reason"]: v["packets"]
                                        for v in self.show("drops")["verdicts"] if v["packets"]})
        until(lambda: sum(histogram().values()) >= count, f"{count} verdicts")
        return histogram()

    def print_counted(self):
        try:
            print("counted:", self.counted(0))
        except (AssertionError, OSError) as error:
            print("counted: not to be had:", error)

    def stop(self):
        start = time.monotonic()
        self.engine.send_signal(signal.SIGTERM)
        check(self.engine.wait(10) == 0, f"shunt-dpdk ended with {self.engine.returncode}")
        check(time.monotonic() - start < 5, "shunt-dpdk took long to end")

    def end(self):
        for process in (self.engine, self.shuntd):
            if process.poll() is None:
                process.kill()
            process.wait()


class Expected:
    """What the core makes of the frames."""

    def __init__(self, programs, scratch, text, frames):
        paths = [f"{scratch}/{name}" for name in ("core.yaml", "in.pcap", "core.pcap")]
        with open(paths[0], "w", encoding="utf-8") as file:
            file.write(text)
        self.frames, self.capture = frames, paths[1]
        traffic.write_capture(self.capture, frames)
        told = run(f"{programs}/shunt", "replay", "-f", paths[0], "--engine", "core", "--in",
                   paths[1], "--out", paths[2], "--json")
        results = [json.loads(line) for line in told.splitlines()]
        self.sends = [result["out"] is not None for result in results]
        self.histogram = collections.Counter(result["reason"] for result in results)
        self.out = traffic.read_capture(paths[2])
        missed = REASONS - set(self.histogram)
        check(not missed, f"no frame meets {sorted(missed)}")
        check(len(self.frames) == FRAMES == len(results) and len(self.out) == sum(self.sends) > 5000,
              "frames are lost in the replay")

    def compare(self, came):
        for n, (got, wanted) in enumerate(zip(came, self.out)):
            check(got == wanted, f"frame {n} out is, of {len(came)},\n  {got.hex()}\nnot\n  "
                  f"{wanted.hex()}")
        check(len(came) == len(self.out), f"{len(came)} frames came out, not {len(self.out)}")

    def compare_counters(self, counted):
        differ = {reason: (counted[reason], self.histogram[reason])
                  for reason in set(counted) | set(self.histogram)
                  if counted[reason] != self.histogram[reason]}
        check(not differ, f"counted, and wanted: {differ}")


class Windows(Expected):
    """Two ways lead through the balancer, so that within a window
    one frame may overtake another."""

    def windows(self, frames):
        begin = 0
        for start in range(0, len(self.frames), WINDOW):
            end = begin + sum(self.sends[start:start + WINDOW])
            yield from sorted(frames[begin:end])
            begin = end

    def compare(self, came):
        check(len(came) == len(self.out), f"{len(came)} frames came out, not {len(self.out)}")
        for n, (got, wanted) in enumerate(zip(self.windows(came), self.windows(self.out))):
            check(got == wanted, f"frame {n} out is\n  {got.hex()}\nnot\n  {wanted.hex()}")


# --- Devices --------------------------------------------------------------------------------

class Case:
    """One device; a subclass says what it is, and gets to its other end."""

    l2, fragments, long_frames, mtu, expects = True, True, True, MTU, Expected
    asked_mtu = None
    more = ""  # further interfaces
    name, exception = "uplink0", "off"  # it exists already, and has the routes

    def __init__(self, programs, wire_program, scratch):
        self.programs, self.wire_program, self.scratch = programs, wire_program, scratch
        self.socket = scratch + "/wire.sock"
        self.balancer = self.wire = None

    def needs(self):
        """Skips where the machine lacks something."""

    def device(self):
        raise NotImplementedError

    def connect(self):
        """Starts the balancer, and returns the wire."""
        raise NotImplementedError

    def balance(self):
        text = CONFIG % (self.name, self.device(), self.asked_mtu or self.mtu, self.exception, self.more)
        text += L2 if self.l2 else ""
        self.balancer = Balancer(self.programs, self.scratch, text)
        return self.balancer

    def peer(self, device):
        return DpdkWire(self.wire_program, f"wire{os.getpid()}", device)

    def expected(self):
        mixture = traffic.Mixture(SEED, self.mtu, self.fragments, self.long_frames)
        text = CONFIG % ("uplink0", "net_null0", self.mtu, "off", "") + (L2 if self.l2 else "")
        return self.expects(self.programs, self.scratch, text, mixture.frames(FRAMES))

    def test(self):
        expected = self.expected()
        self.wire = self.connect()
        self.balancer.ready()
        before = self.balancer.counted(0)  # the kernel's, while it knew no neighbour
        start = time.monotonic()
        came = exchange(self.wire, expected)
        print(f"{len(expected.frames)} frames in, {len(came)} out in "
              f"{time.monotonic() - start:.1f} s")
        expected.compare(came)
        counted = self.balancer.counted(FRAMES + sum(before.values()))
        expected.compare_counters(counted - before)
        self.balancer.stop()

    def end(self):
        if self.balancer:
            if sys.exc_info()[0]:
                print(self.balancer.log(), self.balancer.log("shuntd"))
                self.balancer.print_counted()
            self.balancer.end()
        if self.wire:
            self.wire.close()


class Tap(Case):
    """Its interface may be anywhere, so that the kernel's routes, which l2 needs, say nothing.
    DPDK's driver sends nothing longer than 1504 bytes, whatever it is asked for."""

    l2, long_frames, mtu, asked_mtu = False, False, 1504, 1600

    def device(self):
        return "net_tap0,iface=lb0"

    def connect(self):
        self.balance().said("engine dpdk with")
        run("ip", "link", "set", "lb0", "mtu", str(MTU), "up")
        return KernelWire("lb0")


class AfPacket(Case):
    """At the longest packet that its ring takes."""

    fragments, long_frames, mtu = False, False, 1968

    def device(self):
        return "net_af_packet0,iface=uplink0"

    def connect(self):
        self.balance().said("engine dpdk with")
        neighbours()  # DPDK sets the interface's MAC anew, at which the kernel forgets them
        return KernelWire("wire0")


class AfXdp(Case):
    """With an MTU that would fit a smaller buffer, were it not for what the kernel keeps of it."""

    long_frames, mtu, expects = False, 2000, Windows
    exception = "auto"  # of which there is no need
    steered = True      # by shunt's own program

    def needs(self):
        if not is_root():
            skip("XDP programs are loaded by root only, not in a user namespace")
        run("mount", "-t", "bpf", "bpf", "/sys/fs/bpf")

    def device(self):
        return "net_af_xdp0,iface=uplink0"

    def connect(self):
        """After one that was killed: its XDP program is still there."""
        dpdk_leaks(self.scratch)
        self.balance().said("engine dpdk with")
        if self.steered:
            until(self.by_socket, "the socket carries the traffic")
        self.balancer.engine.kill()
        self.balancer.engine.wait()
        check("xdp" in run("ip", "link", "show", "uplink0"), "no XDP program is left")
        self.balancer.engine = self.balancer.start("shunt-dpdk")
        if self.steered:
            self.balancer.said("goes on with the tables and flows in /sys/fs/bpf/shunt")
            run(sys.executable, f"{HERE}/../lab/xdp_pass.py", "wire0")  # or it takes no XDP_TX
            until(self.by_socket, "the socket carries the traffic")
        return KernelWire("wire0")

    def by_socket(self):
        engines = self.balancer.show("engine")
        return engines and engines[0]["workers"] and \
            engines[0]["workers"][0]["by"] == "socket, copy"


class AfXdpLargest(AfXdp):
    """At the longest packet that fits a page with its buffer."""

    mtu = 2794


class VirtioUser(Case):
    """shunt as the guest, the other end as the host."""

    def device(self):
        return f"net_virtio_user0,path={self.socket},queues=1"

    def connect(self):
        wire = self.peer(f"net_vhost0,iface={self.socket},queues=1").wait()
        self.balance()
        return wire


class VirtioUserServer(Case):
    """shunt as the guest, which waits for its host; with jumbo frames."""

    mtu = 9000

    def device(self):
        return f"net_virtio_user0,path={self.socket},queues=1,server=1"

    def connect(self):
        self.balance().said("waits for its peer")
        self.balancer.stop()  # and no longer than it is let; its socket stays
        self.balancer.engine = self.balancer.start("shunt-dpdk")
        self.balancer.said("waits for its peer")
        return self.peer(f"net_vhost0,iface={self.socket},queues=1,client=1").wait()


class VirtioUserHuge(VirtioUser):
    """On 2 MiB pages, which are many descriptors unless DPDK is told otherwise: more than eight,
    that is, as the buffers of jumbo frames take."""

    PAGES = 96
    mtu = 9000

    def needs(self):
        with open(HUGE_PAGES, encoding="ascii") as file:
            before = int(file.read())
        self.pages_before = before
        try:
            got = self.set_pages(before + self.PAGES)
        except OSError as error:
            skip(f"no 2 MiB pages can be set aside: {error}")
        if got < before + self.PAGES:
            self.set_pages(before)
            skip(f"the kernel finds {got - before} of {self.PAGES} free 2 MiB pages")

    def set_pages(self, count):
        with open(HUGE_PAGES, "w", encoding="ascii") as file:
            file.write(str(count))
        with open(HUGE_PAGES, encoding="ascii") as file:
            return int(file.read())

    def test(self):
        super().test()
        check("packets in 2 MiB pages" in self.balancer.log(), "2 MiB pages are not used")

    def end(self):
        try:
            super().end()
        finally:
            # What ended just now may still be giving its pages back: those stay in the pool.
            until(lambda: self.set_pages(self.pages_before) <= self.pages_before, "pages go back")


class Vhost(Case):
    """shunt as the host, the other end as the guest."""

    def device(self):
        return f"net_vhost0,iface={self.socket},queues=1"

    def connect(self):
        self.stale()
        self.balance().said("engine dpdk with")
        return self.peer(f"net_virtio_user0,path={self.socket},queues=1").wait()

    def stale(self):
        """What a process that was killed leaves behind must not be in the way."""
        left = socket.socket(socket.AF_UNIX)
        left.bind(self.socket)
        left.close()


class VhostClient(Case):
    """shunt as the host that calls; with jumbo frames."""

    mtu = 9000

    def device(self):
        return f"net_vhost0,iface={self.socket},queues=1,client=1"

    def connect(self):
        wire = self.peer(f"net_virtio_user0,path={self.socket},queues=1,server=1")
        self.balance()
        return wire.wait()


class Pcap(Case):
    """The running program on a capture: it is at its end soon, and stays there."""

    def device(self):
        return f"net_pcap0,rx_pcap={self.scratch}/in.pcap,tx_pcap={self.scratch}/out.pcap"

    def test(self):
        expected = self.expected()
        self.balance().ready()
        expected.compare_counters(self.balancer.counted(FRAMES))
        self.balancer.stop()
        expected.compare(traffic.read_capture(self.scratch + "/out.pcap"))


class Null(Case):
    """It makes up frames and swallows what it gets, so counters are all there is to compare."""

    def device(self):
        return "net_null0,no-rx=1"

    def test(self):
        expected = self.expected()
        self.more = ("    - { name: in0, mac: \"02:00:00:00:00:01\", mtu: %d,\n"
                     "        device: \"net_pcap0,rx_pcap=%s\" }\n" % (MTU, expected.capture))
        self.balance().ready()
        expected.compare_counters(self.balancer.counted(FRAMES))
        self.balancer.stop()
        self.balancer.end()
        self.more = ""
        self.device = lambda: "net_null0"
        self.balance().ready()
        counted = self.balancer.counted(1_000_000)
        check(not set(counted) & {"flow", "maglev"}, f"empty frames were forwarded: {counted}")
        self.balancer.stop()


class KernelShare:
    """The exception port over another device than a tap: the kernel answers for an address there, and
    is where shuntd looks for next hops. The answer is RFC 826's, padded to Ethernet's least."""

    l2, name, exception, told = False, "kernel0", "auto", "engine dpdk with"
    MINE, THEIRS = "192.0.2.2", "192.0.2.1"

    def arp(self, operation, source, address, target, asked):
        return struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + source + \
            socket.inet_aton(address) + target + socket.inet_aton(asked)

    def answered(self, question, answer):
        self.wire.socket.send(question)
        while select.select([self.wire.socket], [], [], 0.3)[0]:
            if self.wire.socket.recv(65535) == answer:
                return True
        return False

    def test(self):
        self.wire = self.connect()
        self.balancer.ready()
        run("ip", "address", "add", self.MINE + "/24", "dev", self.name)
        mac = traffic.BALANCER
        question = b"\xff" * 6 + traffic.ROUTER + b"\x08\x06" + \
            self.arp(1, traffic.ROUTER, self.THEIRS, bytes(6), self.MINE)
        answer = traffic.ROUTER + mac + b"\x08\x06" + \
            self.arp(2, mac, self.MINE, traffic.ROUTER, self.THEIRS)
        until(lambda: self.answered(question.ljust(60, b"\0"), answer.ljust(60, b"\0")),
              "the kernel answers over the wire")
        status = self.balancer.show("status")["dataplanes"][0]
        check(status["ports"][0]["kernel_name"] == self.name, f"{status}")
        check(status["kernel_sent"] > 0, f"{status}")
        self.balancer.stop()


class AfXdpKernel(KernelShare, AfXdp):
    """Beside the interface that it stands on, where DPDK's own program has all of it."""

    steered = False
    more = "    - { name: nowhere0, device: \"net_null0,no-rx=1\" }\n"


class VhostKernel(KernelShare, Vhost):
    pass


class VirtioUserKernel(KernelShare, VirtioUser):
    pass


class Faults(Case):
    """What a device lacks is said in a sentence that names the interface, before DPDK is asked."""

    def table(self):
        here = self.scratch
        yield "net_af_packet0", 1500, 'write `device: "net_af_packet0,iface=NAME"`'
        yield "net_af_packet0,iface=nope", 1500, "nope, which does not exist"
        yield "net_af_packet0,iface=uplink0", 1969, "blocksz=8192,framesz=4096` .*, or set `mtu: 1968`"
        yield "net_af_packet0,iface=uplink0,framesz=4096,blocksz=8192", 4017, "framesz=8192"
        yield "net_af_xdp0", 1500, 'write `device: "net_af_xdp0,iface=NAME"`'
        yield "net_af_xdp0,iface=nope", 1500, "nope, which does not exist"
        yield "net_af_xdp0,iface=uplink0", 2795, "set `mtu: 2794`, or less, on every interface"
        yield "net_vhost0", 1500, 'write `device: "net_vhost0,iface=PATH"`'
        yield f"net_vhost0,iface={here}/no/x", 1500, "nothing can be made in .*/no/: No such file"
        yield f"net_vhost0,iface={here}/shunt.yaml", 1500, "which exists and is no socket"
        yield f"net_vhost0,iface={here}/busy", 1500, "where another process listens already"
        yield f"net_virtio_user0,path={here}/busy,server=1", 1500, "another process listens"
        yield "net_virtio_user0", 1500, 'write `device: "net_virtio_user0,path=PATH"`'
        yield f"net_virtio_user0,path={here}/no", 1500, "start what listens there first, or add"
        yield f"net_pcap0,rx_pcap={here}/no,tx_pcap={here}/out", 1500, "read the capture .*/no: No"

    def said(self, device, mtu, prefix=()):
        with open(self.scratch + "/shunt.yaml", "w", encoding="utf-8") as file:
            file.write(CONFIG % ("uplink0", device, mtu, "auto", ""))
        reply = subprocess.run([*prefix, f"{self.programs}/shunt-dpdk", "-f",
                                self.scratch + "/shunt.yaml", "--run-dir", self.scratch],
                               capture_output=True, text=True, timeout=20, check=False)
        check(reply.returncode == 69, f"{device}: exit status {reply.returncode}\n{reply.stderr}")
        check(len(reply.stderr.splitlines()) == 1, f"{device}: not one line:\n{reply.stderr}")
        return reply.stderr

    def test(self):
        with socket.socket(socket.AF_UNIX) as busy:
            busy.bind(self.scratch + "/busy")
            busy.listen()
            for device, mtu, pattern in self.table():
                text = self.said(device, mtu)
                check(re.match("shunt-dpdk: interface uplink0 .*" + pattern, text),
                      f"{device}: expected `{pattern}` in\n{text}")
        text = self.said("net_af_xdp0,iface=uplink0", 1500, ["unshare", "-Ur"])
        check("CAP_BPF outside of any user namespace: run shunt-dpdk as root" in text, text)


class XdpFault(Faults):
    """An interface that takes no XDP program, because of its own MTU."""

    mtu = 9000

    def needs(self):
        AfXdp.needs(self)

    def test(self):
        text = self.said("net_af_xdp0,iface=uplink0", 1500)
        check("takes none (Numerical result out of range): lower its MTU" in text, text)


CASES = {
    "faults": Faults, "xdp-fault": XdpFault,
    "tap": Tap, "af-packet": AfPacket, "af-xdp": AfXdp, "af-xdp-largest": AfXdpLargest,
    "virtio-user": VirtioUser,
    "virtio-user-server": VirtioUserServer, "virtio-user-huge": VirtioUserHuge, "vhost": Vhost,
    "vhost-client": VhostClient, "pcap": Pcap, "null": Null, "af-xdp-kernel": AfXdpKernel,
    "vhost-kernel": VhostKernel, "virtio-user-kernel": VirtioUserKernel,
}


def neighbours():
    for address in L2_BACKENDS:
        run("ip", "neighbour", "replace", address, "lladdr", "02:00:00:00:00:fe", "dev", "uplink0",
            "nud", "permanent")


def network(mtu):
    """uplink0 and wire0, with nothing to say; l2's backends are known by it."""
    for key in ("autoconf", "accept_ra", "router_solicitations", "dad_transmits"):
        run("sysctl", "-qw", f"net.ipv6.conf.default.{key}=0")
    run("sysctl", "-qw", "net.ipv6.conf.default.addr_gen_mode=1")
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "uplink0", "mtu", str(mtu), "type", "veth", "peer", "wire0", "mtu",
        str(mtu))
    run("ip", "link", "set", "wire0", "up")
    run("ip", "link", "set", "uplink0", "up")
    for address in L2_BACKENDS:
        run("ip", "route", "add", address, "dev", "uplink0")
    neighbours()


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    programs, wire_program, name = sys.argv[1:4]
    if len(sys.argv) == 4:
        flags = "-nm" if is_root() else "-Urnm"
        if subprocess.run(["unshare", flags, "true"], stderr=subprocess.DEVNULL).returncode:
            skip(f"namespaces are refused here (unshare {flags})")
        os.execvp("unshare", ["unshare", flags, sys.executable, "-B", *sys.argv, "inside"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("out of time"))  # and so tidies up
    network(CASES[name].mtu)
    with tempfile.TemporaryDirectory() as scratch:
        case = CASES[name](programs, wire_program, scratch)
        case.needs()
        print(f"seed {SEED}")
        try:
            case.test()
        finally:
            case.end()


if __name__ == "__main__":
    main()
