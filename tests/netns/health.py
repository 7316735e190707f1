# SPDX-License-Identifier: BSD-2-Clause
"""Health checks on real traffic: servers that die, that fall silent, that come back; all of them
at once; a reload in between. Started by health.sh, inside its lab."""
import datetime
import os
import signal
import subprocess
import sys
import time

import lab
from report import Broken, expect

# As health.sh has configured them.
INTERVAL, TIMEOUT, RISE, FALL = 0.2, 0.1, 2, 3
JITTER = 1.1
SLACK = 1.0  # for a machine that does other things too
PORTS = range(20000, 20300)
DOWN_WITHIN = FALL * INTERVAL * JITTER + TIMEOUT + SLACK
UP_WITHIN = (RISE + 1) * INTERVAL * JITTER + SLACK  # one check may just have begun
BALANCER = ["10.0.9.1/32", "2001:db8:9::1/128"]


def service(family):
    return next(s for s in lab.show("services") if s["name"] == family.service)


def backend(family, name):
    return next(b for b in service(family)["backends"] if lab.backend_name(b["address"]) == name)


def states(family):
    return [b["state"] for b in service(family)["backends"]]


def turned(name, state):
    return lambda: all(backend(f, name)["health"]["state"] == state for f in lab.FAMILIES)


def within(seconds, what, condition):
    start = time.monotonic()
    lab.wait_for(what, condition)
    took = time.monotonic() - start
    expect(took < seconds, f"{what}: took {took:.2f} s, more than {seconds:.2f} s")
    print(f"ok   {what}, after {took:.2f} s")
    lab.generation()
    return took


def explained():
    return {f.name: lab.explain(f, PORTS) for f in lab.FAMILIES}


def land(first, families=None):
    """New connections: all succeed, and land as explained. Returns the names that answered."""
    names = set()
    for family in families or lab.FAMILIES:
        wanted = lab.explain(family, range(first, first + 100))
        found = lab.Load(family, first, 100).landed()
        expect(found == wanted, f"{family.name}: some connections did not land as explained")
        names |= set(found.values())
    return names


def settled():
    """The last change has no generation to come."""
    lab.wait_for("the tables settle", lambda: not lab.show("status")["settling"])


def quiet(seconds):
    """Nothing is published while nothing changes, though checks go on."""
    settled()
    before, passed = lab.generation(), backend(lab.FAMILIES[0], "b1")["health"]["rise_count"]
    time.sleep(seconds)
    expect(lab.generation() == before, "a generation was published though nothing had changed")
    now = backend(lab.FAMILIES[0], "b1")["health"]
    expect(now["rise_count"] >= passed + seconds / INTERVAL / 2, f"checks do not go on: {now}")
    expect(0 <= now["last_check_ms_ago"] < 1000 * (INTERVAL * JITTER + SLACK), f"an old check: {now}")


def moved_only_from(name, before, after):
    """Maglev moves a few slots beside those of the backend that went; flow entries hold those."""
    for family in lab.FAMILIES:
        then, now = before[family.name], after[family.name]
        expect(name not in now.values(), f"{family.name}: new flows still go to {name}")
        strays = [p for p in PORTS if then[p] != name and then[p] != now[p]]
        expect(len(strays) < len(PORTS) / 10, f"{family.name}: {len(strays)} slots of others moved")


def silence(name, on):
    """The server goes on, but answers nothing to the balancer's own addresses."""
    for address in BALANCER:
        lab.run("ip", "-n", name, "route", "add" if on else "del", "blackhole", address)


def server_start(name):
    log = open(f"{lab.DIR}/nginx-{name}.log", "a", encoding="utf-8")
    return subprocess.Popen(lab.inside(name, "nginx", "-e", "stderr", "-c",
                                       f"{lab.DIR}/{name}/nginx.conf"), stdout=log, stderr=log)


def port_to(name, family, first):
    return next(p for p, found in lab.explain(family, range(first, first + 100)).items()
                if found == name)


def downloads(name, first):
    found = [lab.Download(f, port_to(name, f, first)) for f in lab.FAMILIES]
    expect(all(d.backend == name for d in found), f"a download is not from {name}")
    return found


def complete(found):
    wanted = lab.large_file()
    for download in found:
        expect(download.goes_on(), "a download ended too early to show anything")
        expect(download.finish() == wanted, "a download is not the file")


def all_up():
    lab.wait_for("every backend is checked", lambda: all(
        b["health"]["last_result"] for f in lab.FAMILIES for b in service(f)["backends"]))
    for family in lab.FAMILIES:
        expect(states(family) == ["up"] * 3, f"not all up: {service(family)}")
        for one in service(family)["backends"]:
            expect(one["health"]["last_result"].startswith("connected in "), f"{one}")
    lab.wait_for("next hops", lambda: all(b["reachable"] for f in lab.FAMILIES
                                          for b in service(f)["backends"]))
    lab.wait_for("the dataplane", lab.generation)
    quiet(1.5)
    expect(land(PORTS[0]) == set(lab.BACKENDS), "not every backend answers")
    print("ok   all are up, and nothing is published while nothing changes")


