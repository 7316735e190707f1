#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""shunt-dpdk with two workers on a tap, with dpdk_attach in shuntd's place: both forward, flows stay
where they are through new arenas, and cores that cannot be used are told. The lab is dpdk.py's.

usage: workers.py SHUNT-DPDK DPDK_ATTACH    exit: 0 passed, 1 failed, 77 cannot run here
"""
import os
import re
import socket
import struct
import sys
import time

sys.dont_write_bytecode = True
from dpdk import ACK, SYN, check, csum, enter, frame, packet, run, run_lab, skip, threads_cpu, until, Process

CORES = sorted(os.sched_getaffinity(0))[:2]
LIST = ",".join(map(str, CORES))
SPOKEN = "%d-%d" % tuple(CORES) if CORES[-1] == CORES[0] + 1 else LIST


def each_forwarded(report):
    return [report["worker0"], report["worker1"]]


def test_says_what_it_uses(lab):
    text = lab.engine.all
    check("2 workers on cores %s," % SPOKEN in text, text)
    check("cores %s are not isolated" % SPOKEN in text and "isolcpus=%s" % SPOKEN in text, text)
    check("workers=2 " in lab.shuntd.all, "HELLO: " + lab.shuntd.all)


def test_each_has_its_core(lab):
    report = lab.shuntd.report()
    check([report["core0"], report["core1"]] == CORES, "cores in the report: %s" % report)
    pinned = set()
    for task in os.listdir("/proc/%d/task" % lab.engine.process.pid):
        allowed = os.sched_getaffinity(int(task))
        if len(allowed) == 1:
            pinned |= allowed
    check(pinned >= set(CORES), "threads are pinned to %s" % pinned)


def test_both_forward(lab):
    ports = range(2000, 2400)
    before = each_forwarded(lab.shuntd.report())
    first = lab.forward(ports, SYN)
    lab.settled(maglev=400)
    spread = [now - old for old, now in zip(before, each_forwarded(lab.shuntd.report()))]
    check(min(spread) >= 40, "the kernel spreads 400 flows as %s" % spread)
    check(lab.forward(ports, ACK) == first, "the flow keeps its backend")
    lab.settled(maglev=800, flow=0, flows=400)
    # Each packet of a flow meets the worker that knows it.
    check(lab.forward(ports, ACK) == first, "from the flow table too")
    lab.settled(maglev=800, flow=400, flows=400, packets=2400)


def test_both_poll(lab):
    pid = lab.engine.process.pid
    before = threads_cpu(pid)

    def both_ran():
        after = threads_cpu(pid)
        return sum(after[name] - before.get(name, 0) >= 5 for name in after) >= 2
    until(both_ran, "two threads use their cores")


def test_new_arenas_keep_counters(lab):
    """Under load, each worker going over at its own moment."""
    ports = range(4000, 4400)
    first = lab.forward(ports, ACK)
    time.sleep(0.05)
    before = lab.shuntd.report()
    seen, came = [], 0
    for epoch in range(2, 6):
        for port in ports:
            lab.wire.send(lab.frame(port, ACK))
            if port == 4100:
                lab.shuntd.command("arena %d 1" % epoch)
            if port % 50 == 49:
                came += len(lab.wire.receive(50))
                seen.append(lab.shuntd.report()["flow"])
        until(lambda: lab.shuntd.report()["epoch"] == epoch, "the report of epoch %d" % epoch)
    check(came == 4 * len(ports), "%d of %d came through the changes" % (came, 4 * len(ports)))
    check(seen == sorted(seen), "a counter went backwards: %s" % seen)
    lab.settled(epoch=5, flow=before["flow"] + 1600, maglev=before["maglev"],
                packets=before["packets"] + 3200, flows=before["flows"])
    check(lab.forward(ports, ACK) == first, "flows survive")


def error_about(port):
    """What a router says of a segment that the VIP sent to this port, with eight bytes of TCP."""
    client, vip = socket.inet_aton("198.51.100.7"), socket.inet_aton("203.0.113.10")
    about = struct.pack("!BBHHHBBH", 0x45, 0, 1500, 9, 0x4000, 60, 6, 0) + vip + client
    about += struct.pack("!HHI", 443, port, 1)
    icmp = struct.pack("!BBHI", 3, 4, 0, 1400) + about
    icmp = icmp[:2] + struct.pack("!H", csum(icmp)) + icmp[4:]
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(icmp), 8, 0, 64, 1, 0)
    head += socket.inet_aton("192.0.2.1") + vip
    return head[:10] + struct.pack("!H", csum(head)) + head[12:] + icmp


def fragments_of(port):
    """A segment in two fragments, the second of which has no ports."""
    whole = packet(port, ACK, bytes(64))
    for at, more in ((0, 0x2000), (40, 0)):
        data = whole[20 + at:][:40 if more else None]
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), port, more | at // 8, 64, 6, 0)
        head += whole[12:20]
        yield head[:10] + struct.pack("!H", csum(head)) + head[12:] + data


def test_strays_find_their_flow(lab):
    """The kernel spreads errors and fragments otherwise than their flows."""
    ports = range(5000, 5200)
    first = lab.forward(ports, ACK)
    lab.shuntd.do("close 0 2") # its slots go to the other backend
    until(lambda: lab.shuntd.report()["generation"] == 2, "the workers have the tables")
    left = [p for p in ports if first[p] == "10.0.1.1"]
    check(len(left) >= 50, "%d flows of the closed backend" % len(left))
    check(lab.forward(ports, ACK) == first, "flows stay")
    for port in ports:
        strays = [error_about(port), *fragments_of(port)]
        for ip in strays:
            lab.wire.send(frame(lab.station, ip))
        came = lab.wire.receive(len(strays))
        check(len(came) == len(strays), "port %d: %d came" % (port, len(came)))
        for data in came:
            check(socket.inet_ntoa(data[30:34]) == first[port],
                  "port %d: a stray of %s went to %s" % (port, first[port],
                                                         socket.inet_ntoa(data[30:34])))


def test_another_incarnation_clears_all_tables(lab):
    check(lab.shuntd.report()["flows"] >= 800, "there are flows")
    lab.shuntd.do("arena 1 2")
    lab.shuntd.wait_for("attached epoch=1")
    lab.settled(epoch=1, flows=0, generation=1)
    lab.forward(range(4000, 4050), ACK)
    lab.settled(flows=50)


def attached(lab, text, says):
    """Starts a successor."""
    lab.engine.end()
    lab.shuntd.wait_for("gone")
    lab.start(text)
    lab.engine.wait_for(says, 20)
    lab.shuntd.wait_for(r"attached epoch=\d+ writable=0 heritable=1")
    until(lambda: lab.shuntd.report().get("generation") == 1, "the workers have the tables")
    lab.reconnect()


def test_fewer_and_more_workers_keep_flows(lab):
    """Two, one, two again; each time every flow is looked up among the predecessor's."""
    ports = range(4000, 4050)
    one = lab.text.replace("workers: \"%s\"" % LIST, "workers: %d" % CORES[1])
    for text in (one, lab.text):
        attached(lab, text, "takes over the flows of the dataplane before it one by one")
        lab.settled(flows=0)
        lab.forward(ports, ACK)
        lab.settled(flow=50, maglev=0, flows=50)
        lab.forward(ports, ACK)
        lab.settled(flow=100, maglev=0, flows=50)
    attached(lab, lab.text, "goes on with the flows of the dataplane before it")
    lab.settled(flows=50)


