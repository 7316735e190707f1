# SPDX-License-Identifier: BSD-2-Clause
"""--mode xdp and tc on the packets of decap_packets.py, and what only they have: the host's
addresses, a program that outlives its process, neighbours on the interface."""
import ctypes
import os
import signal
import struct
import subprocess
import sys
import time

import decap_packets  # first: it quietens scapy
from decap_packets import (BALANCER, CE, CLIENT, CLIENT_PORT, ECHO_PORT, MANUAL, MODE, STATS,
                           VIP, Decap, Test, capabilities, captured, changes,
                           check, decap_command, enter, idle_check, in_ns, inner_packet,
                           packet_socket_on, read_counters, refusals, reply, wrap)
from scapy.all import IP, Raw, UDP, fragment

DEVICE = "b-balancer"
LATER_VIP = "203.0.113.11"  # allowed by --vip; not an address of the backend at first
LISTS = ["--from", BALANCER[4], "--from", "fd00::1/128", "--vip", VIP[4], "--vip", VIP[6],
         "--vip", LATER_VIP]
LIBC = ctypes.CDLL(None, use_errno=True)
CAP_NET_ADMIN, CAP_BPF = 12, 39


def mode_command(*options, device=DEVICE):
    return ["--mode", MODE, "--interface", device, *options]


class KernelDecap(Decap):
    MODE = mode_command()


def wait_for(condition, seconds=5):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def run_decap(*arguments, prefix=()):
    enter("backend")
    command = decap_command(*arguments)
    command[2:2] = prefix  # behind nsenter and its option
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    return done.returncode, done.stdout + done.stderr


# --- what is attached -------------------------------------------------------------------------

def attached():
    if MODE == "xdp":
        return "xdp" in in_ns("backend", "ip", "-details", "link", "show", DEVICE)
    return "shunt_decap_tc" in filters()


def filters():
    return in_ns("backend", "tc", "filter", "show", "dev", DEVICE, "ingress")


def qdiscs():
    return in_ns("backend", "tc", "qdisc", "show", "dev", DEVICE)


def program_pin(kind, path):
    """Loads `r0 = 2; exit`, which is XDP_PASS, and pins it: a neighbour with another name."""
    code = ctypes.create_string_buffer(struct.pack("<BBhi", 0xb7, 0, 0, 2 if kind == 6 else -1) +
                                       struct.pack("<BBhi", 0x95, 0, 0, 0))
    license_ = ctypes.create_string_buffer(b"GPL")
    load = struct.pack("<IIQQIIQII16s", kind, 2, ctypes.addressof(code),
                       ctypes.addressof(license_), 0, 0, 0, 0, 0, b"neighbour")
    load = ctypes.create_string_buffer(load + bytes(64))
    fd = LIBC.syscall(321, 5, load, len(load) - 1)  # BPF_PROG_LOAD
    assert fd >= 0, os.strerror(ctypes.get_errno())
    name = ctypes.create_string_buffer(path.encode())
    pin = ctypes.create_string_buffer(struct.pack("<QII", ctypes.addressof(name), fd, 0))
    assert LIBC.syscall(321, 6, pin, len(pin) - 1) == 0, os.strerror(ctypes.get_errno())
    os.close(fd)


