# SPDX-License-Identifier: BSD-2-Clause
"""A wire that shunt-dpdk shares with the kernel: the balancer's own addresses on it, VIPs that are
answered for, and the kernel's routes, neighbours and MTUs followed as they change. Started by
exception.sh, inside its lab."""
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import lab
from report import Broken, expect

PEER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "exception_peer.py")
LB_MAC, LB0_MAC = os.environ["LAB_LB_MAC"], os.environ["LAB_LB0_MAC"]
GW2_MAC = "02:00:00:00:02:02"
LB = {"IPv4": "192.0.2.2", "IPv6": "2001:db8:ffff::2"}
GATEWAY = {"IPv4": "192.0.2.1", "IPv6": "2001:db8:ffff::1"}
GATEWAY2 = {"IPv4": "192.0.2.3", "IPv6": "2001:db8:ffff::3"}
WIRE_MTU = 1500  # net_tap sends no more
FOLLOWED_SECONDS = 1.0
HOLD_SECONDS = 5.0
ASKED = 128
daemons = {}
attached = {}


# --- the lab ---

def ip(namespace, *words):
    return lab.run("ip", "-n", namespace, *words)


def sysctl(namespace, key, value):
    lab.run(*lab.inside(namespace, "sh", "-c", f"echo {value} >/proc/sys/net/{key}"))


def peer(namespace, *words):
    return lab.inside(namespace, sys.executable, "-B", PEER, *map(str, words))


def start(name, *words):
    log = open(f"{lab.DIR}/{name}.log", "ab")
    daemons[name] = subprocess.Popen(lab.inside("lb", name, "-f", lab.CONFIG, "--run-dir",
                                                "/run/shunt", *words), stdout=log, stderr=log)
    with open(f"{lab.DIR}/{name}.pid", "w", encoding="utf-8") as file:
        file.write(str(daemons[name].pid))


def kill(name):
    daemons[name].send_signal(signal.SIGKILL)
    daemons[name].wait()


def said(name):
    with open(f"{lab.DIR}/{name}.log", encoding="utf-8") as file:
        return file.read()


def link(namespace, name):
    found = subprocess.run(["ip", "-n", namespace, "-j", "link", "show", name],
                           capture_output=True, check=False)
    return json.loads(found.stdout)[0] if found.returncode == 0 else None


def engine_starts():
    """Not before it has started may its device move."""
    before = said("shunt-dpdk").count("engine dpdk with") if "shunt-dpdk" in daemons else 0
    start("shunt-dpdk")
    lab.wait_for("shunt-dpdk", lambda: said("shunt-dpdk").count("engine dpdk with") > before)


def plug():
    """The wire's other end goes to the router, which is in the VIPs' own prefixes: no route and no
    neighbour there says where they are."""
    ip("lb", "link", "set", "lb0", "netns", "router")
    ip("router", "link", "set", "lb0", "address", LB0_MAC, "mtu", str(WIRE_MTU))
    for address in (GATEWAY["IPv4"] + "/24", "203.0.113.254/24"):
        ip("router", "address", "add", address, "dev", "lb0")
    for address in (GATEWAY["IPv6"] + "/64", "2001:db8:80::fe/64"):
        ip("router", "address", "add", address, "dev", "lb0", "nodad")
    for family in ("ipv4", "ipv6"):  # who changes a MAC tells everyone
        sysctl("router", f"{family}/conf/lb0/{'arp' if family == 'ipv4' else 'ndisc'}_notify", 1)
    ip("router", "link", "set", "lb0", "up")


def routes(gateway, *more):
    for family in lab.FAMILIES:
        flag = "-6" if family.name == "IPv6" else "-4"
        ip("lb", flag, "route", "replace", "default", "via", gateway[family.name], *more)


def address_the_balancer():
    ip("lb", "address", "add", LB["IPv4"] + "/24", "dev", "uplink0")
    ip("lb", "address", "add", LB["IPv6"] + "/64", "dev", "uplink0", "nodad")
    routes(GATEWAY)


# --- what is seen ---

def backends():
    return [b for s in lab.show("services") for b in s["backends"]]


def through(mac):
    return lambda: all(b["reachable"] and b["next_hop"]["mac"] == mac for b in backends())


def lost():
    return not any(b["reachable"] for b in backends())


def mtu_is(mtu):
    return lambda: all(b["reachable"] and b["next_hop"]["mtu"] == mtu for b in backends())


