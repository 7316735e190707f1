#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Sends one IPIP packet: an echo request to a VIP, wrapped for a backend.

usage: wrapped.py INTERFACE MAC BACKEND VIP
"""
import sys

from scapy.all import ICMP, IP, Ether, sendp

interface, mac, backend, vip = sys.argv[1:]
inner = IP(src="198.51.100.2", dst=vip) / ICMP()
sendp(Ether(dst=mac) / IP(src="10.9.0.2", dst=backend, proto=4) / inner, iface=interface,
      verbose=False)