class KernelTest(Test):
    def __init__(self):
        super().__init__()
        enter("backend")
        self.backend_frames = packet_socket_on(DEVICE)

    def variations(self):
        for inner in 4, 6:
            for outer, carrier in (4, "ipip"), (6, "gue"):
                before = self.decap.counters()
                len_bytes = self.exchange(f"padding behind IPv{inner} in {carrier}", inner,
                                          outer=outer, carrier=carrier, pad=7)
                delivered = changes(before, self.decap.counters()).get("delivered_bytes")
                check(f"padding behind IPv{inner} in {carrier} is not counted",
                      delivered == len_bytes, f"{delivered} bytes for {len_bytes}")

        def checksum(value):
            def sealed(packet):
                packet[UDP].chksum = value
                return [packet]
            return sealed
        self.exchange("GUE over IPv6 with a zero checksum", 4, outer=6, carrier="gue",
                      frames=checksum(0))
        self.exchange("GUE over IPv4 with a zero checksum", 6, outer=4, carrier="gue",
                      frames=checksum(0))
        self.exchange("GUE over IPv6 with a checksum", 6, outer=6, carrier="gue")

    def bad_outer(self):
        inner = inner_packet(4, 0, b"bad outer")
        for outer in 4, 6:
            gue = wrap(inner, outer, "gue")
            gue[UDP].chksum = 0x1234
            self.refused(f"a wrong UDP checksum over IPv{outer}", gue, "drop_outer_checksum")
        packet = wrap(inner, 4)
        packet[IP].chksum = 0x1234
        self.refused("a wrong outer IPv4 checksum", packet, "drop_outer_checksum")
        first = fragment(wrap(inner_packet(4, 0, bytes(100)), 4), fragsize=64)[0]
        self.refused("an outer fragment", first, "drop_outer_fragment")

    def nested(self, nested):
        self.refused("an encapsulation inside an encapsulation", wrap(nested, 4), "drop_nested")

    def echo_later(self):
        """Whether the echo server answers at the address that comes and goes."""
        packet = IP(src=CLIENT[4], dst=LATER_VIP) / UDP(sport=CLIENT_PORT, dport=ECHO_PORT)
        return packet / Raw(b"later")

    def follows_addresses(self):
        packet = wrap(self.echo_later(), 4)
        self.refused("a VIP that is not of this host", packet, "drop_inner_not_local")
        for add, remove in ((("address", "add", LATER_VIP + "/32", "dev", "lo"),
                             ("address", "del", LATER_VIP + "/32", "dev", "lo")),
                            (("route", "add", "local", "203.0.113.8/29", "dev", "lo"),
                             ("route", "del", "local", "203.0.113.8/29", "dev", "lo"))):
            in_ns("backend", "ip", *add)
            check(f"after 'ip {add[0]} {add[1]}' it is delivered",
                  wait_for(lambda: self.moved_by(packet) == "delivered"))
            in_ns("backend", "ip", *remove)
            check(f"after 'ip {remove[0]} {remove[1]}' it is dropped",
                  wait_for(lambda: self.moved_by(packet) == "drop_inner_not_local"))
        for sock in self.clients.values():
            while reply(sock, 0.05):
                pass
        self.exchange("the VIPs that stayed", 6, outer=4)

    def moved_by(self, packet):
        before = self.decap.counters()
        self.balancer.send(packet)
        wait_for(lambda: changes(before, self.decap.counters()), 1)
        return next((name for name in changes(before, self.decap.counters())
                     if name == "delivered" or name.startswith("drop_")), None)

    def what_passes(self):
        """Neither counted nor taken: what goes to the backend itself, wrapped or not."""
        before = self.decap.counters()
        packet = inner_packet(4, 0, b"plain")
        self.balancer.send(packet)
        got = reply(self.clients[4])
        check("a packet without encapsulation gets through", got == (0, b"plain"), got)
        check("and is not counted", changes(before, self.decap.counters()) == {})

    def merged(self):
        if MODE == "xdp":
            print("not run: merged segments, which XDP never sees")
            return
        captured(self.backend_frames)
        super().merged()

    def merge_seen(self, moved):
        return any(len(frame) > 1600 for frame in captured(self.backend_frames))

    def killed(self):
        """After kill -9 packets are still unwrapped; the next one takes over, and cleans up."""
        self.decap.process.kill()
        self.decap.process.wait()
        check("after kill -9 the program is still there", attached())
        for inner in 4, 6:
            self.exchange(f"IPv{inner} in IPv4 without a process", inner, outer=4)
        self.decap = KernelDecap("--stats", STATS, *LISTS)
        check("the next one takes its place", "in place of" in self.decap.said(),
              self.decap.said())
        before = self.decap.counters()
        self.exchange("IPv4 in IPv6 by the next one", 4, outer=6)
        check("which counts", changes(before, self.decap.counters()).get("delivered") == 1)
        if MODE == "tc":
            check("there is one filter", filters().count("shunt_decap_tc") <= 2, filters())

    def detach(self):
        """What a killed one has left, --detach takes away."""
        decap = KernelDecap(*LISTS)
        decap.process.kill()
        decap.process.wait()
        status, text = run_decap(*mode_command("--detach"))
        check("--detach takes away what was left", status == 0 and "detached" in text and
              not attached(), f"{status}: {text}")
        check("with the qdisc", "clsact" not in qdiscs(), qdiscs())
        status, text = run_decap(*mode_command("--detach"))
        check("a second --detach finds nothing", status == 0 and "no program" in text,
              f"{status}: {text}")

    def taken_over(self):
        """Two at a time: the second one has the interface, and the first one leaves it alone."""
        first, second = KernelDecap(*LISTS), KernelDecap("--stats", STATS, *LISTS)
        first.end()
        check("the end of the first leaves the second's program", attached())
        self.decap = second
        self.exchange("IPv6 in IPv6 after the first one's end", 6, outer=6)
        second.end()
        check("the end of the second removes it", not attached())

    def neighbours(self):
        """A program of somebody else's."""
        enter("backend")
        path = "/sys/fs/bpf/neighbour"
        program_pin(6 if MODE == "xdp" else 3, path)
        if MODE == "xdp":
            in_ns("backend", "ip", "link", "set", DEVICE, "xdp", "pinned", path)
        else:
            in_ns("backend", "tc", "qdisc", "add", "dev", DEVICE, "clsact")
            in_ns("backend", "tc", "filter", "add", "dev", DEVICE, "ingress", "prio", "6080",
                  "handle", "1", "bpf", "da", "object-pinned", path)
        status, text = run_decap(*mode_command(*LISTS))
        other = "tc" if MODE == "xdp" else "xdp"
        check("a neighbour in our place is told of, and left alone", status == 69 and
              f"--mode {other}" in text and "another" in text and self.neighbour_there(),
              f"{status}: {text}")
        status, text = run_decap(*mode_command("--detach"))
        check("--detach leaves it alone too", "no program" in text and self.neighbour_there(),
              text)
        if MODE == "xdp":
            in_ns("backend", "ip", "link", "set", DEVICE, "xdp", "off")
            return
        in_ns("backend", "tc", "filter", "del", "dev", DEVICE, "ingress")
        in_ns("backend", "tc", "filter", "add", "dev", DEVICE, "egress", "prio", "9", "handle",
              "1", "bpf", "da", "object-pinned", path)
        KernelDecap(*LISTS).end()
        check("a qdisc that somebody uses stays", "clsact" in qdiscs(), qdiscs())
        in_ns("backend", "tc", "qdisc", "del", "dev", DEVICE, "clsact")

    def neighbour_there(self):
        if MODE == "xdp":
            return "neighbour" in in_ns("backend", "ip", "-details", "link", "show", DEVICE)
        return "neighbour" in filters()

    def generic(self):
        """A bridge has no native XDP: the kernel's generic mode, which is said."""
        for command in (("link", "add", "br0", "address", "02:00:00:00:00:f2", "type", "bridge"),
                        ("link", "set", "br0", "mtu", "1600", "up"),
                        ("address", "flush", "dev", DEVICE),
                        ("link", "set", DEVICE, "master", "br0"),
                        ("address", "add", "10.0.0.254/24", "dev", "br0"),
                        ("address", "add", "fd00::fe/64", "dev", "br0", "nodad")):
            in_ns("backend", "ip", *command)
        in_ns("backend", "sh", "-c", "echo 2 >/proc/sys/net/ipv4/conf/br0/rp_filter")
        self.decap = Decap("--mode", MODE, "--interface", "br0", "--stats", STATS, *LISTS)
        said = self.decap.said()
        check("generic mode is stated", "generic mode" in said and "slower" in said, said)
        for carrier in "ipip", "gue":
            for outer in 4, 6:
                for inner in 4, 6:
                    self.exchange(f"generic: {carrier} IPv{inner} in IPv{outer}", inner, CE, 2,
                                  outer=outer, carrier=carrier, ecn=CE)
        self.decap.end()

    def interface_removed(self):
        in_ns("backend", "ip", "link", "add", "gone0", "type", "veth", "peer", "gone1")
        in_ns("backend", "ip", "link", "set", "gone0", "up")
        decap = Decap("--mode", MODE, "--interface", "gone0", *LISTS)
        in_ns("backend", "ip", "link", "delete", "gone0")
        try:
            status = decap.process.wait(5)
        except subprocess.TimeoutExpired:
            decap.process.kill()
            status = decap.process.wait()
        check("without its interface it exits with 69 and says so",
              status == 69 and "is gone" in decap.said(), f"{status}: {decap.said()}")


