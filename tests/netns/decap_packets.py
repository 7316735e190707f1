# SPDX-License-Identifier: BSD-2-Clause
"""The packets of decap.sh, and what must come of them.

One process with a socket in each namespace: an echo and a web server on the backend's VIP, a
client, and a balancer. Crafted packets are built by scapy from the RFCs and sent as frames; live
TCP is wrapped by a small balancer in here, which reads the client's packets from a TUN device.
The echo server answers with the ECN field it saw, so that the client learns it.
"""
import ctypes
import fcntl
import hashlib
import http.client
import http.server
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

logging.getLogger("scapy").setLevel(logging.ERROR)  # it warns that lo has no address

from scapy.all import (Ether, ICMP, ICMPv6DestUnreach, ICMPv6ParamProblem, IP, IPv6,
                       IPv6ExtHdrFragment, Raw, UDP, fragment, fragment6)

PROGRAM, SCRATCH, MANUAL, MODE = sys.argv[1:]
STATS = SCRATCH + "/stats"
LIBC = ctypes.CDLL(None, use_errno=True)

CLIENT = {4: "198.51.100.2", 6: "2001:db8:1::2"}
BALANCER = {4: "10.0.0.1", 6: "fd00::1"}
STRANGER = {4: "10.0.0.66", 6: "fd00::66"}
BACKEND = {4: "10.0.0.254", 6: "fd00::fe"}
VIP = {4: "203.0.113.10", 6: "2001:db8:ff::10"}
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
CLIENT_PORT, ECHO_PORT, WEB_PORT, GUE_PORT = 4000, 7, 80, 6080
NOT_ECT, ECT1, ECT0, CE = range(4)
PAGE = hashlib.shake_128(b"page").digest(60000)
UPLOAD = hashlib.shake_128(b"upload").digest(400000)

failures = 0


def check(text, good, detail=""):
    global failures
    failures += not good
    print(("ok      " if good else "FAILED  ") + text + (f": {detail}" if not good else ""),
          flush=True)


def enter(name):
    with open("/run/netns/" + name) as ns:
        if LIBC.setns(ns.fileno(), 0) != 0:
            raise OSError(ctypes.get_errno(), "setns " + name)


def in_ns(name, *command):
    return subprocess.run(["nsenter", "--net=/run/netns/" + name, *command], check=True,
                          capture_output=True, text=True).stdout


# --- the three hosts -------------------------------------------------------------------------

def echo_serve(sock):
    """Answers "<ecn> <payload>"."""
    while True:
        data, control, _, sender = sock.recvmsg(65536, 256)
        ecn = next(struct.unpack("i", d.ljust(4, b"\0")[:4])[0] & 3 for level, kind, d in control
                   if kind in (socket.IP_TOS, socket.IPV6_TCLASS))
        sock.sendto(b"%d %s" % (ecn, data), sender)


class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(PAGE)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(hashlib.sha256(body).hexdigest().encode())

    def log_message(self, *_):
        pass


class Web(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self):
        self.socket.bind(self.server_address)

    def __init__(self, version):
        self.address_family = FAMILY[version]
        super().__init__((VIP[version], WEB_PORT), Page)


def start(target, *arguments):
    threading.Thread(target=target, args=arguments, daemon=True).start()


def backend_start():
    enter("backend")
    for version in 4, 6:
        sock = socket.socket(FAMILY[version], socket.SOCK_DGRAM)
        if version == 4:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
        sock.bind((VIP[version], ECHO_PORT))
        start(echo_serve, sock)
        start(Web(version).serve_forever)


def packet_socket_on(device):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    sock.bind((device, 0))
    return sock


def packet_socket():
    return packet_socket_on("eth0")


def client_start():
    """Returns the client's UDP sockets by version, a capture, and its TUN device."""
    enter("client")
    socks = {}
    for version in 4, 6:
        socks[version] = socket.socket(FAMILY[version], socket.SOCK_DGRAM)
        socks[version].bind((CLIENT[version], CLIENT_PORT))
    tun = open("/dev/net/tun", "r+b", buffering=0)
    fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"wrap0", 0x1001))
    in_ns("client", "ip", "link", "set", "wrap0", "up")
    for version in 4, 6:
        in_ns("client", "ip", f"-{version}", "route", "add", VIP[version], "dev", "wrap0", "src",
              CLIENT[version])
    return socks, packet_socket(), tun


