# SPDX-License-Identifier: BSD-2-Clause
"""A QEMU guest under software emulation with Debian's own kernel, and the machine's root as its own.

Nothing is installed for it and no image is made: the initial memory disk holds busybox, the few
modules that lead to virtiofs and the NIC, and `init`; everything else is the machine's root, read-only, by
virtiofsd. So the guest runs the programs of this build, and boots in seconds.

Who uses it is alone in namespaces of its own (see `run`): QEMU and virtiofsd end with it, however
it ends, and the tap device with them. Here they are ended by their ids nevertheless, so that the
next guest finds nothing of the last.
"""
import os
import selectors
import shlex
import shutil
import socket
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
VIRTIOFSD = "/usr/lib/qemu/virtiofsd"
QEMU = "qemu-system-x86_64"
TAPS = ["tap0", "tap1"]  # the other ends of eth0 and eth1
MACS = ["02:00:00:00:77:00", "02:00:00:00:01:02"]  # the latter is the lab's LAB_LB_MAC
ADDRESSES = {"HOST_V4": "10.77.0.1", "GUEST_V4": "10.77.0.2",
             "HOST_V6": "fd77::1", "GUEST_V6": "fd77::2"}
MODULES = ["virtio_pci", "virtiofs", "overlay", "virtio_net", "tun"]

# What a check can ask for in its line `# boot: WORD..`: kernel parameters, QEMU's arguments, what
# is added to eth1.
BOOTS = {
    "iommu": ("intel_iommu=on iommu=pt", ["-device", "intel-iommu,intremap=on"],
              ",iommu_platform=on"),
    "isolated": ("isolcpus=1 nohz_full=1 rcu_nocbs=1 irqaffinity=0", [], ""),
    "queues2": ("", [], ",mq=on,vectors=6"),
    "nodes2": ("", [], ""),
}
MEMORY_MIB = 1024


class Trouble(Exception):
    """The guest could not be had; says why."""


def run(*command, **how):
    return subprocess.run(command, check=True, capture_output=True, text=True, **how).stdout


def module_files(kernel):
    """The files of MODULES and of what they stand on, in the order of loading."""
    version = os.listdir(f"{kernel}/lib/modules")[0]
    files = []
    for module in MODULES:
        said = run("modprobe", "-d", kernel, "-S", version, "--show-depends", module)
        for line in said.splitlines():
            word, _, path = line.partition(" ")
            if word == "insmod" and path.strip() not in files:
                files.append(path.strip())
    return files


def make_initrd(kernel, folder, job):
    """The initial memory disk, uncompressed: unpacking takes longer than reading there."""
    tree = f"{folder}/initrd"
    for name in ("bin", "modules", "proc", "dev", "below", "above", "root"):
        os.makedirs(f"{tree}/{name}")
    shutil.copy("/bin/busybox", f"{tree}/bin/busybox")
    shutil.copy(f"{HERE}/init", f"{tree}/init")
    for number, path in enumerate(module_files(kernel)):
        shutil.copy(path, f"{tree}/modules/{number:02}-{os.path.basename(path)}")
    with open(f"{tree}/job", "w", encoding="utf-8") as file:
        file.writelines(f"{key}={shlex.quote(value)}\n" for key, value in job.items())
    with open(f"{folder}/initrd.cpio", "wb") as file:
        subprocess.run("find . -mindepth 1 | cpio --quiet -o -H newc", shell=True, cwd=tree,
                       stdout=file, check=True)


