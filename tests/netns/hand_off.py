# SPDX-License-Identifier: BSD-2-Clause
"""What carries the traffic changes under TCP connections and UDP flows that go on all the time:
sockets' worker, the program in the kernel alone, and back. Started by restart.sh, inside its lab.

Before each change one backend is drained and one added, so that Maglev alone would move hundreds of
flows. None may notice anything, and every packet that goes into the balancer is counted on its way
out; what is lost is shown. That this is the flow tables' doing is shown at the end: without them the
same flows break.
"""
import asyncio
import ctypes
import json
import os
import signal
import sys

import restart
import tap
from restart import CONFIG, SOURCE, VIP, clients, dataplane, expect, shunt, shuntd, wait_for

WHO_PORT = int(os.environ["LAB_WHO_PORT"])
CONNECTIONS, FLOWS = restart.BATCH, 100  # TCP and UDP, new before each change
LATE_S = 2                               # a datagram's answer that isn't there by then is lost
CLONE_NEWNET = 0x40000000
HEAD = f"""\
version: 1
fleet_seed: "5f1c0ffee5ba1ad5beadedc0de2b1a5e"
dataplane:
  engine: %s
  interfaces: [{{ name: uplink0, device: up0 }}]
  flows: 100K
services:
"""
SERVICES = (("web", "tcp", 80), ("who", "udp", WHO_PORT))


# --- The clients ---


class Flow(restart.Connection, asyncio.DatagramProtocol):
    """Datagrams from one port, each answered by the backend's name. One that is lost is asked again, as
    a resolver would."""

    answer = None
    lost = 0

    def datagram_received(self, data, addr):
        name, number = data.split()
        self.backend = self.backend or name.decode()
        if name.decode() != self.backend:
            self.broken = f"from port {self.port}: {name.decode()} answered, not {self.backend}"
        if int(number) == self.asked:
            self.answered = self.asked

    async def live(self):
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=(SOURCE, self.port), remote_addr=(VIP, WHO_PORT))
        while not self.closing and not self.broken:
            await self.unpaused()
            self.asked += 1
            transport.sendto(str(self.asked).encode())
            due = loop.time() + LATE_S
            while self.answered < self.asked and loop.time() < due:
                await asyncio.sleep(0.02)
            self.lost += self.answered < self.asked
            await asyncio.sleep(restart.PERIOD_S)
        transport.close()


def port_next():
    return 10000 + len(clients.all)


def flows_open():
    first = port_next()
    return clients.start([restart.Connection(first + i) for i in range(CONNECTIONS)] +
                         [Flow(first + CONNECTIONS + i) for i in range(FLOWS)])


def moved(flows):
    """How many of the TCP connections, and of the UDP flows, Maglev alone would send elsewhere."""
    def text(flow):
        return f"udp {SOURCE}:{flow.port} {VIP}:{WHO_PORT}" if isinstance(flow, Flow) else \
            f"tcp {SOURCE}:{flow.port} {VIP}:80"
    answers = shunt("explain", "--json", "-", text="\n".join(map(text, flows)) + "\n").splitlines()
    expect(len(answers) == len(flows), f"{len(answers)} explanations of {len(flows)} flows")
    counts = [0, 0]
    for flow, answer in zip(flows, answers):
        counts[isinstance(flow, Flow)] += json.loads(answer)["backend"] != f"10.0.{flow.backend[1]}.1"
    return counts


# --- The wires ---

