# SPDX-License-Identifier: BSD-2-Clause
"""How shunt-xdp and its program come, change and go: what it refuses, a crash at any moment, upgrades,
interfaces that change under it, and its end. Started by xdp.sh, inside its lab."""
import json
import os
import random
import signal
import subprocess
import sys
import time

import lab
from report import Broken, expect
from xdp_lab import (LB, PIN_DIR, expect_all_seen, ip, link, log, ok, pings, program, reachable, served,
                     start, start_shuntd, unseen)

UNAVAILABLE, WRONG_DATA, TEMPORARY = 69, 65, 75
ROUNDS = 6  # of crashes
talk_ports = iter(range(30000, 32000, 200))


def command(*words, config=lab.CONFIG, before=()):
    return lab.inside("lb", *before, "shunt-xdp", "-f", config, "--run-dir", "/run/shunt", *words)


def other_config(name, *changes):
    text = lab.config_read()
    for old, new in changes:
        expect(text.count(old) == 1, f"`{old}` stands in the configuration {text.count(old)} times")
        text = text.replace(old, new)
    path = f"{lab.DIR}/{name}.yaml"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def refused(what, sentence, *words, status=UNAVAILABLE, **where):
    """One sentence, and nothing has changed."""
    before = (program(), pins())
    said = lab.run(*command(*words, **where), status=status)
    expect(sentence in said and said.count("\n") == 1, f"{what}: it says {said!r}")
    expect((program(), pins()) == before, f"{what}: something has changed")
    ok(f"refused: {what}")


def pins():
    return sorted(os.listdir(PIN_DIR)) if os.path.isdir(PIN_DIR) else None


def stray_program(name):
    lab.topology("lab_native", "lb", name)


# --- what it refuses ---

def bad_machines():
    refused("an interface that isn't there", "the kernel has no interface `up1`",
            config=other_config("absent", ("device: up0", "device: up1")))
    refused("another engine", "shunt-xdp is `engine: xdp`", status=WRONG_DATA,
            config=other_config("dpdk", ("engine: xdp", "engine: dpdk")))
    refused("a folder that keeps no maps", "has to be in a BPF file system", "--pin-dir",
            f"{lab.DIR}/pins")
    expect(not os.path.exists(f"{lab.DIR}/pins"), "the folder was made all the same")
    refused("a user without BPF", "the kernel refuses BPF to this user", before=(
        "unshare", "--user", "--map-root-user"))
    stray_program("up0")
    refused("an interface with another program",
            "another XDP program is on up0, alone: take it off (ip link set dev up0 xdp off)")
    os.unlink("/sys/fs/bpf/pass-up0")
    lab.wait_for("the other program is gone", lambda: not program())


# --- crashes ---

def start_and_kill(seconds):
    with subprocess.Popen(command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)


def crashes():
    """Killed while it begins, at moments that are spread over its beginning. At worst there is no
    program yet; never is there one that takes packets away from the kernel, or loses them."""
    begin = time.monotonic()
    start()
    took = time.monotonic() - begin
    lab.kill(lab.DATAPLANE)
    detach()
    seed = random.randrange(1 << 16)
    moments = random.Random(seed)
    attached = 0
    for number in range(ROUNDS):
        start_and_kill(1.5 * took * (number + moments.random()) / ROUNDS)
        for address in LB.values():
            expect(pings("router", address), f"{address} is cut off (seed {seed}, round {number})")
        if program():
            attached += 1
            served(23000 + 10 * number)
            if moments.random() < 0.5:
                detach()
    expect(attached < ROUNDS, "the program was in place before anything could be")
    start()
    reachable()
    served(23500)
    ok(f"killed {ROUNDS} times while it began, {attached} times with the program in place: nothing "
       f"was cut off (seed {seed})")


