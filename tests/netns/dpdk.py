#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""shunt-dpdk on a tap and on a veth, with dpdk_attach in shuntd's place: what it forwards, what it
reports, and that it stands shuntd going, coming back, and offering what it can't use.

usage: dpdk.py SHUNT-DPDK DPDK_ATTACH    exit: 0 passed, 1 failed, 77 cannot run here
"""
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

CONFIG = """
version: 1
fleet_seed: "000102030405060708090a0b0c0d0e0f"
dataplane:
  interfaces:
    - { name: uplink0, device: "%s", gateway_mac: "02:00:00:00:00:fe", exception: off%s }
  flows: 10K
%sservices:
  - name: web
    vip: 203.0.113.10
    protocol: tcp
    port: 443
    backends: [{ address: 10.0.1.1 }, { address: 10.0.1.2 }]
"""
GATEWAY = bytes.fromhex("0200000000fe")
SENDER = bytes.fromhex("0200000000aa")
SYN, ACK = 2, 16


def skip(reason):
    print("skipped: " + reason)
    sys.exit(77)


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def until(condition, what, timeout_s=20.0):
    """Waits for a condition that comes by itself; returns what it gave."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("not within %g s: %s" % (timeout_s, what))


def csum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF & ~total


def packet(port, flags, payload=b"", destination="203.0.113.10", protocol=6):
    """An IPv4 packet with a TCP header from 198.51.100.7:port to :443."""
    tcp = struct.pack("!HHIIBBHHH", port, 443, 1, 1, 0x50, flags, 1000, 0, 0) + payload
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 7, 0x4000, 64, protocol, 0)
    head += socket.inet_aton("198.51.100.7") + socket.inet_aton(destination)
    return head[:10] + struct.pack("!H", csum(head)) + head[12:] + tcp


def frame(station, ip, kind=0x0800):
    return (station + SENDER + struct.pack("!H", kind) + ip).ljust(60, b"\xee")