def test_old_tables_are_left_after_a_timeout(lab):
    """With a short one, of which the predecessor knows as well."""
    short = lab.text.replace("flows: 10K", "flow_timeout: 2s\n  flows: 10K")
    attached(lab, short, "starts without the flows .*: their ages count otherwise")
    lab.forward(range(4000, 4010), ACK)
    attached(lab, short.replace("flows: 10K", "flows: 1M"), "one by one")
    lab.engine.wait_for("are taken over or have timed out")
    lab.forward(range(4000, 4010), ACK)
    lab.settled(maglev=10)


TESTS = [
    test_says_what_it_uses,
    test_each_has_its_core,
    test_both_forward,
    test_both_poll,
    test_new_arenas_keep_counters,
    test_strays_find_their_flow,
    test_another_incarnation_clears_all_tables,
    test_fewer_and_more_workers_keep_flows,
    test_old_tables_are_left_after_a_timeout,
]


# --- Without shuntd ---

def starts(program, device, workers):
    """What it says until it forwards or ends; its exit code, None while it runs."""
    with open("/run/start.yaml", "w") as file:
        file.write(CONFIG_START % (device, workers))
    process = Process([program, "-f", "/run/start.yaml", "--run-dir", "/run"], "stderr")
    try:
        until(lambda: "waits for shuntd" in process.read() or process.process.poll() is not None,
              "it starts or ends")
        process.read()
        return process.all, process.process.poll()
    finally:
        process.end()