class Balancer:
    """Wraps whatever the client sends to the VIP, by the kernel's own outer headers."""

    def __init__(self, tun):
        enter("balancer")
        self.frames = packet_socket()
        self.outer, self.carrier = 4, "ipip"
        self.socks = {}
        for version in 4, 6:
            for protocol in 4, 41:
                self.socks[version, protocol] = socket.socket(FAMILY[version], socket.SOCK_RAW,
                                                              protocol)
            self.socks[version, "gue"] = socket.socket(FAMILY[version], socket.SOCK_DGRAM)
        start(self.wrap, tun)

    def wrap(self, tun):
        while True:
            inner = os.read(tun.fileno(), 65536)
            protocol = 4 if inner[0] >> 4 == 4 else 41
            backend = BACKEND[self.outer]
            if self.carrier == "ipip":
                self.socks[self.outer, protocol].sendto(inner, (backend, 0))
            else:
                header = bytes([0, protocol, 0, 0]) if self.carrier == "gue" else b""
                self.socks[self.outer, "gue"].sendto(header + inner, (backend, GUE_PORT))

    def send(self, packet):
        self.frames.send(bytes(Ether(dst="02:00:00:00:00:f2", src="02:00:00:00:00:02") / packet))


# --- shunt-decap ------------------------------------------------------------------------------

def decap_command(*options):
    return ["nsenter", "--net=/run/netns/backend", PROGRAM, *options]


def die_with_parent():
    LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: not outlived even by an interrupted test


class Decap:
    MODE = ["--mode", "tun"]

    def __init__(self, *options):
        self.log = open(SCRATCH + "/log", "w+")
        self.printed = open(SCRATCH + "/printed", "w+")
        self.process = subprocess.Popen(decap_command(*self.MODE, *options), text=True,
                                        stdout=self.printed, stderr=self.log,
                                        preexec_fn=die_with_parent)
        deadline = time.monotonic() + 5
        while "ready" not in self.said() and time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        check("shunt-decap is ready", "ready" in self.said(), self.said())

    def said(self):
        # Not by seek() and read(): the program writes at the same file position.
        return os.pread(self.log.fileno(), 1 << 20, 0).decode()

    def counters(self):
        """By SIGUSR1 and --stats, whose file is a new one each time."""
        before = os.stat(STATS).st_ino
        self.process.send_signal(signal.SIGUSR1)
        for _ in range(500):
            if os.stat(STATS).st_ino != before:
                break
            time.sleep(0.01)
        with open(STATS) as stats:
            return read_counters(stats.read())

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(10)
        self.printed.seek(0)
        return status, self.printed.read()


def read_counters(text):
    return {name: int(value) for name, value in (line.split() for line in text.splitlines())}


def changes(before, after):
    return {name: after[name] - before[name] for name in after if after[name] != before[name]}


# --- crafted packets --------------------------------------------------------------------------

def outer_header(version, source, ecn, protocol):
    if version == 4:
        return IP(src=source, dst=BACKEND[4], tos=ecn, proto=protocol, ttl=64)
    return IPv6(src=source, dst=BACKEND[6], tc=ecn, nh=protocol, hlim=64)


def inner_packet(version, ecn, payload):
    header = (IP(src=CLIENT[4], dst=VIP[4], tos=ecn) if version == 4 else
              IPv6(src=CLIENT[6], dst=VIP[6], tc=ecn))
    return header / UDP(sport=CLIENT_PORT, dport=ECHO_PORT) / Raw(payload)


def wrap(inner, outer, carrier="ipip", source=None, ecn=NOT_ECT, inner_version=None):
    """`inner` as bytes or packet behind an outer header; the carrier is ipip, gue, gue1."""
    inner = bytes(inner)
    source = source or BALANCER[outer]
    protocol = 4 if (inner_version or inner[0] >> 4) == 4 else 41
    if carrier == "ipip":
        return outer_header(outer, source, ecn, protocol) / Raw(inner)
    gue = bytes([0, protocol, 0, 0]) if carrier == "gue" else b""
    return (outer_header(outer, source, ecn, 17) / UDP(sport=49152, dport=GUE_PORT) /
            Raw(gue + inner))