def within(seconds, what, condition):
    """Until shuntd says so and the dataplane uses it."""
    begin = time.monotonic()
    lab.wait_for(what, condition)
    lab.generation()
    took = time.monotonic() - begin
    expect(took < seconds, f"{what}: took {took:.2f} s, more than {seconds:g} s")
    print(f"ok   {what}, after {took:.2f} s", flush=True)


def verdicts():
    return {v["reason"]: v["packets"] for v in lab.show("drops")["verdicts"]}


def counted(reason, before):
    lab.wait_for(f"{reason} is counted", lambda: verdicts()[reason] > before[reason])


def status():
    return lab.show("status")["dataplanes"][0]


def served(port):
    for number, family in enumerate(lab.FAMILIES):
        answer = lab.fetch(family, port + number, "/").decode()
        expect(answer.startswith("hello from b"), f"the answer is {answer!r}")


def neighbours(namespace, device):
    table = json.loads(ip(namespace, "-j", "neigh", "show", "dev", device))
    return {n["dst"]: n.get("lladdr") for n in table}


@contextmanager
def background(*command):
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


# --- steps ---

def no_tables_no_lockout():
    """shuntd isn't there, and whoever wants to see why comes over this wire."""
    engine_starts()
    plug()
    address_the_balancer()
    found = link("lb", "uplink0")
    expect(found["address"] == LB_MAC and found["mtu"] == WIRE_MTU, f"uplink0 is {found}")
    lab.wait_for("the balancer's address without shuntd", lambda: all(
        subprocess.run(peer("router", "ping", a, 84), check=False).returncode == 0
        for a in LB.values()))
    print("ok   without tables the kernel has the wire", flush=True)
    start("shuntd", "--state-dir", f"{lab.DIR}/state")
    lab.wait_for("shuntd", lambda: os.path.exists("/run/shunt/api.sock"))
    within(10, "next hops are found over the wire", through(LB0_MAC))
    attached.update(at=time.monotonic(), lost=status()["kernel_lost"])
    expect(status()["ports"][0]["kernel_name"] == "uplink0", f"{status()}")
    engine = lab.show("engine")[0]
    expect(engine["engine"] == "dpdk" and engine["forwards"] and engine["why"] ==
           "`engine: auto`, and a device is given to DPDK" and
           engine["interfaces"][0]["state"] == "DPDK polls net_tap", f"{engine}")


def own_addresses():
    for address in LB.values():
        for packet_bytes in (84, 1499, WIRE_MTU):
            lab.run(*peer("router", "ping", address, packet_bytes))
    for address in GATEWAY.values():
        lab.run(*peer("lb", "ping", address, WIRE_MTU))
    expect(neighbours("router", "lb0")[LB["IPv4"]] == LB_MAC, "the router has another MAC")
    print("ok   the balancer's own addresses answer, up to the MTU", flush=True)


def bulk_beside_service():
    """A large file from the balancer itself, while connections to the VIPs pass."""
    before, wanted = verdicts(), lab.large_file()
    with background(*lab.inside("lb", "/usr/bin/python3", "-m", "http.server", "--bind",
                                LB["IPv4"], "--directory", f"{lab.DIR}/www", "8022")):
        url = f"http://{LB['IPv4']}:8022/large"
        begin = time.monotonic()
        copy = subprocess.Popen(lab.inside("router", "curl", "-s", "--retry", "20", "--retry-delay", "1",
                                           "--retry-connrefused", "-o", f"{lab.DIR}/copy", url))
        loads = [lab.Load(family, 20000, 200) for family in lab.FAMILIES]
        for load in loads:
            load.landed()
        expect(copy.wait(60) == 0, "the copy broke off")
        took = time.monotonic() - begin
    with open(f"{lab.DIR}/copy", "rb") as file:
        expect(file.read() == open(f"{lab.DIR}/www/large", "rb").read(), "the copy is not the file")
    os.unlink(f"{lab.DIR}/copy")
    counted("maglev", before)
    print(f"ok   {wanted['bytes']} bytes from the balancer itself, beside 400 connections to the "
          f"VIPs, in {took:.1f} s", flush=True)


def vips_are_answered_for():
    served(21000)
    found = neighbours("router", "lb0")
    for family in lab.FAMILIES:
        expect(found.get(family.vip) == LB_MAC, f"the router has {found}")
    now = verdicts()
    expect(now["arp"] > 0 and now["neighbour"] > 0, f"nothing was answered: {now}")
    print("ok   a router that knows only the VIPs' prefixes finds them", flush=True)