CONFIG_START = """
version: 1
fleet_seed: "000102030405060708090a0b0c0d0e0f"
dataplane:
  interfaces: [{ name: up0, device: "%s", gateway_mac: "02:00:00:00:00:fe" }]
  workers: "%s"
  flows: 10K
services:
  - { name: web, vip: 203.0.113.10, protocol: tcp, port: 443, backends: [{ address: 10.0.1.1 }] }
"""


def expect(program, device, workers, code, *says):
    text, ended = starts(program, device, workers)
    what = "%s with workers %s: exit %s\n%s" % (device, workers, ended, text)
    check(ended == code, what)
    for pattern in says:
        check(re.search(pattern, text), "lacks '%s': %s" % (pattern, what))


def test_cores_and_queues(program):
    first, second = CORES
    last = sorted(os.sched_getaffinity(0))[-1]
    surplus = r"core %d of `workers: %s` is not used: .* up0 \(`%s`\) has 1: " % (
        second, LIST, "%s")
    pcap = "net_pcap0,rx_pcap=/run/empty.pcap,tx_pcap=/run/out.pcap"
    with open("/run/empty.pcap", "wb") as file:
        file.write(bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000"))
    packet = "net_af_packet0,iface=lb1"
    expect(program, packet, LIST, None, surplus % packet + "write `qpairs=2` into its `device:`",
           "1 worker on core %d" % first)
    expect(program, pcap, LIST, None, surplus % pcap + "the device has no more",
           "1 worker on core %d" % first)
    expect(program, packet + ",qpairs=2", LIST, None, "2 workers on cores " + SPOKEN)
    expect(program, packet + ",qpairs=2", str(first), 69,
           "spreads packets over 2 queues, but 1 worker would serve them: write `qpairs=1`, or "
           "name 2 cores")
    expect(program, packet, "1020-1022,%d" % first, 69, "no worker may run on cores 1020-1022:")
    expect(program, packet, "%d,%d" % (first, first), 65, "each once")
    with open("/sys/devices/system/cpu/isolated") as file:
        if not file.read().strip():
            expect(program, packet, "auto", None,
                   r"1 worker on core %d \(auto: no core is isolated" % last)
    print("ok: cores and queues that do not fit are told", flush=True)


def inside(programs):
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "lb1", "type", "veth", "peer", "name", "client1")
    for name in ("lb1", "client1"):
        run("ip", "link", "set", name, "up")
    test_cores_and_queues(programs[0])
    run_lab(programs, "two workers", "net_tap0,iface=lb0", "lb0", TESTS, "",
            (', mac: "02:00:00:00:00:01"', '  workers: "%s"\n' % LIST))


if __name__ == "__main__":
    if len(CORES) < 2:
        skip("two workers need two cores")
    enter(__file__, inside)