class Machine:
    """One boot. `lines()` yields what the guest says on its second serial line."""

    def __init__(self, kernel, folder, words):
        self.kernel = kernel
        self.folder = folder
        self.words = words
        self.children = []

    def start(self, job):
        """Boots. `job` is what the guest finds as variables in /run/job."""
        os.makedirs(self.folder)
        job = {**job, **ADDRESSES, "MODULES": f"{self.kernel}/lib/modules"}
        make_initrd(self.kernel, self.folder, job)
        self._start_root()
        self._start_qemu()
        self._address_tap()

    def _child(self, name, command, **how):
        with open(f"{self.folder}/{name}.log", "wb") as log:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **how)
        self.children.append((name, child))
        return child

    def _await(self, condition, what):
        end = time.monotonic() + 20
        while not condition():
            for name, child in self.children:
                if child.poll() is not None:
                    raise Trouble(f"{name} ended with {child.returncode}: {self.tail(name)}")
            if time.monotonic() > end:
                raise Trouble(f"waited 20 s in vain: {what}")
            time.sleep(0.01)

    def _start_root(self):
        path = f"{self.folder}/root.sock"
        self._child("virtiofsd", [VIRTIOFSD, f"--socket-path={path}", "-o", "source=/",
                                  "-o", "sandbox=chroot", "-o", "cache=always"])
        self._await(lambda: os.path.exists(path), "virtiofsd's socket")

    def _memory(self, nodes):
        """In equal parts, each with its CPUs; virtiofsd maps all of it."""
        arguments = []
        for node in range(nodes):
            cpus = "0-1" if nodes == 1 else str(node)
            arguments += ["-object", f"memory-backend-memfd,id=memory{node},share=on,"
                          f"size={MEMORY_MIB // nodes}M",
                          "-numa", f"node,nodeid={node},cpus={cpus},memdev=memory{node}"]
        return arguments

    def _start_qemu(self):
        # The kernel counts ticks at its start, and panics where a busy machine delays the first ones.
        parameters = ["console=ttyS0", "quiet", "panic=-1", "mitigations=off", "no_timer_check"]
        extra, nic = [], ""
        for word in self.words:
            parameters.append(BOOTS[word][0])
            extra += BOOTS[word][1]
            nic += BOOTS[word][2]
        queues = ",queues=2" if "queues2" in self.words else ""
        # IOMMU first: it is there for what comes after it.
        for number, (tap, of_net, of_nic) in enumerate(zip(TAPS, ("", queues), ("", nic))):
            extra += [
                "-netdev", f"tap,id=nic{number},ifname={tap},script=no,downscript=no{of_net}",
                "-device", f"virtio-net-pci,netdev=nic{number},addr={0x10 + number:#x}," +
                f"mac={MACS[number]},disable-legacy=on,romfile={of_nic}"]
        self.talk, theirs = socket.socketpair()
        command = [
            QEMU, "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2",
            "-m", str(MEMORY_MIB), *self._memory(2 if "nodes2" in self.words else 1),
            "-nodefaults", "-no-user-config", "-nographic", "-no-reboot",
            "-serial", f"file:{self.folder}/console.log",
            "-chardev", f"socket,id=talk,fd={theirs.fileno()}", "-serial", "chardev:talk",
            "-chardev", f"socket,id=root,path={self.folder}/root.sock",
            "-device", "vhost-user-fs-pci,chardev=root,tag=machine",
            *extra,
            "-kernel", f"{self.kernel}/vmlinux", "-initrd", f"{self.folder}/initrd.cpio",
            "-append", " ".join(parameters),
        ]
        self._child("qemu", command, pass_fds=[theirs.fileno()])
        theirs.close()

    def _address_tap(self):
        def there():
            return set(TAPS) <= {name for _, name in socket.if_nameindex()}

        self._await(there, "QEMU's tap devices")
        run("ip", "address", "add", f"{ADDRESSES['HOST_V4']}/24", "dev", TAPS[0])
        run("ip", "address", "add", f"{ADDRESSES['HOST_V6']}/64", "dev", TAPS[0], "nodad")
        run("ip", "link", "set", TAPS[0], "up")

    def lines(self, deadline):
        """What the guest says, line by line, until it ends or the deadline comes."""
        rest = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self.talk, selectors.EVENT_READ)
            while True:
                if not selector.select(max(deadline - time.monotonic(), 0)):
                    raise TimeoutError
                data = self.talk.recv(65536)
                if not data:
                    return
                *whole, rest = (rest + data).split(b"\n")
                for line in whole:
                    yield line.decode("utf-8", "replace").rstrip("\r")

    def say(self, text):
        try:
            self.talk.sendall(text.encode())
        except BrokenPipeError:
            pass  # it has ended, which lines() tells

    def tail(self, name, lines=25):
        """The end of a log: console, qemu or virtiofsd."""
        try:
            with open(f"{self.folder}/{name}.log", errors="replace", encoding="utf-8") as file:
                return "\n".join(file.read().strip().splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    def end(self):
        for _, child in reversed(self.children):
            child.kill()
            child.wait()