def usage_cases():
    unprivileged = ("setpriv", "--bounding-set", "-sys_admin,-bpf,-net_admin,-perfmon",
                    "--inh-caps", "-all")
    cases = ((["--mode", MODE], 64, "--interface is missing"),
             (mode_command("--device", "x0"), 64, "--mode tun"),
             (mode_command("--interface", DEVICE), 64, "twice"),
             (["--mode", "tun", "--interface", DEVICE], 64, "--mode xdp"),
             (["--mode", "tun", "--detach"], 64, "leaves nothing behind"),
             (mode_command(device="nowhere0"), 69, "nowhere0 does not exist"),
             (mode_command("--stats", "/nowhere/x"), 69, "/nowhere/x"))
    for options, status, says in cases:
        got, text = run_decap(*options)
        check(f"'{' '.join(options)}' exits with {status} and says why",
              got == status and says in text, f"{got}: {text}")
        check("and attaches nothing", not attached() and "clsact" not in qdiscs())
    got, text = run_decap(*mode_command(), prefix=unprivileged)
    check("without privilege it exits with 69 and names --mode tun",
          got == 69 and "--mode tun" in text and not attached(), f"{got}: {text}")


def reverse_path():
    """The filter is strict, as decap.sh has made it."""
    decap = KernelDecap(*LISTS)
    check("a strict reverse path filter is told of", "rp_filter=2" in decap.said(), decap.said())
    said = decap.said()
    check("a VIP that isn't local is named", f"{LATER_VIP} is no address" in said, said)
    check("those that are local aren't", VIP[4] + " " not in said and VIP[6] not in said, said)
    decap.end()
    in_ns("backend", "sh", "-c", f"echo 2 >/proc/sys/net/ipv4/conf/{DEVICE}/rp_filter")


