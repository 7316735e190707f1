# SPDX-License-Identifier: BSD-2-Clause
"""VIPs that are prefixes: the longest with a service for protocol and port wins, and within one
the exact port before any. Two addresses of a prefix are two flows' destinations."""
from scenario import *
from scapy.layers.inet6 import ICMPv6PacketTooBig


def send(s, inner, service, reason="maglev"):
    s.frame(to_balancer(inner), forward(to_gateway(ipip(built(inner))), service, reason=reason))


def ip(destination):
    if ":" in destination:
        return IPv6(src=CLIENT6, dst=destination)
    return IP(src=CLIENT4, dst=destination, flags="DF")


def tcp(destination, port, flags="S", sport=4242):
    return ip(destination) / TCP(sport=sport, dport=port, flags=flags)


def udp(destination, port, sport=4242):
    return ip(destination) / UDP(sport=sport, dport=port)


def which_service(s):
    # The address itself, the longest prefix, the next one; exact port before any.
    send(s, tcp("203.0.113.10", 443), "web")
    send(s, tcp("203.0.113.11", 443), "quarter")
    send(s, tcp("203.0.113.63", 443), "quarter")
    send(s, tcp("203.0.113.64", 443), "net")
    send(s, tcp("203.0.113.255", 443), "net")
    # Neither the address nor the longest prefix has the port: the next one.
    send(s, tcp("203.0.113.10", 80), "net-80")
    send(s, tcp("203.0.113.10", 8080), "net")
    send(s, tcp("203.0.113.200", 80), "net-80")
    send(s, tcp("203.0.113.200", 0), "net")
    # The first address of a prefix is none of it where it is a VIP by itself.
    send(s, tcp("203.0.113.0", 80), "first")
    send(s, tcp("203.0.113.0", 443), "quarter")
    # IPv6.
    send(s, tcp("2001:db8:a::10", 443), "web6")
    send(s, tcp("2001:db8:a::10", 444), "net6")
    send(s, tcp("2001:db8:a::11", 443), "net6")
    send(s, tcp("2001:db8:a:0:ffff:ffff:ffff:ffff", 443), "net6")
    send(s, tcp("2001:db8:a:1::", 443), "site6")
    send(s, udp("2001:db8:a::10", 53), "dns6")
    send(s, udp("2001:db8:a:ffff:ffff:ffff:ffff:ffff", 53), "dns6")


def whose_address(s):
    # Beside the prefixes, and within them without a service.
    for address in ("203.0.112.255", "203.0.114.0", "198.17.255.255", "198.20.0.0",
                    "2001:db8:9:ffff:ffff:ffff:ffff:ffff", "2001:db8:b::"):
        s.frame(to_balancer(tcp(address, 443)), passed("other_address"))
    s.frame(to_balancer(udp("203.0.113.64", 53)), drop("unmatched"))
    s.frame(to_balancer(tcp("2001:db8:a:1::", 80)), drop("unmatched"))
    s.frame(to_balancer(tcp("198.18.0.1", 80)), drop("unmatched"))
    s.frame(to_balancer(udp("2001:db8:a::10", 54)), drop("unmatched"))
    s.frame(to_balancer(IP(src=CLIENT4, dst="203.0.113.77", proto=132) / bytes(32)),
            drop("unmatched"))


def which_flow(s):
    # One source port: two addresses are two flows, and two ports are.
    send(s, udp("203.0.113.20", 53), "quarter-any")
    send(s, udp("203.0.113.21", 53), "quarter-any")
    send(s, udp("203.0.113.20", 54), "quarter-any")
    send(s, udp("203.0.113.20", 53), "quarter-any", "flow")
    send(s, udp("203.0.113.21", 53), "quarter-any", "flow")
    send(s, udp("203.0.113.20", 54), "quarter-any", "flow")
    send(s, udp("203.0.113.21", 54), "quarter-any")
    send(s, udp("2001:db8:a:1::1", 53), "dns6")
    send(s, udp("2001:db8:a:1::2", 53), "dns6")
    send(s, udp("2001:db8:a:2::1", 53), "dns6")
    send(s, udp("2001:db8:a:1::1", 53), "dns6", "flow")
    # By source: a client is one flow, whatever it talks to. By source and destination port: the
    # address doesn't count either.
    send(s, udp("198.18.0.1", 7), "sticky")
    send(s, udp("198.19.255.1", 8, sport=4243), "sticky", "flow")
    send(s, udp("198.18.64.1", 7), "half")
    send(s, udp("198.18.127.2", 7, sport=4243), "half", "flow")
    send(s, udp("198.18.127.2", 8), "half")


def fragments(s):
    whole = ip("203.0.113.20") / UDP(sport=5000, dport=99) / bytes(64)
    whole[IP].flags = 0
    whole[IP].id = 7
    data = raw(built(whole))[20:]
    first = IP(src=CLIENT4, dst="203.0.113.20", id=7, flags="MF", proto=17) / data[:40]
    later = IP(src=CLIENT4, dst="203.0.113.20", id=7, frag=5, proto=17) / data[40:]
    for fragment, reason in ((first, "maglev"), (later, "flow")):
        # What wraps a fragment may be fragmented, so its ID is shunt's to choose.
        s.frame(to_balancer(fragment), forward(to_gateway(ipip(built(fragment))), "quarter-any",
                                               reason=reason, free=("IP.id",)))


def errors(s):
    """From a router, about what a backend sent from an address of the prefix."""
    answer = IP(src="203.0.113.20", dst=CLIENT4) / UDP(sport=53, dport=4242) / bytes(100)
    about = raw(built(answer))[:28]
    error = IP(src="198.51.100.1", dst="203.0.113.20", flags="DF") / ICMP(
        type=3, code=4, nexthopmtu=1400) / about
    send(s, error, "quarter-any", "icmp_error")
    # An address beside it in the same prefix sent nothing of the kind.
    s.frame(to_balancer(IP(src="198.51.100.1", dst="203.0.113.21") / ICMP(type=3, code=4) / about),
            drop("icmp_unrelated"))
    answer6 = IPv6(src="2001:db8:a:1::1", dst=CLIENT6) / UDP(sport=53, dport=4242) / bytes(100)
    error6 = IPv6(src="2001:db8:9::1", dst="2001:db8:a:1::1") / ICMPv6PacketTooBig(
        mtu=1400) / raw(built(answer6))
    send(s, error6, "dns6", "icmp_error")
    ping = IP(src=CLIENT4, dst="203.0.113.77", ttl=9) / ICMP(id=1, seq=2) / b"a prefix answers"
    pong = IP(src="203.0.113.77", dst=CLIENT4, ttl=64) / ICMP(
        type=0, id=1, seq=2) / b"a prefix answers"
    s.frame(to_balancer(ping), reply(Ether(src=BALANCER, dst=ROUTER) / pong, "echo"))


def packets(s):
    which_service(s)
    whose_address(s)
    which_flow(s)
    fragments(s)
    errors(s)
