# SPDX-License-Identifier: BSD-2-Clause
"""Traffic of every kind through shunt-xdp, beside the kernel's own on the same interface; each packet
is accounted for. Started by xdp.sh, inside its lab."""
import json
import os
import socket
import struct
import subprocess
import sys

import lab
import traffic
from claims import connect
from report import Broken, expect
from xdp_lab import (LB, expect_all_seen, ip, link, ok, peer, pings, reachable, served, start,
                     start_shuntd, unseen, verdicts)

ROUTER = {"IPv4": "10.0.9.254", "IPv6": "2001:db8:9::fe"}


def mac(namespace, name):
    return bytes.fromhex(link(namespace, name)["address"].replace(":", ""))


# --- the services ---

def web():
    for number, family in enumerate(lab.FAMILIES):
        connect(family, 20000, 300)
        data = lab.fetch(family, 21000 + number, "/large")
        expect(len(data) == lab.large_file()["bytes"], "the download is not the file")
    ok("600 connections over ipip and gue land as explained; large downloads are whole")


def upload(port):
    """The client's full frames, each of which is wrapped. A server may answer before the last one."""
    for number, family in enumerate(lab.FAMILIES):
        url = f"http://{lab.bracket(family.vip)}/"
        lab.run(*lab.inside("client", "curl", "-s", "-f", "-m", "30", "--local-port",
                            str(port + number), "--data-binary", f"@{lab.DIR}/upload", url))


def uploads():
    before = lab.wire()["tx"]["bytes"]
    upload(21010)
    grown = lab.wire()["tx"]["bytes"] - before
    expect(grown > os.path.getsize(f"{lab.DIR}/upload"), f"only {grown} bytes came by")
    ok(f"uploads go through it: {grown} bytes in full frames")


def iperf():
    for more in ((), ("--parallel", "4")):
        said = json.loads(lab.run(*lab.inside("client", "iperf3", "--json", "--time", "1", "--client",
                                              lab.FAMILIES[0].vip, *more)))
        rate = said["end"]["sum_received"]["bits_per_second"]
        expect(rate > 10e6, f"iperf3 made {rate} bit/s")
        ok(f"iperf3 {' '.join(more)}: {rate / 1e6:.0f} Mbit/s through it")


def datagrams():
    talk = lab.Talk([(f, lab.UDP) for f in lab.FAMILIES], 30000, 100)
    for family in lab.FAMILIES:
        found = talk.backends(family, lab.UDP)
        expect(found == lab.explain(family, found, lab.UDP), "datagrams went elsewhere")
    talk.expect_whole()
    talk.end()
    ok("200 conversations over UDP land as explained")


def path_mtu():
    for family in lab.FAMILIES:
        flag = "-6" if family.name == "IPv6" else "-4"
        ip("lb", flag, "route", "replace", "default", "via", ROUTER[family.name], "mtu", "1400")
    lab.wait_for("the smaller MTU", lambda: all(b["next_hop"]["mtu"] == 1400 for s in
                                                lab.show("services") for b in s["backends"]))
    lab.generation()
    before = verdicts()
    upload(21020)
    told = verdicts()["path_mtu"] - before["path_mtu"]
    expect(told >= 2, f"{told} packets were told the path's MTU")
    for family in lab.FAMILIES:
        flag = "-6" if family.name == "IPv6" else "-4"
        ip("lb", flag, "route", "replace", "default", "via", ROUTER[family.name])
        lab.run(*lab.inside("client", "ip", flag, "route", "flush", "cache"))
    reachable()
    ok(f"senders are told what fits ({told} times), and their uploads arrive")


def pinged():
    before = verdicts()["echo"]
    for family in lab.FAMILIES:
        for size in (84, 1000, 1500):
            expect(pings("client", family.vip, size), f"{family.vip} does not answer {size} bytes")
    expect(verdicts()["echo"] == before + 6, f"{verdicts()['echo'] - before} of 6 were answered")
    ok("the VIPs answer pings of every size")


