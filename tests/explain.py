#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What `shunt explain` tells of frames that scapy makes: offline, without any other process. That
it gives every frame of every scenario the verdict that replay gives is in tests/scenario/run.py.

usage: explain.py SHUNT
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

SHUNT = sys.argv.pop(1) if len(sys.argv) > 1 else sys.exit(__doc__)
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "scenario"))

from scenario import (ARP, BACKEND4, BALANCER, CLIENT4, CLIENT6, GATEWAY, ICMP, IP, ROUTER,  # noqa: E402
                      SOURCE4, TCP, UDP, VIP4, VIP6, Dot1Q, Ether, ICMPv6EchoRequest, IPv6,
                      IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, Raw, raw,
                      to_balancer)
from scapy.layers.inet import fragment  # noqa: E402
from scapy.layers.inet6 import ICMPv6PacketTooBig, PadN  # noqa: E402
from scapy.utils import RawPcapWriter  # noqa: E402

CONFIG = f"""version: 1
fleet_seed: "000102030405060708090a0b0c0d0e0f"
dataplane:
  interfaces:
    - name: uplink0
      mac: "{BALANCER}"
      gateway_mac: "{GATEWAY}"
      mtu: 1500
      answer: arp
defaults: {{ encapsulation: ipip, outer_source_v4: {SOURCE4} }}
services:
  - {{ name: web, vip: {VIP4}, protocol: tcp, port: 443, backends: [{{ address: {BACKEND4} }}] }}
  - {{ name: web6, vip: "{VIP6}", protocol: tcp, port: 443, backends: [{{ address: {BACKEND4} }}] }}
  - {{ name: dns, vip: {VIP4}, protocol: udp, port: 53, backends: [{{ address: {BACKEND4} }}] }}
"""
DIRECTORY = tempfile.TemporaryDirectory()
FILE = pathlib.Path(DIRECTORY.name) / "shunt.yaml"
FILE.write_text(CONFIG)
SYN = to_balancer(IP(src=CLIENT4, dst=VIP4, flags="DF") / TCP(sport=4242, dport=443, flags="S"))


def shunt(*arguments, stdin=None):
    return subprocess.run([SHUNT, "explain", "-f", FILE, *map(str, arguments)],
                          capture_output=True, text=True, input=stdin, timeout=60)


def capture(frames, name="frames.pcap", linktype=1, **cut):
    path = pathlib.Path(DIRECTORY.name) / name
    writer = RawPcapWriter(str(path), linktype=linktype)
    writer.write_header(None)
    for i, frame in enumerate(frames):
        data = raw(frame)
        writer._write_packet(data[:cut.get("snap", len(data))], sec=1_700_000_000, usec=i * 1000,
                             caplen=min(len(data), cut.get("snap", len(data))), wirelen=len(data))
    writer.close()
    return path


class Case(unittest.TestCase):
    def explain(self, frame):
        done = shunt("--json", "--hex", raw(frame).hex())
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads(done.stdout)

    def expect(self, frame, verdict, reason, *parts):
        """The verdict, and what the sentences of `why` say among them."""
        answer = self.explain(frame)
        self.assertEqual((answer["verdict"], answer["reason"]), (verdict, reason), answer)
        self.assertEqual(answer["doc"], f"docs/verdicts.md#{reason}")
        self.assertTrue(answer["advice"] and answer["text"])
        for part in parts:
            self.assertIn(part, " / ".join(answer["why"]))
        return answer


