"""A booted machine: QEMU with our disk, USB ports, and what is asked of it and told by it.

with Guest(folder, disk) as guest:
    guest.boot()
    guest.plug(Drive(image), port=2)
    guest.journal.until(event="bundle-installed")
    guest.cut_power()
    guest.boot()
"""

import itertools
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.vm.journal import Journal
from tests.vm.nbd import Drive
from tests.vm.qmp import Qmp, QmpError
from tests.vm.rootfs import Disk
from tools.machine import CannotRun, run

MEMORY_MIB = 1024
PROCESSORS = 2
BOOT_SECONDS = 180.0
KVM_SECONDS = 30.0
"""A guest under a KVM that works has booted by then; under one that only pretends to, it never will."""
RUN_SECONDS = 60.0
GRACE_SECONDS = 20.0
PORTS = 8
THREADS = r"""
for process in $(cat /sys/fs/cgroup/system.slice/udisks2.service/cgroup.procs) $(pidof -x dubseedd); do
    tr '\0' ' ' <"/proc/$process/cmdline"; echo
    for thread in /proc/"$process"/task/*; do echo "$thread $(cat "$thread/comm")"; cat "$thread/stack"; done
    ls -l "/proc/$process/fd"
done
"""
"""Where UDisks2, its helpers and dubseedd wait, and what they have open."""

KEPT = {
    "journal.txt": ("journalctl", "--boot", "--no-pager", "--output=short-monotonic"),
    "tree.txt": ("busctl", "tree", "org.dubnium.Seed1"),
    "status.txt": ("systemctl", "status", "--no-pager", "--full", "dubseedd", "udisks2", "dbus"),
    "mountinfo.txt": ("sh", "-c", "cat /proc/self/mountinfo; echo; cat /proc/$(pidof -x dubseedd)/mountinfo"),
    "store.txt": ("find", "/var/lib/dubnium/models", "-ls"),
    "threads.txt": ("sh", "-c", THREADS),
}
"""What is asked of a guest in which something has failed."""


class Failed(AssertionError):
    """A command in the guest did not end well."""