def in_router(make):
    """What a packet socket is made in is where it listens."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net", "rb") as here, open("/run/netns/router", "rb") as there:
        expect(libc.setns(there.fileno(), CLONE_NEWNET) == 0, "the router's namespace is closed")
        try:
            return make()
        finally:
            libc.setns(here.fileno(), CLONE_NEWNET)


class Wires:
    """Every packet for the VIP that the router has from the client, and every wrapped one that it hands
    to a backend."""

    def __init__(self):
        self.asked = in_router(lambda: tap.Tap("to-client", tap.RECEIVED, tap.to(VIP)))
        self.delivered = [in_router(lambda n=n: tap.Tap(f"to-b{n}", tap.SENT,
                                                        tap.within("172.16.0.0", 2)))
                          for n in range(1, 6)]
        self.before = (0, 0)

    def counts(self):
        return self.asked.count(), sum(wire.count() for wire in self.delivered)

    def lost(self):
        """Packets lost since this was asked last, and packets in all."""
        with clients.at_rest(self.counts) as seen:
            pass
        asked, delivered = (now - then for now, then in zip(seen, self.before))
        self.before = seen
        return asked - delivered, asked


# --- The balancer ---

engine = "af_xdp"


def configure(backends):
    with open(CONFIG + ".new", "w", encoding="utf-8") as file:
        file.write(HEAD % engine)
        for name, protocol, port in SERVICES:
            file.write(f"  - name: {name}\n    vip: {VIP}\n    protocol: {protocol}\n"
                       f"    port: {port}\n    backends:\n")
            file.writelines(f"      - {{ address: 10.0.{backend[1]}.1, {what} }}\n"
                            for backend, what in backends.items())
    os.rename(CONFIG + ".new", CONFIG)


def carried(by, state):
    """By what `shunt show engine` says, which names the engine and why it is that."""
    def says():
        shown = json.loads(shunt("show", "engine", "--json") or "[]")
        found[:] = shown
        return [(e["engine"], e["why"], {w["by"] for w in e["workers"]}) for e in shown] == [
            (engine, f"`engine: {engine}` in the configuration", {by})] and all(
                state in i["state"] for i in shown[0]["interfaces"])
    found = []
    try:
        wait_for(f"the traffic is carried by {by}", says)
    except restart.Failure as failure:
        raise restart.Failure(f"{failure}: {found}") from None


def by_sockets():
    carried("socket, copy", ", copy")


def by_kernel():
    carried("kernel", "native mode")


def whole_round():
    clients.round()
    clients.expect_whole()


# --- The changes ---

def worker_dies():
    """The program goes on by itself; nobody has to tell it."""
    dataplane.kill()
    whole_round()
    whole_round()


def worker_starts():
    dataplane.start()
    restart.settle()
    by_sockets()


def switch(to, carries):
    """As an operator would: the file says the other engine, and the program is started anew."""
    def change():
        dataplane.process.send_signal(signal.SIGTERM)
        expect(dataplane.process.wait(restart.WAIT_S) == 0, f"{to}: the end is not orderly")
        dataplane.start()
        restart.settle()
        carries()
    return change


wires = None


def unanswered():
    return sum(flow.lost for flow in clients.all if isinstance(flow, Flow))


def step(what, backends, change, *, then=None, killed=False):
    """New flows; a backend drained and one added; a change, that may set another engine. While there is
    no dataplane, shuntd alone knows of the other backends. Who is killed takes what it had taken up
    along, and nobody else loses anything."""
    global engine
    new = flows_open()
    expect(moved(new) == [0, 0], "flows landed elsewhere than explained")
    wires.lost()
    without_answer = unanswered()
    engine = then or engine
    configure(backends)
    expect(shunt("reload"), "the configuration is refused")
    if dataplane.process.poll() is None:
        restart.settle()
    connections, flows = moved(new)
    expect(connections >= restart.MOVED and flows >= FLOWS // 4,
           f"only {connections} of {CONNECTIONS} connections and {flows} of {FLOWS} UDP flows moved")
    whole_round()
    change()
    whole_round()
    lost, packets = wires.lost()
    without_answer = unanswered() - without_answer
    expect(without_answer <= lost <= (packets // 100 if killed else 0),
           f"{what}: {lost} of {packets} packets lost, {without_answer} datagrams not answered")
    print(f"ok   {what}: all of {len(clients.all)} flows keep their backends, {connections} connections "
          f"and {flows} UDP flows against the Maglev table; {lost} of {packets} packets lost",
          flush=True)


def without_flows():
    dataplane.kill()
    dataplane.start("--no-flows")
    restart.settle()
    clients.round()
    broken = [flow for flow in clients.all if flow.broken]
    connections = sum(not isinstance(flow, Flow) for flow in broken)
    expect(connections >= restart.MOVED and connections < len(broken),
           f"without a flow table only {len(broken)} flows broke, {connections} connections")
    print(f"ok   with --no-flows the same check fails: {connections} connections and "
          f"{len(broken) - connections} UDP flows broke", flush=True)


def story():
    global wires
    on, drain = "weight: 1", "state: drain"
    configure({"b1": on, "b2": on})
    shuntd.start()
    dataplane.start()
    restart.settle()
    by_sockets()
    wires = Wires()
    step("kill -9 of the worker", {"b1": drain, "b2": on, "b3": on}, worker_dies,
         killed=True)
    step("its start", {"b1": drain, "b2": drain, "b3": on, "b4": on}, worker_starts)
    step("from af_xdp to xdp", {"b1": drain, "b2": drain, "b3": drain, "b4": on, "b5": on},
         switch("xdp", by_kernel), then="xdp")
    step("from xdp to af_xdp", {"b1": on, "b2": drain, "b3": drain, "b4": drain, "b5": on},
         switch("af_xdp", by_sockets), then="af_xdp")
    step("a restart of shuntd", {"b1": on, "b2": on, "b3": drain, "b4": drain, "b5": drain},
         restart.shuntd_restarts)
    without_flows()


if __name__ == "__main__":
    sys.exit(restart.main(story))
