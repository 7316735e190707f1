#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The client of the demo: HTTP connections whose source ports are chosen, not drawn.

  load.py connect SOURCE VIP FIRST_PORT COUNT   one request from each of COUNT source ports;
                                                prints a line "PORT BACKEND" for each
  load.py download SOURCE VIP PORT PATH RATE    downloads at RATE bytes a second until its
                                                standard input ends, then as fast as it goes

`download` prints a JSON object with the backend's name when the answer begins, and one with
bytes and SHA-256 when it has ended. Being told when to hurry, it lasts as long as its observer
needs, and no longer, on a fast machine as on a slow one.
"""
import asyncio
import hashlib
import json
import select
import socket
import sys
import time

PARALLEL = 100
TIMEOUT_SECONDS = 30


def request(vip, path):
    host = f"[{vip}]" if ":" in vip else vip
    return f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode()


def backend_of(head):
    status, *fields = head.split(b"\r\n")
    if b" 200 " not in status + b" ":
        raise ValueError(f"the answer is {status.decode(errors='replace')!r}")
    for field in fields:
        name, _, value = field.partition(b":")
        if name.lower() == b"x-backend":
            return value.strip().decode()
    raise ValueError("the answer names no backend")


async def connect_one(source, vip, port):
    reader, writer = await asyncio.open_connection(vip, 80, local_addr=(source, port))
    try:
        writer.write(request(vip, "/"))
        answer = await reader.read()
    finally:
        writer.close()
    return backend_of(answer.partition(b"\r\n\r\n")[0])


async def connect(source, vip, first, count):
    gate = asyncio.Semaphore(PARALLEL)
    failures = []

    async def attempt(port):
        async with gate:
            try:
                name = await asyncio.wait_for(connect_one(source, vip, port), TIMEOUT_SECONDS)
            except (OSError, ValueError, asyncio.TimeoutError) as error:
                failures.append(f"from port {port}: {error or type(error).__name__}")
            else:
                print(port, name)

    await asyncio.gather(*(attempt(port) for port in range(first, first + count)))
    for failure in failures[:5]:
        print(f"load: {failure}", file=sys.stderr)
    return 1 if failures else 0


def tell(**what):
    print(json.dumps(what), flush=True)


class Pace:
    """Sleeps so that bytes come at the rate, until the observer hangs up."""

    def __init__(self, rate):
        self.rate = rate
        self.start = time.monotonic()

    def keep(self, count):
        while self.rate:
            ahead = count / self.rate - (time.monotonic() - self.start)
            if ahead <= 0:
                return
            if select.select([sys.stdin], [], [], min(ahead, 0.1))[0]:
                self.rate = 0


def download(source, vip, port, path, rate):
    with socket.socket(socket.AF_INET6 if ":" in vip else socket.AF_INET) as sock:
        sock.settimeout(TIMEOUT_SECONDS)
        # A small window: the backend sends at our pace, not ahead of it.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 128 * 1024)
        sock.bind((source, port))
        sock.connect((vip, 80))
        sock.sendall(request(vip, path))
        stream = sock.makefile("rb")
        head = b"".join(iter(stream.readline, b"\r\n"))
        tell(backend=backend_of(head))
        digest, count, pace = hashlib.sha256(), 0, Pace(rate)
        while chunk := stream.read1(65536):
            digest.update(chunk)
            count += len(chunk)
            pace.keep(count)
    tell(bytes=count, sha256=digest.hexdigest())


def main():
    command, *args = sys.argv[1:]
    if command == "connect":
        source, vip, first, count = args
        return asyncio.run(connect(source, vip, int(first), int(count)))
    source, vip, port, path, rate = args
    return download(source, vip, int(port), path, int(rate))


if __name__ == "__main__":
    sys.exit(main())
