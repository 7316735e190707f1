#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The client's long conversations in the demo: each keeps its source port and asks again and
again, over one TCP connection or with UDP datagrams, and is broken once anything but the backend
that answered first answers.

usage: talk.py GROUPS

GROUPS is a JSON list of objects with name, protocol, source, vip, port, first and count: the
conversations of one service, from consecutive source ports. A line on standard input makes one
round: when everyone who isn't broken has had the answer to a question asked since then, a JSON
object comes out, ["BACKEND", "WHY IT IS BROKEN" or null] by "NAME PORT". It runs until killed.
"""
import asyncio
import json
import sys

PERIOD_SECONDS = 0.2
TIMEOUT_SECONDS = 20
UDP_TRY_SECONDS = 0.5  # then the datagram is taken for lost, and sent again


class TcpAsker:
    async def open(self, group, port):
        host = f"[{group['vip']}]" if ":" in group["vip"] else group["vip"]
        self.request = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self.reader, self.writer = await asyncio.open_connection(
            group["vip"], group["port"], local_addr=(group["source"], port))

    async def ask(self, _number):
        self.writer.write(self.request)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        await self.reader.readexactly(int(fields["content-length"]))
        return fields["x-backend"]


class UdpAsker(asyncio.DatagramProtocol):
    async def open(self, group, port):
        self.answers = asyncio.Queue()
        self.transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, local_addr=(group["source"], port),
            remote_addr=(group["vip"], group["port"]))

    def datagram_received(self, data, addr):
        self.answers.put_nowait(data.decode().split())

    async def ask(self, number):
        while True:
            self.transport.sendto(str(number).encode())
            try:
                return await asyncio.wait_for(self.answer(number), UDP_TRY_SECONDS)
            except asyncio.TimeoutError:
                pass

    async def answer(self, number):
        while True:
            name, asked = await self.answers.get()
            if int(asked) == number:  # not a late one
                return name


class Conversation:
    def __init__(self, group, port):
        self.key, self.group, self.port = f"{group['name']} {port}", group, port
        self.backend = self.broken = None
        self.asked = self.answered = 0

    async def ask(self, asker):
        self.asked += 1
        number = self.asked
        name = await asyncio.wait_for(asker.ask(number), TIMEOUT_SECONDS)
        self.backend = self.backend or name
        if name != self.backend:
            raise ValueError(f"{name} answered instead of {self.backend}")
        self.answered = number

    async def live(self):
        asker = TcpAsker() if self.group["protocol"] == "tcp" else UdpAsker()
        try:
            await asyncio.wait_for(asker.open(self.group, self.port), TIMEOUT_SECONDS)
            while True:
                await self.ask(asker)
                await asyncio.sleep(PERIOD_SECONDS)
        except (OSError, ValueError, EOFError, asyncio.TimeoutError) as error:
            self.broken = str(error) or type(error).__name__


async def make_round(conversations):
    begun = [(c, c.asked) for c in conversations]
    while not all(c.broken or c.answered > asked for c, asked in begun):
        await asyncio.sleep(0.02)
    print(json.dumps({c.key: [c.backend, c.broken] for c in conversations}), flush=True)


async def main():
    conversations = [Conversation(group, group["first"] + i) for group in json.loads(sys.argv[1])
                     for i in range(group["count"])]
    lives = [asyncio.create_task(c.live()) for c in conversations]
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while await commands.readline():
        await make_round(conversations)
    await asyncio.gather(*lives)


if __name__ == "__main__":
    asyncio.run(main())
