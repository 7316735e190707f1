#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The offline commands of `shunt` as a script would use them: exit codes, text, JSON.

usage: cli.py SHUNT
"""
import json
import os
import pathlib
import re
import stat
import subprocess
import sys
import tempfile
import unittest

SHUNT = sys.argv.pop(1) if len(sys.argv) > 1 else sys.exit(__doc__)
ROOT = pathlib.Path(__file__).resolve().parent.parent
GOOD = ROOT / "tests/scenario/ipip/config.yaml"
BAD = """version: 1
fleet_seed: "000102030405060708090a0b0c0d0e0f"
services:
  - name: web
    vip: 203.0.113.300
    protocol: tcp
    port: 443
    bakends: []
  - name: web
    vip: 203.0.113.10
    protocol: sctp
    port: 70000
"""


def shunt(*arguments, stdin=None):
    return subprocess.run([SHUNT, *map(str, arguments)], capture_output=True, text=True,
                          input=stdin, timeout=60)


class Check(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.file = pathlib.Path(self.directory.name) / "shunt.yaml"

    def tearDown(self):
        self.directory.cleanup()

    def test_valid(self):
        done = shunt("check", "-f", GOOD)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("valid", done.stdout)

    def test_every_example_is_valid(self):
        for example in (ROOT / "config/examples").glob("*.yaml"):
            self.assertEqual(shunt("check", "-f", example).returncode, 0, example)

    def test_all_errors_at_once_with_carets(self):
        self.file.write_text(BAD)
        done = shunt("check", "-f", self.file)
        self.assertEqual(done.returncode, 65)
        places = re.findall(rf"^{re.escape(str(self.file))}:(\d+):(\d+): .+$", done.stderr, re.M)
        self.assertEqual([(int(a), int(b)) for a, b in places],
                         [(5, 10), (8, 5), (9, 11), (11, 15), (12, 11)])
        lines = done.stderr.splitlines()
        for i, line in enumerate(lines):
            found = re.match(rf"{re.escape(str(self.file))}:(\d+):(\d+): ", line)
            if found:
                self.assertEqual(lines[i + 1], BAD.splitlines()[int(found[1]) - 1])
                self.assertEqual(lines[i + 2], " " * (int(found[2]) - 1) + "^")

    def test_json(self):
        self.file.write_text(BAD)
        done = shunt("check", "-f", self.file, "--json")
        answer = json.loads(done.stdout)
        self.assertEqual(done.returncode, 65)
        self.assertFalse(answer["valid"])
        self.assertEqual([e["line"] for e in answer["errors"]], [5, 8, 9, 11, 12])
        answer = json.loads(shunt("check", "-f", GOOD, "--json").stdout)
        self.assertEqual((answer["valid"], answer["errors"]), (True, []))

    def test_unreadable_and_usage(self):
        self.assertEqual(shunt("check", "-f", self.file).returncode, 66)
        self.assertIn(str(self.file), shunt("check", "-f", self.file).stderr)
        self.assertEqual(shunt("check", "-f", self.directory.name).returncode, 66)
        for arguments in ((), ("check",), ("check", "-f"), ("check", "-x"), ("chekc",),
                          ("check", "-f", GOOD, "more")):
            self.assertEqual(shunt(*arguments).returncode, 64, arguments)
        for arguments in ((), ("10.0.1.1", "more"), ("10.0.1.1", "--timeout", "5s"), ("--wait",),
                          ("10.0.1.1", "--wait", "--timeout", "5"), ("10.0.1.1", "--nonsense")):
            self.assertEqual(shunt("drain", *arguments).returncode, 64, arguments)
        self.assertEqual(shunt("undrain", "10.0.1.1", "--wait").returncode, 64)
        for command in ("check", "drain", "explain", "show", "reload", "replay", "seed", "undrain"):
            done = shunt(command, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""), command)
            self.assertTrue(done.stdout.startswith(f"usage: shunt {command}"))

    def test_world_readable_seed_is_a_warning(self):
        seed = pathlib.Path(self.directory.name) / "seed"
        self.assertEqual(shunt("seed", seed).returncode, 0)
        self.file.write_text(f"version: 1\nfleet_seed_file: {seed}\nservices: []\n")
        self.assertEqual(shunt("check", "-f", self.file).stderr, "")
        seed.chmod(0o644)
        done = shunt("check", "-f", self.file)
        self.assertEqual(done.returncode, 0)
        self.assertIn(f"chmod 600 {seed}", done.stderr)


class Seed(unittest.TestCase):
    def test_seed(self):
        one, two = shunt("seed").stdout, shunt("seed").stdout
        self.assertRegex(one, r"^[0-9a-f]{32}\n$")
        self.assertNotEqual(one, two)
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "seed"
            self.assertEqual(shunt("seed", path).returncode, 0)
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
            before = path.read_text()
            self.assertNotEqual(shunt("seed", path).returncode, 0)
            self.assertEqual(path.read_text(), before)


class Explain(unittest.TestCase):
    PACKET = "tcp 198.51.100.7:4242 203.0.113.10:443"

    def explain(self, *arguments, stdin=None):
        return shunt("explain", "-f", GOOD, *arguments, stdin=stdin)

    def test_json(self):
        answer = json.loads(self.explain("--json", self.PACKET).stdout)
        self.assertEqual(answer["verdict"], "forward")
        self.assertEqual(answer["service"], "web")
        self.assertEqual(answer["backend"], "10.0.1.1")
        self.assertEqual(answer["outer"]["source"], "10.0.0.1")
        self.assertEqual(answer["outer"]["destination"], "10.0.1.1")
        self.assertEqual(answer["outer"]["protocol"], 4)
        self.assertEqual(answer["outer"]["destination_mac"], "02:00:00:00:00:fe")
        self.assertEqual(answer["outer"]["largest_packet"], 1580)
        self.assertTrue(0 <= answer["slot"] < answer["table_size"] == 65537)

    def test_l2_has_no_outer_header(self):
        config = GOOD.parent.parent / "l2" / "config.yaml"
        for packet in (self.PACKET, "tcp [2001:db8:c::7]:4242 [2001:db8:a::10]:443"):
            answer = json.loads(shunt("explain", "-f", config, "--json", packet).stdout)
            self.assertEqual(answer["encapsulation"], "l2")
            self.assertEqual(answer["outer"], {
                "source_mac": "02:00:00:00:00:01", "destination_mac": "02:00:00:00:00:fe",
                "overhead": 0, "mtu": 1500, "largest_packet": 1500})
            text = shunt("explain", "-f", config, packet).stdout
            self.assertIn("l2, no header", text)
            self.assertIn("02:00:00:00:00:01 -> 02:00:00:00:00:fe", text)
            self.assertNotIn("protocol", text)

    def test_prefix_that_won(self):
        config = GOOD.parent.parent / "prefixes" / "config.yaml"
        for packet, service, vip in (
                ("tcp 198.51.100.7:4242 203.0.113.10:80", "net-80", "203.0.113.0/24"),
                ("tcp [2001:db8:c::7]:4242 [2001:db8:a:1::]:443", "site6", "2001:db8:a::/48")):
            answer = json.loads(shunt("explain", "-f", config, "--json", packet).stdout)
            self.assertEqual(answer["service"], service)
            self.assertIn(f"{vip} is the longest prefix", " ".join(answer["why"]))
        text = shunt("explain", "-f", config, self.PACKET).stdout
        self.assertNotIn("prefix", text)

    def test_text_names_the_backend_and_why(self):
        text = self.explain(self.PACKET).stdout
        for part in ("web", "10.0.1.1", "slot", "because"):
            self.assertIn(part, text)

    def test_verdicts_without_a_backend(self):
        for packet, reason in (("tcp 198.51.100.7:1 203.0.113.10:80", "unmatched"),
                               ("tcp 198.51.100.7:1 203.0.113.99:80", "other_address"),
                               ("udp 127.0.0.1:1 203.0.113.10:53", "martian"),
                               ("udp [::1]:1 [2001:db8:a::10]:53", "martian"),
                               ("tcp [2001:db8:a::10]:1 [2001:db8:a::10]:443", "land")):
            answer = json.loads(self.explain("--json", packet).stdout)
            self.assertEqual((answer["reason"], answer["backend"]), (reason, None), packet)

    def test_many_from_standard_input(self):
        lines = [f"tcp 198.51.100.7:{port} 203.0.113.10:443" for port in range(1000, 1100)]
        done = self.explain("--json", "-", stdin="\n".join(lines))
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([a["packet"] for a in answers], lines)
        self.assertGreater(len({a["slot"] for a in answers}), 90)

    def test_bad_packets(self):
        for packet in ("", "tcp", "tcp 1.2.3.4:1", "icmp 1.2.3.4:1 5.6.7.8:1",
                       "tcp 1.2.3.4 5.6.7.8:1", "tcp 1.2.3.4:99999 5.6.7.8:1",
                       "tcp 1.2.3.4:1 [2001:db8::1]:1", "tcp 1.2.3.4:-1 5.6.7.8:1",
                       "tcp 1.2.3.4:1 5.6.7.8:1 more", "tcp " + "1" * 5000):
            done = self.explain(packet)
            self.assertEqual(done.returncode, 64, packet)
            self.assertIn("write it as", done.stderr)

    def test_nobody_answers(self):
        done = shunt("explain", "--run-dir", "/nonexistent", self.PACKET)
        self.assertEqual(done.returncode, 69)
        self.assertIn("is it running", done.stderr)


class Replay(unittest.TestCase):
    def test_bad_input(self):
        with tempfile.TemporaryDirectory() as directory:
            junk = pathlib.Path(directory) / "junk.pcap"
            junk.write_bytes(b"not a capture")
            for engine in ("core", "dpdk"):
                done = shunt("replay", "-f", GOOD, "--engine", engine, "--in", junk)
                self.assertEqual(done.returncode, 66, done.stderr)
                self.assertIn("capture", done.stderr)
        self.assertEqual(shunt("replay", "-f", GOOD, "--in", "x", "--engine", "x").returncode, 64)
        self.assertEqual(shunt("replay", "-f", GOOD).returncode, 64)


class Version(unittest.TestCase):
    def test_version(self):
        self.assertRegex(shunt("--version").stdout, r"^shunt 0\.\d+\.\d+ \(\S+\) arena ABI \d+$")


unittest.main()