class Guest:
    """One machine, switched on and off; its disk stays, and so do the states it was saved in."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self.folder = folder
        self.journal: Journal
        self._disk = disk
        self._image = make_image(disk, folder / "guest.qcow2")
        self._numbers = itertools.count(1)
        self._plugged: dict[int, tuple[str, Callable[[], None]]] = {}
        self._power = ExitStack()
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        self._undo.enter_context(self._disk.held())
        self._undo.callback(self.cut_power)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._undo.close()

    # Power

    def boot(self, *drives: Drive) -> None:
        """Switch it on with these sticks in its ports, and wait until it is up."""
        kind = accelerator()
        try:
            self._switch_on(kind, drives)
        except (OSError, QmpError, CannotRun, Failed):
            if kind != "kvm":
                raise
            no_kvm().touch()
            self.cut_power()
            self._switch_on(accelerator(), drives)
        self.run("systemctl", "is-system-running", "--wait", check=False)
        self._until_followed("booted")

    def cut_power(self) -> None:
        """Switch it off, whatever it does; what its disk was not told to flush may be lost."""
        self._power.close()
        for drive in list(self._plugged):
            self._forget(drive)

    def _switch_on(self, kind: str, drives: tuple[Drive, ...]) -> None:
        sockets = {name: self.folder / f"{name}.sock" for name in ("qmp", "agent", "journal")}
        for path in sockets.values():
            path.unlink(missing_ok=True)
        with ExitStack() as undo, (self.folder / "qemu.log").open("ab") as log:
            process = subprocess.Popen(self._command(kind, sockets), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            undo.callback(process.wait)
            undo.callback(process.kill)
            until_listening(process, *sockets.values())
            self._qmp = Qmp.connect(sockets["qmp"])
            undo.callback(self._qmp.close)
            self.journal = Journal(sockets["journal"])
            undo.callback(self.journal.close)
            self._agent = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            undo.callback(self._agent.close)
            self._agent.connect(str(sockets["agent"]))
            self._heard = b""
            for number, drive in enumerate(drives, 1):
                self.plug(drive, port=number)
            self._qmp.command("cont")
            self._answer(0, KVM_SECONDS if kind == "kvm" else BOOT_SECONDS)
            self._power.push(undo.pop_all())

    def _command(self, kind: str, sockets: dict[str, Path]) -> tuple[str, ...]:
        return (
            *("setpriv", "--pdeathsig", "KILL"),
            *machine(kind, self._disk, self._image),
            *("-S", "-serial", f"file:{self.folder / 'console.txt'}", "-device", "virtio-serial"),
            *(part for name in ("agent", "journal") for part in port(name, sockets[name])),
            *("-qmp", f"unix:{sockets['qmp']},server=on,wait=off"),
        )

    # States

    def save(self, name: str) -> None:
        """Keep the running machine as it is now, with all of its journal sent: a line half sent would never end."""
        self._until_followed(f"saved as {name}")
        self._qmp.monitor(f"savevm {name}")

    def load(self, name: str) -> None:
        """Put it back, running; every stick is pulled out first."""
        for drive in list(self._plugged):
            self._pull(drive)
        self._qmp.monitor(f"loadvm {name}")
        self.journal.forget()

    def _until_followed(self, mark: str) -> None:
        """All of the guest's journal is here up to now. What follows it there may have lost it to a power cut."""
        self.run("logger", "--tag", "vm", mark)
        if self.journal.heard(GRACE_SECONDS, message=mark) is None:
            self.journal.forget()
            self.run("systemctl", "restart", "vm-journal")
            self.journal.until(RUN_SECONDS, message=mark)

    # Sticks

    def plug(self, drive: Drive, *, port: int = 1, serial: str = "") -> None:
        """Plug a stick in."""
        name = f"stick{next(self._numbers)}"
        path = self.folder / f"{name}.sock"
        undo = drive.serve(path)
        self._plugged[id(drive)] = (name, undo)
        server = {"type": "unix", "path": str(path)}
        node = {"driver": "nbd", "node-name": name, "server": server, "read-only": drive.read_only}
        self._qmp.command("blockdev-add", **node)
        device = {"driver": "usb-storage", "bus": "xhci.0", "port": str(port), "drive": name, "id": f"usb-{name}"}
        self._qmp.command("device_add", **device, removable=True, **({"serial": serial} if serial else {}))

    def pull(self, drive: Drive) -> None:
        """Pull it out, whoever reads it."""
        self._pull(id(drive))

    def _pull(self, drive: int) -> None:
        name, _ = self._plugged[drive]
        self._qmp.command("device_del", id=f"usb-{name}")
        self._qmp.until("DEVICE_DELETED", lambda data: data.get("device") == f"usb-{name}", RUN_SECONDS)
        self._qmp.command("blockdev-del", node_name=name)
        self._forget(drive)

    def _forget(self, drive: int) -> None:
        _, undo = self._plugged.pop(drive)
        undo()

    # Commands

    def run(self, *argv: str, check: bool = True, seconds: float = RUN_SECONDS, stdin: str = "") -> str:
        """What a command in the guest writes; Failed where it ends badly and that is not expected."""
        number = next(self._numbers)
        request = {"id": number, "argv": argv, "input": stdin, "seconds": seconds}
        self._agent.sendall(json.dumps(request).encode() + b"\n")
        answer = self._answer(number, seconds + GRACE_SECONDS)
        if check and answer["status"]:
            said = str(answer["errors"]).strip() or str(answer["output"]).strip()
            raise Failed(f"{' '.join(argv)}: status {answer['status']}: {said}")
        return str(answer["output"])

    def sh(self, script: str, *, check: bool = True, seconds: float = RUN_SECONDS) -> str:
        """The same for a line of shell."""
        return self.run("sh", "-c", script, check=check, seconds=seconds)

    def _answer(self, number: int, seconds: float) -> dict[str, object]:
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._line(deadline)
            except TimeoutError:
                raise Failed(f"the guest does not answer within {seconds:.0f} s; look at its console") from None
            with suppress(ValueError):  # the machine was put back in the middle of a line
                answer: dict[str, object] = json.loads(line)
                if answer["id"] == number:
                    return answer

    def _line(self, deadline: float) -> bytes:
        """The next line of the agent; what came before a TimeoutError is kept for the next try."""
        while b"\n" not in self._heard:
            self._agent.settimeout(max(0.001, deadline - time.monotonic()))
            if not (more := self._agent.recv(1 << 16)):
                raise Failed("the guest is gone; look at its console")
            self._heard += more
        line, _, self._heard = self._heard.partition(b"\n")
        return line

    def keep(self, folder: Path) -> None:
        """Everything that helps to understand a failure."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        entries = "\n".join(json.dumps(entry) for entry in self.journal.entries)
        (folder / "journal.json").write_text(entries)
        for name in ("console.txt", "qemu.log"):
            if (self.folder / name).exists():
                shutil.copyfile(self.folder / name, folder / name)
        for name, argv in KEPT.items():
            try:
                (folder / name).write_text(self.run(*argv, check=False))
            except (Failed, OSError, QmpError) as error:
                (folder / name).write_text(f"{error}\n")


def machine(kind: str, disk: Disk, image: Path) -> tuple[str, ...]:
    """QEMU with everything that a guest has, whoever uses it."""
    accelerated = {"kvm": ("kvm", "host"), "tcg": ("tcg,thread=multi,tb-size=512", "max")}
    accel, processor = accelerated[kind]
    return (
        *("qemu-system-x86_64", "-accel", accel, "-cpu", processor, "-m", str(MEMORY_MIB), "-smp", str(PROCESSORS)),
        *("-kernel", str(disk.kernel), "-initrd", str(disk.initrd)),
        *("-append", "root=/dev/vda rw console=tty0 console=ttyS0"),
        *("-drive", f"file={image},format=qcow2,if=virtio"),
        *("-nic", "none", "-display", "none", "-no-reboot"),
        *("-device", f"qemu-xhci,id=xhci,p2={PORTS},p3={PORTS}"),
    )


def make_image(disk: Disk, image: Path) -> Path:
    """A disk of one's own, which begins as this one."""
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", str(disk.image), "-F", "raw", str(image))
    return image


def port(name: str, path: Path) -> tuple[str, ...]:
    """A serial port of the guest, /dev/virtio-ports/NAME, that is a socket here."""
    chardev = ("-chardev", f"socket,id={name},path={path},server=on,wait=off")
    return (*chardev, "-device", f"virtserialport,chardev={name},name={name}")


def until_listening(process: "subprocess.Popen[bytes]", *paths: Path) -> None:
    """QEMU makes its sockets before anything else, and has no way to say so."""
    deadline = time.monotonic() + GRACE_SECONDS
    while not all(path.exists() for path in paths):
        if process.poll() is not None or time.monotonic() > deadline:
            raise CannotRun("QEMU does not start; qemu.log says why")
        time.sleep(0.02)


# Acceleration


def accelerator() -> str:
    """kvm where it works, else tcg: a /dev/kvm that is there may boot nothing, as in many virtual machines."""
    if asked := os.environ.get("VM_ACCEL"):
        return asked
    return "kvm" if os.access("/dev/kvm", os.R_OK | os.W_OK) and not no_kvm().exists() else "tcg"


def no_kvm() -> Path:
    """Remembers until the next boot of this machine that its KVM boots nothing."""
    return Path("/run/dubseedd-vm-without-kvm")
