# SPDX-License-Identifier: BSD-2-Clause
"""The running lab as Python sees it: its programs, its counters, its client.

topology.sh has built it, and says in the environment where things are.
"""
import functools
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter, namedtuple

from report import Broken, expect

DIR = os.environ["LAB_DIR"]
CONFIG = os.environ["LAB_CONFIG"]
ENGINE, DATAPLANE = os.environ["LAB_ENGINE"], os.environ["LAB_DATAPLANE"]
IN_KERNEL = ENGINE != "dpdk"  # the program that forwards outlives its process, and so does the wire
BY_SOCKETS = ENGINE.endswith("af_xdp")  # beside it, threads of the process forward
BACKENDS = ["b1", "b2", "b3"]
HERE = os.path.dirname(os.path.abspath(__file__))
# Long, as a machine may be loaded; a mutant that something waits for in vain has less.
PATIENCE_SECONDS = int(os.environ.get("LAB_PATIENCE_SECONDS", "60"))

SLOW_SECONDS = 32  # that a download takes until it is told to finish

TCP, UDP = ("tcp", 80), ("udp", int(os.environ["LAB_WHO_PORT"]))

Family = namedtuple("Family", "name service encapsulation source vip")
FAMILIES = [
    Family("IPv4", "web4", "ipip", os.environ["LAB_CLIENT_V4"], os.environ["LAB_VIP_V4"]),
    Family("IPv6", "web6", "gue", os.environ["LAB_CLIENT_V6"], os.environ["LAB_VIP_V6"]),
]


def bracket(address):
    return f"[{address}]" if ":" in address else address


def backend_name(address):
    """10.0.2.1 and 2001:db8:2::1 are b2."""
    if address is None:
        return None
    return "b" + (address.split(".")[2] if "." in address else address.split(":")[2])


def inside(namespace, *command):
    return ["nsenter", f"--net=/run/netns/{namespace}", *command]


def run(*command, text=None, status=0):
    """Runs a command to its end and returns its standard output."""
    reply = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           text=True, timeout=PATIENCE_SECONDS, check=False)
    expect(reply.returncode == status,
           f"`{' '.join(command)}` ended with status {reply.returncode}, not {status}:\n"
           f"{reply.stdout[-500:]}{reply.stderr[-1500:]}")
    return reply.stdout if status == 0 else reply.stdout + reply.stderr


def wait_for(what, condition, seconds=PATIENCE_SECONDS):
    """Polls until the condition returns something true, and returns that."""
    deadline = time.monotonic() + seconds
    pause_s = 0.02
    while not (found := condition()):
        expect(time.monotonic() < deadline, f"waited {seconds} s in vain: {what}")
        time.sleep(pause_s)
        pause_s = min(1.2 * pause_s, 0.1)  # to ask costs time that others may need
    return found


# --- the balancer ---

def show(view, *options):
    return json.loads(run("shunt", "show", view, "--json", *options))


def explain(family, ports, service=TCP, options=()):
    """What the running shuntd would do with a new flow from each port: port to name."""
    protocol, to = service
    packets = [f"{protocol} {bracket(family.source)}:{port} {bracket(family.vip)}:{to}"
               for port in ports]
    if not packets:
        return {}
    answers = run("shunt", "explain", "--json", *options, "-",
                  text="\n".join(packets) + "\n").splitlines()
    expect(len(answers) == len(packets), f"{len(answers)} answers to {len(packets)} packets")
    return {port: backend_name(json.loads(line)["backend"]) for port, line in zip(ports, answers)}


def backends(service):
    """What is shown of each, by name."""
    shown = next(s for s in show("services") if s["name"] == service)["backends"]
    return {backend_name(b["address"]): b for b in shown}


def backend(service, name):
    return backends(service)[name]


def weights(service):
    return {name: shown["weight"] for name, shown in backends(service).items()}


def verdicts():
    """Packets by action, over all reasons and dataplanes."""
    counts = Counter()
    for verdict in show("drops")["verdicts"]:
        counts[verdict["action"]] += verdict["packets"]
    return counts


def generation():
    """The generation that shuntd has published, once the dataplane uses it."""
    def settled():
        status = show("status")
        planes = status["dataplanes"]
        used = bool(planes) and all(p["generation"] == status["generation"] for p in planes)
        return status["generation"] if used else None
    return wait_for("the dataplane uses what shuntd published", settled)


def config_read():
    with open(CONFIG, encoding="utf-8") as file:
        return file.read()


