#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The UDP service of the demo, one on each backend: answers every datagram, from the virtual
address that it was sent to, with the backend's name and the datagram itself.

usage: who.py NAME PORT VIP..     prints "ready", runs until killed
"""
import select
import socket
import sys


def listen(vip, port):
    sock = socket.socket(socket.AF_INET6 if ":" in vip else socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((vip, port))
    return sock


def main():
    name, port, *vips = sys.argv[1:]
    sockets = [listen(vip, int(port)) for vip in vips]
    print("ready", flush=True)
    while True:
        for sock in select.select(sockets, [], [])[0]:
            data, client = sock.recvfrom(2048)
            sock.sendto(name.encode() + b" " + data, client)


if __name__ == "__main__":
    main()
