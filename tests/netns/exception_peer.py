# SPDX-License-Identifier: BSD-2-Clause
"""What exception.py has done inside one namespace or another.

usage: exception_peer.py ping ADDRESS BYTES      one echo of an IP packet of that size; exit 0 or 1
       exception_peer.py serve ADDRESS PORT      TCP echo, for ever; says so when it does
       exception_peer.py echo ADDRESS PORT       UDP echo, for ever; says so when it does
       exception_peer.py ask ADDRESS PORT COUNT  a datagram from each of so many ports of ours; prints
                                                 how many were answered
       exception_peer.py hold ADDRESS PORT       a line every 50 ms over one TCP connection, until
                                                 standard input ends; prints how many came back
       exception_peer.py send SOURCE VIP BYTES   one TCP segment with DF, of that size as an IP packet
       exception_peer.py listen INTERFACE SECONDS  ARP announcements and unasked advertisements, a
                                                 line each
"""
import os
import select
import socket
import struct
import sys
import threading
import time


def csum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xffff:
        total = (total & 0xffff) + (total >> 16)
    return 0xffff - total


def ping(address, packet_bytes):
    v6 = ":" in address
    family, protocol = (socket.AF_INET6, 58) if v6 else (socket.AF_INET, 1)
    ask, answer, header = (128, 129, 40) if v6 else (8, 0, 20)
    payload = os.urandom(packet_bytes - header - 8)
    with socket.socket(family, socket.SOCK_RAW, protocol) as sock:
        if not v6:
            sock.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO: DF
        echo = struct.pack("!BBHHH", ask, 0, 0, 77, 1) + payload
        if not v6:
            echo = echo[:2] + struct.pack("!H", csum(echo)) + echo[4:]
        sock.connect((address, 0))
        sock.settimeout(0.2)
        end = time.monotonic() + 2
        sock.send(echo)
        while time.monotonic() < end:
            try:
                came = sock.recv(65536)
            except TimeoutError:
                continue
            came = came if v6 else came[20:]
            if came[0] == answer and came[8:] == payload:
                return 0
    return 1


def serve(address, port):
    listener = socket.create_server((address, port), family=socket.AF_INET6 if ":" in address
                                    else socket.AF_INET)
    print("serves", flush=True)

    def echo(connection):
        while data := connection.recv(65536):
            connection.sendall(data)

    while True:
        threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()


def echo(address, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((address, port))
        print("echoes", flush=True)
        while True:
            sock.sendto(*sock.recvfrom(100))


def ask(address, port, count):
    waiting, end = [], time.monotonic() + 5
    for _ in range(count):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect((address, port))
        sock.send(b"?")
        waiting.append(sock)
    while waiting and time.monotonic() < end:
        for sock in select.select(waiting, [], [], 0.1)[0]:
            sock.recv(100)
            waiting.remove(sock)
    print(count - len(waiting), flush=True)
    return 0


def hold(address, port):
    count, longest, last = 0, 0.0, time.monotonic()
    with socket.create_connection((address, port), timeout=10) as connection:
        print("connected", flush=True)
        connection.settimeout(60)
        while not select.select([sys.stdin], [], [], 0.05)[0]:
            line = b"%d\n" % count
            connection.sendall(line)
            came = b""
            while not came.endswith(b"\n"):
                came += connection.recv(100)
            if came != line:
                return 1
            count += 1
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
    print(count, longest, flush=True)
    return 0


def send(source, vip, packet_bytes):
    body = bytes(packet_bytes - 40)
    tcp = struct.pack("!HHIIBBHHH", 7777, 80, 1, 1, 5 << 4, 16, 512, 0, 0)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, packet_bytes, 0, 0x4000, 64, 6, 0,
                     socket.inet_aton(source), socket.inet_aton(vip))
    pseudo = ip[12:] + struct.pack("!BBH", 0, 6, packet_bytes - 20)
    tcp = tcp[:16] + struct.pack("!H", csum(pseudo + tcp + body)) + tcp[18:]
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        sock.sendto(ip + tcp + body, (vip, 0))
    return 0


def heard(frame):
    kind, source = frame[12:14], frame[6:12].hex(":")
    if kind == b"\x08\x06" and frame[28:32] == frame[38:42]:
        return f"arp {socket.inet_ntoa(frame[28:32])} {source} {frame[:6].hex(':')}"
    if kind == b"\x86\xdd" and frame[20] == 58 and frame[54] == 136 and not frame[58] & 0x40:
        target = socket.inet_ntop(socket.AF_INET6, frame[62:78])
        return f"nd {target} {source} {frame[:6].hex(':')}"
    return None


def listen(interface, seconds):
    end = time.monotonic() + seconds
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as sock:
        sock.bind((interface, 3))
        print("listens", flush=True)
        while (left := end - time.monotonic()) > 0:
            line = heard(sock.recv(65536)) if select.select([sock], [], [], left)[0] else None
            if line:
                print(f"{time.monotonic():.3f} {line}", flush=True)
    return 0


def main():
    what, arguments = sys.argv[1], sys.argv[2:]
    commands = {"ping": ping, "serve": serve, "echo": echo, "ask": ask, "hold": hold,
                "send": send, "listen": listen}
    return commands[what](*[int(a) if a.isdigit() else a for a in arguments])


if __name__ == "__main__":
    sys.exit(main())
