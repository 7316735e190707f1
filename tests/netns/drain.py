#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Drains backends under keep-alive connections; drain.sh makes the lab for it.

Four services share three backends: two of them by IPv6 and one with any port, whose flow entries
say nothing of the service, so that only what is noted beside them can tell their flows apart. As
often as flows are compared here, each backend of each service must have exactly as many as
connections were answered by it.
"""
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time

import restart
from restart import Connection, Failure, dataplane, expect, settle, shuntd, wait_for

SOURCES = {4: os.environ["LAB_CLIENT_V4"], 6: os.environ["LAB_CLIENT_V6"]}
VIPS = {4: os.environ["LAB_VIP_V4"], 6: os.environ["LAB_VIP_V6"]}
# Name: address family, port in the file, port that is asked. The servers listen on both.
SERVICES = {"web4": (4, 80, 80), "any4": (4, "any", 8080), "web6": (6, 80, 80),
            "alt6": (6, 8080, 8080)}
BACKENDS = ["b1", "b2", "b3"]
EACH = 24
FLOW_TIMEOUT_S = 8
ON = "weight: 1"
CONFIG_HEAD = f"""\
version: 1
fleet_seed: "5f1c0ffee5ba1ad5beadedc0de2b1a5e"
dataplane:
  interfaces:
    - {{ name: uplink0, device: "net_af_packet0,iface=up0" }}
  flows: 100K
  flow_timeout: {FLOW_TIMEOUT_S}s
