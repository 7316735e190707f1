# SPDX-License-Identifier: BSD-2-Clause
"""What is looked at, and what is expected of it; docs/hardware-checklist.md has a section for each.

An item returns its figures, and passes; or raises Failed or Skip with a sentence. Their order spares starts:
an item takes what the one before has left running.
"""
import os
import re
import signal
import subprocess
import time

import machine
from lab import NAME, Failed, Skip, until

ITEMS = []
HEADERS_BYTES = 14  # a frame's, before the IP packet
SHARED_DRIVERS = {"mlx4_core", "mlx5_core", "mana"}  # stay with the kernel
FLOOR_SHARE, WORKER_SHARE, FAR_SHARE = 0.33, 0.5, 0.4
FORGETTING_SECONDS = 5  # a virtual NIC's host sends a flow to the queue that it answered by, for three
RESTART_SECONDS = LINK_SECONDS = 10


def item(name, what, expect):
    """Registers the function below as the item of this name."""
    def register(function):
        ITEMS.append((name, what, expect, function))
        return function
    return register


def pps(value):
    return round(value)


def cable(lab):
    """Both ends of it are named, and the generator is there."""
    lab.device()
    lab.traffic()


def one_worker(lab, mtu=1600):
    cable(lab)
    lab.start(cores=lab.first_core(), mtu=mtu)


# --- The machine --------------------------------------------------------------------------

@item("plan", "shunt-dpdk --plan, for the device if one is named", "no warning, nothing that a start would refuse")
def plan(lab):
    found = lab.plan()
    said = found["faults"] + found["warnings"]
    if said:
        raise Failed("; ".join(said))
    return {"workers": len(found["workers"]), "packets_in": found["memory"]["packets"]["pages"]}


@item("slot", "the PCIe link of the device", "as wide and as fast as the device can")
def slot(lab):
    address = machine.address_of(lab.options.device or lab.interface())
    if not address:
        raise Skip("it is no PCI device")
    link = machine.nic(address)["pcie"]
    if not link["current_width"] or link["max_width"] in ("", "0", "255"):
        raise Skip(f"{address} has no PCIe link")
    if (link["current_width"], link["current_speed"]) != (link["max_width"], link["max_speed"]):
        raise Failed(f"x{link['current_width']} at {link['current_speed']}, and the device can "
                     f"x{link['max_width']} at {link['max_speed']}: another slot")
    return {"width": int(link["current_width"]), "speed": link["current_speed"]}


# --- shunt-dpdk on the device ----------------------------------------------------------------

@item("floor", "dpdk-testpmd swaps MACs on the device, on one core: what port and driver give",
      "frames come back")
def floor(lab):
    cable(lab)
    under_test = lab.macswap()
    lab.send(under_test.mac)
    lab.floor_pps = lab.rate(lambda: under_test.counted()[1])
    return {"pps": pps(lab.floor_pps)}


@item("forwarding", "shunt-dpdk in its place, 64-byte frames of 256 flows",
      f"at least {FLOOR_SHARE:.0%} of the floor")
def forwarding(lab):
    one_worker(lab)
    rate = lab.forwards()
    if lab.floor_pps and rate < FLOOR_SHARE * lab.floor_pps:
        raise Failed(f"{pps(rate)} packets/s, and the floor is {pps(lab.floor_pps)}")
    return {"pps": pps(rate), "of_floor": round(rate / lab.floor_pps, 2) if lab.floor_pps else None}


@item("full-frames", "packets of 1500 bytes, which are longer than that when wrapped",
      "all forwarded, on a wire of 1600")
def full_frames(lab):
    return long_frames(lab, 1500, 1600)


def long_frames(lab, packet_bytes, mtu):
    one_worker(lab, mtu=mtu)
    before = lab.verdicts()
    rate = lab.forwards(packet_bytes + HEADERS_BYTES)
    after = lab.verdicts()
    for reason in ("too_big", "too_big_df", "path_mtu"):
        if after[reason] > before[reason]:
            raise Failed(f"{after[reason] - before[reason]} packets had the verdict {reason}: the port "
                         f"does not carry {mtu} bytes")
    return {"pps": pps(rate)}


@item("restart", "shunt-dpdk is killed under traffic and started again",
      f"forwards within {RESTART_SECONDS} s, with the flows that it had")
def restart(lab):
    one_worker(lab)
    lab.forwards()
    lab.engine.process.send_signal(signal.SIGKILL)
    lab.engine.process.wait()
    before, began = lab.forwarded(), time.monotonic()
    lab.run("dpdk")
    until(RESTART_SECONDS, lambda: lab.forwarded() > before, "nothing is forwarded after the restart")
    if not re.search("goes on with the flows", lab.engine.text()):
        raise Failed("the flows were not handed on: " + lab.engine.last())
    return {"seconds": round(time.monotonic() - began, 1)}


@item("link-flap", "the generator's interface is set down and up again",
      f"the device's link follows, and traffic is back within {LINK_SECONDS} s, by itself")
def link_flap(lab):
    lab.device()
    far = re.search(r"iface=([\w.-]+)", lab.far_end())
    if not far:
        raise Skip("takes a generator on an interface of the kernel's: "
                   "--generator net_af_packet0,iface=NAME")
    one_worker(lab)
    lab.forwards()
    if not os.path.exists(f"/sys/class/net/{NAME}"):
        raise Skip("the device has no exception port, whose carrier would tell of its link")
    switch = lambda name, way: subprocess.run(["ip", "link", "set", name, way], check=True)  # noqa: E731
    carrier = lambda: machine.read(f"/sys/class/net/{NAME}/carrier")  # noqa: E731
    switch(NAME, "up")
    switch(far.group(1), "down")
    try:
        until(5, lambda: carrier() == "0", "the device's link stays up: a switch or a bridge is between",
              Skip)
    finally:
        switch(far.group(1), "up")
    began = time.monotonic()
    until(LINK_SECONDS, lambda: carrier() == "1", "the link does not come back")
    lab.forwards()
    return {"seconds": round(time.monotonic() - began, 1)}


