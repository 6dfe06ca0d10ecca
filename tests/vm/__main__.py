"""`make vm`: a booted machine for a person. `make vm-torture`: every row in its amount; prints the figures.

python -m tests.vm [SIZE]
N=100 TORTURE_SEED=17 python -m tests.vm torture [arguments of pytest]
"""

import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dubseedd.names import DEFAULT_LABEL
from tests.vm import amounts, rootfs
from tests.vm.guest import Guest, accelerator, machine, make_image
from tools.bundle import make_seed
from tools.machine import CannotRun

STICK_BYTES = 64 << 20
PLUG = "device_add usb-storage,bus=xhci.0,drive=stick,id=usb,removable=on"
HELP = f"""
This terminal becomes the console of a Debian with dubseedd installed; you are root there. A stick lies ready.
Ctrl-A c takes you to QEMU's monitor and back. There

    {PLUG}     plugs the stick in
    device_del usb                                                             pulls it out
    quit                                                                       cuts the power

Watch it come: dubseedctl watch. Nothing that happens is kept.
"""


def play() -> int:
    """A shell in the guest, and a stick to plug."""
    disk = rootfs.provide()
    with tempfile.TemporaryDirectory(prefix="dubseedd-vm-") as name:
        folder = Path(name)
        stick = make_seed(folder, "tiny-llama", label=DEFAULT_LABEL, size_bytes=STICK_BYTES)
        if accelerator() == "kvm":
            (folder / "trial").mkdir()
            with Guest(folder / "trial", disk) as guest:
                guest.boot()
        print(HELP, flush=True)
        qemu = machine(accelerator(), disk, make_image(disk, folder / "guest.qcow2"))
        file = f"driver=raw,node-name=stick,file.driver=file,file.filename={stick}"
        return subprocess.run((*qemu, "-blockdev", file, "-serial", "mon:stdio"), check=False).returncode


def torture(arguments: list[str]) -> int:
    """Every row, as often as N says in pulls of a stick; the environment may say otherwise of a row."""
    pulls = int(os.environ.get("N") or amounts.FULL["R6"])
    os.environ["TORTURE_SEED"] = os.environ.get("TORTURE_SEED") or str(random.randrange(1, 1_000_000))
    for row, full in amounts.FULL.items():
        os.environ[row] = os.environ.get(row) or str(max(1, full * pulls // amounts.FULL["R6"]))
    print(
        f"TORTURE_SEED={os.environ['TORTURE_SEED']}", *(f"{row}={os.environ[row]}" for row in amounts.FULL), flush=True
    )
    return int(pytest.main(["-m", "vm and row", str(rootfs.ROOT / "tests" / "vm"), *arguments]))


if __name__ == "__main__":
    try:
        sys.exit(torture(sys.argv[2:]) if sys.argv[1:2] == ["torture"] else play())
    except CannotRun as reason:
        sys.exit(f"vm: {reason}")
