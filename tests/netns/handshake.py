# SPDX-License-Identifier: BSD-2-Clause
"""10,000 connections while the tables flip between two sets of weights. Started by handshake.sh,
inside its lab.

A slot that has one backend in one set and another in the other is half of the time at each; a
handshake of 20 ms sees it at both. That such slots are many is shown first."""
import re
import sys
import threading
import time

import lab
from report import Broken, expect

CONNECTIONS = 5000 # of each family
FIRST_PORT = 20000
FLIP_S = 0.010
PUBLISHED = re.compile(r"published generation \d+ of epoch \d+ \(configuration\)")


class Flips:
    """Another set of weights every 10 ms, until it is stopped."""

    def __init__(self, texts):
        self.texts, self.count, self.over = texts, 0, False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        due = time.monotonic()
        while not self.over:
            self.count += 1
            lab.config_write(self.texts[self.count % len(self.texts)])
            lab.hang_up()
            due = max(due + FLIP_S, time.monotonic())
            time.sleep(max(0, due - time.monotonic()))

    def stop(self):
        self.over = True
        self.thread.join()


def published():
    return len(PUBLISHED.findall(lab.log_text()))


def moved(texts):
    """How many of the connections have slots that are not the same under both sets."""
    ports = range(FIRST_PORT, FIRST_PORT + CONNECTIONS)
    found = []
    for text in texts:
        lab.config_write(text)
        lab.run("shunt", "reload")
        lab.generation()
        found.append([lab.explain(family, ports) for family in lab.FAMILIES])
    return sum(a[port] != b[port] for a, b in zip(*found) for port in ports)


def main():
    one = lab.config_read()
    other = one.replace("weight: 5", "weight: X").replace("weight: 2", "weight: 5")
    texts = [one, other.replace("weight: X", "weight: 2")]
    restless = moved(texts)
    expect(restless > CONNECTIONS // 2, f"only {restless} connections have restless slots")

    before, start = published(), time.monotonic()
    flips = Flips(texts)
    try:
        loads = [lab.Load(family, FIRST_PORT, CONNECTIONS) for family in lab.FAMILIES]
        landed = [load.landed() for load in loads]
    finally:
        flips.stop()
    took, changes = time.monotonic() - start, published() - before
    expect(changes > took / FLIP_S / 3, f"only {changes} changes in {took:.1f} s")
    spread = {name: sum(list(names.values()).count(name) for names in landed)
              for name in lab.BACKENDS}
    print(f"ok   {2 * CONNECTIONS} connections, {restless} of them in restless slots, and none "
          f"broke while the tables changed {changes} times, every {1000 * took / changes:.1f} ms "
          f"({spread})")

    lab.wait_for("the tables settle", lambda: not lab.show("status")["settling"])
    wanted = {f.name: lab.explain(f, range(50000, 50100)) for f in lab.FAMILIES}
    for family in lab.FAMILIES:
        found = lab.Load(family, 50000, 100).landed()
        expect(found == wanted[family.name], f"{family.name}: did not land as explained")
    print("ok   once they rest, connections land as explained")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Broken as broken:
        print(f"FAIL: {broken}")
        sys.exit(1)
