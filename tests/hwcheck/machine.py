# SPDX-License-Identifier: BSD-2-Clause
"""What a report has to know of a machine. Nothing here changes anything, and nothing that is read
names the machine: no address, no serial number, no host name."""
import functools
import glob
import os
import re
import subprocess

SYS = "/sys"
PARAMETERS = re.compile(r"(isolcpus|nohz_full|rcu_nocbs|irqaffinity|hugepages|hugepagesz|"
                        r"default_hugepagesz|intel_iommu|amd_iommu|iommu|mitigations|nosmt)(=\S*)?")


def read(*path):
    """The first line of a file, "" where there is none."""
    try:
        with open(os.path.join(*path), encoding="utf-8", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return ""


def said(*command):
    """What a command prints, "" where it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def linked(*path):
    """The last part of what a link leads to."""
    try:
        return os.path.basename(os.readlink(os.path.join(*path)))
    except OSError:
        return ""


def cpu():
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        info = file.read()
    found = re.search(r"^model name\s*:\s*(.*)$", info, re.M)
    return {
        "model": found.group(1) if found else os.uname().machine,
        "online": read(SYS, "devices/system/cpu/online"),
        "isolated": read(SYS, "devices/system/cpu/isolated"),
        "tickless": read(SYS, "devices/system/cpu/nohz_full"),
        "hyperthreads": read(SYS, "devices/system/cpu/smt/active") == "1",
        "governor": read(SYS, "devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "virtual": "hypervisor" in info,
    }


def pages():
    """Huge pages by node and size: how many there are, and how many are free."""
    found = []
    for folder in sorted(glob.glob(f"{SYS}/devices/system/node/node*/hugepages/hugepages-*")):
        node, size = re.search(r"node(\d+)/hugepages/hugepages-(\d+)kB", folder).groups()
        found.append({"node": int(node), "kib": int(size), "total": int(read(folder, "nr_hugepages")),
                      "free": int(read(folder, "free_hugepages"))})
    return found


@functools.cache
def models():
    """What lspci calls each device."""
    return dict(line.split(" ", 1) for line in said("lspci", "-D").splitlines())


def nic(address):
    """One card of the PCI bus."""
    folder = f"{SYS}/bus/pci/devices/{address}"
    names = sorted(os.listdir(f"{folder}/net")) if os.path.isdir(f"{folder}/net") else []
    firmware = re.search(r"^firmware-version: *(\S.*)$", said("ethtool", "-i", names[0]), re.M) \
        if names else None
    return {
        "address": address,
        "id": f"{read(folder, 'vendor')[2:]}:{read(folder, 'device')[2:]}",
        "model": models().get(address, ""),
        "driver": linked(folder, "driver"),
        "interface": names[0] if names else "",
        "firmware": firmware.group(1) if firmware else "",
        "node": int(read(folder, "numa_node") or -1),
        "iommu": bool(linked(folder, "iommu_group")),
        "link_mbit": int(read(folder, "net", names[0], "speed") or -1) if names else -1,
        "pcie": {f"{when}_{what}": read(folder, f"{when}_link_{what}")
                 for when in ("current", "max") for what in ("width", "speed")},
        "virtual_function": os.path.exists(f"{folder}/physfn"),
    }


def nics():
    return [nic(os.path.basename(folder)) for folder in sorted(glob.glob(f"{SYS}/bus/pci/devices/*"))
            if read(folder, "class").startswith("0x02")]


def is_pci(device):
    return bool(re.fullmatch(r"([0-9a-fA-F]{4}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7](,.*)?", device))


def address_of(device):
    """The address on the PCI bus of a device of DPDK's or of an interface, "" if it has none."""
    if is_pci(device):
        address = device.split(",")[0].lower()
        return address if len(address) == 12 else "0000:" + address
    target = os.path.realpath(f"{SYS}/class/net/{device}/device")
    name = os.path.basename(os.path.dirname(target)) if "virtio" in os.path.basename(target) \
        else os.path.basename(target)
    return name if is_pci(name) else ""


def facts(shunt, testpmd):
    with open("/proc/cmdline", encoding="utf-8") as file:
        words = file.read().split()
    return {
        "shunt": said(shunt, "--version"),
        "dpdk": said("dpkg-query", "-W", "-f", "${Version}", "libdpdk-dev") if testpmd else "",
        "kernel": os.uname().release,
        "parameters": [word for word in words if PARAMETERS.fullmatch(word)],
        "cpu": cpu(),
        "nodes": read(SYS, "devices/system/node/online"),
        "pages": pages(),
        "nics": nics(),
    }
