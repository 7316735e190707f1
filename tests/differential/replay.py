#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The captures of the differential tests through every engine as users have it.

usage: replay.py SHUNT core[,ENGINE...] CONFIG PACKETS FLOWS

PACKETS and FLOWS are the tests' programs, which write the captures. `shunt replay` by each engine must
tell the same of each frame and send the same bytes. The one exception is the verdict list's: what
user space held until its first fragment came, the kernel has dropped as a `fragment`; at least one
such frame there must be, and nothing else may differ.
"""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

FRAMES = 50000


def read_capture(path):
    """The packets of a pcap file: their headers and bytes as they stand there."""
    data = path.read_bytes()
    packets, at = [], 24
    while at < len(data):
        end = at + 16 + struct.unpack_from("=I", data, at + 8)[0]
        packets.append(data[at:end])
        at = end
    return packets


def replay(shunt, engine, config, capture, out):
    done = subprocess.run(
        [shunt, "replay", "-f", config, "--engine", engine, "--in", capture, "--out", out,
         "--json"], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        sys.exit(f"replay by {engine} exits {done.returncode}: {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def sent(row, packets):
    index = row["released_out"] if row.get("released_by") is not None else row["out"]
    return None if index is None else packets[index]


def held(row):
    return row.get("released_by") is not None


def differs(core, other, core_out, other_out):
    """What an engine says otherwise than the core of a frame that it does not treat otherwise."""
    for key in ("n", "verdict", "reason", "service", "backend", "released_by"):
        if core.get(key) != other.get(key):
            return f"{key} {other.get(key)}, not {core.get(key)}"
    if sent(core, core_out) != sent(other, other_out):
        return f"sent {sent(other, other_out)}, not {sent(core, core_out)}"
    return None


def dropped_at_once(row):
    return row["reason"] == "fragment" and row["out"] is None and not held(row)


def compare(name, engine, core_rows, rows, core_out, out):
    """Returns how many frames the kernel dropped that the core held."""
    if len(core_rows) != len(rows):
        sys.exit(f"{name}: {engine} tells of {len(rows)} frames, the core of {len(core_rows)}")
    marked = 0
    for core, row in zip(core_rows, rows):
        if engine == "xdp" and held(core):
            marked += 1
            if not dropped_at_once(row):
                sys.exit(f"{name}: frame {row['n']}: {row}: the kernel holds no fragment")
            continue
        wrong = differs(core, row, core_out, out)
        if wrong:
            sys.exit(f"{name}: frame {row['n']} by {engine}: {wrong}")
    return marked


def released(rows, packets):
    """A capture's packets but for those that were held."""
    late = {row["released_out"] for row in rows if held(row)}
    return [packet for i, packet in enumerate(packets) if i not in late]


def run(shunt, engines, config, capture, directory):
    rows, packets = {}, {}
    for engine in engines:
        out = directory / f"{capture.stem}-{engine}.pcap"
        rows[engine] = replay(shunt, engine, config, capture, out)
        packets[engine] = read_capture(out)
    marked = 0
    for engine in engines[1:]:
        marked += compare(capture.stem, engine, rows["core"], rows[engine], packets["core"],
                          packets[engine])
        wanted = packets["core"]
        if engine == "xdp":
            wanted = released(rows["core"], wanted)
        if packets[engine] != wanted:
            sys.exit(f"{capture.stem}: {engine} sends other bytes, or in another order")
    reasons = {row["reason"] for row in rows["core"]}
    forwarded = sum(row["verdict"] == "forward" for row in rows["core"])
    print(f"{capture.stem}: {len(rows['core'])} frames, {forwarded} forwarded, {len(reasons)} "
          f"reasons, the same by {', '.join(rows)}; {marked} that the kernel does not hold")
    return marked


def main():
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    shunt, engines, config, packets, flows = sys.argv[1:]
    engines = engines.split(",")
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        mixed, lives = directory / "packets.pcap", directory / "flows.pcap"
        subprocess.run([packets, "--capture", mixed, str(FRAMES)], check=True)
        subprocess.run([flows, "--capture", lives], check=True)
        marked = run(shunt, engines, config, mixed, directory)
        run(shunt, engines, config, lives, directory)
    if "xdp" in engines and marked == 0:
        sys.exit("no fragment came before its first one: the marked row was not tried")


main()
