#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""`shunt-dpdk --plan` on this machine prints what a start then does: the same words for DPDK, the same
cores, the same pages, the same warnings; and what it says it would refuse, the start refuses.

usage: plan.py SHUNT-DPDK    exit: 0 passed, 1 failed, 77 cannot run here
"""
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
from dpdk import Process, check, run, skip, until
from devices import is_root

CORES = sorted(os.sched_getaffinity(0))
HUGE = "/sys/kernel/mm/hugepages/hugepages-%s/nr_hugepages"
CONFIG = """
version: 1
fleet_seed: "000102030405060708090a0b0c0d0e0f"
dataplane:
%s  interfaces: [{ name: up0, device: "%s", gateway_mac: "02:00:00:00:00:fe" }]
  workers: "%s"
  flows: 1M
services:
  - { name: web, vip: 203.0.113.10, protocol: tcp, port: 443, backends: [{ address: 10.0.1.1 }] }
"""


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def ended(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def plan_of(program, path, code):
    got, out, err = ended(program, "--plan", "--json", "-f", path)
    check(got == code and err == "", "--plan ends with %d:\n%s%s" % (got, out, err))
    return json.loads(out)


def start(program, path):
    """What it says until it forwards or ends, and its exit code; None: it forwards."""
    process = Process([program, "-f", path, "--run-dir", "/run"], "stderr")
    try:
        until(lambda: "waits for shuntd" in process.read() or process.process.poll() is not None,
              "it starts or ends")
        process.read()
        return process.all, process.process.poll()
    finally:
        process.end()


def ranges(cores):
    text, at = [], 0
    while at < len(cores):
        end = at
        while end + 1 < len(cores) and cores[end + 1] == cores[end] + 1:
            end += 1
        text.append(str(cores[at]) if at == end else "%d-%d" % (cores[at], cores[end]))
        at = end + 1
    return ",".join(text)


def compare(program, device, workers, code, found=None):
    """found: workers that find queues where the plan can't know it."""
    path = "/run/plan.yaml"
    write(path, CONFIG % ("", device, workers))
    plan = None
    for _ in range(5):  # others on this machine may use huge pages
        plan = plan_of(program, path, code)
        text, status = start(program, path)
        if plan == plan_of(program, path, code):
            break
    what = "%s, workers %s:\n%s\n%s" % (device, workers, json.dumps(plan, indent=1), text)
    check(status == (code or None), what)
    lines = [line.removeprefix("shunt-dpdk: ") for line in text.splitlines()]
    if code:
        check(plan["faults"] and lines == plan["faults"], what)
        return plan
    check(not plan["faults"] and "DPDK gets " + " ".join(plan["eal"]) in lines, what)
    check(all(warning in lines for warning in plan["warnings"]), what)
    used = [worker["core"] for worker in plan["workers"]][:found]
    check(re.search(r"(?m)engine dpdk with 1 port, %d workers? on cores? %s%s, packets in %s pages, "
                    "flows in %s pages$" % (len(used), ranges(used), re.escape(plan["why"]),
                                            plan["memory"]["packets"]["pages"],
                                            plan["memory"]["flows"]["pages"]), text), what)
    return plan


