#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Kills shuntd and the dataplane under keep-alive connections; restart.sh makes the lab for it.

Before each kill one backend is drained and one added, so that the Maglev table alone would send
hundreds of connections elsewhere, where they would be reset. Each has to be answered by its own
backend throughout: by nothing but the flow table. Where there are two cores, shunt-dpdk comes back
with two workers, and with one again. Where the engine is the kernel's, the dataplane is its program,
which goes on while the process is away. That this is so is shown at the end: without a flow table
the same check fails.
"""
import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

SOURCE, VIP = os.environ["LAB_CLIENT_V4"], os.environ["LAB_VIP_V4"]
LAB_DIR, CONFIG = os.environ["LAB_DIR"], os.environ["LAB_CONFIG"]
RUN_DIR = "/run/shunt"
ENGINE, DATAPLANE = os.environ["LAB_ENGINE"], os.environ["LAB_DATAPLANE"]
IN_KERNEL = ENGINE != "dpdk"
BATCH = 400
MOVED = 200     # connections, at least, that the Maglev table alone would have broken
PERIOD_S = 0.7  # of requests on one connection
PAUSE_S = 0.2   # within which whatever is under way arrives
WAIT_S = 15
REQUEST = f"GET / HTTP/1.1\r\nHost: {VIP}\r\n\r\n".encode()
CORES = sorted(os.sched_getaffinity(0))
DEVICE = {"dpdk": "net_af_packet0,iface=up0", "dpdk-af_xdp": "net_af_xdp0,iface=up0"}.get(ENGINE, "up0")
LAYOUT = [("", CORES[-1]), (",qpairs=2", ",".join(map(str, CORES[-2:])))]  # one worker, or two
CONFIG_HEAD = f"""\
version: 1
fleet_seed: "5f1c0ffee5ba1ad5beadedc0de2b1a5e"
dataplane:
  engine: {ENGINE.partition("-")[0]}
  interfaces:
    - {{ name: uplink0, device: "{DEVICE}%s" }}
  workers: "%s"
  flows: 100K
services:
  - name: web
    vip: {VIP}
    protocol: tcp
    port: 80
    backends:
"""


class Failure(Exception):
    pass


def expect(condition, text):
    if not condition:
        raise Failure(text)


def wait_for(what, condition, seconds=WAIT_S):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise Failure(f"not within {seconds} s: {what}")


# --- The clients ---

class Connection:
    """Asks again and again; broken once anything but its own backend answers."""

    paused = False  # of all connections

    def __init__(self, port, source=SOURCE, vip=VIP, vip_port=80):
        self.port, self.source, self.vip, self.vip_port = port, source, vip, vip_port
        self.backend, self.broken, self.closing = None, None, False
        self.asked = self.answered = 0

    async def ask(self, reader, writer):
        self.asked += 1
        asking = self.asked
        writer.write(REQUEST)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        await reader.readexactly(int(fields["content-length"]))
        name = fields["x-backend"]
        self.backend = self.backend or name
        if name != self.backend:
            raise ValueError(f"{name} answered instead of {self.backend}")
        self.answered = asking

    @staticmethod
    async def unpaused():
        while Connection.paused:
            await asyncio.sleep(0.01)

    async def live(self):
        try:
            reader, writer = await asyncio.open_connection(self.vip, self.vip_port,
                                                           local_addr=(self.source, self.port))
            while not self.closing:
                await self.unpaused()
                await self.ask(reader, writer)
                await asyncio.sleep(PERIOD_S)
            writer.close()
        except (OSError, ValueError, EOFError) as error:
            self.broken = f"from port {self.port}, to {self.backend}: {error!r}"


class Clients:
    """All connections, on an event loop in a thread of their own."""

    def __init__(self):
        self.all = []
        self.futures = []  # the loop holds its tasks by weak references only
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def open(self, count):
        return self.start([Connection(10000 + len(self.all) + i) for i in range(count)])

    def start(self, new):
        for connection in new:
            self.futures.append(asyncio.run_coroutine_threadsafe(connection.live(), self.loop))
        self.all += new
        wait_for("every new connection is answered",
                 lambda: all(c.answered or c.broken for c in new))
        self.expect_whole()
        return new

    def round(self):
        """Until each connection has had an answer to a question asked from now on."""
        begun = {c: c.asked for c in self.all if not c.closing}
        wait_for("every connection is answered, or breaks",
                 lambda: all(c.broken or c.answered > asked for c, asked in begun.items()))

    @contextmanager
    def at_rest(self, counts):
        """Nothing is asked any more, and counts() has come to a rest: it is what this gives."""
        Connection.paused = True
        seen = [counts()]

        def quiet():
            time.sleep(PAUSE_S)
            seen.append(counts())
            return seen[-1] == seen[-2]
        try:
            wait_for("nothing is under way", quiet)
            yield seen[-1]
        finally:
            Connection.paused = False

    def broken(self):
        return [c.broken for c in self.all if c.broken]

    def expect_whole(self):
        broken = self.broken()
        expect(not broken, f"{len(broken)} of {len(self.all)} connections broke: {broken[:3]}")


# --- The balancer ---

def shunt(*arguments, text=None):
    reply = subprocess.run(["shunt", *arguments, "--run-dir", RUN_DIR], input=text, check=False,
                           text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                           timeout=WAIT_S)
    return reply.stdout if reply.returncode == 0 else ""


class Daemon:
    def __init__(self, name, *arguments):
        self.log = f"{LAB_DIR}/{name}.log"
        self.arguments = ["nsenter", "--net=/run/netns/lb", name, "-f", CONFIG, "--run-dir",
                          RUN_DIR, *arguments]
        self.process = None

    def start(self, *more):
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(self.arguments + list(more), stdout=log, stderr=log)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def said(self, text):
        with open(self.log, encoding="utf-8") as log:
            return log.read().count(text)


shuntd = Daemon("shuntd", "--state-dir", f"{LAB_DIR}/state")
dataplane = Daemon(DATAPLANE)


def settled():
    """Both are here, and the dataplane uses what shuntd published last, next hops included."""
    text = shunt("show", "status", "--json")
    if not text:
        return False
    status = json.loads(text)
    planes = status["dataplanes"]
    if [p["pid"] for p in planes] != [dataplane.process.pid] or \
            planes[0]["generation"] != status["generation"]:
        return False
    backends = json.loads(shunt("show", "services", "--json"))[0]["backends"]
    return all(b["reachable"] for b in backends)


def settle():
    wait_for(f"shuntd and {DATAPLANE} have found each other", settled)


layout = LAYOUT[0]


def configure(**backends):
    """b1="weight: 2" and so on."""
    lines = [f"      - {{ address: 10.0.{name[1]}.1, {what} }}\n" for name, what in backends.items()]
    with open(CONFIG, "w", encoding="utf-8") as file:
        file.write(CONFIG_HEAD % layout + "".join(lines))


def reload():
    expect(shunt("reload"), "the configuration is refused")
    settle()


def moved(connections):
    """How many of them the Maglev table would send elsewhere."""
    packets = "".join(f"tcp {SOURCE}:{c.port} {VIP}:80\n" for c in connections)
    answers = shunt("explain", "--json", "-", text=packets).splitlines()
    expect(len(answers) == len(connections), f"{len(answers)} explanations")
    return sum(json.loads(answer)["backend"] != f"10.0.{c.backend[1]}.1"
               for c, answer in zip(connections, answers))


# --- The story ---

clients = Clients()


def shuntd_restarts():
    shuntd.kill()
    os.unlink(f"{RUN_DIR}/api.sock")  # what the dead left
    clients.round()
    clients.expect_whole()
    shuntd.start()
    settle()


def dataplane_restarts(*more):
    dataplane.kill()
    dataplane.start(*more)
    settle()


def step(what, change, restart):
    """New connections, a change that moves their slots, a restart."""
    new = clients.open(BATCH)
    expect(moved(new) == 0, "connections landed elsewhere than explained")
    configure(**change)
    reload()
    count = moved(new)
    expect(count >= MOVED, f"only {count} of {BATCH} slots moved")
    clients.round()
    clients.expect_whole()
    restart()
    clients.round()
    clients.expect_whole()
    print(f"ok   {what}: {len(clients.all)} connections keep their backends, {count} of the "
          f"{BATCH} new ones and {moved(clients.all)} of all against the Maglev table", flush=True)


def worker_packets():
    """What each worker of the dataplane was given, by the report that it began with."""
    return [w["packets"] for w in json.loads(shunt("show", "workers", "--json") or "[]")]


def with_workers(count):
    """Another dataplane in its place, with so many workers that all get packets."""
    def restart():
        before = dataplane.said("takes over the flows of the dataplane before it one by one")
        dataplane_restarts()
        after = dataplane.said("takes over the flows of the dataplane before it one by one")
        expect(after == before + 1, "the flows were not taken over")
        clients.round()
        packets = worker_packets()
        expect(len(packets) == count and min(packets) > len(clients.all) / 10,
               f"{count} workers were given {packets} packets")
        dropped = {v["name"]: v["packets"] for v in
                   json.loads(shunt("show", "drops", "--json"))["verdicts"]}
        expect(dropped["FLOW"] >= len(clients.all), f"verdicts: {dropped}")
    return restart


def both_restart():
    shuntd_restarts()
    dataplane_restarts()


def weights_change(**backends):
    """By a shuntd that has just begun."""
    new = clients.open(BATCH)
    shuntd.kill()
    os.unlink(f"{RUN_DIR}/api.sock")
    configure(**backends)
    shuntd.start()
    settle()
    count = moved(new)
    expect(count >= BATCH // 4, f"only {count} of {BATCH} slots moved")
    clients.round()
    clients.expect_whole()
    print(f"ok   another weight, by a restarted shuntd: all {len(clients.all)} connections stay "
          f"where they are, {count} slots of {BATCH} moved", flush=True)


def without_flows():
    dataplane_restarts("--no-flows")
    clients.round()
    broken = len(clients.broken())
    expect(broken >= MOVED, f"without a flow table only {broken} connections broke")
    print(f"ok   with --no-flows the same check fails: {broken} of {len(clients.all)} connections "
          "broke", flush=True)


def shown_packets():
    """By the service, and by what was forwarded."""
    service = json.loads(shunt("show", "services", "--json"))[0]["packets"]
    verdicts = json.loads(shunt("show", "drops", "--json"))["verdicts"]
    return service, sum(v["packets"] for v in verdicts if v["action"] == "forward")


def wire_packets():
    """What the balancer's interface has sent: what was forwarded, and the kernel's few own."""
    return link_of("router", "to-lb")["stats64"]["rx"]["packets"]


def link_of(namespace, name):
    return json.loads(subprocess.run(["ip", "-n", namespace, "-s", "-j", "link", "show", name],
                                     stdout=subprocess.PIPE, check=True).stdout)[0]


def program_id():
    """The one in the kernel, as the interface has it."""
    return link_of("lb", "up0").get("xdp", {}).get("prog", {}).get("id")


def kernel_goes_on():
    """The process dies; its program goes on, is the same for the next one, and nothing is counted
    twice or lost."""
    program = program_id()
    expect(program, "there is no program on up0")
    with clients.at_rest(lambda: (wire_packets(), shown_packets())) as (sent, shown):
        pass
    dataplane.kill()
    for _ in range(2):
        clients.round()
        clients.expect_whole()
    expect(program_id() == program, "the program went with its process")
    dataplane.start()
    settle()
    expect(program_id() == program, f"program {program} was replaced by {program_id()}")
    with clients.at_rest(lambda: (wire_packets(), shown_packets())):
        counted_once(sent, shown)


def counted_once(sent, shown):
    """Since then what is shown has grown by what was sent, but for a few frames of the kernel's."""
    def alike():
        grown = [now - before for now, before in zip(shown_packets(), shown)]
        found.update(sent=wire_packets() - sent, shown=grown)
        return grown[0] == grown[1] and 0 <= found["sent"] - grown[0] < 40
    found = {}
    try:
        wait_for("every packet is shown once", alike)
    except Failure as failure:
        raise Failure(f"{failure}: {found}") from None
    expect(found["shown"][0] > len(clients.all), f"too few packets to tell: {found}")