class Process:
    """A program whose standard output or error is read line by line without blocking."""

    def __init__(self, arguments, stream, **more):
        self.process = subprocess.Popen(arguments, **{stream: subprocess.PIPE}, **more)
        self.out = getattr(self.process, stream)
        os.set_blocking(self.out.fileno(), False)
        self.text = ""  # not yet waited for
        self.all = ""

    def read(self):
        chunk = (self.out.read() or b"").decode()
        self.text += chunk
        self.all += chunk
        return self.text

    def wait_for(self, pattern, timeout_s=20.0):
        found = until(lambda: re.search(pattern, self.read()), pattern, timeout_s)
        self.text = self.text[found.end():]
        return found

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class StandIn(Process):
    def __init__(self, program, run_dir, config):
        super().__init__([program, run_dir, config], "stdout", stdin=subprocess.PIPE)

    def command(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def do(self, line):
        self.command(line)
        self.wait_for(r"(?m)^ok$")

    def report(self):
        self.command("report")
        line = self.wait_for(r"(?m)^report (.*)$").group(1)
        return {} if line == "none" else {
            key: int(value) for key, value in (word.split("=") for word in line.split())}


class Wire:
    """A kernel interface at the other end of the engine's port."""

    def __init__(self, name):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.setsockopt(263, 23, 1)  # SOL_PACKET, PACKET_IGNORE_OUTGOING
        self.socket.bind((name, 0))

    def send(self, data):
        self.socket.send(data)

    def receive(self, count, timeout_s=10.0):
        """Frames that the engine sent to the gateway."""
        frames, end = [], time.monotonic() + timeout_s
        while len(frames) < count and time.monotonic() < end:
            if not select.select([self.socket], [], [], 0.1)[0]:
                continue
            data = self.socket.recv(65535)
            if data[:6] == GATEWAY:
                frames.append(data)
        return frames


class Lab:
    def __init__(self, programs, device, wire, scratch, keys=("", "")):
        self.programs, self.wire_name, self.scratch = programs, wire, scratch
        self.config = scratch + "/config.yaml"
        self.text = CONFIG % (device, *keys)
        self.shuntd = None
        self.start(self.text)

    def start(self, text, *options):
        with open(self.config, "w") as file:
            file.write(text)
        self.engine = Process([self.programs[0], "-f", self.config, "--run-dir", self.scratch,
                               *options], "stderr")

    def attach(self):
        self.shuntd = StandIn(self.programs[1], self.scratch, self.config)
        hello = self.shuntd.wait_for(r"(?m)^hello .* port=uplink0/(\S*)/(\S+)/(\d+)$", 10)
        self.kernel_name, mac, self.mtu = hello.groups()
        self.station = bytes.fromhex(mac.replace(":", ""))
        attached = self.shuntd.wait_for(r"attached epoch=1 writable=(\d) heritable=(\d)")
        check(attached.groups() == ("0", "1"), "others write the report, or none the flows")
        until(lambda: self.shuntd.report().get("generation") == 1, "the worker has the tables")
        self.wire = Wire(self.wire_name)

    def settled(self, **expected):
        """Waits until the report says this."""
        def fits():
            report = self.shuntd.report()
            return all(report.get(key, 0) == value for key, value in expected.items())
        try:
            until(fits, "")
        except AssertionError:
            raise AssertionError("expected %s, have %s" % (expected, self.shuntd.report()))

    def quiet_report(self):
        """Packets are counted just after they were sent."""
        time.sleep(0.05)
        return self.shuntd.report()

    def forward(self, ports, flags, payload=b""):
        """Sends one packet a port; returns the backend of each, having checked the wrapping."""
        backends = {}
        sent = {}
        frames = []
        for port in ports:
            sent[port] = packet(port, flags, payload)
            self.wire.send(frame(self.station, sent[port]))
            if len(sent) % 50 == 0:  # what a socket's buffer holds
                frames += self.wire.receive(50)
        for data in frames + self.wire.receive(len(ports) - len(frames)):
            outer, inner = data[14:34], data[34:]
            port = struct.unpack("!H", inner[20:22])[0]
            check(data[6:12] == self.station and data[12:14] == b"\x08\x00", "Ethernet header")
            check(outer[9] == 4 and csum(outer) == 0, "outer header")
            check(struct.unpack("!H", outer[2:4])[0] == 20 + len(sent[port]), "outer length")
            check(inner[:len(sent[port])] == sent[port], "inner packet")
            check(len(inner) == len(sent[port]), "padding was taken for payload")
            backends[port] = socket.inet_ntoa(outer[16:20])
        check(len(backends) == len(ports), "%d of %d came" % (len(backends), len(ports)))
        return backends

    def frame(self, port, flags):
        return frame(self.station, packet(port, flags))

    def reconnect(self):
        """A tap's interface is made anew with its engine."""
        self.wire = Wire(self.wire_name)

    def stop(self):
        start = time.monotonic()
        self.engine.process.send_signal(signal.SIGTERM)
        code = self.engine.process.wait(5)
        check(code == 0, "exit code %d" % code)
        check(time.monotonic() - start < 1, "took %g s to stop" % (time.monotonic() - start))

    def end(self):
        for process in (self.engine, self.shuntd):
            if process:
                process.end()


def threads_cpu(pid):
    """CPU ticks by thread name."""
    ticks = {}
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/stat" % (pid, task)) as file:
            name, rest = re.match(r"\d+ \((.*)\) (.*)", file.read()).groups()
        fields = rest.split()
        ticks[name] = int(fields[11]) + int(fields[12])
    return ticks


def test_tap_has_a_mac_of_its_own(lab):
    kernel = lab.wire.socket.getsockname()[4]
    own = bytes([kernel[0] | 2]) + kernel[1:5] + bytes([kernel[5] ^ 1])
    check(lab.station == own, "station %s, kernel %s" % (lab.station.hex(), kernel.hex()))


def test_forwards(lab):
    ports = range(2000, 2200)
    first = lab.forward(ports, SYN)
    check(set(first.values()) == {"10.0.1.1", "10.0.1.2"}, "both backends get flows")
    check(lab.forward(ports, ACK) == first, "the flow keeps its backend")
    check(lab.forward(ports, ACK, b"x" * 1000) == first, "from the flow table too")
    lab.settled(maglev=400, flow=200, flows=200, packets=1200)


def test_counts_the_rest(lab):
    lab.wire.send(frame(lab.station, packet(1, ACK, protocol=1)))
    lab.wire.send(frame(lab.station, packet(1, ACK, destination="203.0.113.99")))
    lab.wire.send(frame(lab.station, b"\0" * 28, 0x0806))
    lab.wire.send(frame(b"\x02\x00\x00\x00\x77\x77", packet(1, ACK)))
    lab.wire.send(frame(lab.station, packet(1, ACK)[:30]))
    until(lambda: lab.shuntd.report().get("bad_len") == 1, "the truncated one")
    report = lab.shuntd.report()
    for reason in ("icmp", "other_address", "not_ip", "other_mac"):
        check(report.get(reason, 0) >= 1, reason)


def test_main_thread_sleeps(lab):
    pid = lab.engine.process.pid
    before = threads_cpu(pid)
    lab.forward(range(3000, 3500), ACK)
    time.sleep(1)
    after = threads_cpu(pid)
    main = after["shunt-dpdk"] - before["shunt-dpdk"]
    worker = sum(after.values()) - sum(before.values()) - main
    check(main <= 2, "main thread ran %d ticks" % main)
    check(worker >= 20, "worker ran %d ticks only" % worker)


def test_follows_generations(lab):
    lab.shuntd.do("publish 2")
    lab.settled(generation=2)
    lab.forward(range(2000, 2010), ACK)


def test_new_arena_keeps_counters_and_flows(lab):
    ports = range(4000, 4500)
    first = lab.forward(ports, ACK)
    before = lab.quiet_report()
    came = 0
    for port in ports:
        lab.wire.send(frame(lab.station, packet(port, ACK)))
        if port == 4250:
            lab.shuntd.command("arena 2 1")
        if port % 50 == 49:
            came += len(lab.wire.receive(50))
    check(came == len(ports), "%d of %d came through the change" % (came, len(ports)))
    lab.shuntd.wait_for("attached epoch=2")
    lab.settled(epoch=2, flow=before["flow"] + 500, packets=before["packets"] + 1000)
    check(lab.forward(ports, ACK) == first, "flows survive")


def test_refuses_a_lower_epoch(lab):
    lab.shuntd.command("arena 1 1")
    lab.engine.wait_for("epoch 1, older than epoch 2 that is in use")
    lab.shuntd.wait_for("gone")
    lab.forward(range(4000, 4010), ACK)
    lab.shuntd.do("arena 3 1")
    lab.shuntd.wait_for("hello .* epoch=2 ")
    lab.shuntd.wait_for("attached epoch=3")


def test_survives_shuntd(lab):
    lab.shuntd.end()
    lab.engine.wait_for("shuntd is gone")
    lab.forward(range(4000, 4010), ACK)
    lab.shuntd = StandIn(lab.programs[1], lab.scratch, lab.config)
    lab.shuntd.do("arena 4 1")
    lab.shuntd.wait_for("attached epoch=4")
    lab.forward(range(4000, 4010), ACK)


def test_another_incarnation_clears_flows(lab):
    check(lab.shuntd.report()["flows"] >= 500, "there are flows")
    lab.shuntd.do("arena 1 2")
    lab.shuntd.wait_for("attached epoch=1")
    lab.settled(epoch=1, flows=0, generation=1)
    lab.forward(range(4000, 4010), ACK)
    lab.settled(flows=10)


def test_another_abi(lab):
    lab.shuntd.do("mode abi")
    lab.shuntd.do("hangup")
    lab.engine.wait_for("arena ABI 99 .* this program reads ABI 2")
    lab.forward(range(4000, 4010), ACK)
    lab.shuntd.wait_for("gone")


def test_refusal(lab):
    lab.shuntd.do("mode refuse")
    lab.engine.wait_for("refuses this dataplane: not today")
    lab.forward(range(4000, 4010), ACK)
    check("not today" not in lab.engine.read(), "the same refusal is told once")


def test_moved_interface(lab):
    """A tap's interface may be moved while it runs."""
    keeper = subprocess.Popen(["unshare", "-n", "sleep", "60"])
    try:
        here = os.stat("/proc/self/ns/net").st_ino
        until(lambda: os.stat("/proc/%d/ns/net" % keeper.pid).st_ino != here, "namespace")
        namespace = os.open("/proc/%d/ns/net" % keeper.pid, os.O_RDONLY)
        run("ip", "link", "set", lab.wire_name, "netns", str(keeper.pid))
        run("nsenter", "--net=/proc/%d/ns/net" % keeper.pid, "ip", "link", "set", lab.wire_name,
            "up")
        before = os.open("/proc/self/ns/net", os.O_RDONLY)
        setns(namespace)
        lab.wire = Wire(lab.wire_name)
        setns(before)
        lab.forward(range(5000, 5020), ACK)
    finally:
        keeper.kill()
        keeper.wait()


def test_successor_has_the_flows(lab):
    ports = range(6000, 6100)
    first = lab.forward(ports, ACK)
    flows = lab.quiet_report()["flows"]
    lab.engine.end()
    lab.shuntd.wait_for("gone")
    lab.start(lab.text)
    lab.engine.wait_for("goes on with the flows of the dataplane before it", 20)
    lab.shuntd.wait_for("attached epoch=1 writable=0 heritable=1")
    lab.settled(generation=1, flows=flows)
    check(lab.forward(ports, ACK) == first, "the flow keeps its backend")
    lab.settled(flow=100, maglev=0, flows=flows)


def test_stopped_dataplane_keeps_its_flows(lab):
    """It has lost its connection, but may go on at any time."""
    stopped = lab.engine
    stopped.process.send_signal(signal.SIGSTOP)
    try:
        lab.shuntd.do("hangup")
        lab.start(lab.text)
        lab.engine.wait_for("starts without the flows .* another process still writes them", 20)
        lab.shuntd.wait_for("attached epoch=1 writable=0 heritable=1")
        lab.settled(generation=1, flows=0)
        lab.forward(range(6000, 6010), ACK)
        lab.settled(flows=10)
    finally:
        stopped.end()


def test_another_size_takes_flows_over(lab):
    """Each with its next packet."""
    lab.engine.end()
    lab.shuntd.wait_for("gone")
    lab.start(lab.text.replace("flows: 10K", "flows: 1M"))
    lab.engine.wait_for("takes over the flows of the dataplane before it one by one", 20)
    lab.shuntd.wait_for("attached epoch=1 writable=0 heritable=1")
    lab.settled(generation=1, flows=0)
    lab.forward(range(6000, 6020), ACK)  # the first ten were known
    lab.settled(flow=10, maglev=10, flows=20)


def test_another_timeout_begins_empty(lab):
    lab.engine.end()
    lab.shuntd.wait_for("gone")
    lab.start(lab.text.replace("flows: 10K", "flows: 1M\n  flow_timeout: 1m"))
    lab.engine.wait_for("starts without the flows .*: their ages count otherwise", 20)
    lab.shuntd.wait_for("attached epoch=1 writable=0 heritable=1")
    lab.settled(generation=1, flows=0)
    lab.forward(range(6000, 6010), ACK)


def test_forwards_without_flows(lab):
    lab.engine.end()
    lab.shuntd.wait_for("gone")
    lab.start(lab.text, "--no-flows")
    lab.engine.wait_for(r"flows in no table \(--no-flows\)", 20)
    lab.shuntd.wait_for("attached epoch=1 writable=0 heritable=0")
    lab.settled(generation=1)
    ports = range(6000, 6100)
    check(lab.forward(ports, ACK) == lab.forward(ports, ACK), "by the same table")
    lab.settled(maglev=200, flow=0)


def setns(fd):
    import ctypes
    check(ctypes.CDLL(None, use_errno=True).setns(fd, 0) == 0, "setns")


def run(*arguments):
    subprocess.run(arguments, check=True, timeout=10)


COMMON = [test_forwards, test_counts_the_rest]
SESSION = [
    test_main_thread_sleeps,
    test_follows_generations,
    test_new_arena_keeps_counters_and_flows,
    test_refuses_a_lower_epoch,
    test_survives_shuntd,
    test_another_incarnation_clears_flows,
    test_another_abi,
    test_refusal,
]
SUCCESSION = [
    test_successor_has_the_flows,
    test_stopped_dataplane_keeps_its_flows,
    test_another_size_takes_flows_over,
    test_another_timeout_begins_empty,
    test_forwards_without_flows,
]


def run_lab(programs, name, device, wire, tests, kernel_name, keys=("", "")):
    """keys: more of the interface, more of the dataplane."""
    with tempfile.TemporaryDirectory(dir="/run") as scratch:
        lab = Lab(programs, device, wire, scratch, keys)
        try:
            lab.engine.wait_for("waits for shuntd", 20)
            lab.attach()
            check(lab.kernel_name == kernel_name, "kernel name '%s'" % lab.kernel_name)
            for test in tests:
                test(lab)
                print("ok: %s: %s" % (name, test.__name__[5:]), flush=True)
            lab.stop()
            print("ok: %s: stops" % name, flush=True)
        except BaseException:
            lab.engine.read()
            sys.stderr.write(lab.engine.all)
            raise
        finally:
            lab.end()


def inside(programs):
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    run("ip", "link", "set", "lo", "up")
    run_lab(programs, "net_tap", "net_tap0,iface=lb0", "lb0",
            [test_tap_has_a_mac_of_its_own] + COMMON + SESSION + [test_moved_interface], "")
    run("ip", "link", "add", "lb1", "type", "veth", "peer", "name", "client1")
    for name in ("lb1", "client1"):
        run("ip", "link", "set", name, "mtu", "1600", "up")
    run_lab(programs, "net_af_packet", "net_af_packet0,iface=lb1", "client1", COMMON + SUCCESSION, "lb1")


def enter(script, inside):
    """Runs inside(programs) in namespaces of its own."""
    programs = [os.path.realpath(path) for path in sys.argv[1:3]]
    if len(sys.argv) == 4:
        inside(programs)
        return
    if not os.path.exists("/dev/net/tun"):
        skip("/dev/net/tun is missing: modprobe tun")
    if subprocess.run(["unshare", "-Urnm", "true"], stderr=subprocess.DEVNULL).returncode:
        skip("user namespaces are refused: sysctl -w kernel.unprivileged_userns_clone=1")
    os.execvp("unshare", ["unshare", "-Urnm", "/usr/bin/python3", os.path.realpath(script)] +
              programs + ["inside"])


if __name__ == "__main__":
    enter(__file__, inside)