class Seen(Case):
    def test_a_frame_is_the_flow_that_it_belongs_to(self):
        answer = self.expect(SYN, "forward", "maglev", "service web hashes by 5-tuple")
        flow = json.loads(shunt("--json", f"tcp {CLIENT4}:4242 {VIP4}:443").stdout)
        for key in ("service", "backend", "slot", "hash", "outer", "encapsulation", "verdict"):
            self.assertEqual(answer[key], flow[key], key)
        self.assertEqual(answer["outer"]["source"], SOURCE4)
        self.assertIsNone(answer["reply"])
        self.assertNotIn("seen", flow)
        seen = answer["seen"]
        self.assertEqual((seen["source_mac"], seen["destination_mac"], seen["ethertype"]),
                         (ROUTER, BALANCER, "0x0800"))
        self.assertEqual(seen["transport"], {"protocol": "tcp", "source_port": 4242,
                                             "destination_port": 443, "flags": "SYN"})
        self.assertEqual({k: seen["ip"][k] for k in ("version", "source", "destination", "ttl",
                                                     "df", "bytes", "header_bytes")},
                         {"version": 4, "source": CLIENT4, "destination": VIP4, "ttl": 64,
                          "df": True, "bytes": 40, "header_bytes": 20})

    def test_tags(self):
        inner = SYN[IP]
        frame = Ether(src=ROUTER, dst=BALANCER, type=0x88A8) / Dot1Q(vlan=7, prio=3) / \
            Dot1Q(vlan=4000) / inner
        answer = self.expect(frame, "forward", "maglev")
        self.assertEqual(answer["seen"]["tags"],
                         [{"type": "0x88a8", "vlan": 7, "priority": 3},
                          {"type": "0x8100", "vlan": 4000, "priority": 0}])
        frame = Ether(src=ROUTER, dst=BALANCER) / Dot1Q(vlan=1) / Dot1Q(vlan=2) / \
            Dot1Q(vlan=3) / inner
        answer = self.expect(frame, "drop", "tags", "it has 3 VLAN tags")
        self.assertEqual([t["vlan"] for t in answer["seen"]["tags"]], [1, 2, 3])
        self.assertNotIn("ip", answer["seen"])

    def test_extension_headers(self):
        packet = IPv6(src=CLIENT6, dst=VIP6) / IPv6ExtHdrHopByHop() / \
            IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(12))]) / TCP(sport=1, dport=443)
        seen = self.expect(to_balancer(packet), "forward", "maglev")["seen"]
        self.assertEqual([(e["number"], e["bytes"]) for e in seen["ip"]["extensions"]],
                         [(0, 8), (60, 16)])
        self.assertEqual(seen["transport"]["destination_port"], 443)
        headers = b"".join(bytes([60, 0, 1, 4, 0, 0, 0, 0]) for _ in range(6))
        packet = IPv6(src=CLIENT6, dst=VIP6, nh=60) / Raw(
            headers + bytes([6, 0, 1, 4, 0, 0, 0, 0]) + raw(TCP(sport=1, dport=443)))
        self.expect(to_balancer(packet), "drop", "extensions", "behind 6 IPv6 extension headers")

    def test_whose_it_is(self):
        self.expect(Ether(src=ROUTER, dst="02:00:00:00:00:77") / SYN[IP], "pass", "other_mac",
                    "02:00:00:00:00:77", BALANCER)
        self.expect(Ether(src=BALANCER, dst=BALANCER) / SYN[IP], "drop", "own_mac", BALANCER)
        self.expect(Ether(src=ROUTER, dst="ff:ff:ff:ff:ff:ff") / SYN[IP], "drop", "l2_group",
                    "ff:ff:ff:ff:ff:ff")
        self.expect(Ether(src=ROUTER, dst=BALANCER, type=0x88CC) / Raw(bytes(46)), "pass", "not_ip",
                    "0x88cc")

    def test_lengths(self):
        self.expect(Raw(raw(SYN)[:20]), "drop", "truncated", "20 bytes")
        self.expect(Raw(raw(SYN)[:13]), "drop", "truncated", "13 bytes")
        self.expect(Raw(raw(SYN)[:-5]), "drop", "bad_len", "speaks of 40 bytes, and 35 came")
        self.expect(to_balancer(IP(src=CLIENT4, dst=VIP4) / UDP(sport=1, dport=53, len=50)), "drop",
                    "bad_len", "all of the IP packet's 28 bytes")