def asked_for():
    """A router in the VIPs' own segment, which asks who has them."""
    before, address = verdicts(), link("lb", "up0")["address"]
    for family in lab.FAMILIES:
        ip("router", "route", "replace", family.vip, "dev", "to-lb")
    served(21030)
    for family in lab.FAMILIES:
        found = json.loads(ip("router", "-j", "neigh", "show", "to", family.vip, "dev", "to-lb"))
        expect(found and found[0].get("lladdr") == address, f"the router has {found}")
        ip("router", "route", "replace", family.vip, "via", LB[family.name])
    now = verdicts()
    expect(now["arp"] > before["arp"] and now["neighbour"] > before["neighbour"],
           f"nothing was answered: {now}")
    ok("ARP and neighbour discovery for the VIPs are answered")


class Announcements:
    """What a router hears unasked, from before the start on."""

    def __init__(self):
        self.process = subprocess.Popen(peer("router", "listen", "to-lb", 60), text=True,
                                        stdout=subprocess.PIPE)
        self.process.stdout.readline()

    def expect_all(self):
        address = link("lb", "up0")["address"]
        wanted = {f"arp {lab.FAMILIES[0].vip} {address} ff:ff:ff:ff:ff:ff": [],
                  f"nd {lab.FAMILIES[1].vip} {address} 33:33:00:00:00:01": []}
        while any(len(times) < 2 for times in wanted.values()):
            line = self.process.stdout.readline()
            expect(line, f"not announced twice: {wanted}")
            when, what = line.strip().split(" ", 1)
            if what in wanted:  # the kernel announces its own
                wanted[what].append(float(when))
        self.process.kill()
        self.process.wait()
        for what, (first, second) in wanted.items():
            expect(1.9 < second - first < 4, f"{what}: {second - first:.2f} s apart")
        ok("the VIPs are announced, twice")


def tagged():
    """A datagram in a VLAN: the tag stays behind, and the client has its answer."""
    client, vip = (socket.inet_aton(lab.FAMILIES[0].source), socket.inet_aton(lab.FAMILIES[0].vip))
    packet = traffic.ip4(client, vip, traffic.UDP, struct.pack(
        "!HHHH", 31999, lab.UDP[1], 11, 0) + b"vid", ttl=9)
    frame = traffic.ether(struct.pack("!HH", 5, 0x0800) + packet, 0x8100, mac("lb", "up0"),
                          mac("router", "to-lb"))
    code = ("import socket; s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); "
            f"s.bind(('to-lb', 0)); s.send(bytes.fromhex('{frame.hex()}'))")
    wait = ("import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
            f"s.bind(('{lab.FAMILIES[0].source}', 31999)); s.settimeout(10); "
            "print('ready', flush=True); print(s.recv(100).decode())")
    with subprocess.Popen(lab.inside("client", sys.executable, "-c", wait), text=True,
                          stdout=subprocess.PIPE) as listener:
        listener.stdout.readline()
        lab.run(*lab.inside("router", sys.executable, "-c", code))
        answer = listener.stdout.readline().split()
    expect(len(answer) == 2 and answer[1] == "vid", f"the answer is {answer}")
    ok(f"a datagram with a VLAN tag is answered by {answer[0]}")


# --- the kernel's own ---

