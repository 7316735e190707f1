# SPDX-License-Identifier: BSD-2-Clause
"""`answer: arp`: who asks for a VIP by ARP or neighbour discovery is answered; for anything else
the kernel is asked."""
from scapy.layers.inet6 import (ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr,
                                ICMPv6NDOptSrcLLAddr)

from scenario import *

BROADCAST = "ff:ff:ff:ff:ff:ff"
NEIGHBOUR4, NEIGHBOUR6 = "203.0.113.254", "2001:db8:a::fe"
GROUP6, GROUP6_MAC = "ff02::1:ff00:10", "33:33:ff:00:00:10"  # of VIP6


def arp(s):
    # RFC 826: the answer has sender and target changed over.
    ask = ARP(op="who-has", hwsrc=ROUTER, psrc=NEIGHBOUR4, pdst=VIP4)
    tell = Ether(src=BALANCER, dst=ROUTER) / ARP(
        op="is-at", hwsrc=BALANCER, psrc=VIP4, hwdst=ROUTER, pdst=NEIGHBOUR4)
    s.frame(Ether(src=ROUTER, dst=BROADCAST) / ask, reply(tell, "arp"))
    s.frame(Ether(src=ROUTER, dst=BALANCER) / ask, reply(tell, "arp"))
    # Padding stays: the answer is no shorter than Ethernet allows.
    s.frame(Ether(src=ROUTER, dst=BROADCAST) / ask / Raw(bytes(18)),
            reply(tell / Raw(bytes(18)), "arp"))
    # RFC 5227 section 2.1.1: a probe has no sender yet.
    probe = ARP(op="who-has", hwsrc=ROUTER, psrc="0.0.0.0", pdst=VIP4)
    s.frame(Ether(src=ROUTER, dst=BROADCAST) / probe,
            reply(Ether(src=BALANCER, dst=ROUTER) / ARP(
                op="is-at", hwsrc=BALANCER, psrc=VIP4, hwdst=ROUTER, pdst="0.0.0.0"), "arp"))
    for other in (
            ARP(op="who-has", hwsrc=ROUTER, psrc=NEIGHBOUR4, pdst="203.0.113.11"),
            ARP(op="who-has", hwsrc=ROUTER, psrc=VIP4, pdst=VIP4),  # somebody announces our VIP
            ARP(op="is-at", hwsrc=ROUTER, psrc=NEIGHBOUR4, hwdst=BALANCER, pdst=VIP4)):
        s.frame(Ether(src=ROUTER, dst=BROADCAST) / other, passed("not_ip"))


def solicitation(target=VIP6, option=True, **fields):
    body = ICMPv6ND_NS(tgt=target)
    if option:
        body = body / ICMPv6NDOptSrcLLAddr(lladdr=ROUTER)
    return IPv6(**{"src": NEIGHBOUR6, "dst": GROUP6, "hlim": 255, **fields}) / body


def advertisement(to, solicited):
    # RFC 4861 section 7.2.4: our address, the override flag, our MAC.
    return IPv6(src=VIP6, dst=to, hlim=255) / ICMPv6ND_NA(
        R=0, S=solicited, O=1, tgt=VIP6) / ICMPv6NDOptDstLLAddr(lladdr=BALANCER)


def neighbour(s):
    to_group = Ether(src=ROUTER, dst=GROUP6_MAC)
    tell = Ether(src=BALANCER, dst=ROUTER) / advertisement(NEIGHBOUR6, 1)
    s.frame(to_group / solicitation(), reply(tell, "neighbour"))
    s.frame(to_group / solicitation(option=False), reply(tell, "neighbour"))
    s.frame(to_balancer(solicitation(dst=VIP6)), reply(tell, "neighbour"))
    # RFC 4862 section 5.4.3: who probes gets to know it with everyone.
    s.frame(to_group / solicitation(src="::", option=False),
            reply(Ether(src=BALANCER, dst="33:33:00:00:00:01") / advertisement("ff02::1", 0),
                  "neighbour"))
    # RFC 4861 section 7.1.1: what makes a solicitation invalid.
    s.frame(to_group / solicitation(hlim=254), passed("other_address"))
    s.frame(to_balancer(solicitation(dst=VIP6, hlim=64)), drop("icmp"))
    s.frame(to_group / solicitation(src="::"), passed("other_address"))
    broken = built(solicitation())
    broken[ICMPv6ND_NS].cksum = 1
    s.frame(to_group / broken, passed("other_address"))
    s.frame(to_group / solicitation(target="2001:db8:a::11"), passed("other_address"))
    ping = built(IPv6(src=NEIGHBOUR6, dst=VIP6) / ICMPv6EchoRequest())
    s.frame(to_balancer(ping), reply(to_router(echoed(ping)), "echo"))


def packets(s):
    arp(s)
    neighbour(s)
    syn = IP(src=CLIENT4, dst=VIP4, flags="DF") / TCP(sport=4242, dport=443, flags="S")
    s.frame(to_balancer(syn), forward(to_gateway(ipip(built(syn)))))