def detach(status=0, *words):
    done = subprocess.run(lab.inside("lb", "shunt-xdp", "--detach", *words), text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    expect(done.returncode == status, f"--detach: status {done.returncode}: {done.stdout}")
    return done.stdout


# --- while it runs ---

def only_one():
    refused("a second one", f"another process looks after the tables in {PIN_DIR}")
    refused("a second one with tables of its own", "another XDP program is on up0", "--pin-dir",
            "/sys/fs/bpf/other")
    other = detach(0, "--pin-dir", "/sys/fs/bpf/other")
    expect("nothing to detach" in other and program(), f"--detach of others' tables says {other!r}")
    expect("end it first" in detach(TEMPORARY), "--detach goes over a shunt-xdp that runs")
    expect(program(), "the program is gone")
    ok("--detach waits for the end of shunt-xdp")


def restart(*, program_file="shunt-xdp"):
    """Another shunt-xdp in place of the last."""
    lab.kill(lab.DATAPLANE)
    if program_file == "shunt-xdp":
        start(fresh=False)
        return
    path = os.environ["PATH"]
    os.environ["PATH"] = f"{os.path.dirname(program_file)}:{path}"
    start(fresh=False)
    os.environ["PATH"] = path


def under_traffic(what, change):
    """Conversations go on, and no packet gets by without a verdict."""
    talk = lab.Talk([(f, s) for f in lab.FAMILIES for s in (lab.TCP, lab.UDP)],
                    next(talk_ports), 40)
    before, had = unseen(), program()
    change()
    for _ in range(3):
        talk.expect_whole()
    talk.end()
    expect_all_seen(before)
    ok(f"{what}: {talk.count} conversations go on, and each packet has a verdict")
    return had, program()


def other_build():
    """The same program but for one constant: a millisecond of the program's clock is a nanosecond
    longer."""
    with open(f"{os.environ['SHUNT_BIN']}/shunt-xdp", "rb") as file:
        data = bytearray(file.read())
    divide = (1_000_000).to_bytes(4, "little")
    places = [at for at in range(len(data) - 8) if data[at] == 0x37 and data[at + 2:at + 4] == b"\0\0"
              and data[at + 4:at + 8] == divide]
    expect(places, "there is no such instruction")
    for at in places:
        data[at + 4] ^= 1
    os.mkdir(f"{lab.DIR}/other")
    path = f"{lab.DIR}/other/shunt-xdp"
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, 0o755)
    return path


def upgrades():
    had, has = under_traffic("a restart", restart)
    expect(had == has, "a restart replaced the program")
    path = other_build()
    had, has = under_traffic("an upgrade", lambda: restart(program_file=path))
    expect(has and had != has, "an upgrade did not replace the program")
    under_traffic("and back", restart)
    text = lab.config_read()
    lab.config_write(text.replace("flows: 100K", "flows: 2M"))
    had, has = under_traffic("other flow tables", restart)
    expect(has and had != has, "the program does not use the new tables")
    expect("begins without flows" in log(), "nothing is said of the old tables")
    had, has = under_traffic("a restart with them", restart)
    expect(had == has, "a restart replaced the program")


def tables_grow():
    """Past what one chunk of the kernel's memory holds, in front of the tables in use; a restart goes on
    with them."""
    text = lab.config_read()
    many = "".join(f"  - {{ name: more{i}, vip: 203.0.113.77, protocol: tcp, port: {1000 + i},\n"
                   f"      backends: [ {{ address: 10.0.1.1, weight: {i + 1} }}, {{ address: 10.0.2.1 }} ] }}\n"
                   for i in range(64))
    def change():
        epoch = lab.show("status")["epoch"]
        lab.config_write(text.replace("services:\n", "services:\n" + many, 1))
        lab.hang_up()
        lab.wait_for("the larger tables", lambda: lab.show("status")["epoch"] > epoch)
        lab.generation()
    under_traffic("tables that grow", change)
    had, has = under_traffic("a restart with them", restart)
    expect(had == has, "a restart replaced the program")
    served(23900, 5)
    lab.config_write(text)
    lab.hang_up()
    under_traffic("and shrink", lab.generation)


def other_version():
    """Which has a map of another shape."""
    def change():
        os.unlink(f"{PIN_DIR}/workers")
        lab.run("bpftool", "map", "create", f"{PIN_DIR}/workers", "type", "array", "key", "4", "value",
                "8", "entries", "1", "name", "workers")
        restart()
    had, has = under_traffic("tables of another version", change)
    expect(has and had != has and "begins without flows" in log(), f"it goes on with them: {log()}")


def station():
    """As shuntd was last told; the engine tells it anew, and is gone for that moment."""
    engine = lab.wait_for("the engine is there", lambda: lab.show("status")["dataplanes"])[0]
    return engine["ports"][0]