def reply(sock, timeout=1.0):
    """(ecn, payload) as the echo server saw them, or None."""
    sock.settimeout(timeout)
    try:
        data, _ = sock.recvfrom(65536)
    except TimeoutError:
        return None
    ecn, payload = data.split(b" ", 1)
    return int(ecn), payload


def captured(sock):
    """Everything a packet socket has seen so far."""
    sock.setblocking(False)
    frames = []
    while True:
        try:
            frames.append(Ether(sock.recv(65536)))
        except BlockingIOError:
            return frames


def refusals(frames):
    """ICMP errors about a protocol or port; IPv6 calls the first a parameter problem."""
    return [frame.summary() for frame in frames
            if (ICMP in frame and frame[ICMP].type == 3) or ICMPv6DestUnreach in frame or
            ICMPv6ParamProblem in frame]


def checksum_errors():
    """TCP segments of either family that the backend's kernel refused."""
    names, values = (line.split() for line in in_ns("backend", "cat", "/proc/net/snmp").splitlines()
                     if line.startswith("Tcp:"))
    return int(values[names.index("InCsumErrors")])


class Test:
    def __init__(self):
        backend_start()
        self.clients, self.client_frames, tun = client_start()
        self.balancer = Balancer(tun)
        self.decap = None
        self.sequence = 0

    def exchange(self, text, inner_version, expect_ecn=NOT_ECT, inner_ecn=NOT_ECT, pad=0,
                 frames=None, **how):
        """Sends a request through and expects its echo, with the ECN field the backend saw."""
        self.sequence += 1
        payload = b"request %d" % self.sequence
        inner = bytes(inner_packet(inner_version, inner_ecn, payload)) + b"\xff" * pad
        packet = wrap(inner, **how)
        for part in frames(packet) if frames else [packet]:
            self.balancer.send(part)
        got = reply(self.clients[inner_version])
        check(text, got == (expect_ecn, payload), f"got {got}")
        return len(inner) - pad

    def refused(self, text, packet, counter, also=()):
        """Sends a packet and expects that it is counted once, as `counter`, and not delivered."""
        before = self.decap.counters()
        self.balancer.send(packet)
        deadline = time.monotonic() + 1
        while True:
            moved = changes(before, self.decap.counters())
            if counter in moved or time.monotonic() > deadline:
                break
        moved = {name for name in moved if not name.startswith("received_")}
        check(f"{text} is counted as {counter}", moved == {counter, *also}, f"changed {moved}")

    def control(self):
        """Without shunt-decap the kernel refuses: this is what must not be seen later."""
        for outer in 4, 6:
            for carrier in "ipip", "gue":
                self.balancer.send(wrap(inner_packet(4, 0, b"x"), outer, carrier))
        time.sleep(0.2)
        seen = refusals(captured(self.balancer.frames))
        check("without shunt-decap the backend refuses by ICMP", len(seen) >= 4, seen)

    def families(self):
        for carrier in "ipip", "gue", "gue1":
            for outer in 4, 6:
                for inner in 4, 6:
                    self.exchange(f"{carrier} IPv{inner} in IPv{outer}", inner, outer=outer,
                                  carrier=carrier)

    def variations(self):
        for inner in 4, 6:
            for outer, carrier in (4, "ipip"), (6, "gue"):
                before = self.decap.counters()
                len_bytes = self.exchange(f"padding behind IPv{inner} in {carrier}", inner,
                                          outer=outer, carrier=carrier, pad=7)
                delivered = changes(before, self.decap.counters()).get("delivered_bytes")
                check(f"padding behind IPv{inner} in {carrier} is taken off",
                      delivered == len_bytes, f"{delivered} bytes for {len_bytes}")

        def zero_checksum(packet):
            packet[UDP].chksum = 0
            return [packet]
        self.exchange("GUE over IPv6 with a zero checksum", 4, outer=6, carrier="gue",
                      frames=zero_checksum)
        self.exchange("outer IPv4 in fragments", 4, outer=4,
                      frames=lambda packet: fragment(packet, fragsize=24))

        def fragments_v6(packet):
            header = IPv6(src=packet.src, dst=packet.dst) / IPv6ExtHdrFragment(id=7, nh=4)
            return fragment6(header / Raw(bytes(packet[Raw]).ljust(1400, b"\0")), 1280)
        self.exchange("outer IPv6 in fragments", 4, outer=6, frames=fragments_v6)

    def ecn(self):
        for carrier in "ipip", "gue":
            for outer in 4, 6:
                for inner in 4, 6:
                    self.exchange(f"{carrier} IPv{inner} in IPv{outer}: outer CE reaches the "
                                  "inner packet", inner, CE, ECT0, outer=outer, carrier=carrier,
                                  ecn=CE)
        self.exchange("inner ECT(0), outer ECT(1): ECT(1)", 4, ECT1, ECT0, outer=4, ecn=ECT1)
        self.exchange("inner CE, outer Not-ECT: CE", 6, CE, CE, outer=4, ecn=NOT_ECT)
        self.exchange("inner Not-ECT, outer ECT(0): Not-ECT", 4, NOT_ECT, NOT_ECT, outer=6,
                      ecn=ECT0)
        self.refused("inner Not-ECT, outer CE", wrap(inner_packet(4, NOT_ECT, b"x"), 4, ecn=CE),
                     "drop_ecn", ["ecn_unexpected"])

    def bad_packets(self):
        v4, v6 = bytes(inner_packet(4, 0, b"bad")), bytes(inner_packet(6, 0, b"bad"))
        for outer in 4, 6:
            self.refused(f"an outer source outside --from, IPv{outer}",
                         wrap(v4, outer, source=STRANGER[outer]), "drop_outer_source")
        self.refused("an outer source outside --from, GUE",
                     wrap(v4, 4, "gue", source=STRANGER[4]), "drop_outer_source")
        self.refused("a length beyond the packet", wrap(v4[:-1], 4), "drop_inner_length")
        self.refused("an IPv6 length beyond the packet", wrap(v6[:-1], 6), "drop_inner_length")
        self.refused("half an inner header", wrap(v4[:19], 4), "drop_inner_truncated")
        self.refused("IPv6 announced as IPv4", wrap(v6, 4, inner_version=4), "drop_inner_version")
        self.refused("IPv4 announced as IPv6", wrap(v4, 6, inner_version=6), "drop_inner_version")
        self.refused("an inner IHL of 4", wrap(b"\x44" + v4[1:], 4), "drop_inner_header")
        self.refused("an inner packet to loopback",
                     wrap(IP(src=CLIENT[4], dst="127.0.0.1") / UDP(), 4), "drop_inner_martian")
        self.refused("an inner packet to another address",
                     wrap(IP(src=CLIENT[4], dst="198.51.100.254") / UDP(), 4),
                     "drop_inner_destination")
        for header, counter in (("80040000", "drop_gue_variant"), ("20040000", "drop_gue_control"),
                                ("00048000", "drop_gue_flags"), ("0104000000000000",
                                "drop_gue_private"), ("00110000", "drop_gue_protocol"),
                                ("0004", "drop_gue_truncated")):
            content = bytes.fromhex(header) + (v4 if len(header) > 4 else b"")
            self.refused(f"GUE header {header}",
                         outer_header(4, BALANCER[4], 0, 17) / UDP(sport=49152, dport=GUE_PORT) /
                         Raw(content), counter)
        nested = wrap(v4, 4)
        nested[IP].src, nested[IP].dst = BALANCER[4], VIP[4]
        self.nested(nested)
        check("none of these was answered", reply(self.clients[4], 0.1) is None and
              reply(self.clients[6], 0.1) is None)

    def nested(self, nested):
        """The first wrapping is taken off, and the second is found behind the device."""
        self.refused("an encapsulation inside an encapsulation", wrap(nested, 4), "drop_nested",
                     ["delivered", "delivered_bytes"])

    def web(self):
        """A page and an upload through the live balancer, for every pair of families."""
        for carrier in "ipip", "gue", "gue1":
            for outer in 4, 6:
                for inner in 4, 6:
                    self.balancer.outer, self.balancer.carrier = outer, carrier
                    if not self.request(f"{carrier} IPv{inner} in IPv{outer}", inner):
                        return  # the next ones would cost as many seconds, and say the same

    def request(self, text, version):
        enter("client")
        connection = http.client.HTTPConnection(VIP[version], WEB_PORT, timeout=3)
        try:
            connection.request("GET", "/")
            page = connection.getresponse().read()
            connection.request("POST", "/", UPLOAD)
            digest = connection.getresponse().read()
            check(f"web page and upload, {text}", page == PAGE and
                  digest == hashlib.sha256(UPLOAD).hexdigest().encode(), "content differs")
            return True
        except OSError as error:
            check(f"web page and upload, {text}", False, error)
            return False
        finally:
            connection.close()

    def merged(self):
        """A kernel that merges segments leaves their checksum unfinished: see inner.c.

        Segments are merged that arrive in one poll of the device. So they are held back behind a
        slow queue, which is then opened; a veth polls where its peer doesn't segment in hardware.
        """
        try:
            in_ns("balancer", "ethtool", "-K", "eth0", "tso", "off")
            in_ns("backend", "ethtool", "-K", "b-balancer", "gro", "on")
            self.gate("add", "8kbit", "2000")
        except subprocess.CalledProcessError as error:
            print(f"not run: merged segments, since this failed: {' '.join(error.cmd[2:])}")
            return
        self.balancer.carrier = "ipip"
        before = checksum_errors()
        for outer in 4, 6:
            for inner in 4, 6:
                self.balancer.outer = outer
                self.merge_one(f"ipip IPv{inner} in IPv{outer}", inner)
        check("the host found no checksum wrong", checksum_errors() == before,
              f"{checksum_errors()}, before {before}")
        in_ns("backend", "ethtool", "-K", "b-balancer", "gro", "off")
        in_ns("balancer", "tc", "qdisc", "delete", "dev", "eth0", "root")

    def gate(self, verb, rate, burst):
        in_ns("balancer", "tc", "qdisc", verb, "dev", "eth0", "root", "tbf", "rate", rate, "burst",
              burst, "limit", "1000000")

    def merge_one(self, text, version):
        body = UPLOAD[:8000]
        before = self.decap.counters()
        self.gate("change", "10gbit", "1000000")
        enter("client")
        with socket.create_connection((VIP[version], WEB_PORT), timeout=3) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: vip\r\nConnection: close\r\n"
                               b"Content-Length: %d\r\n\r\n" % len(body))
            time.sleep(0.05)
            self.gate("change", "8kbit", "2000")
            connection.sendall(body)
            time.sleep(0.05)
            self.gate("change", "10gbit", "1000000")
            self.exchange(f"a packet behind held back segments, {text}", 4, outer=4)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        moved = changes(before, self.decap.counters())
        check(f"upload in merged segments, {text}",
              answer.endswith(hashlib.sha256(body).hexdigest().encode()), answer)
        check(f"segments were merged, {text}", self.merge_seen(moved), moved)

    def merge_seen(self, moved):
        return moved.get("checksum_completed", 0) > 0

    def direct_return(self):
        """The replies went to the client's own link; the balancer's saw none of them."""
        backwards = [f.summary() for f in captured(self.balancer.frames)
                     if f.src.startswith("02:00:00:00:00:f") and
                     any(layer in f and f[layer].src == VIP[version]
                         for layer, version in ((IP, 4), (IPv6, 6)))]
        check("no reply went through the balancer", not backwards, backwards[:3])