class Answered(Case):
    def test_echo(self):
        reply = self.expect(to_balancer(IP(src=CLIENT4, dst=VIP4) / ICMP() / Raw(bytes(32))),
                            "reply", "echo")["reply"]
        self.assertEqual(reply, {"type": "echo reply", "to": CLIENT4, "to_mac": ROUTER,
                                 "bytes": 14 + 20 + 8 + 32})
        packet = IPv6(src=CLIENT6, dst=VIP6) / ICMPv6EchoRequest()
        self.assertEqual(self.expect(to_balancer(packet), "reply", "echo")["reply"]["to"], CLIENT6)

    def test_arp(self):
        frame = Ether(src=ROUTER, dst="ff:ff:ff:ff:ff:ff") / ARP(
            hwsrc=ROUTER, psrc="203.0.113.1", pdst=VIP4)
        answer = self.expect(frame, "reply", "arp")
        self.assertEqual(answer["reply"]["type"], "ARP reply")
        self.assertEqual(answer["seen"]["arp"],
                         {"operation": 1, "sender": "203.0.113.1", "target": VIP4})

    def test_too_big_with_df(self):
        """RFC 1191: what fits is the path less the outer header, 20 bytes of IPv4."""
        packet = IP(src=CLIENT4, dst=VIP4, flags="DF") / TCP(sport=4242, dport=443, flags="A") / \
            Raw(bytes(1441))
        answer = self.expect(to_balancer(packet), "reply", "path_mtu",
                             "1481 bytes, its overhead is 20", "takes 1500: up to 1480 fit", "DF")
        self.assertEqual(answer["reply"]["type"], "fragmentation needed")
        self.assertEqual((answer["reply"]["mtu"], answer["reply"]["to"]), (1480, CLIENT4))
        self.assertEqual((answer["service"], answer["backend"]), ("web", BACKEND4))
        self.assertEqual(answer["reply"]["bytes"], 14 + 20 + 8 + 528)
        packet[IP].flags = 0
        packet = IP(raw(packet.__class__(src=CLIENT4, dst=VIP4) / packet[TCP]))
        answer = self.expect(to_balancer(packet), "drop", "too_big", "shunt does not fragment")
        self.assertIsNone(answer["reply"])
        text = shunt("--hex", raw(to_balancer(packet)).hex()).stdout
        self.assertIn("sender    gets nothing back", text)

    def test_too_big_over_ipv6(self):
        packet = IPv6(src=CLIENT6, dst=VIP6) / TCP(sport=4242, dport=443, flags="A") / \
            Raw(bytes(1421))
        answer = self.expect(to_balancer(packet), "reply", "path_mtu", "never fragmented")
        self.assertEqual((answer["reply"]["type"], answer["reply"]["mtu"]),
                         ("packet too big", 1480))


class Errors(Case):
    """RFC 792: an error embeds the IP header and eight bytes of what follows."""

    SENT = IP(raw(IP(src=VIP4, dst=CLIENT4, flags="DF") / TCP(sport=443, dport=4242, flags="A")))

    def error(self, sent, to=VIP4):
        return to_balancer(IP(src="192.0.2.1", dst=to) / ICMP(type=3, code=4, nexthopmtu=1400) /
                           Raw(raw(sent)[:28]))

    def test_it_goes_where_the_flow_goes(self):
        answer = self.expect(self.error(self.SENT), "forward", "icmp_error",
                             f"about a packet from {VIP4} port 443 to {CLIENT4} port 4242")
        flow = self.explain(SYN)
        for key in ("service", "backend", "slot"):
            self.assertEqual(answer[key], flow[key], key)
        icmp = answer["seen"]["icmp"]
        self.assertEqual((icmp["type"], icmp["code"], icmp["mtu"]), (3, 4, 1400))
        self.assertEqual(icmp["embedded"], {"protocol": "tcp", "source": VIP4, "source_port": 443,
                                            "destination": CLIENT4, "destination_port": 4242})

    def test_over_ipv6(self):
        sent = IPv6(src=VIP6, dst=CLIENT6) / TCP(sport=443, dport=4242)
        packet = IPv6(src="2001:db8::1", dst=VIP6) / ICMPv6PacketTooBig(mtu=1300) / sent
        answer = self.expect(to_balancer(packet), "forward", "icmp_error", "packet too big")
        self.assertEqual((answer["service"], answer["seen"]["icmp"]["mtu"]), ("web6", 1300))

    def test_a_forged_one(self):
        sent = IP(raw(IP(src="203.0.113.77", dst=CLIENT4) / TCP(sport=443, dport=4242)))
        self.expect(self.error(sent), "drop", "icmp_unrelated", f"sent to {VIP4}",
                    "came from 203.0.113.77")

    def test_about_no_service(self):
        sent = IP(raw(IP(src=VIP4, dst=CLIENT4) / TCP(sport=444, dport=4242)))
        self.expect(self.error(sent), "drop", "icmp_unrelated", f"{VIP4} port 444 by tcp")

    def test_other_icmp(self):
        self.expect(to_balancer(IP(src=CLIENT4, dst=VIP4) / ICMP(type=13)), "drop", "icmp",
                    "type 13 (timestamp request)")
        self.expect(self.error(Raw(raw(self.SENT)[:24])), "drop", "icmp", "cut before its first 8")
        self.expect(to_balancer(IP(src=CLIENT4, dst=VIP4, flags="MF") / ICMP() / Raw(bytes(16))),
                    "drop", "icmp", "ICMP in fragments")


