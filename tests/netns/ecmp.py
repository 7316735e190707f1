# SPDX-License-Identifier: BSD-2-Clause
"""Two balancers share one router's flows. Started by ecmp.sh, inside its lab, in the router.

Neither knows of the other. What they share is the seed and what their files say; in which order
those say it, and so how services and backends are numbered, is different here. So either one has
to find, for a flow that it has never seen, the backend that the other one chose: nothing else can
keep conversations whole when all of them change sides.

What does not hold is shown at the end: a flow whose slot has changed since it began is remembered
by the one balancer that it goes through, and by nobody else.
"""
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import lab
import tap
from lab import FAMILIES, TCP, UDP
from report import Broken, expect

SEED, OTHER_SEED = "5f1c0ffee5ba1ad5beadedc0de2b1a5e", "5f1c0ffee5ba1ad5beadedc0de2b1a5f"
IPERF_PORT = 5201
WEIGHTS = {"b1": 5, "b2": 3, "b3": 2}
EACH = 120          # conversations with each service
EXPLAINED = 1000    # flows of each service that both have to explain alike
DETECTION_S = 0.15  # how long a router takes to notice that a balancer is dead, by BFD
DRAINED = "b1"
SERVICES = [(family, service) for family in FAMILIES for service in (TCP, UDP)]


def ok(text):
    print(f"ok   {text}", flush=True)


# --- The balancers ---

def address(family, backend):
    return (f"10.0.{backend[1]}.1" if family.name == "IPv4" else f"2001:db8:{backend[1]}::1")


def service_text(family, protocol, port, backwards, rest):
    backends = [f"      - {{ address: '{address(family, name)}', weight: {weight} }}\n"
                for name, weight in WEIGHTS.items()]
    return (f"  - name: {protocol}-{port}-{family.name}\n    vip: '{family.vip}'\n"
            f"    protocol: {protocol}\n    port: {port}\n    encapsulation: {family.encapsulation}\n"
            f"{rest}    backends:\n" + "".join(reversed(backends) if backwards else backends))


def config_text(engine, device, backwards, seed=SEED):
    """One fleet's services; backwards is another order for the same."""
    services = [(family, protocol, port, "") for family, (protocol, port) in SERVICES]
    # All connections of an iperf3 have to reach one server.
    services.append((FAMILIES[0], "tcp", IPERF_PORT, "    hash: source\n"))
    texts = [service_text(f, protocol, port, backwards, rest)
             for f, protocol, port, rest in services]
    return (f"version: 1\nfleet_seed: \"{seed}\"\ndataplane:\n  engine: {engine}\n  interfaces:\n"
            f"    - {{ name: uplink0, device: \"{device}\" }}\n  flows: 100K\nservices:\n"
            + "".join(reversed(texts) if backwards else texts))