def usage_cases():
    cases = (([], 64, "--mode"), (["--mode", "ipip"], 64, "--mode ipip"),
             (["--mode", "tun", "--mtu", "100"], 64, "1280"),
             (["--mode", "tun", "--from", "10.0.0.1/8"], 64, "prefix length"),
             (["--mode", "tun", "--device", "a/b"], 64, "device name"),
             (["--mode", "tun", "extra"], 64, "extra"), (["--frm"], 64, "--help"),
             (["--mode", "tun", "--device", "b-client"], 69, "b-client"),
             (["--mode", "tun", "--stats", "/nowhere/x"], 69, "/nowhere/x"),
             (["--mode", "tun", "--gue-port", "7777"], 69, "7777"),
             (["--help"], 0, "--gue-port"), (["--version"], 0, "shunt-decap 0."))
    enter("backend")
    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    taken.bind(("", 7777))
    for options, status, says in cases:
        done = subprocess.run(decap_command(*options), capture_output=True, text=True, timeout=5)
        text = done.stdout + done.stderr
        check(f"'{' '.join(options)}' exits with {status} and says why",
              done.returncode == status and says in text, f"{done.returncode}: {text}")
    taken.close()
    done = subprocess.run(decap_command("--mode", "tun"), capture_output=True, text=True,
                          timeout=5, preexec_fn=capabilities_drop)
    check("without privilege it exits with 69 and says what would help",
          done.returncode == 69 and "setcap" in done.stderr, f"{done.returncode}: {done.stderr}")


