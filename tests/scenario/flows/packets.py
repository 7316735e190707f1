# SPDX-License-Identifier: BSD-2-Clause
"""What is remembered, under which key, and for how long (the timeout here is 32 s)."""
from scenario import *


def send(s, inner, reason, service="web"):
    s.frame(to_balancer(inner),
            forward(to_gateway(ipip(built(inner))), service, reason=reason))


def tcp(sport, flags, client=CLIENT4):
    return IP(src=client, dst=VIP4, flags="DF") / TCP(sport=sport, dport=443, flags=flags)


def udp(vip, sport, dport, client=CLIENT4):
    return IP(src=client, dst=vip, flags="DF") / UDP(sport=sport, dport=dport)


def packets(s):
    # A SYN is not remembered, however often it comes; the first other packet is.
    send(s, tcp(4242, "S"), "maglev")
    send(s, tcp(4242, "S"), "maglev")
    send(s, tcp(4242, "A"), "maglev")
    send(s, tcp(4242, "A"), "flow")
    send(s, tcp(4242, "FA"), "flow")
    send(s, tcp(4242, "S"), "flow")
    send(s, tcp(4243, "SA"), "maglev")  # not an opening SYN
    send(s, tcp(4243, "R"), "flow")

    # UDP is, with its first packet; by address and port, each service for itself.
    send(s, udp(VIP4, 4242, 53), "maglev", "dns")
    send(s, udp(VIP4, 4242, 53), "flow", "dns")
    send(s, udp(VIP4, 4243, 53), "maglev", "dns")
    send(s, udp(VIP4, 4242, 53, "198.51.100.8"), "maglev", "dns")

    # Any port: two ports are two flows.
    send(s, udp("203.0.113.11", 7, 1000), "maglev", "any")
    send(s, udp("203.0.113.11", 7, 1001), "maglev", "any")
    send(s, udp("203.0.113.11", 7, 1000), "flow", "any")
    # By source: one client is one flow. By source and destination port: as many as ports.
    send(s, udp("203.0.113.12", 7, 53), "maglev", "sticky")
    send(s, udp("203.0.113.12", 8, 53), "flow", "sticky")
    send(s, udp("203.0.113.12", 8, 53, "198.51.100.8"), "maglev", "sticky")
    send(s, udp("203.0.113.13", 7, 1000), "maglev", "half")
    send(s, udp("203.0.113.13", 8, 1000), "flow", "half")
    send(s, udp("203.0.113.13", 8, 1001), "maglev", "half")

    # Spoken within the timeout: remembered. Silent for longer: forgotten.
    s.wait(30)
    send(s, tcp(4242, "A"), "flow")
    s.wait(30)
    send(s, tcp(4242, "A"), "flow")
    send(s, udp(VIP4, 4243, 53), "maglev", "dns")
    s.wait(34)
    send(s, tcp(4242, "A"), "maglev")
    send(s, udp(VIP4, 4242, 53), "maglev", "dns")
    s.wait(100000)
    send(s, tcp(4242, "A"), "maglev")
