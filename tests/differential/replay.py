#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The captures of the differential tests through every engine as users have it.

usage: replay.py SHUNT core[,ENGINE...] CONFIG PACKETS FLOWS CAPTURES FRAMES

PACKETS and FLOWS are the tests' programs, which write the captures: CAPTURES of FRAMES frames each, and
one of flows. `shunt replay` by each engine must tell the same of each frame and send the same bytes.
The one exception is the verdict list's: what user space held until its first fragment came, the
kernel has dropped as a `fragment`; such frames there must be, and nothing else may differ.
"""
import json
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

SKIP = 77
OUT = re.compile(r'"out": (\d+)')


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
         "--json"], capture_output=True, text=True, timeout=240)
    if "the kernel refuses BPF" in done.stderr:
        print(done.stderr.strip())
        sys.exit(SKIP)
    if done.returncode != 0:
        sys.exit(f"replay by {engine} exits {done.returncode}: {done.stderr.strip()}")
    return done.stdout.splitlines()


def held(line):
    return '"released_by"' in line


def held_count(lines):
    return sum(map(held, lines))


def in_order(lines):
    """Whether what was sent at once was sent in the order of the frames."""
    indexes = [int(match.group(1)) for match in map(OUT.search, lines) if match]
    return indexes == sorted(indexes)


def compare_kernel(name, core, lines):
    """Every frame but those that user space held; where a frame lies in the output is another matter,
    as what was held lies there too."""
    for n, (mine, line) in enumerate(zip(core, lines)):
        if held(mine):
            row = json.loads(line)
            if row["reason"] != "fragment" or row["out"] is not None or held(line):
                sys.exit(f"{name}: frame {n}: {line}: the kernel holds no fragment")
        elif OUT.sub("sent", mine) != OUT.sub("sent", line):
            sys.exit(f"{name}: frame {n} by xdp is\n{line}\nby core\n{mine}")


def compare(name, engine, core, lines):
    if len(core) != len(lines):
        sys.exit(f"{name}: {engine} tells of {len(lines)} frames, the core of {len(core)}")
    if not in_order(lines):
        sys.exit(f"{name}: {engine} sends frames in another order than they came")
    if engine == "xdp":
        compare_kernel(name, core, lines)
        return
    for n, (mine, line) in enumerate(zip(core, lines)):
        if mine != line:
            sys.exit(f"{name}: frame {n} by {engine} is\n{line}\nby core\n{mine}")


def never_held(lines, packets):
    late = {json.loads(line)["released_out"] for line in lines if held(line)}
    return [packet for i, packet in enumerate(packets) if i not in late]


def run(shunt, engines, config, capture, directory):
    """Returns how many frames user space held."""
    lines, packets = {}, {}
    for engine in engines:
        out = directory / f"{capture.stem}-{engine}.pcap"
        lines[engine] = replay(shunt, engine, config, capture, out)
        packets[engine] = read_capture(out)
    for engine in engines[1:]:
        compare(capture.stem, engine, lines["core"], lines[engine])
        wanted = packets["core"]
        if engine == "xdp":
            wanted = never_held(lines["core"], wanted)
        if packets[engine] != wanted:
            sys.exit(f"{capture.stem}: {engine} sends other bytes")
    forwarded = sum('"verdict": "forward"' in line for line in lines["core"])
    print(f"{capture.stem}: {len(lines['core'])} frames, {forwarded} forwarded, the same by "
          f"{', '.join(lines)} but for {held_count(lines['core'])} that the kernel does not hold")
    return held_count(lines["core"])


def main():
    if len(sys.argv) != 8:
        sys.exit(__doc__)
    shunt, engines, config, packets, flows, captures, frames = sys.argv[1:]
    engines = engines.split(",")
    kept = 0
    for n in range(int(captures) + 1):
        with tempfile.TemporaryDirectory() as name:
            directory = pathlib.Path(name)
            if n == 0:
                path = directory / "flows.pcap"
                subprocess.run([flows, "--capture", path], check=True)
            else:
                path = directory / f"packets-{n}.pcap"
                subprocess.run([packets, "--capture", path, frames, str(n)], check=True)
            kept += run(shunt, engines, config, path, directory)
    if kept == 0:
        sys.exit("no fragment came before its first one: the marked row was not tried")


main()
