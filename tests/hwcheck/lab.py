# SPDX-License-Identifier: BSD-2-Clause
"""The programs of a measurement, and the cable between them.

The device under test is polled by shunt-dpdk, or by dpdk-testpmd as the floor. At the other end of its cable
is the generator, another dpdk-testpmd, on a port that the operator has named too: its frames have
the device's MAC and go nowhere else. What is forwarded goes back to the generator's MAC. Addresses are those set aside for
benchmarks (RFC 2544). All that is made is a temporary folder, an exception port and programs, and it is gone at the end.
"""
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

import machine

VIP, BACKENDS, PORT = "198.18.0.10", ["198.19.0.1", "198.19.0.2", "198.19.0.3", "198.19.0.4"], 7
NAME = "hwcheck0"
START_SECONDS = 60
MBUF_BYTES = 9728


class Skip(Exception):
    """What an item needs is not there; says what."""


class Failed(Exception):
    """It was measured, and is not what was expected."""


def until(seconds, condition, what, failure=Failed):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise failure(what() if callable(what) else what)
        time.sleep(0.2)


class Program:
    """A process whose output is kept."""

    def __init__(self, command, folder, name):
        self.path = os.path.join(folder, name + ".log")
        with open(self.path, "ab") as log:
            self.begin = log.tell()
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log,
                                            text=True)
        self.name = name

    def text(self):
        with open(self.path, "rb") as file:
            file.seek(self.begin)
            return file.read().decode("utf-8", "replace")

    def lives(self):
        return self.process.poll() is None

    def last(self):
        return (self.text().strip().splitlines() or ["it says nothing"])[-1]

    def await_text(self, pattern, seconds=START_SECONDS, failure=Failed, start=0):
        def look():
            match = re.search(pattern, self.text()[start:])
            if not match and not self.lives():
                missing = self.process.returncode == os.EX_UNAVAILABLE
                raise (Skip if missing else failure)(f"{self.name} ended: {self.last()}")
            return match
        return until(seconds, look, lambda: f"{self.name} is not ready: {self.last()}", failure)

    def end(self):
        if self.lives():
            self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Testpmd(Program):
    """dpdk-testpmd on one port, told what to do line by line."""

    def __init__(self, folder, name, eal, mode, *options):
        program = shutil.which("dpdk-testpmd")
        if not program:
            raise Skip("dpdk-testpmd is missing: apt-get install dpdk-dev")
        # Into a file it would write by the page.
        super().__init__(["stdbuf", "-oL", program, *eal, "--", "-i", "--nb-cores=1", "--total-num-mbufs=4096",
                          f"--mbuf-size={MBUF_BYTES}", f"--forward-mode={mode}", *options], folder, name)
        self.mac = self.await_text(r"Port 0: ([0-9A-F:]{17})", failure=Skip).group(1).lower()
        self.await_text("testpmd> ", failure=Skip)

    def tell(self, *commands):
        for command in commands:
            self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def counted(self):
        """(received, sent) since its start."""
        start = len(self.text())
        self.tell("show port stats 0")
        match = self.await_text(r"RX-packets: (\d+)[\s\S]*?TX-packets: (\d+)[\s\S]*?#{60}", 20,
                                start=start)
        return int(match.group(1)), int(match.group(2))