@item("far-node", "the same by a core of another node than the device's",
      f"it is warned of, and at least {FAR_SHARE:.0%} of the rate")
def far_node(lab):
    node = machine.nic(machine.address_of(lab.device()))["node"] if machine.is_pci(lab.device()) else -1
    cores = {number: machine.read(f"/sys/devices/system/node/node{number}/cpulist")
             for number in range(64) if number != node}
    far = next((re.match(r"\d+", text).group(0) for text in cores.values() if text), None)
    if node < 0 or not far:
        raise Skip("the machine has one node, or does not say where the device is")
    cable(lab)
    if not any("lies on another node" in text for text in lab.startable(far)["warnings"]):
        raise Failed(f"core {far} is far from node {node}, and nothing warns of it")
    one_worker(lab)
    near_pps = lab.forwards()
    lab.start(cores=far)
    far_pps = lab.forwards()
    if far_pps < FAR_SHARE * near_pps:
        raise Failed(f"{pps(far_pps)} packets/s by core {far}, {pps(near_pps)} by a near one")
    return {"pps": pps(far_pps), "near_pps": pps(near_pps)}


@item("queues", "as many workers as the plan has, with a queue each",
      f"each has at least {WORKER_SHARE:.0%} of its even share")
def queues(lab):
    cable(lab)
    cores = lab.options.cores
    count = len(lab.startable(cores)["workers"])
    if count < 2:
        raise Skip("one worker: name more cores with --cores")
    lab.start(cores=cores)
    lab.silent_for(FORGETTING_SECONDS)
    rate = lab.forwards()
    workers = lab.show("workers")
    before = [worker["packets"] for worker in workers]
    time.sleep(lab.options.seconds)
    grown = [worker["packets"] - old for worker, old in zip(lab.show("workers"), before)]
    if len(workers) < count:
        raise Failed(f"{len(workers)} workers found queues, of {count}")
    if min(grown) < WORKER_SHARE * sum(grown) / count:
        raise Failed(f"the workers' packets are {grown}: the device does not spread them")
    return {"pps": pps(rate), "packets": grown}


@item("jumbo", "packets of 8900 bytes, with mtu: 9000", "all forwarded")
def jumbo(lab):
    return long_frames(lab, 8900, 9000)


@item("pages-1g", "packet buffers in pages of 1 GiB", "the plan takes them, and it forwards")
def pages_1g(lab):
    lab.device()
    place = lab.startable()["memory"]["packets"]["pages"]
    if place != "1 GiB":
        raise Skip(f"packets lie in {place} pages: set 1 GiB ones aside at boot, and none of 2 MiB")
    one_worker(lab)
    return {"pps": pps(lab.forwards())}


@item("bifurcated", "a card that stays with the kernel's driver (mlx5)",
      "forwards, and the kernel's interface of it stays")
def bifurcated(lab):
    card = machine.nic(machine.address_of(lab.device())) if machine.is_pci(lab.device()) else {}
    if card.get("driver") not in SHARED_DRIVERS:
        raise Skip(f"the device's driver is {card.get('driver') or 'none'}")
    one_worker(lab)
    rate = lab.forwards()
    if not machine.nic(card["address"])["interface"]:
        raise Failed(f"{card['interface']} is gone")
    return {"pps": pps(rate)}


@item("sr-iov", "a virtual function as the device", "forwards")
def sr_iov(lab):
    if not machine.is_pci(lab.device()) or \
            not machine.nic(machine.address_of(lab.device()))["virtual_function"]:
        raise Skip("the device is no virtual function")
    one_worker(lab)
    return {"pps": pps(lab.forwards())}


# --- shunt-xdp on an interface ------------------------------------------------------------------

@item("native-xdp", "engine xdp on the interface", "in native mode, and it forwards")
def native_xdp(lab):
    lab.interface()
    lab.traffic()
    lab.start("xdp")
    rate = lab.forwards()
    state = lab.show("engine")[0]["interfaces"][0]["state"]
    if not state.startswith("native"):
        raise Failed(f"{state}: the driver takes no XDP program of its own, or not at this MTU")
    return {"pps": pps(rate), "state": state}


@item("zero-copy", "engine af_xdp on the interface", "its sockets take frames without a copy")
def zero_copy(lab):
    lab.interface()
    lab.traffic()
    lab.start("af_xdp")
    rate = lab.forwards()
    lab.silence()  # a socket that has no room for all that comes is passed by for a moment
    ways = until(10, lambda: sockets(lab), "the program gives the sockets nothing")
    if ways != {"socket, zero-copy"}:
        raise Failed(f"{pps(rate)} packets/s, carried by: {'; '.join(sorted(ways))}")
    return {"pps": pps(rate)}


def sockets(lab):
    """How the workers' sockets get their frames, once each has one that is used."""
    ways = {worker["by"] for worker in lab.show("engine")[0]["workers"]}
    return ways if all(way.startswith("socket") for way in ways) else None


# --- By hand ------------------------------------------------------------------------------------

@item("hot-removal", "the device is removed while shunt-dpdk forwards on it, and comes back",
      "told in the log; what becomes of traffic is what we want to know")
def hot_removal(_):
    raise Skip("by hand: docs/hardware-checklist.md has the steps, --answer takes what you saw")
