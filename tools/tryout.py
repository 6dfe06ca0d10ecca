"""`make try`: the main job, here and now, on a stick that is a file or on a real one.

Everything happens in a temporary folder, the store too, and on a bus of its own where the machine boots no systemd.
However it ends, the machine is left as it was.
"""

import argparse
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from dubseedd.names import BUNDLE_INTERFACE, BUS_NAME, DEFAULT_LABEL, MANAGER_INTERFACE, ROOT_PATH, SEED_INTERFACE
from tools.bundle import make_seed
from tools.image import attached, detach
from tools.machine import CannotRun, Machine, provide, run, start_notifying, until

MODEL = "tiny-llama"
BIN = Path(sys.executable).parent
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
SPARE_BYTES = 512 << 20
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
SILENCE_SECONDS = 120.0
"""A daemon that works announces something all the time; one that is silent for so long is stuck."""

CONFIG = """[store]
path = "{store}"
reserve = "16MiB"
"""


class Try:
    """One run: the daemon, and what a person would type beside it."""

    def __init__(self, undo: ExitStack, folder: Path) -> None:
        self.undo = undo
        self.folder = folder
        self.store = folder / "store"
        self.machine: Machine = provide(undo, folder)

    # What is shown

    def heading(self, text: str) -> None:
        bold, plain = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
        print(f"\n{bold}── {text}{plain}", flush=True)

    def show(self, *words: str, cwd: Path | None = None) -> None:
        """A command as a person types it, and its output."""
        print(f"$ {' '.join(words)}", flush=True)
        subprocess.run(self.argv(*words), env=self.machine.environment, cwd=cwd, check=False)

    def argv(self, *words: str) -> tuple[str, ...]:
        """Our own programs come from the environment that runs this script."""
        ours = BIN / words[0]
        return (str(ours) if ours.exists() else words[0], *words[1:])

    def show_journal(self, daemon: "subprocess.Popen[bytes]") -> None:
        if self.machine.journal:
            run("journalctl", "--sync")
            self.show("journalctl", "--no-pager", "--identifier=dubseedd", f"_PID={daemon.pid}")
        else:
            print("$ journalctl -u dubseedd      # there is no journal here: standard error has the same lines")
            said = (self.folder / "dubseedd.log").read_text()
            print(re.sub(r"^<\d>", "", said, flags=re.MULTILINE), end="", flush=True)

    # What the daemon says

    def start_daemon(self) -> "subprocess.Popen[bytes]":
        config = self.folder / "dubseedd.toml"
        self.store.mkdir(mode=0o755)
        config.write_text(CONFIG.format(store=self.store))
        print(f"$ dubseedd --config {config}", flush=True)
        argv = self.argv("dubseedd", "--config", str(config))
        runtime = {"RUNTIME_DIRECTORY": str(self.folder / "run")}
        (self.folder / "run").mkdir(mode=0o700)
        return start_notifying(self.undo, self.folder, *argv, environment={**self.machine.environment, **runtime})

    def objects(self, interface: str) -> dict[str, dict[str, Any]]:
        """The properties of every object that has this interface, by its path."""
        words = ("busctl", "--json=short", "call", BUS_NAME, ROOT_PATH, OBJECT_MANAGER, "GetManagedObjects")
        found = json.loads(run(*words, environment=self.machine.environment))["data"][0]
        return {
            path: {name: value["data"] for name, value in interfaces[interface].items()}
            for path, interfaces in found.items()
            if interface in interfaces
        }

    def is_settled(self, device: str) -> bool:
        """Has the daemon done with this device what it can, and let go of it?"""
        states = [seed["State"] for seed in self.objects(SEED_INTERFACE).values() if seed["Device"] == device]
        released = all(seed["SafeToRemove"] for seed in self.objects(SEED_INTERFACE).values())
        return states == ["failed"] or (states == ["done"] and released)

    def wait(self, is_done: Callable[[], bool]) -> None:
        """Look now, and again whenever the daemon announces something on the bus."""
        argv = ("busctl", "monitor", BUS_NAME)
        with subprocess.Popen(
            argv, env=self.machine.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as monitor:
            assert monitor.stdout is not None
            announcements = monitor.stdout.fileno()
            try:
                while select.select([announcements], [], [], SILENCE_SECONDS)[0]:
                    if not os.read(announcements, 1 << 20):  # the first is its own: it listens now
                        raise CannotRun("the bus went away")
                    if is_done():
                        return
            finally:
                monitor.terminate()
        raise CannotRun(f"the daemon said nothing for {SILENCE_SECONDS:.0f} s, see above")

    # What a person does

    def watch(self) -> "subprocess.Popen[bytes]":
        """`dubseedctl watch`, once it is on the bus."""
        print("$ dubseedctl watch", flush=True)
        process = subprocess.Popen(self.argv("dubseedctl", "watch"), env=self.machine.environment)
        self.undo.callback(end, process)
        clients = ("busctl", "--unique", "--no-legend", "--no-pager", "list")
        listed = re.compile(rf"^\S+\s+{process.pid}\s", re.MULTILINE)
        environment = self.machine.environment
        until("dubseedctl watch", lambda: bool(listed.search(run(*clients, environment=environment))))
        return process

    def show_result(self) -> bool:
        """What a person may ask now; is there a bundle?"""
        self.show("dubseedctl", "status")
        self.heading("What programs see: the bus")
        self.show("busctl", "--no-pager", "tree", BUS_NAME)
        self.show("busctl", "get-property", BUS_NAME, ROOT_PATH, MANAGER_INTERFACE, "State", "Status", "SafeToRemove")
        bundles = self.objects(BUNDLE_INTERFACE)
        for path in bundles:
            self.show("busctl", "get-property", BUS_NAME, path, BUNDLE_INTERFACE, "Name", "State", "Size", "Path")
        for bundle in bundles.values():
            self.heading(f"The published bundle {bundle['Name']}")
            self.show("ls", "-l", bundle["Path"])
            self.show("sha256sum", "--strict", "--check", "SHA256SUMS", cwd=Path(bundle["Path"]))
        return bool(bundles) and all(bundle["State"] == "installed" for bundle in bundles.values())


def end(process: "subprocess.Popen[bytes]") -> None:
    """A program that ends by itself, or nearly."""
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait()


def in_bytes(text: str) -> int:
    """A size like 256MiB or 4GiB."""
    match = re.fullmatch(r"(\d+)(KiB|MiB|GiB)", text)
    if match is None:
        raise CannotRun(f"SIZE={text} is no size: write it like 256MiB or 4GiB")
    return int(match[1]) * UNITS[match[2]]


def make_stick(folder: Path, size_bytes: int) -> Path:
    """An image with one bundle on it, where there is room for it and the store."""
    free = shutil.disk_usage(folder).free
    if free < 2 * size_bytes + SPARE_BYTES:
        raise CannotRun(
            f"{folder.parent} has {free >> 20} MiB free, the stick and the store need twice SIZE: set TMPDIR"
        )
    return make_seed(folder, MODEL, label=DEFAULT_LABEL, size_bytes=size_bytes)


def proven_stick(device: str) -> str:
    """A real stick: a block device that carries our label."""
    if not Path(device).is_block_device():
        raise CannotRun(f"SEED={device} is no block device: lsblk -f lists them")
    label = run("blkid", "--match-tag", "LABEL", "--output", "value", device, check=False).strip()
    if label != DEFAULT_LABEL:
        raise CannotRun(f"SEED={device} is labelled {label!r}, a seed has to be labelled {DEFAULT_LABEL}")
    return device


def try_image(undo: ExitStack, folder: Path, size_bytes: int) -> bool:
    """The whole story, with an image as the stick."""
    this = Try(undo, folder)
    this.heading(f"A stick is made: an ext4 image labelled {DEFAULT_LABEL}, with models/{MODEL}")
    image = make_stick(folder, size_bytes)
    this.heading("The daemon starts")
    daemon = this.start_daemon()
    this.heading("The stick is plugged in")
    watch = this.watch()
    device = undo.enter_context(attached(image))
    this.wait(lambda: this.is_settled(device))
    end(watch)
    succeeded = this.show_result()
    this.heading("The stick is pulled out, and plugged in again: what is current is left alone")
    detach(device, image)
    this.wait(lambda: not this.objects(SEED_INTERFACE))
    plugged = time.monotonic()
    device = undo.enter_context(attached(image))
    this.wait(lambda: this.is_settled(device))
    print(f"looked at and released after {time.monotonic() - plugged:.2f} s")
    this.show("dubseedctl", "status")
    this.heading("The stick is pulled out; what the journal says of it all")
    detach(device, image)
    this.wait(lambda: not this.objects(SEED_INTERFACE))
    this.show_journal(daemon)
    return succeeded


def try_stick(undo: ExitStack, folder: Path, device: str) -> bool:
    """The same with a real stick, which is plugged in already."""
    this = Try(undo, folder)
    this.heading(f"The daemon starts and finds {device}")
    daemon = this.start_daemon()
    watch = this.watch()
    this.wait(lambda: this.is_settled(device))
    end(watch)
    succeeded = this.show_result()
    this.heading("What the journal says of it")
    this.show_journal(daemon)
    return succeeded


def main() -> int:
    """1 where nothing was published, 2 where this machine cannot run it."""
    parser = argparse.ArgumentParser(prog="make try")
    parser.add_argument("--size", default="256MiB", help="of the bundle that is made")
    parser.add_argument("--seed", default="", help="a real stick instead: its block device")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda caught, _: sys.exit(128 + caught))
    try:
        with ExitStack() as undo:
            folder = Path(tempfile.mkdtemp(prefix="dubseedd-try-", dir=os.environ.get("TMPDIR", "/var/tmp")))
            undo.callback(shutil.rmtree, folder)
            if options.seed:
                succeeded = try_stick(undo, folder, proven_stick(options.seed))
            else:
                succeeded = try_image(undo, folder, in_bytes(options.size))
    except CannotRun as reason:
        print(f"make try: {reason}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nmake try: interrupted; everything is put back", file=sys.stderr)
        return 130
    print("\nEverything is put back as it was." if succeeded else "\nmake try: no bundle was published, see above")
    return 0 if succeeded else 1


if __name__ == "__main__":
    sys.exit(main())