def capabilities_drop():
    """Leaves CAP_SYS_ADMIN, which nsenter needs."""
    for capability in (12, 13):  # CAP_NET_ADMIN, CAP_NET_RAW
        LIBC.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP: gone after the next exec


def capabilities(pid):
    with open(f"/proc/{pid}/status") as status:
        return {line.split()[0]: int(line.split()[1], 16) for line in status
                if line.startswith(("CapEff", "CapPrm"))}


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def idle_check(pid):
    before = cpu_ticks(pid)
    time.sleep(0.5)
    spent = cpu_ticks(pid) - before
    check("it rests while nothing arrives", spent <= 2, f"{spent} ticks in 0.5 s")


def device_removed():
    """Without --from this time, which it says; and with its device taken away."""
    decap = Decap("--device", "other0", "--mtu", "1600", "--gue-port", "6081")
    said = decap.said()
    check("without --from it warns", "without --from" in said, said)
    check("name and MTU are as asked", "mtu 1600" in in_ns("backend", "ip", "link", "show",
                                                             "other0"))
    in_ns("backend", "ip", "link", "delete", "other0")
    try:
        status = decap.process.wait(3)
    except subprocess.TimeoutExpired:
        decap.process.kill()
        status = decap.process.wait()
    check("without its device it exits with 69 and says so",
          status == 69 and "is gone" in decap.said(), f"{status}: {decap.said()}")