def interface_changes():
    ip("lb", "link", "set", "up0", "mtu", "1500")
    lab.wait_for("the smaller MTU", lambda: station()["mtu"] == 1500)
    ip("lb", "link", "set", "up0", "mtu", "1600")
    lab.wait_for("the larger MTU", lambda: station()["mtu"] == 1600)
    before = unseen()
    ip("lb", "link", "set", "up0", "address", "02:00:00:00:33:44")
    lab.wait_for("another MAC", lambda: station()["mac"] == "02:00:00:00:33:44")
    ip("router", "neigh", "flush", "dev", "to-lb")
    reachable()
    served(24000, 5)
    expect_all_seen(before)
    ok("another MTU and another MAC are taken up, and no packet is counted twice")


def interface_returns():
    ip("router", "link", "delete", "to-lb")
    lab.wait_for("the loss is told", lambda: "up0 is gone; waits for it to come back" in log())
    lab.wait_for("the loss is shown", lambda: [i["state"] for engine in lab.show("engine")
                                                for i in engine["interfaces"]] == ["gone"])
    os.unlink("/sys/fs/bpf/pass-to-lb")
    lab.run("bash", "-euc", '. "$0"; . "$1"; lab_kernel_port', f"{lab.HERE}/topology.sh",
            f"{lab.HERE}/kernel_port.sh")
    lab.wait_for("the program is on the new one", program)
    reachable()
    served(24100, 5)
    ok("an interface that goes and comes back is taken up again")


def other_interfaces():
    """A second one that takes programs only in the kernel's generic mode; then without it."""
    text = lab.config_read()
    ip("lb", "link", "add", "plain0", "type", "bridge")
    ip("lb", "link", "set", "plain0", "up")
    lab.config_write(text.replace("  flows: ", "    - { name: plain0 }\n  flows: "))
    restart()
    expect("takes no XDP program in native mode" in log(), f"nothing is said of it: {log()}")
    states = {i["name"]: i["state"] for i in lab.show("engine")[0]["interfaces"]}
    expect(states["plain0"].startswith("generic mode") and states["uplink0"].startswith("native mode"),
           f"{states}")
    expect(program("plain0"), "no program on plain0")
    reachable()
    served(24200)
    lab.config_write(text)
    restart()
    expect(not program("plain0") and program(), "the program is still on plain0")
    served(24300)
    ok("a driver without XDP is told, and an interface that the configuration leaves is let go")


# --- the end ---

def bpf(kind, number):
    found = subprocess.run(["bpftool", "--json", kind, "show", "id", str(number)], check=False,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return json.loads(found.stdout) if found.returncode == 0 else None


def nothing_is_left():
    number = program()
    maps = bpf("prog", number)["map_ids"]
    expect(len(maps) > 5 and all(bpf("map", n) for n in maps), f"the program's maps are {maps}")
    os.kill(lab.daemon(lab.DATAPLANE), signal.SIGTERM)
    lab.wait_for("its end is told", lambda: "the program in the kernel forwards on" in log())
    lab.wait_for("shuntd has noticed", lambda: not lab.show("engine"))
    served(25000)
    expect("forwards on by itself" in lab.run("shunt", "show", "engine"), "it is not shown")
    expect("its tables are gone" in detach(), "--detach says something else")
    expect(not program() and pins() is None, f"left: {program()}, {pins()}")
    lab.wait_for("the kernel has freed the program", lambda: not bpf("prog", number))
    lab.wait_for("the kernel has freed its maps", lambda: not any(bpf("map", n) for n in maps))
    left = set(os.listdir("/sys/fs/bpf")) - {"pass-to-lb", "progs.debug", "maps.debug"}
    expect(not left, f"left in /sys/fs/bpf: {left}")
    expect("nothing to detach" in detach(), "there is more to detach")
    ok(f"--detach leaves nothing: no program {number}, none of its {len(maps)} maps, no folder")


# From the third on they find shunt-xdp running.
STEPS = [bad_machines, crashes, only_one, upgrades, tables_grow, other_version, interface_changes,
         interface_returns, other_interfaces, nothing_is_left]


def main():
    """All steps, or those that are named."""
    unknown = set(sys.argv[1:]) - {step.__name__ for step in STEPS}
    if unknown:
        sys.exit(f"xdp_life.py has no step {', '.join(sorted(unknown))}")
    chosen = [step for step in STEPS if not sys.argv[1:] or step.__name__ in sys.argv[1:]]
    try:
        start_shuntd()
        if chosen[0] not in STEPS[:2]:
            start()
        for step in chosen:
            step()
    except Broken as broken:
        print(f"FAIL: {broken}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
