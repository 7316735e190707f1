# SPDX-License-Identifier: BSD-2-Clause
"""What isn't for a service is the kernel's, however it looks; what only looks like it is not."""
from scenario import *


def packets(s):
    tcp = TCP(sport=4242, dport=443, flags="S")
    s.frame(to_balancer(ARP(pdst=VIP4)), passed("not_ip"))
    s.frame(Ether(src=ROUTER, dst="ff:ff:ff:ff:ff:ff") / ARP(pdst=VIP4), passed("not_ip"))
    s.frame(Ether(src=ROUTER, dst=BALANCER, type=0x88cc) / bytes(46), passed("not_ip"))
    s.frame(Ether(src=ROUTER, dst="02:00:00:00:00:77") / IP(src=CLIENT4, dst=VIP4) / tcp,
            passed("other_mac"))

    # Another address: passed even where the packet is broken in every way that a VIP's isn't.
    other = IP(src=CLIENT4, dst="192.0.2.1")
    for inner in (other / tcp, other / ICMP(), IP(src=CLIENT4, dst="192.0.2.1", ttl=0) / tcp,
                  IP(src=CLIENT4, dst="192.0.2.1", chksum=1) / tcp,
                  IP(src=CLIENT4, dst="192.0.2.1", version=5) / tcp,
                  IP(src=CLIENT4, dst="192.0.2.1", ihl=4) / tcp,
                  IP(src=CLIENT4, dst="192.0.2.1", len=1000) / tcp,
                  IP(src=CLIENT4, dst="192.0.2.1", flags="MF") / tcp,
                  IP(src="127.0.0.1", dst="192.0.2.1") / tcp,
                  IPv6(src=CLIENT6, dst="2001:db8::99") / tcp,
                  IPv6(src=CLIENT6, dst="fe80::1", hlim=255) / ICMPv6EchoRequest(),
                  IPv6(src=CLIENT6, dst="2001:db8::99") / IPv6ExtHdrHopByHop() / tcp,
                  IPv6(src=CLIENT6, dst="2001:db8::99", plen=2000) / tcp):
        s.frame(to_balancer(inner), passed("other_address"))
    # DHCP, multicast: group frames that are for nobody's VIP.
    s.frame(Ether(src=ROUTER, dst="ff:ff:ff:ff:ff:ff") /
            IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67),
            passed("other_address"))
    s.frame(Ether(src=ROUTER, dst="33:33:00:00:00:01") / IPv6(src=CLIENT6, dst="ff02::1") /
            ICMPv6EchoRequest(), passed("other_address"))
    # A v4-mapped destination on the wire is not the IPv4 VIP that it spells.
    s.frame(to_balancer(IPv6(src=CLIENT6, dst="::ffff:203.0.113.10") / tcp),
            passed("other_address"))
    s.frame(Ether(src=BALANCER, dst=BALANCER) / IP(src=CLIENT4, dst=VIP4) / tcp, drop("own_mac"))