def main():
    test = Test()
    captured(test.balancer.frames)
    test.control()
    usage_cases()
    test.decap = Decap("--stats", STATS, "--from", BALANCER[4], "--from", "fd00::1/128",
                       "--vip", VIP[4], "--vip", VIP[6])
    try:
        check("it holds no capability", set(capabilities(test.decap.process.pid).values()) == {0})
        captured(test.balancer.frames), captured(test.client_frames)
        test.families()
        test.variations()
        test.ecn()
        test.bad_packets()
        test.direct_return()
        seen = captured(test.balancer.frames) + captured(test.client_frames)
        check("no ICMP error was sent", not refusals(seen), refusals(seen)[:3])
        test.web()
        test.merged()
        idle_check(test.decap.process.pid)
        now = test.decap.counters()
    finally:
        status, printed = test.decap.end()
    check("SIGTERM ends it with status 0", status == 0, f"{status} {test.decap.said()}")
    last = read_counters("\n".join(printed.splitlines()[-len(now):]))
    check("the counters are printed at the end", changes(now, last) == {}, printed)
    ends = sum(value for name, value in last.items()
               if name == "delivered" or name.startswith("drop_"))
    received = sum(value for name, value in last.items() if name.startswith("received_"))
    with open(MANUAL) as manual:
        missing = set(last) - set(manual.read().split())
    check("the manual page names every counter", not missing, missing)
    check("each packet received has one verdict", ends == received > 0, f"{ends}, {received}")
    check("the device is gone", "shunt0" not in in_ns("backend", "ip", "-brief", "link"))
    device_removed()
    print(f"{failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