class Fragments(Case):
    def setUp(self):
        whole = IP(src=CLIENT4, dst=VIP4, id=77) / UDP(sport=4242, dport=53) / Raw(bytes(2000))
        self.first, self.last = [to_balancer(f) for f in fragment(IP(raw(whole)), 1200)]

    def test_alone(self):
        answer = self.expect(self.first, "forward", "maglev", "first fragment of datagram 0x4d")
        self.assertEqual(answer["seen"]["fragment"],
                         {"id": "0x4d", "offset": 0, "more": True, "first": True})
        answer = self.expect(self.last, "drop", "fragment", "no frame before this one",
                             "--with-history", "1200 bytes into it")
        self.assertEqual(answer["seen"]["fragment"],
                         {"id": "0x4d", "offset": 1200, "more": False, "first": False})
        self.assertNotIn("transport", answer["seen"])
        self.assertIn("kernel", answer["engines"])

    def test_history(self):
        path = capture([SYN, self.first, self.last])
        alone = json.loads(shunt("--json", "--in", path, "--frame", 2).stdout)
        self.assertEqual((alone["reason"], alone["capture"]["with_history"]), ("fragment", False))
        done = shunt("--json", "--in", path, "--frame", 2, "--with-history")
        after = json.loads(done.stdout)
        self.assertEqual((after["verdict"], after["service"]), ("forward", "dns"))
        self.assertIn("from port 4242 to port 53", " ".join(after["why"]))
        self.assertEqual((after["capture"]["frame"], after["capture"]["with_history"]), (2, True))
        late = capture([self.last, self.first])
        after = json.loads(shunt("--json", "--in", late, "--frame", 0, "--with-history").stdout)
        self.assertIn("no first fragment of it came within the 30 s before",
                      " ".join(after["why"]))

    def test_over_ipv6(self):
        packet = IPv6(src=CLIENT6, dst=VIP6) / IPv6ExtHdrFragment(offset=100, m=1, id=9, nh=6) / \
            Raw(bytes(16))
        seen = self.expect(to_balancer(packet), "drop", "fragment", "800 bytes into it")["seen"]
        self.assertEqual(seen["fragment"], {"id": "0x9", "offset": 800, "more": True,
                                            "first": False})
        self.assertEqual([e["name"] for e in seen["ip"]["extensions"]], ["fragment"])

    def test_bad_ones(self):
        tiny = IP(src=CLIENT4, dst=VIP4, flags="MF", proto=6) / Raw(bytes(8))
        self.expect(to_balancer(tiny), "drop", "tiny_fragment", "8 bytes", "cut the transport")
        over = IP(src=CLIENT4, dst=VIP4, frag=1, proto=6) / Raw(bytes(40))
        self.expect(to_balancer(over), "drop", "tiny_fragment", "begins 8 bytes", "RFC 1858")
        odd = IP(src=CLIENT4, dst=VIP4, flags="MF", proto=17) / Raw(raw(UDP(dport=53)) + bytes(5))
        self.expect(to_balancer(odd), "drop", "bad_len", "13 bytes with more to come")