def new_vips_are_announced():
    text = lab.config_read()
    more = re.sub(r"vip: 203\.0\.113\.10", "vip: 203.0.113.77", text.split("services:")[1])
    more = re.sub(r"vip: 2001:db8:80::10", "vip: 2001:db8:80::77", more)
    more = more.replace("name: web", "name: more")
    while time.monotonic() < attached["at"] + 3:  # the first ones are told twice, too
        time.sleep(0.1)
    wanted = {f"arp 203.0.113.77 {LB_MAC} ff:ff:ff:ff:ff:ff": [],
              f"nd 2001:db8:80::77 {LB_MAC} 33:33:00:00:00:01": []}
    with background(*peer("router", "listen", "lb0", 20)) as listener:
        listener.stdout.readline()
        lab.config_write(text + more)
        lab.run("shunt", "reload")
        while any(len(times) < 2 for times in wanted.values()):
            line = listener.stdout.readline()
            expect(line, f"not announced twice: {wanted}")
            when, what = line.strip().split(" ", 1)
            expect(what in wanted, f"announced: {what}")
            wanted[what].append(float(when))
    for what, (first, second) in wanted.items():
        expect(1.9 < second - first < 4, f"{what}: {second - first:.2f} s apart")
    lab.config_write(text)
    lab.run("shunt", "reload")
    lab.generation()
    print("ok   new VIPs are announced, twice, and old ones not again", flush=True)


def gateway_changes_mac():
    time.sleep(1.1)  # the kernel ignores a second change of a neighbour within a second
    mac = "02:00:00:00:01:99"
    ip("router", "link", "set", "lb0", "address", mac)
    within(FOLLOWED_SECONDS, "a gateway's new MAC is followed", through(mac))
    served(21010)
    time.sleep(1.1)
    ip("router", "link", "set", "lb0", "address", LB0_MAC)
    within(FOLLOWED_SECONDS, "and back", through(LB0_MAC))


def received(name):
    return int(link_stats(name)["rx"]["packets"])


def link_stats(name):
    return json.loads(ip("router", "-s", "-j", "link", "show", name))[0]["stats64"]


def route_changes():
    """A second gateway on the same wire."""
    for key in ("arp_ignore", "arp_announce"):
        sysctl("router", f"ipv4/conf/all/{key}", 1)
    ip("router", "link", "add", "gw2", "link", "lb0", "address", GW2_MAC, "type", "macvlan", "mode",
       "bridge")
    ip("router", "address", "add", GATEWAY2["IPv4"] + "/24", "dev", "gw2")
    ip("router", "address", "add", GATEWAY2["IPv6"] + "/64", "dev", "gw2", "nodad")
    ip("router", "link", "set", "gw2", "up")
    routes(GATEWAY2)
    within(FOLLOWED_SECONDS, "another gateway is followed", through(GW2_MAC))
    before = received("gw2")
    served(21020)
    expect(received("gw2") > before, "the second gateway saw nothing")
    routes(GATEWAY)
    within(FOLLOWED_SECONDS, "and back", through(LB0_MAC))


def oversize():
    """One segment of 1450 bytes, which IPIP makes 1470."""
    lab.run(*peer("client", "send", lab.FAMILIES[0].source, lab.FAMILIES[0].vip, 1450))


def mtu_changes():
    routes(GATEWAY, "mtu", "1400")
    within(FOLLOWED_SECONDS, "a route's MTU is followed", mtu_is(1400))
    before = verdicts()
    oversize()
    counted("path_mtu", before)
    routes(GATEWAY)
    within(FOLLOWED_SECONDS, "and back", mtu_is(WIRE_MTU))
    ip("lb", "link", "set", "uplink0", "mtu", "1300")
    within(FOLLOWED_SECONDS, "the interface's MTU is followed", mtu_is(1300))
    ip("lb", "link", "set", "uplink0", "mtu", str(WIRE_MTU))
    within(FOLLOWED_SECONDS, "and back", mtu_is(WIRE_MTU))
    before = verdicts()
    oversize()
    lab.wait_for("it is forwarded", lambda: verdicts()["maglev"] + verdicts()["flow"] >
                 before["maglev"] + before["flow"])
    expect(all(verdicts()[r] == before[r] for r in ("path_mtu", "too_big_df")),
           "it was still too big")


def refused(port):
    """A connection that finds no next hop is counted as such."""
    before = verdicts()
    for number, family in enumerate(lab.FAMILIES, port):
        subprocess.run(lab.inside("client", "curl", "-s", "-m", "0.3", "--local-port", str(number),
                                  f"http://{lab.bracket(family.vip)}/"), check=False)
    counted("no_next_hop", before)