def config_write(text):
    """Replaced in one step, as an editor would."""
    with open(CONFIG + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(CONFIG + ".new", CONFIG)


def hang_up():
    """SIGHUP to shuntd: it reads its configuration again."""
    os.kill(daemon("shuntd"), signal.SIGHUP)


def log_text():
    with open(f"{DIR}/shuntd.log", encoding="utf-8") as file:
        return file.read()


# --- programs that die, and start anew ---

def daemon(name):
    with open(f"{DIR}/{name}.pid", encoding="utf-8") as file:
        return int(file.read())


def kill(name):
    pid = daemon(name)
    os.kill(pid, signal.SIGKILL)
    wait_for(f"{name} is gone", lambda: not os.path.exists(f"/proc/{pid}"))


def topology(*command):
    """Runs a function of topology.sh."""
    run("bash", "-euc", '. "$0"; "$@"', f"{HERE}/topology.sh", *command)


# --- the wires ---

def wire():
    """Packets and bytes on lb0, or another interface of the router that leads to the balancer: `tx`
    is what that receives, `rx` what it sends."""
    name = os.environ.get("LAB_WIRE", "lb0")
    link = json.loads(run("ip", "-n", "router", "-s", "-j", "link", "show", name))[0]
    return {way: {what: count - start.wire.get(way, {}).get(what, 0)
                  for what, count in counts.items()} for way, counts in link["stats64"].items()}


class start:  # pylint: disable=invalid-name
    """What wire and balancer had counted before the first step."""
    wire = {}
    verdicts = Counter()


def count_from_now():
    """For a wire that is older than the dataplane, and has carried what nobody took: a kernel tells each
    of its groups twice, up to a second apart (RFC 3810, 9.11), and no NIC takes that."""
    def at_rest():
        before = wire(), verdicts()
        time.sleep(1.5)
        return before if before == (wire(), verdicts()) else None
    start.wire, start.verdicts = wait_for("the wire is at rest", at_rest)


# --- the client ---

class Load:
    """HTTP connections from consecutive source ports, under way since its making."""

    def __init__(self, family, first, count):
        self.ports = range(first, first + count)
        command = inside("client", sys.executable, "-B", f"{HERE}/load.py", "connect",
                         family.source, family.vip, str(first), str(count))
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True)

    def landed(self):
        """Port to the name of the backend that answered; every connection has to succeed."""
        out, err = self.process.communicate(timeout=2 * PATIENCE_SECONDS)
        answers = (line.split() for line in out.splitlines())
        names = {int(port): name for port, name in answers}
        expect(self.process.returncode == 0 and len(names) == len(self.ports),
               f"{len(self.ports) - len(names)} of {len(self.ports)} connections failed: {err}")
        return names


class Talk:
    """Long conversations with services, from consecutive source ports for each of them. They go
    on until the end; whoever is answered by another backend than before, or not at all, is broken.
    """

    def __init__(self, services, first, each):
        self.count = each * len(services)
        self.names = {f"{protocol}{family.name}": (family, (protocol, port))
                      for family, (protocol, port) in services}
        groups = [{"name": name, "protocol": protocol, "source": family.source, "vip": family.vip,
                   "port": port, "first": first, "count": each}
                  for name, (family, (protocol, port)) in self.names.items()]
        command = inside("client", sys.executable, "-B", f"{HERE}/talk.py", json.dumps(groups))
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        self.heard = {}
        self.expect_whole()

    def round(self):
        """Returns when everyone was answered anew or is broken. Who is, and why, by service and
        port."""
        self.process.stdin.write("round\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        expect(line, "the client's conversations ended")
        self.heard = {to: {} for to in self.names.values()}
        for key, heard in json.loads(line).items():
            name, port = key.split()
            self.heard[self.names[name]][int(port)] = heard
        return {to: {port: why for port, (_, why) in heard.items() if why}
                for to, heard in self.heard.items()}

    def expect_whole(self):
        broken = [f"from port {port}: {why}" for ports in self.round().values()
                  for port, why in ports.items()]
        expect(not broken, f"{len(broken)} of {self.count} conversations broke: {broken[:5]}")

    def backends(self, family, service):
        """Port to the name of the backend that it talks with, as of the last round."""
        return {port: name for port, (name, _) in self.heard[family, service].items()}

    def end(self):
        self.process.kill()
        self.process.wait()


class Download:
    """A slow download of /large from one source port, until it is told to finish."""

    def __init__(self, family, port):
        rate = large_file()["bytes"] // SLOW_SECONDS
        command = inside("client", sys.executable, "-B", f"{HERE}/load.py", "download",
                         family.source, family.vip, str(port), "/large", str(rate))
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        first = self.process.stdout.readline()
        expect(first, f"a download from {family.vip} did not begin")
        self.backend = json.loads(first)["backend"]

    def goes_on(self):
        return self.process.poll() is None

    def finish(self):
        """Lets it run free; returns bytes and SHA-256."""
        out, _ = self.process.communicate(timeout=PATIENCE_SECONDS)
        if self.process.returncode != 0 or not out:
            raise Broken(f"the download from {self.backend} broke off")
        return json.loads(out)


@functools.cache
def large_file():
    """Bytes and SHA-256 of the file that is downloaded."""
    with open(f"{DIR}/www/large", "rb") as file:
        data = file.read()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def fetch(family, port, path):
    """curl on the client, from a source port; returns what it got."""
    url = f"http://{bracket(family.vip)}{path}"
    command = inside("client", "curl", "--silent", "--show-error", "--fail", "--local-port",
                     str(port), "--max-time", str(PATIENCE_SECONDS), url)
    reply = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    expect(reply.returncode == 0, f"curl {url}: {reply.stderr.decode(errors='replace')}")
    return reply.stdout