def test_start_follows(program):
    one, two = str(CORES[0]), "%d,%d" % tuple(CORES[:2])
    packet = "net_af_packet0,iface=lb1"
    plan = compare(program, "net_tap0,iface=lb0", "auto", 0)
    check(plan["interfaces"][0]["queues"] == 16, str(plan))
    plan = compare(program, packet + ",qpairs=2", two, 0)
    check([w["queues"] for w in plan["workers"]] == [
        [{"interface": "up0", "queue": 0}], [{"interface": "up0", "queue": 1}]], str(plan))
    check([w["core"] for w in plan["workers"]] == CORES[:2], str(plan))
    plan = compare(program, packet, two, 0)
    check(len(plan["workers"]) == 1 and "is not used" in plan["warnings"][0], str(plan))
    compare(program, packet + ",qpairs=2", one, 69)
    compare(program, packet, "1020-1022," + one, 69)
    compare(program, "0000:ff:1f.7", "auto", 69)
    write("/run/empty.pcap", "")
    with open("/run/empty.pcap", "wb") as file:
        file.write(bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000"))
    pcap = "net_pcap0,rx_pcap=/run/empty.pcap,tx_pcap=/run/out.pcap"
    plan = compare(program, pcap, two, 0, found=1)
    check(plan["interfaces"][0]["queues"] is None and len(plan["workers"]) == 2, str(plan))
    print("ok: a start follows the plan", flush=True)
    # What only the open device tells may leave another one's queues to nobody.
    write("/run/plan.yaml", CONFIG % ("", pcap + '" }, { name: up1, device: "' + packet + ",qpairs=2", two))
    check(len(plan_of(program, "/run/plan.yaml", 0)["workers"]) == 2, "the plan takes it for enough")
    text, status = start(program, "/run/plan.yaml")
    check(status == 69 and "interface up1: the device spreads packets over 2 queues, but 1 worker" in
          text, "%s: %s" % (status, text))
    print("ok: queues of nobody are found once devices are open", flush=True)


def test_changes_nothing(program):
    """The socket that a killed process left is what a start would take away."""
    left = socket.socket(socket.AF_UNIX)
    left.bind("/run/stale")
    left.close()
    for device in ("net_vhost0,iface=/run/stale", "net_tap0,iface=lb0"):
        write("/run/plan.yaml", CONFIG % ("", device, "auto"))
        before = sorted(os.listdir("/run")), subprocess.check_output(["ip", "-br", "link"])
        plan_of(program, "/run/plan.yaml", 0)
        after = sorted(os.listdir("/run")), subprocess.check_output(["ip", "-br", "link"])
        check(before == after, "%s and %s" % (before, after))
    print("ok: a plan changes nothing", flush=True)


def test_exit_codes(program):
    good = CONFIG % ("", "net_null0", "auto")
    write("/run/good.yaml", good)
    write("/run/xdp.yaml", CONFIG % ("  engine: xdp\n", "net_null0", "auto"))
    write("/run/bad.yaml", good.replace("flows: 1M", "flows: many"))
    write("/run/kernel.yaml", good.replace('device: "net_null0", ', ""))
    cases = [
        (0, ["--plan", "-f", "/run/good.yaml"], ""),
        (0, ["--plan", "--no-flows", "-f", "/run/good.yaml"], ""),
        (64, ["--plan"], "-f FILE is missing"),
        (64, ["--json", "-f", "/run/good.yaml"], "--json belongs to --plan"),
        (64, ["--plan", "--replay", "-f", "/run/good.yaml"], "--plan does not go with --replay"),
        (65, ["--plan", "-f", "/run/bad.yaml"], "flows"),
        (65, ["--plan", "-f", "/run/xdp.yaml"], "asks for the engine xdp"),
        (65, ["--plan", "-f", "/run/kernel.yaml"], "shunt-xdp forwards"),
        (66, ["--plan", "-f", "/run/nowhere.yaml"], "nowhere"),
        (74, ["--plan", "-f", "/run/good.yaml"], "cannot write the plan"),
    ]
    for code, arguments, says in cases:
        with open("/dev/full" if code == 74 else "/run/out", "w", encoding="ascii") as out:
            done = subprocess.run([program, *arguments], stdout=out, stderr=subprocess.PIPE,
                                  text=True, timeout=20, check=False)
        check(done.returncode == code and (says in done.stderr if says else not done.stderr),
              "%s: %d, not %d: %s" % (arguments, done.returncode, code, done.stderr))
    print("ok: exit codes", flush=True)


def pages(kind, change):
    """Adds to the machine's huge pages; returns what was there, None where it can't be done."""
    with open(HUGE % kind, encoding="ascii") as file:
        before = int(file.read())
    write(HUGE % kind, str(before + change))
    with open(HUGE % kind, encoding="ascii") as file:
        if int(file.read()) >= before + change:
            return before
    write(HUGE % kind, str(before))
    return None


def taken(program, kind):
    """Pages that are free no more while it runs."""
    def free():
        with open((HUGE % kind).replace("nr_", "free_"), encoding="ascii") as file:
            return int(file.read())
    before = free()
    process = Process([program, "--no-flows", "-f", "/run/plan.yaml", "--run-dir", "/run"], "stderr")
    try:
        process.wait_for("engine dpdk with")
        return before - free()
    finally:
        process.end()


def test_huge_pages(program):
    """Root's part: with pages of 1 GiB alone, and with some of 2 MiB, packets lie in these."""
    for kind, count, name in (("1048576kB", 1, "1 GiB"), ("2048kB", 128, "2 MiB")):
        before = pages(kind, count)
        if before is None:
            print("skip: the kernel finds no %d pages of %s" % (count, name), flush=True)
            continue
        try:
            plan = compare(program, "net_null0,no-rx=1", "auto", 0)
            check(plan["memory"]["packets"]["pages"] == name, json.dumps(plan, indent=1))
            check(taken(program, kind) > 0, "no page of %s is taken" % name)
        finally:
            write(HUGE % kind, str(before))
    print("ok: huge pages are found", flush=True)


def test_without_privileges(program):
    with tempfile.TemporaryDirectory() as scratch:
        os.chmod(scratch, 0o755)
        shutil.copy(program, scratch + "/shunt-dpdk")
        write(scratch + "/plan.yaml", CONFIG % ("", "net_tap0,iface=lb0", "auto"))
        arguments = ["--plan", "--json", "-f", scratch + "/plan.yaml"]
        nobody = ended("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                       "--bounding-set=-all", scratch + "/shunt-dpdk", *arguments)
        root = ended(scratch + "/shunt-dpdk", *arguments)
        check(nobody == root and root[0] == 0, "nobody: %s\nroot: %s" % (nobody, root))
    print("ok: a plan takes no privilege", flush=True)


def inside(program):
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "lb1", "type", "veth", "peer", "name", "client1")
    for name in ("lb1", "client1"):
        run("ip", "link", "set", name, "up")
    if is_root():
        test_huge_pages(program)
        return
    test_exit_codes(program)
    test_changes_nothing(program)
    test_start_follows(program)


def main():
    program = os.path.realpath(sys.argv[1])
    if sys.argv[2:] == ["inside"]:
        inside(program)
        return
    if len(CORES) < 2:
        skip("two workers need two cores")
    if subprocess.run(["unshare", "-Urnm", "true"], stderr=subprocess.DEVNULL,
                      check=False).returncode:
        skip("user namespaces are refused: sysctl -w kernel.unprivileged_userns_clone=1")
    again = ["/usr/bin/python3", os.path.realpath(__file__), program, "inside"]
    if is_root():
        test_without_privileges(program)
        run_again = subprocess.run(["unshare", "-nm", *again], check=False)
        if run_again.returncode:
            sys.exit(run_again.returncode)
    os.execvp("unshare", ["unshare", "-Urnm", *again])


if __name__ == "__main__":
    main()