def server_dies(before):
    others, generation = downloads("b2", 30000), lab.generation()
    with open(f"{lab.DIR}/nginx-b1.pid", encoding="utf-8") as file:
        os.kill(int(file.read()), signal.SIGKILL)
    took = within(DOWN_WITHIN, "a killed server is down", turned("b1", "down"))
    expect(took > (FALL - 2) * INTERVAL, f"down after {took:.2f} s: `fall` was not waited for")
    for family in lab.FAMILIES:
        health = backend(family, "b1")["health"]
        expect(health["reason"] == "3 checks in a row failed: connect: Connection refused",
               f"{health}")
        since = datetime.datetime.strptime(health["since"], "%Y-%m-%dT%H:%M:%S%z")
        expect(abs(since.timestamp() - time.time()) < 10, f"{health}")
        expect(health["fall_count"] >= FALL and health["rise_count"] == 0, f"{health}")
        expect(backend(family, "b1")["slots"] == 0, "it still has slots")
    expect("down since 20" in lab.run("shunt", "show"), "`shunt show` does not say why")
    # The checks of two services ran out a little apart, no more.
    expect(lab.generation() - generation <= 2, "more was published than has changed")
    moved_only_from("b1", before, explained())
    # From the same source ports as before: what the flow table knows of b1 is picked anew.
    expect(land(PORTS[0]) == {"b2", "b3"}, "connections do not avoid the dead server")
    complete(others)
    print("ok   new connections avoid it, and only its flows move")
    server_start("b1")
    within(UP_WITHIN, "a server that is back is up", turned("b1", "up"))
    expect(explained() == before, "not everything is as it was before")
    expect("b1" in land(21000), "it gets no connections")


def server_falls_silent():
    old = downloads("b2", 31000)
    silence("b2", True)
    within(DOWN_WITHIN, "a silent server is down", turned("b2", "down"))
    for family in lab.FAMILIES:
        health = backend(family, "b2")["health"]
        expect(health["last_result"] == "timeout after 100 ms", f"{health}")
    expect(land(22000) == {"b1", "b3"}, "connections do not avoid it")
    complete(old)
    print("ok   what a backend had before it went down goes on to its end")


def reload_keeps():
    settled()
    before = {f: backend(f, "b2")["health"]["since"] for f in lab.FAMILIES}
    text, generation = lab.config_read(), lab.generation()
    lab.config_write(text.replace("weight: 2 }", "weight: 4 }"))
    lab.run("shunt", "reload")
    for family, since in before.items():
        health = backend(family, "b2")["health"]
        expect(health["state"] == "down" and health["since"] == since, f"{health}")
        expect(backend(family, "b2")["slots"] == 0, "the reload gave it slots")
        expect(backend(family, "b3")["weight"] == 4, "the reload did nothing")
    expect(lab.generation() == generation + 1, "the reload published more than once")
    expect(land(23000) == {"b1", "b3"}, "connections go to it after a reload")
    lab.config_write(text)
    lab.run("shunt", "reload")
    lab.generation()
    print("ok   a reload keeps what is known")


def drops(reason):
    return next(v["packets"] for v in lab.show("drops")["verdicts"] if v["reason"] == reason)


def all_down(before):
    opens, closes = lab.FAMILIES
    for name in ("b1", "b3"):
        silence(name, True)
    within(DOWN_WITHIN, "all are down", lambda: all(
        states(f) == ["down"] * 3 for f in lab.FAMILIES))
    expect(service(opens)["fail_open"] and not service(closes)["fail_open"], "who fails open?")
    expect(lab.explain(opens, PORTS) == before[opens.name], "failing open, all are not used")
    expect(land(24000, [opens]) == set(lab.BACKENDS), "failing open, all are not used")
    print("ok   all_down: forward uses every backend")
    expect(set(lab.explain(closes, PORTS).values()) == {None}, "some slots are not empty")
    expect(drops("no_backend") == 0, "something had no backend before")
    reply = subprocess.run(lab.inside("client", "curl", "-s", "-m", "1", "-o", "/dev/null",
                                      f"http://{lab.bracket(closes.vip)}/"), check=False)
    expect(reply.returncode == 28, f"curl ended with {reply.returncode}, not by its timeout")
    lab.wait_for("the drop is counted", lambda: drops("no_backend") > 0)
    print("ok   all_down: drop drops, as no_backend")
    for name in lab.BACKENDS:
        silence(name, False)
    within(UP_WITHIN, "all are up", lambda: all(states(f) == ["up"] * 3 for f in lab.FAMILIES))
    expect(explained() == before, "not everything is as it was before")
    expect(land(25000) == set(lab.BACKENDS), "not every backend answers")
    quiet(1.0)


def main():
    try:
        all_up()
        before = explained()
        server_dies(before)
        server_falls_silent()
        reload_keeps()
        all_down(before)
        for reason in ("no_next_hop", "unmatched", "bad_csum", "queue_full"):
            expect(drops(reason) == 0, f"packets were dropped: {reason}")
    except Broken as broken:
        print(f"FAIL: {broken}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