class Lab:
    """What runs now. An item asks for what it needs, and takes what is there if that suits."""

    def __init__(self, options):
        self.options = options
        self.folder = tempfile.mkdtemp(prefix="hwcheck-")
        self.config = os.path.join(self.folder, "shunt.yaml")
        self.generator = self.control = self.engine = self.settings = None
        self.floor_pps = 0
        self.plans = {}
        self.silent_since = time.monotonic()

    # --- What is there ------------------------------------------------------------------

    def device(self):
        return self._named(self.options.device, "name the device to measure with --device")

    def interface(self):
        return self._named(self.options.interface, "name an interface of the kernel's with --interface")

    def far_end(self):
        return self._named(self.options.generator,
                           "name the port at the other end of the cable with --generator")

    def _named(self, value, why):
        if not value:
            raise Skip(why)
        return value

    def program(self, name):
        return os.path.join(self.options.bin, name)

    def show(self, *what):
        done = subprocess.run([self.program("shunt"), "show", *what, "--json", "--run-dir", self.folder],
                              capture_output=True, text=True, timeout=20, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    # --- The generator ------------------------------------------------------------------

    def memory(self, device):
        """DPDK's arguments for a process that has this device alone."""
        if machine.is_pci(device):
            return ["--in-memory", "-a", device]
        return ["--no-huge", "--no-shconf", "-m", "128", "--no-pci", f"--vdev={device}"]

    def traffic(self):
        """The generator, which is silent yet."""
        device, core = self.far_end(), self.options.generator_core
        if not self.generator or not self.generator.lives():
            eal = ["--no-telemetry", f"--lcores=0@{core},1@{core}", "--file-prefix=hwcheck-generator",
                   *self.memory(device)]
            self.generator = Testpmd(self.folder, "the generator", eal, "txonly", "--txonly-multi-flow",
                                     f"--tx-ip=198.18.0.1,{VIP}", f"--tx-udp=4000,{PORT}")
        return self.generator

    def send(self, mac, frame_bytes=64):
        generator = self.traffic()
        generator.tell("stop", f"set eth-peer 0 {mac}", f"set txpkts {frame_bytes}", "start")

    def silence(self):
        if self.generator and self.generator.lives():
            self.generator.tell("stop")
            self.silent_since = time.monotonic()

    def silent_for(self, seconds):
        """Waits until the generator has been silent for so long."""
        time.sleep(max(0, self.silent_since + seconds - time.monotonic()))

    # --- The device under test ----------------------------------------------------------

    def configure(self, engine, device, cores, mtu):
        gateway = self.generator.mac if self.generator else "02:00:00:00:00:01"
        workers = f"  workers: \"{cores}\"\n" if cores else ""
        backends = ", ".join(f"{{ address: {address} }}" for address in BACKENDS)
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(f"""version: 1
fleet_seed: "5f1c0ffee5ba1ad5beadedc0de2b1a5e"
dataplane:
  engine: {engine}
  interfaces: [{{ name: {NAME}, device: "{device}", gateway_mac: "{gateway}"{mtu} }}]
  flows: 100K
{workers}services:
  - name: hwcheck
    vip: {VIP}
    protocol: udp
    port: {PORT}
    backends: [{backends}]
""")

    def plan(self, cores=None, mtu=1600):
        """What shunt-dpdk would do, as its --plan tells; without a device, of cores and pages."""
        wanted = (cores or self.options.cores, mtu)
        if wanted not in self.plans:
            self.configure("dpdk", self.options.device or "net_null0", wanted[0], f", mtu: {mtu}")
            done = subprocess.run([self.program("shunt-dpdk"), "--plan", "--json", "-f", self.config],
                                  capture_output=True, text=True, timeout=60, check=False)
            if not done.stdout.startswith("{"):
                raise Skip(f"no plan: {done.stderr.strip()}")
            self.plans[wanted] = json.loads(done.stdout)
        return self.plans[wanted]

    def startable(self, cores=None, mtu=1600):
        plan = self.plan(cores, mtu)
        if plan["faults"]:
            raise Skip(plan["faults"][0])
        return plan

    def first_core(self):
        """The core for one worker: near the device, if one is."""
        plan = self.startable()
        node = plan["interfaces"][0]["node"]
        near = [worker for worker in plan["workers"] if node in (None, worker["node"])]
        return str((near or plan["workers"])[0]["core"])

    def macswap(self):
        """dpdk-testpmd in shunt's place: the same port, core and memory, and hardly any work."""
        plan = self.startable(self.first_core())
        device = self.device()
        self.stop()
        eal = [argument for argument in plan["eal"] if not argument.startswith("--log-level")]
        if not machine.is_pci(device):
            eal.append(f"--vdev={device}")
        self.engine = Testpmd(self.folder, "dpdk-testpmd", eal, "macswap")
        self.engine.tell("start")
        return self.engine

    def start(self, engine="dpdk", cores="", mtu=1600):
        """shunt-dpdk, or shunt-xdp for another engine, with these settings."""
        wanted = (engine, cores, mtu)
        if self.settings == wanted and self.engine.lives():
            return self.engine
        if engine == "dpdk":
            self.startable(cores, mtu)
        self.stop()
        device = self.device() if engine == "dpdk" else self.interface()
        self.configure(engine, device, cores, f", mtu: {mtu}" if engine == "dpdk" else "")
        if not self.control:
            self.control = Program([self.program("shuntd"), "-f", self.config, "--run-dir", self.folder,
                                    "--state-dir", self.folder], self.folder, "shuntd")
            until(20, lambda: self.show("status"), self.control.last)
        self.settings = wanted
        self.run(engine)
        return self.engine

    def run(self, engine):
        name = "shunt-dpdk" if engine == "dpdk" else "shunt-xdp"
        self.engine = Program([self.program(name), "-f", self.config, "--run-dir", self.folder,
                               "--pin-dir", f"/sys/fs/bpf/{NAME}"], self.folder, name)
        self.engine.await_text("has the arena")

    def mac(self):
        ports = [port for each in self.show("status")["dataplanes"] for port in each["ports"]]
        if not ports:
            raise Failed("no dataplane is attached")
        return ports[-1]["mac"]

    def forwarded(self):
        return self.show()[0]["packets"]

    def verdicts(self):
        return {row["reason"]: row["packets"] for row in self.show("drops", "--all")["verdicts"]}

    def rate(self, count):
        """How much `count` grows in a second, once it grows."""
        before = count()
        until(15, lambda: count() > before, "nothing is forwarded")
        first, began = count(), time.monotonic()
        time.sleep(self.options.seconds)
        return (count() - first) / (time.monotonic() - began)

    def forwards(self, frame_bytes=64):
        """Packets a second that shunt forwards, from a generator that sends all it can."""
        self.send(self.mac(), frame_bytes)
        return self.rate(self.forwarded)

    # --- The end ------------------------------------------------------------------------

    def stop(self):
        self.silence()
        if self.engine:
            self.engine.end()
            if self.settings and self.settings[0] != "dpdk":
                subprocess.run([self.program("shunt-xdp"), "--detach", "--pin-dir", f"/sys/fs/bpf/{NAME}"],
                               capture_output=True, check=False)
        self.engine = self.settings = None

    def close(self):
        self.stop()
        for program in (self.generator, self.control):
            if program:
                program.end()
        if os.path.exists(f"/sys/class/net/{NAME}"):
            subprocess.run(["ip", "link", "delete", NAME], capture_output=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)