def own_traffic():
    """A file from the balancer itself, beside connections to the VIPs; ARP and ND with them."""
    server = subprocess.Popen(lab.inside("lb", sys.executable, "-m", "http.server", "--bind",
                                         LB["IPv4"], "--directory", f"{lab.DIR}/www", "22"),
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        before = verdicts()
        ip("router", "neigh", "flush", "dev", "to-lb")
        copy = subprocess.Popen(lab.inside("client", "curl", "-s", "-m", "60", "--retry", "50",
                                           "--retry-delay", "1", "--retry-connrefused", "-o",
                                           f"{lab.DIR}/copy", f"http://{LB['IPv4']}:22/large"))
        for load in [lab.Load(family, 22000, 200) for family in lab.FAMILIES]:
            load.landed()
        expect(copy.wait(60) == 0, "the copy broke off")
    finally:
        server.kill()
        server.wait()
    with open(f"{lab.DIR}/copy", "rb") as mine, open(f"{lab.DIR}/www/large", "rb") as wanted:
        expect(mine.read() == wanted.read(), "the copy is not the file")
    for address in LB.values():
        expect(pings("client", address) and pings("router", address, 1600), f"no echo of {address}")
    for address in ROUTER.values():
        expect(pings("lb", address, 1600), f"no echo of {address}")
    now = verdicts()
    passed = now["other_address"] - before["other_address"]
    expect(passed > 200, f"{passed} packets were passed to the kernel")
    expect(now["not_ip"] > before["not_ip"], f"no ARP was passed: {now}")
    ok(f"the balancer's own addresses are the kernel's: {passed} packets passed, a copy of "
       f"{lab.large_file()['bytes']} bytes beside 400 connections")


def shown():
    engine = lab.show("engine")
    expect(len(engine) == 1, f"{engine}")
    expect(engine[0]["engine"] == "xdp" and engine[0]["forwards"] and
           engine[0]["why"] == "`engine: xdp` in the configuration", f"{engine}")
    expect(engine[0]["interfaces"] == [{"name": "uplink0", "kernel_name": "up0", "state":
                                        "native mode, 1 queue, alone there"}], f"{engine}")
    text = lab.run("shunt", "show", "engine")
    expect("interface    uplink0, the kernel's up0: native mode, 1 queue, alone there\n" in text and
           "carried by   the program in the kernel" in text, text)
    ok("`shunt show engine` says what carries the traffic, and why")


def second_interface():
    """The way to b2 leads over it: what comes in by one goes out by the other."""
    ip("router", "link", "add", "to-lb1", "mtu", "1600", "type", "veth", "peer", "up1", "netns", "lb",
       "mtu", "1600")
    lab.run(*lab.inside("router", "ethtool", "-K", "to-lb1", "tx", "off"))
    ip("router", "address", "add", "10.0.10.254/24", "dev", "to-lb1")
    ip("lb", "address", "add", "10.0.10.1/24", "dev", "up1")
    ip("router", "link", "set", "to-lb1", "up")
    ip("lb", "link", "set", "up1", "up")
    ip("lb", "route", "add", "10.0.2.0/24", "via", "10.0.10.254")
    lab.topology("lab_native", "router", "to-lb1")
    text = lab.config_read()
    lab.config_write(text.replace("  flows: ", "    - { name: up1 }\n  flows: "))
    lab.kill(lab.DATAPLANE)
    start()
    reachable()
    before = link("router", "to-lb1")["stats64"]["rx"]["packets"]
    connect(lab.FAMILIES[0], 23000, 100)
    grown = link("router", "to-lb1")["stats64"]["rx"]["packets"] - before
    expect(grown >= 4 * 20, f"{grown} packets left by the other interface")
    ok(f"with two interfaces, {grown} packets went out by the one that they had not come in by")


def main():
    try:
        heard = Announcements()
        start_shuntd()
        start()
        reachable()
        served(19000)
        before = unseen()
        heard.expect_all()
        shown()
        for step in (web, uploads, iperf, datagrams, path_mtu, pinged, asked_for, tagged, own_traffic):
            step()
            expect_all_seen(before)
        dropped = {v["reason"]: v["packets"] for v in lab.show("drops")["verdicts"]
                   if v["action"] == "drop" and v["packets"]}
        dropped.pop("too_big_df", None)  # those whose sender is told no more than so often
        expect(not dropped, f"dropped: {dropped}")
        ok("every packet has one verdict, and nothing was dropped")
        second_interface()
    except Broken as broken:
        print(f"FAIL: {broken}")
        print({reason: count for reason, count in verdicts().items() if count})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
