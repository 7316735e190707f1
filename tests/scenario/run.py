#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs every scenario through the engines and compares what came with what the RFCs say.

usage: run.py SHUNT ENGINE[,ENGINE...] [SCENARIO...]

Each scenario is replayed by each engine; frames, verdicts and reasons must be the expected ones
and the engines' output files the same to the byte. `shunt explain` of each frame, after those
before it, must name what replay does. At the end every reason of verdict.h must
have been met by some scenario, but for those that a replay cannot meet.
"""
import importlib.util
import json
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from scenario import IP, UDP, Ether, IPv6, Scenario, drop, raw  # noqa: E402
from scapy.utils import RawPcapReader, RawPcapWriter  # noqa: E402

# Reasons that no capture can bring about, and which test does.
ELSEWHERE = {
    "no_next_hop": "tests/unit/forward.c; a replay's next hop is always known",
    "no_headroom": "tests/unit/burst.c; a replay's buffers have headroom",
    "queue_full": "tests/unit/burst.c; a capture file takes every frame",
}


def reasons():
    text = (HERE / "../../dataplane/core/verdict.h").read_text()
    return set(re.findall(r'V\([A-Z0-9_]+,\s*[A-Z]+,\s*"([a-z0-9_]+)"', text))


def load(name):
    spec = importlib.util.spec_from_file_location(name, HERE / name / "packets.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    scenario = Scenario()
    module.packets(scenario)
    return scenario


def write_capture(path, scenario):
    writer = RawPcapWriter(str(path), linktype=1, snaplen=262144)
    writer.write_header(None)
    for time, frame, _ in scenario.frames:
        seconds = int(time)
        writer._write_packet(frame, sec=seconds, usec=round((time - seconds) * 1e6),
                             caplen=len(frame), wirelen=len(frame))
    writer.close()


def replay(shunt, engine, config, capture, out):
    done = subprocess.run(
        [shunt, "replay", "-f", config, "--engine", engine, "--in", capture, "--out", out,
         "--json"], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise AssertionError(f"replay exits {done.returncode}: {done.stderr.strip()}")
    frames = [bytes(data) for data, _ in RawPcapReader(str(out))] if pathlib.Path(
        out).stat().st_size > 24 else []
    return [json.loads(line) for line in done.stdout.splitlines()], frames


def adopt(expected, came, fields):
    """Takes free fields over from the frame that came, then fills in checksums anew."""
    layers = {"IP": IP, "IPv6": IPv6, "UDP": UDP}
    frame, other = expected.copy(), Ether(came)
    for field in fields:
        layer, name = field.split(".")
        if layers[layer] not in other:
            return raw(expected)
        setattr(frame[layers[layer]], name, getattr(other[layers[layer]], name))
        if layer == "UDP" and name == "sport":
            assert frame[UDP].sport >= 49152, "GUE source port outside the dynamic range"
    return raw(frame)


def by_engine(expectation, engine):
    """What an engine may make of a frame otherwise: the verdict list's column `engines`."""
    if engine == "xdp" and expectation.released_by is not None:
        # The kernel holds no fragment until its first one comes.
        return drop("fragment")
    return expectation


def check_frame(n, expectation, result, frames):
    want = (expectation.verdict, expectation.reason)
    got = (result["verdict"], result["reason"])
    assert got == want, f"frame {n}: {got}, expected {want}"
    assert result["n"] == n, f"frame {n}: told as {result['n']}"
    if expectation.service:
        assert result["service"] == expectation.service, f"frame {n}: {result}"
    if expectation.backend:
        assert result["backend"] == expectation.backend, f"frame {n}: {result}"
    assert result.get("released_by") == expectation.released_by, f"frame {n}: {result}"
    index = result["out"]
    if expectation.released_by is not None:
        assert index is None, f"frame {n}: sent at once"
        index = result["released_out"]
    if expectation.out is None:
        assert index is None, f"frame {n}: something was sent"
        return
    came = frames[index]
    wanted = adopt(expectation.out, came, expectation.free)
    assert came == wanted, (f"frame {n}: sent\n  {came.hex()}\nexpected\n  {wanted.hex()}\n"
                            f"{Ether(came).show(dump=True)}{Ether(wanted).show(dump=True)}")


def check_explained(shunt, config, capture, results):
    done = subprocess.run(
        [shunt, "explain", "-f", config, "--in", capture, "--frame", "0-", "--with-history",
         "--json"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"explain exits {done.returncode}: {done.stderr.strip()}"
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(results), f"{len(answers)} frames explained"
    for n, (answer, result) in enumerate(zip(answers, results)):
        # What replay held until a later frame released it, explain sees before that.
        if result.get("released_by") is not None:
            continue
        for key in ("verdict", "reason", "service", "backend"):
            assert answer[key] == result[key], (
                f"frame {n}: explain says {key} {answer[key]}, replay {result[key]}")
        assert answer["capture"]["frame"] == n, f"frame {n} explained as {answer['capture']}"
        assert (answer["reply"] is not None) == (result["verdict"] == "reply"), f"frame {n}: reply"


def run(shunt, engines, name, directory):
    scenario = load(name)
    capture = directory / f"{name}.pcap"
    write_capture(capture, scenario)
    outputs = {}
    for engine in engines:
        out = directory / f"{name}-{engine}.pcap"
        results, frames = replay(shunt, engine, HERE / name / "config.yaml", capture, out)
        assert len(results) == len(scenario.frames), f"{len(results)} frames told of"
        expected = [by_engine(e, engine) for _, _, e in scenario.frames]
        for n, expectation in enumerate(expected):
            check_frame(n, expectation, results[n], frames)
        sent = sum(1 for e in expected if e.out is not None)
        assert len(frames) == sent, f"{engine}: {len(frames)} frames sent, expected {sent}"
        if all(by_engine(e, engine) is e for _, _, e in scenario.frames):
            outputs[engine] = out.read_bytes()
        if engine == "core":
            check_explained(shunt, HERE / name / "config.yaml", capture, results)
    assert len(set(outputs.values())) == 1, "the engines' output files differ"
    return {e.reason for _, _, e in scenario.frames}, len(scenario.frames)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    shunt, engines, names = sys.argv[1], sys.argv[2].split(","), sys.argv[3:]
    every = sorted(p.parent.name for p in HERE.glob("*/packets.py"))
    met, failed = set(), 0
    with tempfile.TemporaryDirectory() as directory:
        for name in names or every:
            try:
                found, count = run(shunt, engines, name, pathlib.Path(directory))
                met |= found
                print(f"ok    {name}: {count} frames by {', '.join(engines)}")
            except AssertionError as error:
                failed += 1
                print(f"FAIL  {name}: {error}")
    if not names:
        for reason in sorted(reasons() - met - set(ELSEWHERE)):
            failed += 1
            print(f"FAIL  no scenario meets the reason '{reason}'")
        for reason in sorted(set(ELSEWHERE) & met):
            failed += 1
            print(f"FAIL  '{reason}' is met by a scenario, so it is no exception")
    sys.exit(1 if failed else 0)


main()