def next_hop_is_lost():
    for family in ("-4", "-6"):
        ip("lb", family, "route", "del", "default")
    within(FOLLOWED_SECONDS, "a lost route takes the next hops along", lost)
    refused(21030)
    routes(GATEWAY)
    within(FOLLOWED_SECONDS, "and a new one brings them back", through(LB0_MAC))
    served(21040)

    ip("lb", "link", "set", "uplink0", "down")
    within(FOLLOWED_SECONDS, "an interface that is set down takes them along", lost)
    expect(subprocess.run(peer("router", "ping", LB["IPv4"], 84), check=False).returncode == 1,
           "an interface that is down answers")
    lab.wait_for("what is passed then is lost and told", lambda: " packets for it " in
                 lab.run("shunt", "show", "status") and status()["exceptions_lost"] > 0)
    ip("lb", "link", "set", "uplink0", "up")
    ip("lb", "address", "replace", LB["IPv6"] + "/64", "dev", "uplink0", "nodad")
    routes(GATEWAY)
    within(5, "and set up it brings them back", through(LB0_MAC))
    served(21050)


def main_thread_seconds():
    pid = daemons["shunt-dpdk"].pid
    with open(f"/proc/{pid}/task/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9


def neighbour_is_held():
    """A gateway that falls silent is kept for five seconds."""
    sysctl("lb", "ipv4/neigh/uplink0/retrans_time_ms", 100)
    sysctl("lb", "ipv6/neigh/uplink0/retrans_time_ms", 100)
    sysctl("router", "ipv4/conf/lb0/arp_ignore", 8)  # answers nothing
    ip("router", "-6", "address", "del", GATEWAY["IPv6"] + "/64", "dev", "lb0")
    ip("lb", "neigh", "flush", "dev", "uplink0")
    begin, busy = time.monotonic(), main_thread_seconds()
    while time.monotonic() < begin + HOLD_SECONDS - 1.5:
        expect(through(LB0_MAC)(), f"lost after {time.monotonic() - begin:.2f} s")
        time.sleep(0.2)
    lab.wait_for("a silent gateway is given up", lost)
    took = time.monotonic() - begin
    expect(took > HOLD_SECONDS - 0.5, f"given up after {took:.2f} s")
    expect(took < HOLD_SECONDS + 3, f"given up after {took:.2f} s only")
    print(f"ok   a silent gateway is kept for {took:.2f} s", flush=True)
    share = (main_thread_seconds() - busy) / took
    expect(share < 0.1, f"the main thread takes {100 * share:.1f} % of a core to wait")
    print(f"ok   the main thread sleeps for {100 - 100 * share:.1f} % of it", flush=True)
    lab.generation()
    refused(21060)
    sysctl("router", "ipv4/conf/lb0/arp_ignore", 0)
    ip("router", "-6", "address", "add", GATEWAY["IPv6"] + "/64", "dev", "lb0", "nodad")
    within(5, "and found again by itself", through(LB0_MAC))
    served(21070)


def mac_is_kept():
    ip("lb", "link", "set", "uplink0", "address", "02:00:00:00:77:77")
    lab.wait_for("the MAC is put back", lambda: link("lb", "uplink0")["address"] == LB_MAC)
    expect("is put back" in said("shunt-dpdk"), "nothing is said of it")
    print("ok   the interface keeps the balancer's MAC", flush=True)


def restart_keeps_the_interface():
    index = link("lb", "uplink0")["ifindex"]
    kill("shunt-dpdk")
    found = link("lb", "uplink0")
    expect(found and "NO-CARRIER" in found["flags"], f"without shunt-dpdk, uplink0 is {found}")
    engine_starts()
    plug()
    now = json.loads(ip("lb", "-j", "address", "show", "dev", "uplink0"))[0]
    kept = {a["local"] for a in now["addr_info"]}
    expect(now["ifindex"] == index and set(LB.values()) <= kept, f"uplink0 is {now}")
    within(15, "after kill -9 and a restart all is as it was", through(LB0_MAC))
    served(21080)


def new_interface_is_found():
    """Someone deletes it; the next start makes another of that name."""
    index = link("lb", "uplink0")["ifindex"]
    ip("lb", "link", "del", "uplink0")
    lab.wait_for("the loss is told", lambda: "interface uplink0 was deleted" in said("shunt-dpdk"))
    kill("shunt-dpdk")
    engine_starts()
    plug()
    address_the_balancer()
    expect(link("lb", "uplink0")["ifindex"] != index, "uplink0 is the old one")
    within(15, "an interface made anew is found", through(LB0_MAC))
    served(21090)


def two_workers():
    """Datagrams to the balancer itself, each of a flow of its own, come to both; what the kernel
    answers goes out by the first, after which its wire's end would send the flow's next there."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        print("skip two workers: they need two cores", flush=True)
        return
    text = lab.config_read()
    expect(text.count("  flows: ") == 1, "the configuration has no `flows:`")
    lab.config_write(text.replace("  flows: ", f"  workers: \"{cores[0]},{cores[1]}\"\n  flows: "))
    kill("shunt-dpdk")
    engine_starts()
    plug()
    within(15, "two workers take over", lambda: len(workers()) == 2 and through(LB0_MAC)())
    with background(*peer("lb", "echo", LB["IPv4"], 7)) as server:
        server.stdout.readline()
        lab.run(*peer("router", "ping", LB["IPv4"], 84))
        before = workers()
        answered = int(lab.run(*peer("router", "ask", LB["IPv4"], 7, ASKED)))
    came = [now - old for now, old in zip(workers(), before)]
    expect(answered == ASKED, f"{answered} of {ASKED} were answered; the workers had {came}")
    expect(came[1] >= ASKED // 8 and sum(came) >= ASKED, f"the workers had {came}")
    served(21100)
    lab.config_write(text)
    print(f"ok   two workers: of {ASKED} datagrams to the balancer itself and what came beside them "
          f"they had {came[0]} and {came[1]}, and all were answered", flush=True)


def workers():
    """The packets that each has had."""
    return [w["packets"] for w in lab.show("workers")
            if w["pid"] == daemons["shunt-dpdk"].pid]


def name_is_taken():
    """Forwarding goes on, and one sentence says what is lost."""
    kill("shunt-dpdk")
    ip("lb", "link", "del", "uplink0")
    ip("lb", "link", "add", "uplink0", "type", "bridge")
    start("shunt-dpdk")
    lab.wait_for("a warning", lambda: "interface uplink0 has no exception port, because an "
                 "interface of another kind already has its name" in said("shunt-dpdk"))
    lab.wait_for("tables", lambda: status()["generation"] > 0 and
                 status()["pid"] == daemons["shunt-dpdk"].pid)
    expect(status()["ports"][0]["kernel_name"] == "", f"{status()}")
    print("ok   a name that is taken is told, and the dataplane runs", flush=True)


def nothing_was_lost():
    now = status()
    expect(now["kernel_sent"] > 1000, f"{now}")
    expect(now["exceptions_lost"] == 0 and now["kernel_lost"] == attached["lost"], f"{now}")


BESIDE_A_SESSION = [bulk_beside_service, vips_are_answered_for, new_vips_are_announced,
                    gateway_changes_mac, route_changes, mtu_changes, nothing_was_lost,
                    next_hop_is_lost, neighbour_is_held, mac_is_kept, restart_keeps_the_interface]
AFTERWARDS = [new_interface_is_found, two_workers, name_is_taken]


def take(steps):
    """Those that the command line names, or all."""
    for step in steps:
        if len(sys.argv) == 1 or step.__name__ in sys.argv[1:]:
            step()


def main():
    unknown = set(sys.argv[1:]) - {step.__name__ for step in BESIDE_A_SESSION + AFTERWARDS}
    if unknown:
        sys.exit(f"exception.py has no step {', '.join(sorted(unknown))}")
    try:
        no_tables_no_lockout()
        own_addresses()
        with background(*peer("lb", "serve", LB["IPv4"], 179)) as server:
            server.stdout.readline()
            with background(*peer("router", "hold", LB["IPv4"], 179)) as session:
                expect(session.stdout.readline(), "no TCP session")
                take(BESIDE_A_SESSION)
                told = session.communicate("\n")[0].split()
                expect(session.returncode == 0 and len(told) == 2, "the TCP session broke")
                print(f"ok   a TCP session went on all the while: {told[0]} lines, the longest "
                      f"silence {float(told[1]):.2f} s", flush=True)
        take(AFTERWARDS)
    except Broken as broken:
        print(f"FAIL: {broken}")
        print({reason: count for reason, count in verdicts().items() if count})
        for namespace in ("lb", "router"):
            print(ip(namespace, "neigh"))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