def both_at_once():
    """Nobody is left who knows anything but the kernel's program."""
    program = program_id()
    shuntd.kill()
    dataplane.kill()
    os.unlink(f"{RUN_DIR}/api.sock")
    clients.round()
    clients.expect_whole()
    dataplane.start()
    shuntd.start()
    settle()
    expect(program_id() == program, "the program was replaced")


def in_kernel(drain, on, gone):
    step(f"kill -9 of {DATAPLANE}", {"b1": drain, "b2": drain, "b3": on, "b4": on}, kernel_goes_on)
    step("kill -9 of both at once", {**gone, "b4": on, "b5": on}, both_at_once)
    resumed = dataplane.said("goes on with the tables and flows in")
    expect(resumed == 2, f"{resumed} of 2 restarts of {DATAPLANE} found the tables")
    weights_change(**gone, b4=on, b5="weight: 9")
    without_flows()


def story():
    global layout
    drain, on = "state: drain", "weight: 1"
    configure(b1=on, b2=on)
    shuntd.start()
    dataplane.start()
    settle()
    step("kill -9 of shuntd", {"b1": drain, "b2": on, "b3": on}, shuntd_restarts)
    gone = {"b1": drain, "b2": drain, "b3": drain}
    if IN_KERNEL:
        in_kernel(drain, on, gone)
        return
    step("kill -9 of shunt-dpdk", {"b1": drain, "b2": drain, "b3": on, "b4": on},
         dataplane_restarts)
    step("kill -9 of both, one after the other", {**gone, "b4": on, "b5": on}, both_restart)
    weights_change(**gone, b4=on, b5="weight: 9")
    if len(CORES) > 1:
        layout = LAYOUT[1]
        step("from one worker to two", {**gone, "b4": on, "b5": drain}, with_workers(2))
        layout = LAYOUT[0]
        step("from two workers to one", {**gone, "b3": on, "b4": drain, "b5": drain},
             with_workers(1))
    else:
        print("not checked here: two workers need two cores")
    handed = dataplane.said("goes on with the flows of the dataplane before it")
    expect(handed == 2, f"{handed} of 2 restarts of shunt-dpdk took over the flows")
    without_flows()


def main(told=story):
    try:
        told()
    except (Failure, subprocess.TimeoutExpired) as failure:
        print(f"FAIL: {failure}")
        for daemon in (shuntd, dataplane):
            with open(daemon.log, encoding="utf-8") as log:
                print("--- " + daemon.log, "".join(log.readlines()[-20:]), sep="\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
