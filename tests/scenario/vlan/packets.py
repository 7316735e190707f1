# SPDX-License-Identifier: BSD-2-Clause
"""VLAN tags (IEEE 802.1Q): up to two, which no forwarded frame keeps and every answer does."""
from scenario import *

TAGS = (
    (),
    ((0x8100, 7),),
    ((0x8100, 0),),  # a priority tag: no VLAN
    ((0x88a8, 100), (0x8100, 7)),
    ((0x8100, 100), (0x8100, 7)),
    ((0x8100, 4095), (0x88a8, 1)),
)


def tagged(tags, packet, src=ROUTER, dst=BALANCER):
    frame = raw(Ether(src=src, dst=dst, type=0))[:12]
    for kind, vlan in tags:
        frame += kind.to_bytes(2, "big") + (5 << 13 | vlan).to_bytes(2, "big")
    return Raw(frame + (0x86dd if is_v6(packet) else 0x0800).to_bytes(2, "big") + raw(packet))


def forwarded(s, way, six, tags, sport):
    for payload in (b"", b"x", bytes(1200)):
        segment = built(header_to(way, six) / TCP(sport=sport, dport=443, flags="S") / payload)
        s.frame(tagged(tags, segment), to_backend(segment, way))
    # Padding that fills a frame of 64 bytes up does not become payload, with tags or without.
    datagram = built(header_to(way, six) / UDP(sport=sport, dport=53))
    s.frame(raw(tagged(tags, datagram)) + b"\xa5" * 18, to_backend(datagram, way, "udp"))
    s.frame(tagged(tags, datagram), to_backend(datagram, way, "udp", "flow"))


def answered(s, six, tags):
    way = "ipip"
    ping = built(header_to(way, six) / (ICMPv6EchoRequest(id=1, seq=2, data=b"hello") if six
                                        else ICMP(id=1, seq=2) / b"hello"))
    s.frame(tagged(tags, ping), reply(tagged(tags, echoed(ping), BALANCER, ROUTER), "echo"))
    s.wait(1)
    big = sized(header_to(way, six, **({} if six else {"flags": "DF"})) / TCP(dport=443), 1481)
    s.frame(tagged(tags, big),
            reply(tagged(tags, too_big(big, 1480), BALANCER, ROUTER), "path_mtu"))
    # A group address can't be answered, and is nobody's to send from (IEEE 802.3 section 3.2.3).
    s.frame(tagged(tags, ping, "03:00:00:00:00:aa"), drop("icmp"))


def packets(s):
    for number, tags in enumerate(TAGS):
        for six in (False, True):
            for way in WAYS:
                forwarded(s, way, six, tags, 1000 + number)
            answered(s, six, tags)

    syn4 = IP(src=CLIENT4, dst=VIP4) / TCP(dport=443, flags="S")
    syn6 = IPv6(src=CLIENT6, dst=VIP6) / TCP(dport=443, flags="S")
    for syn in (syn4, syn6):
        for three in (((0x8100, 1),) * 3, ((0x88a8, 1),) * 3, ((0x88a8, 1),) * 5):
            s.frame(tagged(three, syn), drop("tags"))
        two = raw(tagged(TAGS[3], syn))
        for length in (14, 15, 17, 18, 21, 22):
            s.frame(two[:length], drop("truncated"))
        s.frame(tagged(TAGS[3], syn, dst="ff:ff:ff:ff:ff:ff"), drop("l2_group"))
        s.frame(tagged(TAGS[3], syn, dst="02:00:00:00:00:77"), passed("other_mac"))
        s.frame(tagged(TAGS[3], syn, src=BALANCER), drop("own_mac"))
        other = syn.copy()
        other.dst = "2001:db8::99" if is_v6(syn) else "192.0.2.1"
        s.frame(tagged(TAGS[1], other), passed("other_address"))
    # The length is counted from behind the tags.
    s.frame(raw(tagged(TAGS[3], built(syn4)))[:-1], drop("bad_len"))
    s.frame(raw(tagged(TAGS[3], built(syn6)))[:-1], drop("bad_len"))
    s.frame(Ether(src=ROUTER, dst=BALANCER) / Dot1Q(vlan=7) / ARP(pdst=VIP4), passed("not_ip"))
    s.frame(Ether(src=ROUTER, dst=BALANCER) / Dot1Q(vlan=7, type=0x9100) / bytes(40),
            passed("not_ip"))