class Balancer:
    def __init__(self, namespace, number, engine, device, backwards):
        self.namespace, self.number, self.engine = namespace, number, engine
        self.dataplane = "shunt-dpdk" if engine == "dpdk" else "shunt-xdp"
        self.run_dir, self.state_dir = f"/run/{namespace}", f"{lab.DIR}/state-{namespace}"
        self.config = f"{lab.DIR}/{namespace}.yaml"
        self.here = ("--run-dir", self.run_dir)
        os.mkdir(self.run_dir)
        os.mkdir(self.state_dir)
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(config_text(engine, device, backwards))
        self.offered = [tap.Tap(f"to-{namespace}", tap.SENT, tap.to(f.vip)) for f in FAMILIES]

    def __str__(self):
        return self.dataplane

    def daemon(self, program, *options):
        lab.topology("lab_daemon", f"{program}-{self.namespace}", self.namespace, program, "-f",
                     self.config, *self.here, *options)

    def start(self):
        """Forwards, with all next hops, when this returns."""
        self.daemon("shuntd", "--state-dir", self.state_dir)
        self.daemon(self.dataplane)
        lab.wait_for(f"shuntd and {self} have found each other", self.ready)

    def ready(self):
        reply = subprocess.run(["shunt", "show", "status", "--json", *self.here], check=False,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if reply.returncode:
            return False
        status, pid = json.loads(reply.stdout), lab.daemon(f"{self.dataplane}-{self.namespace}")
        return not status["settling"] and [(pid, status["generation"])] == [
            (p["pid"], p["generation"]) for p in status["dataplanes"]] and all(
                b["reachable"] for s in lab.show("services", *self.here) for b in s["backends"])

    def die(self):
        """All of it at once. The program in the kernel would forward on; it goes as well, as when
        a machine loses its power."""
        for program in (self.dataplane, "shuntd"):
            lab.kill(f"{program}-{self.namespace}")
        if self.engine != "dpdk":
            lab.run(*lab.inside(self.namespace, self.dataplane, "--detach"))

    def forwarded(self):
        return sum(v["packets"] for v in lab.show("drops", *self.here)["verdicts"]
                   if v["action"] == "forward")

    def settled(self, backend, new):
        """Whether the backend gets new flows is as wanted, and handshakes from before are over."""
        slots = [b["slots"] for s in lab.show("services", *self.here) for b in s["backends"]
                 if lab.backend_name(b["address"]) == backend]
        return all(bool(count) == new for count in slots) and self.ready()

    def explain(self, family, ports, service):
        return lab.explain(family, ports, service, self.here)

    def numbers(self):
        """Of services and backends, as its state file has them."""
        with open(f"{self.state_dir}/numbers.json", encoding="utf-8") as file:
            services = json.load(file)["services"]
        return {key: (s["number"], {name: b["number"] for name, b in s["backends"].items()})
                for key, s in services.items()}


# --- The router ---

def route_begin(balancers):
    """Next hops by number, and for each family a group that its VIP's route points at."""
    for at, family in enumerate(FAMILIES):
        for b in balancers:
            via = {"IPv4": f"10.0.{b.number}.1", "IPv6": f"2001:db8:{b.number}::1"}[family.name]
            router("nexthop", "add", "id", hop(b, at), "via", via, "dev", f"to-{b.namespace}")
    route(*balancers)
    for at, family in enumerate(FAMILIES):
        router("route", "add", family.vip, "nhid", group(at))


def route(*balancers):
    """What a routing daemon does when its neighbours announce and withdraw the VIPs. One step for
    each family: no packet goes by another route meanwhile."""
    for at in range(len(FAMILIES)):
        router("nexthop", "replace", "id", group(at), "group",
               "/".join(hop(b, at) for b in balancers))


def router(*words):
    lab.run("ip", "-n", "router", *words)


def group(at):
    return str(100 * (1 + at))


def hop(balancer, at):
    return str(100 * (1 + at) + balancer.number)


class Wires:
    """Every packet for a VIP that comes from the client, and every wrapped one for a backend."""

    def __init__(self):
        self.asked = [tap.Tap("to-client", tap.RECEIVED, tap.to(f.vip)) for f in FAMILIES]
        wrapped = [tap.within("172.16.0.0", 2), tap.within("100::", 8)]
        self.delivered = [tap.Tap(f"to-{name}", tap.SENT, what)
                          for name in WEIGHTS for what in wrapped]
        self.before = 0, 0

    def counts(self):
        return tuple(sum(t.count() for t in taps) for taps in (self.asked, self.delivered))

    def lost(self, talk):
        """Packets lost since this was asked last, and packets in all. The client holds its breath
        for it, so that nothing is under way."""
        talk.process.send_signal(signal.SIGSTOP)
        seen = [self.counts()]

        def quiet():
            time.sleep(0.1)
            seen.append(self.counts())
            return seen[-1] == seen[-2]
        try:
            lab.wait_for("nothing is under way", quiet)
        finally:
            talk.process.send_signal(signal.SIGCONT)
        asked, delivered = (now - then for now, then in zip(seen[-1], self.before))
        self.before = seen[-1]
        return asked - delivered, asked


def ways(talk, balancers):
    """(family's name, service, port) of each conversation: the balancer that it goes through now,
    as seen on the wires."""
    for balancer in balancers:
        for wire in balancer.offered:
            wire.read()
    talk.expect_whole()
    found = {}
    for balancer in balancers:
        for family, wire in zip(FAMILIES, balancer.offered):
            for protocol, port in map(tap.flow_of, wire.read()):
                for service in (TCP, UDP):
                    if service[0] == protocol:
                        found.setdefault((family.name, service, port), set()).add(balancer)
    mine = {(family.name, service, port) for family, service in SERVICES
            for port in talk.backends(family, service)}
    astray = [key for key in mine if len(found.get(key, ())) != 1]
    expect(not astray, f"{len(astray)} conversations go through none or several: {astray[:3]}")
    return {key: found[key].pop() for key in mine}


# --- The client ---

class Bulk:
    """iperf3, whose streams and control connection have one server and, by their ports, several
    ways there. It ends well only if all of them do."""

    SECONDS, STREAMS = 6, 8

    def __init__(self):
        self.process = subprocess.Popen(
            lab.inside("client", "iperf3", "--client", FAMILIES[0].vip, "--parallel",
                       str(self.STREAMS), "--bitrate", "2M", "--length", "8K", "--time",
                       str(self.SECONDS), "--json"), stdout=subprocess.PIPE, text=True)
        lab.wait_for("iperf3 streams", lambda: len(self.sockets()) > self.STREAMS)

    def sockets(self):
        return lab.run(*lab.inside("client", "ss", "-Htn", "state", "established", "dst",
                                   f"{FAMILIES[0].vip}:{IPERF_PORT}")).splitlines()

    def finish(self):
        result = json.loads(self.process.communicate(timeout=lab.PATIENCE_SECONDS)[0])
        expect("error" not in result, f"iperf3: {result.get('error')}")
        sent, got = (result["end"][f"sum_{end}"]["bytes"] for end in ("sent", "received"))
        streams = [s["receiver"]["bytes"] for s in result["end"]["streams"]]
        expect(got > 0.9 * sent and min(streams) > 0, f"iperf3: {got} of {sent} bytes, {streams}")
        return got


def expect_explained(talk, balancers):
    for family, service in SERVICES:
        for balancer in balancers:
            landed = talk.backends(family, service)
            explained = balancer.explain(family, landed, service)
            expect(landed == explained, f"{family.name} {service}: not as {balancer} explains")


next_port = 40000


def fetch_through(balancer):
    """New connections, by curl, which the other one knows nothing of."""
    global next_port
    for family in FAMILIES:
        ports = range(next_port, next_port + 10)
        next_port += 10
        got = {port: lab.fetch(family, port, "/").decode().split()[-1] for port in ports}
        expect(got == balancer.explain(family, ports, TCP), f"{family.name}: landed elsewhere")


# --- The story ---

def explains_alike(one, other):
    """And another seed does not."""
    numbers = [b.numbers() for b in (one, other)]
    expect(numbers[0].keys() == numbers[1].keys() and numbers[0] != numbers[1],
           "both number alike: that order doesn't matter is not shown")
    path = f"{lab.DIR}/stranger.yaml"
    with open(path, "w", encoding="utf-8") as file:
        file.write(config_text("xdp", "up0", False, OTHER_SEED))
    stranger = 0
    for family, service in SERVICES:
        ports = random.Random(str(service)).sample(range(1024, 65536), EXPLAINED)
        answers = one.explain(family, ports, service)
        expect(answers == other.explain(family, ports, service),
               f"{family.name} {service}: {one} and {other} explain flows differently")
        shares = Counter(answers.values())
        expect(len(shares) == len(WEIGHTS), f"{family.name} {service}: {shares}")
        others = lab.explain(family, ports, service, ("-f", path))
        stranger += sum(others[port] != answers[port] for port in ports)
    count = EXPLAINED * len(SERVICES)
    expect(stranger > count // 3, f"another seed moves {stranger} of {count} flows")
    ok(f"{one} and {other}, with services and backends numbered differently, explain {count} of "
       f"{count} flows alike; with another seed it would be {count - stranger}")


def expect_shared(talk, balancers):
    through = ways(talk, balancers)
    for family, service in SERVICES:
        shares = Counter(b for (name, s, _), b in through.items()
                         if (name, s) == (family.name, service))
        expect(len(shares) == 2 and min(shares.values()) > EACH // 4, f"{service}: {shares}")
    return through


def share_text(through):
    return ", ".join(f"{count} through {b}" for b, count in sorted(
        Counter(through.values()).items(), key=lambda item: str(item[0])))


def stop(one, other, wires, talk, planned):
    """Conversations that go through the one go on through the other; and one that died is missed
    for as long as the router takes to notice."""
    bulk = Bulk()
    if planned:
        route(other)
        talk.expect_whole()
        offered = sum(wire.count() for wire in one.offered)
        lab.wait_for(f"{one} has forwarded all of the {offered} packets that it got",
                     lambda: one.forwarded() == offered)
        one.die()
    else:
        one.die()
        time.sleep(DETECTION_S)
        route(other)
    expect(bulk.process.poll() is None, "iperf3 ended before the router had another route")
    talk.expect_whole()
    through = ways(talk, [one, other])
    expect(set(through.values()) == {other}, f"after the stop: {share_text(through)}")
    expect_explained(talk, [other])
    fetch_through(other)
    got = bulk.finish()
    lost, asked = wires.lost(talk)
    ok(f"{one} is {'withdrawn, then stopped' if planned else 'killed, and withdrawn later'}: all "
       f"{talk.count} conversations go on through {other} with their backends, an iperf3 over "
       f"{Bulk.STREAMS} streams too ({got} bytes); packets lost: {lost} of {asked}")
    return lost


def come_back(one, both, wires, talk, before):
    """And gets the conversations that it had, though it has forgotten them."""
    one.start()
    route(*both)
    through = expect_shared(talk, both)
    expect(through == before, "conversations took other ways than the first time")
    expect_explained(talk, both)
    ok(f"{one} is back, with empty tables: {share_text(through)}, all with their backends; packets "
       "lost: {} of {}".format(*wires.lost(talk)))


def order(what, balancers, talk):
    """`shunt drain` or `undrain`, which each balancer has to be told."""
    for balancer in balancers:
        for family in FAMILIES:
            lab.run("shunt", what, address(family, DRAINED), *balancer.here)
    for balancer in balancers:
        lab.wait_for(f"{balancer} has done as told: {what}",
                     lambda b=balancer: b.settled(DRAINED, what == "undrain"))
    talk.expect_whole()


def moved_ports(talk, family, service, balancer):
    """Those whose backend is no longer the one that the balancer would choose."""
    landed = talk.backends(family, service)
    explained = balancer.explain(family, landed, service)
    return {port for port, name in landed.items() if explained[port] != name}


def drain_in_vain(balancers, talk):
    """Leaves the tables as they were."""
    moved = []
    for what in ("drain", "undrain"):
        order(what, balancers, talk)
        moved.append(sum(len(moved_ports(talk, *to, balancers[0])) for to in SERVICES))
    expect(moved[0] > EACH and moved[1] == 0, f"slots that moved: {moved}")
    ok(f"{DRAINED} is drained on both, which moves {moved[0]} slots, and undrained, which leaves none")


def drain_then_stop(one, other, talk, through):
    """Flows that a drain has moved are known to the balancer that they go through, and to no other
    that has begun since: they, and only they, don't survive a stop."""
    order("drain", [one, other], talk)
    doomed, moved_count = {}, 0
    for family, service in SERVICES:
        moved = moved_ports(talk, family, service, other)
        moved_count += len(moved)
        doomed[family, service] = {port for port in moved
                                   if through[family.name, service, port] == one}
    count = sum(map(len, doomed.values()))
    expect(min(count, moved_count - count) > EACH // 2,
           f"too few to tell: {count} of {moved_count} moved flows go through {one}")
    route(other)
    one.die()
    broken = {to: set(ports) for to, ports in talk.round().items()}
    expect(broken == doomed, f"those that break are {broken}, and not {doomed}")
    ok(f"what does not hold: a drain of {DRAINED} on both moves {moved_count} slots of {talk.count} "
       f"and no flow; then {one} is stopped, and the {count} flows that only it remembered break, "
       f"while {moved_count - count} that {other} remembers and {talk.count - moved_count} others "
       f"go on")


def story():
    one = Balancer("lb", 9, "xdp", "up0", False)
    other = Balancer("lb2", 8, "dpdk", "net_af_packet0,iface=up0", True)
    both = [one, other]
    for balancer in both:
        balancer.start()
    route_begin(both)
    explains_alike(one, other)
    wires = Wires()
    talk = lab.Talk(SERVICES, 20000, EACH)
    through = expect_shared(talk, both)
    expect_explained(talk, both)
    ok(f"{talk.count} conversations over TCP and UDP, IPv4 and IPv6, land as both explain: "
       f"{share_text(through)}; packets lost: " + "{} of {}".format(*wires.lost(talk)))
    stop(one, other, wires, talk, planned=True)
    come_back(one, both, wires, talk, through)
    drain_in_vain(both, talk)
    lost = stop(other, one, wires, talk, planned=False)
    expect(lost > 0, "nothing was lost while packets went to the dead: the count is wrong")
    come_back(other, both, wires, talk, through)
    drain_then_stop(one, other, talk, through)
    talk.end()


if __name__ == "__main__":
    try:
        story()
    except Broken as broken_promise:
        print(f"FAIL: {broken_promise}")
        sys.exit(1)