class Input(Case):
    def refused(self, code, part, *arguments, stdin=None):
        done = shunt(*arguments, stdin=stdin)
        self.assertEqual((done.returncode, done.stdout), (code, ""), arguments)
        self.assertIn(part, done.stderr)

    def test_ways_to_write_a_frame(self):
        data = raw(SYN)
        lines = ["".join(f"{data[i:i + 16][k:k + 2].hex()} " for k in range(0, 16, 2)).strip()
                 for i in range(0, len(data), 16)]
        wanted = shunt("--hex", data.hex()).stdout
        self.assertIn("forward (maglev)", wanted)
        self.assertEqual(shunt("--hex", data.hex(":")).stdout, wanted)
        for dump in ("".join(f"{i * 16:08x}: {line:39}  ab cd..\n" for i, line in enumerate(lines)),
                     "".join(f"\t0x{i * 16:04x}:  {line:39}  ab..\n" for i, line in enumerate(lines)),
                     "\n".join(lines)):
            self.assertEqual(shunt("--hex", "-", stdin=dump).stdout, wanted, dump)
            self.assertEqual(shunt("--hex", dump).stdout, wanted, dump)

    def test_bad_digits(self):
        self.refused(64, "half a byte", "--hex", "020")
        self.refused(64, "'z'", "--hex", "02zz")
        self.refused(64, "no byte", "--hex", "")
        self.refused(64, "no byte", "--hex", "-", stdin="")
        self.refused(64, "longer than", "--hex", "-", stdin="00" * 140000)
        self.refused(64, "no frame in hexadecimal", "--hex", "-", stdin="0" * 2000000)

    def test_bad_captures(self):
        path = capture([SYN, SYN])
        self.refused(65, "has no frame 2: it has 2", "--in", path, "--frame", 2)
        self.refused(65, "has no frame 7", "--in", path, "--frame", "7-")
        self.assertEqual(shunt("--in", path, "--frame", "1-5").returncode, 65)
        self.refused(66, "no Ethernet", "--in", capture([SYN], "ip.pcap", linktype=101),
                     "--frame", 0)
        self.refused(66, "cannot read the capture", "--in", FILE, "--frame", 0)
        for number in ("x", "-1", "2-1", "1-2-3", "", "1-x", "99999999999"):
            self.refused(64, "cannot read the frame number", "--in", path, f"--frame={number}")
        broken = pathlib.Path(DIRECTORY.name) / "broken.pcap"
        broken.write_bytes(path.read_bytes()[:-7])
        self.refused(66, "breaks off after 1 whole frames", "--in", broken, "--frame", 1)

    def test_bad_usage(self):
        path = capture([SYN])
        for arguments in (("--in", path), ("--frame", 0), ("--hex", "00", "tcp 1:1 2:2"),
                          ("--hex", "00", "--in", path, "--frame", 0), ("--with-history", "x"),
                          ("--hex", "00", "--with-history")):
            self.refused(64, "usage:", *arguments)
        done = subprocess.run([SHUNT, "explain", "--with-history", "--in", path, "--frame", "0"],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 64)
        self.assertIn("-f FILE", done.stderr)

    def test_ranges(self):
        path = capture([SYN, Raw(raw(SYN)[:-5]), SYN])
        for text, wanted in (("0-", [0, 1, 2]), ("1-2", [1, 2]), ("2", [2]), ("1-1", [1])):
            lines = shunt("--json", "--in", path, "--frame", text).stdout.splitlines()
            self.assertEqual([json.loads(line)["capture"]["frame"] for line in lines], wanted)
        self.assertIn(f"{path} frame 1\n", shunt("--in", path, "--frame", 1).stdout)

    def test_cut_by_the_capture(self):
        path = capture([SYN], "cut.pcap", snap=40)
        answer = json.loads(shunt("--json", "--in", path, "--frame", 0).stdout)
        self.assertEqual(answer["reason"], "bad_len")
        self.assertIn("the capture holds 40 of its 54 bytes", answer["why"][-1])


unittest.main()