defaults: {{ encapsulation: gue }}
services:
"""
clients = restart.clients
next_port = 20000


def address(name):
    return f"10.0.{name[1]}.1"


def configure(**backends):
    """b1="weight: 2" and so on, in every service; an entry that is None is left out."""
    text = CONFIG_HEAD
    for name, (family, port, _) in SERVICES.items():
        text += (f"  - name: {name}\n    vip: '{VIPS[family]}'\n    protocol: tcp\n"
                 f"    port: {port}\n    backends:\n")
        for backend in BACKENDS:
            what = backends.get(backend, ON)
            if what:
                text += f"      - {{ address: {address(backend)}, {what} }}\n"
    with open(restart.CONFIG, "w", encoding="utf-8") as file:
        file.write(text)


def command(*arguments, status=0):
    """Runs `shunt`; returns its standard output and error."""
    reply = subprocess.run(["shunt", *arguments, "--run-dir", restart.RUN_DIR], check=False,
                           text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=40)
    expect(reply.returncode == status, f"`shunt {' '.join(arguments)}` exits with "
           f"{reply.returncode}, not {status}: {reply.stdout}{reply.stderr}")
    return reply.stdout, reply.stderr


def ordered(*arguments):
    return json.loads(command(*arguments, "--json")[0])


def views():
    """(service, backend): what is shown of it."""
    services = json.loads(command("show", "--json")[0])
    return {(s["name"], "b" + b["address"].split(".")[2]): b
            for s in services for b in s["backends"]}


def open_connections(count=EACH):
    """That many to each service."""
    global next_port
    new = []
    for family, _, port in SERVICES.values():
        new += [Connection(next_port + i, SOURCES[family], VIPS[family], port)
                for i in range(count)]
        next_port += count
    return clients.start(new)


def service_of(connection):
    family = 6 if ":" in connection.vip else 4
    return next(n for n, (f, _, port) in SERVICES.items()
                if (f, port) == (family, connection.vip_port))


def held():
    """How many connections each backend of each service has."""
    counts = {(service, backend): 0 for service in SERVICES for backend in BACKENDS}
    for connection in clients.all:
        if not connection.closing:
            counts[service_of(connection), connection.backend] += 1
    return counts


def expect_counted(when):
    """shuntd finds as many flows as there are connections, everywhere."""
    wanted, found = held(), {}

    def same():
        found.update({key: view["flows"] for key, view in views().items()})
        return found == wanted
    try:
        wait_for("flows", same)
    except Failure:
        raise Failure(f"{when}, flows are counted as {found}, not {wanted}") from None
    clients.round()
    clients.expect_whole()
    print(f"ok   {when}: {sum(wanted.values())} flows of {len(wanted)} backends, each counted "
          "where it is", flush=True)


def expect_avoided(when, *names):
    """New connections go elsewhere."""
    new = open_connections(8)
    found = {c.backend for c in new}
    expect(not found & set(names), f"{when}, new connections go to {found}")


def drained_by(name):
    drains = [view["drain"] and view["drain"]["by"]
              for (_, backend), view in views().items() if backend == name]
    expect(len(set(drains)) == 1, f"{name} is drained by {drains}")
    return drains[0]


def drain_file():
    with open(f"{restart.LAB_DIR}/state/drains.json", encoding="utf-8") as file:
        return json.load(file)["services"]


# --- The story ---

def drained():
    open_connections()
    before = views()
    expect(all(view["flows"] is None for view in before.values()), f"counted unasked: {before}")
    expect(all(count > 0 for count in held().values()), f"a backend has none: {held()}")
    answer = ordered("drain", address("b1"))
    expect(answer["changed"] == len(SERVICES) and not answer["warnings"], f"{answer}")
    for backend in answer["backends"]:
        expect(backend["state"] == "drain" and backend["drain"]["by"] == "operator" and
               backend["flows"] is None, f"just drained, and {backend}")
    expect(sorted(len(s) for s in drain_file().values()) == [1] * len(SERVICES),
           f"drains.json: {drain_file()}")
    expect(ordered("drain", address("b1"))["changed"] == 0, "a second drain changes something")
    settle()
    packets = "".join(f"tcp {SOURCES[4]}:{port} {VIPS[4]}:80\n" for port in range(1000, 1100))
    explained = restart.shunt("explain", "--json", "-", text=packets)
    expect(explained.count("10.0.2.1") and address("b1") not in explained, explained)
    expect_avoided("drained", "b1")
    expect_counted("after a drain")


def survives():
    since = [v["drain"]["since"] for (_, b), v in views().items() if b == "b1"]
    configure(b3="weight: 2")
    shuntd.process.send_signal(signal.SIGHUP)
    wait_for("the reload", lambda: views()["web4", "b3"]["weight"] == 2)
    settle()
    expect_avoided("after a reload", "b1")
    expect_counted("after a reload")
    restart.shuntd_restarts()
    expect_avoided("after kill -9 of shuntd", "b1")
    expect_counted("after kill -9 of shuntd")
    restart.dataplane_restarts()
    expect_counted("after kill -9 of shunt-dpdk")
    expect([v["drain"]["since"] for (_, b), v in views().items() if b == "b1"] == since,
           "it drains since another time")


def waited_for():
    left = sum(count for (_, backend), count in held().items() if backend == "b1")
    _, error = command("drain", address("b1"), "--wait", "--timeout", "1s", status=75)
    expect(f"still has {left} flows after 1s" in error, f"--wait with {left} flows says {error}")
    view = command("show")[0]
    web4 = held()["web4", "b1"]
    expect(re.search(rf"-> 10\.0\.1\.1 .* drain .* drained by an operator since \S+Z  {web4} flows "
                     "left", view), view)
    screen, terminal = pty.openpty()
    os.set_blocking(screen, False)
    shown = []

    def shows(text):
        try:
            shown.append(os.read(screen, 65536).decode())
        except BlockingIOError:
            pass
        return text in "".join(shown)
    waiting = subprocess.Popen(["shunt", "drain", address("b1"), "--wait", "--timeout", "60s",
                                "--run-dir", restart.RUN_DIR], stdout=subprocess.PIPE,
                               stderr=terminal, text=True)
    wait_for("the terminal shows flows", lambda: shows(f"10.0.1.1: {left} flows left ("))
    restart.shuntd_restarts()  # whose flows are unknown then, and not 0
    wait_for("flows are counted", lambda: views()["web4", "b1"]["flows"] == web4)
    expect(waiting.poll() is None, "--wait does not wait for flows")
    start = time.monotonic()
    for connection in clients.all:
        connection.closing = connection.backend == "b1"
    wait_for("--wait ends", lambda: waiting.poll() is not None, 30)
    took = time.monotonic() - start
    said = waiting.communicate()[0]
    expect(waiting.returncode == 0 and "10.0.1.1 has no flow left" in said,
           f"--wait exits with {waiting.returncode}: {said}")
    expect(took > FLOW_TIMEOUT_S / 2, f"--wait ended {took:.1f} s after the connections did")
    expect_counted(f"{took:.1f} s after the last connection ended")


def undrained():
    expect(ordered("undrain", address("b1"))["changed"] == len(SERVICES), "undrain changes nothing")
    expect(drain_file() == {}, f"drains.json: {drain_file()}")
    settle()
    expect("b1" in {c.backend for c in open_connections()}, "no new connection to b1")
    restart.shuntd_restarts()
    expect(drained_by("b1") is None, "an undrain is forgotten by a restart")
    print("ok   undrained: new connections again", flush=True)


def by_service():
    for name in ("b1", "b2"):
        answer = ordered("drain", address(name), "--service", "web6")
        expect(not answer["warnings"], f"{answer}")
        expect(answer["backends"][0]["flows"] is None, f"counted before it drained: {answer}")
        wait_for("flows are counted", lambda: views()["web6", "b2"]["flows"] is not None)
    answer = ordered("drain", address("b3"), "--service", "web6")
    expect("web6 has no backend left" in answer["warnings"][0], f"{answer}")
    states = {service: [v["state"] for (s, _), v in views().items() if s == service]
              for service in SERVICES}
    expect(states == {**{service: ["up"] * 3 for service in SERVICES}, "web6": ["drain"] * 3},
           f"{states}")
    for name in BACKENDS:
        ordered("undrain", address(name))
    print("ok   in one service alone, down to its last backend", flush=True)


def by_file():
    configure(b2="state: drain")
    restart.reload()
    expect(drained_by("b2") == "file", "not drained by the file")
    output, error = command("undrain", address("b2"))
    expect("was not drained" in output and "the file says `state: drain`" in error, output + error)
    expect_avoided("drained by the file", "b2")
    configure()
    restart.reload()
    expect(drained_by("b2") is None, "drained by nobody")
    ordered("drain", address("b3"))
    configure(b3=None)
    restart.reload()
    configure()
    restart.reload()
    expect(drained_by("b3") is None and drain_file() == {}, "drained though it was removed")
    print("ok   by the file; and forgotten with the backend", flush=True)


def refused():
    for arguments, says in (
            (("10.0.1.9",), "no service has a backend 10.0.1.9, but 10.0.1.1"),
            (("10.0.1.1", "--service", "web5"), "there is no service 'web5', but web4"),
            (("b1",), "'b1' is not an address"),
    ):
        _, error = command("drain", *arguments, status=65)
        expect(says in error, error)
    in_the_way = f"{restart.LAB_DIR}/state/drains.json.tmp"
    os.mkdir(in_the_way)  # nothing can be written in its place
    _, error = command("drain", address("b1"), status=69)
    expect("nothing has changed: it cannot be kept" in error, error)
    expect(drained_by("b1") is None, "drained though that could not be kept")
    os.rmdir(in_the_way)
    ordered("drain", address("b1"))
    print("ok   what cannot be done is refused", flush=True)


def story():
    configure()
    shuntd.start()
    dataplane.start()
    settle()
    drained()
    survives()
    waited_for()
    undrained()
    by_service()
    by_file()
    refused()


if __name__ == "__main__":
    sys.exit(restart.main(story))