def bpf_refused():
    try:
        program_pin(6, "/sys/fs/bpf/probe")
    except AssertionError as error:
        return str(error)
    return None


def main():
    refused = bpf_refused()
    if refused:
        print(f"skipped: this kernel refuses BPF here: {refused}")
        return 77
    test = KernelTest()
    captured(test.balancer.frames)
    test.control()
    usage_cases()
    reverse_path()
    test.decap = KernelDecap("--stats", STATS, *LISTS)
    check("nothing is said of the filter now", "rp_filter" not in test.decap.said(),
          test.decap.said())
    check("it holds two capabilities",
          set(capabilities(test.decap.process.pid).values()) == {1 << CAP_NET_ADMIN | 1 << CAP_BPF})
    captured(test.balancer.frames), captured(test.client_frames)
    test.families()
    test.variations()
    test.ecn()
    test.bad_packets()
    test.bad_outer()
    test.what_passes()
    test.direct_return()
    seen = captured(test.balancer.frames) + captured(test.client_frames)
    check("no ICMP error was sent", not refusals(seen), refusals(seen)[:3])
    test.follows_addresses()
    test.web()
    test.merged()
    idle_check(test.decap.process.pid)
    now = test.decap.counters()
    ends = sum(value for name, value in now.items()
               if name == "delivered" or name.startswith("drop_"))
    received = sum(value for name, value in now.items() if name.startswith("received_"))
    check("each packet received has one verdict", ends == received > 0, f"{ends}, {received}")
    with open(MANUAL) as manual:
        missing = set(now) - set(manual.read().split())
    check("the manual page names every counter", not missing, missing)
    test.killed()
    status, printed = test.decap.end()
    check("SIGTERM ends it with status 0", status == 0, f"{status} {test.decap.said()}")
    check("the counters are printed at the end", read_counters(printed).get("delivered") == 1,
          printed)
    check("nothing is attached then", not attached() and "clsact" not in qdiscs(), qdiscs())
    test.detach()
    test.taken_over()
    test.neighbours()
    test.interface_removed()
    if MODE == "xdp":
        test.generic()
    print(f"{decap_packets.failures} failed")
    return 1 if decap_packets.failures else 0


sys.exit(main())
