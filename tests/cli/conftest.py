"""dubseedctl as a process, and a daemon that does just what a test tells it to."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest

from dubseedd.adapters.bus import Connection
from dubseedd.adapters.messages import IncomingCall
from dubseedd.bus.tree import ObjectTree
from dubseedd.names import (
    BUNDLE_INTERFACE,
    BUS_NAME,
    JOB_INTERFACE,
    MANAGER_INTERFACE,
    NO_OBJECT,
    ROOT_PATH,
    SEED_INTERFACE,
)
from tests.support.terminal import Terminal

LIMIT_SECONDS = 20.0
PIPE = asyncio.subprocess.PIPE
RUN = "import sys; from dubseedd.cli.main import main; sys.exit(main())"
INTERRUPTED = """
import os, signal, sys, threading
from dubseedd.engine.stop import StopFlag
noticed, ask = threading.Event(), StopFlag.set
def ask_and_tell(flag, reason):
    ask(flag, reason)
    noticed.set()
StopFlag.set = ask_and_tell
def look(event, args):
    if event == "open" and (%s):
        os.kill(os.getpid(), signal.SIGINT)
        noticed.wait()
sys.addaudithook(look)
"""
NO_ERROR = ["", ""]
MANAGER: dict[str, Any] = {
    "Version": "0.1.0",
    "State": "idle",
    "Status": "no bundles installed, waiting for a stick labelled DUB-SEED",
    "Progress": [100, "", 0],
    "LastError": NO_ERROR,
    "SafeToRemove": True,
    "Store": "/store",
    "Trust": "integrity",
    "Inhibitors": [],
    "Seeds": [],
    "Bundles": [],
    "Jobs": [],
}
SEED: dict[str, Any] = {
    "Uuid": "1234-ABCD",
    "Label": "DUB-SEED",
    "Device": "/dev/sdb1",
    "Filesystem": "exfat",
    "Size": 31 << 30,
    "Drive": "ACME Stick",
    "Serial": "",
    "MountPoint": "",
    "State": "done",
    "SafeToRemove": True,
    "Bundles": [],
    "Jobs": [],
    "Error": NO_ERROR,
}
JOB: dict[str, Any] = {
    "Kind": "sync",
    "Bundle": "tiny",
    "Seed": NO_OBJECT,
    "State": "copying",
    "BytesTotal": 2000,
    "BytesDone": 800,
    "BytesSkipped": 0,
    "FilesTotal": 3,
    "FilesDone": 1,
    "CurrentFile": "config.json",
    "Rate": 100,
    "StartTime": 1,
    "ExpectedEndTime": 0,
    "Progress": [40, "copying tiny: file 2 of 3", 1],
    "Error": NO_ERROR,
}
BUNDLE: dict[str, Any] = {
    "Name": "tiny",
    "Path": "/store/tiny",
    "Size": 2000,
    "Files": 3,
    "ManifestSha256": "0" * 64,
    "Format": "safetensors",
    "State": "installed",
    "InstalledAt": 1,
    "VerifiedAt": 1,
    "SeedUuid": "1234-ABCD",
    "Signer": "",
    "Source": "",
    "CanRollback": False,
    "Error": NO_ERROR,
}


class Said(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str


def interrupted_at(opened: str) -> str:
    """Code that presses Ctrl-C when a file is opened that this expression on `args` is true of; the copy goes on when
    the command has noticed."""
    return INTERRUPTED % opened


@dataclass
class ToyDaemon:
    """Owns the name and shows what it is told to; `on` says what a method does before it returns its values.

    `before_reply` runs between the two, with the caller's name.
    """

    connection: Connection
    on: dict[str, Callable[[str, list[Any]], list[Any]]] = field(default_factory=dict)
    before_reply: Callable[[str], Awaitable[None]] | None = None
    calls: list[IncomingCall] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tree = ObjectTree(self._answer)
        self.tree.attach(self.connection)
        self.tree.export(ROOT_PATH, {MANAGER_INTERFACE: MANAGER})

    async def _answer(self, call: IncomingCall) -> list[Any]:
        self.calls.append(call)
        values = self.on[call.member](call.path, call.body)
        if self.before_reply is not None:
            await self.before_reply(call.sender)
        return values

    def show_seed(self, **told: Any) -> str:
        path = f"{ROOT_PATH}/seeds/a"
        self.tree.export(path, {SEED_INTERFACE: {**SEED, **told}})
        return path

    def show_bundle(self, **told: Any) -> None:
        self.tree.export(f"{ROOT_PATH}/bundles/a", {BUNDLE_INTERFACE: {**BUNDLE, **told}})

    def show_job(self, number: int, **told: Any) -> str:
        path = f"{ROOT_PATH}/jobs/{number}"
        self.tree.export(path, {JOB_INTERFACE: {"Id": number, **JOB, **told}})
        return path

    def change_job(self, path: str, **told: Any) -> None:
        self.tree.update(path, JOB_INTERFACE, told)

    def end_job(self, path: str, state: str, *error: str) -> None:
        """End a job as the daemon does: new state, then both signals."""
        name, sentence = error or ("", "")
        number = int(path.rpartition("/")[2])
        self.change_job(path, State=state, Error=[name, sentence], Progress=[100, sentence or "tiny is synced", 1])
        self.tree.signal(path, JOB_INTERFACE, "Completed", [not error, name, sentence])
        self.tree.signal(ROOT_PATH, MANAGER_INTERFACE, "JobRemoved", [number, path, "tiny", state])


Ctl = Callable[..., Awaitable[asyncio.subprocess.Process]]
Connect = Callable[[], Awaitable[Connection]]


@pytest.fixture
async def toy(connect: Connect) -> AsyncIterator[ToyDaemon]:
    connection = await connect()
    await connection.request_name(BUS_NAME)
    yield ToyDaemon(connection)
    await connection.close()


@pytest.fixture
async def start_ctl(bus_address: str) -> AsyncIterator[Ctl]:
    """Starts dubseedctl on the private bus, after `code`, in this environment and `more`; it ends with the test."""
    started: list[asyncio.subprocess.Process] = []

    async def start(
        *words: str, stdin: int | None = None, stdout: int = PIPE, stderr: int = PIPE, code: str = "", **more: str
    ) -> asyncio.subprocess.Process:
        environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": bus_address, **more}
        argv = (sys.executable, "-c", f"{code}\n{RUN}", *words)
        streams = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
        started.append(await asyncio.create_subprocess_exec(*argv, **streams, env=environment))
        return started[-1]

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal(60)
    yield terminal
    terminal.close()


async def ended(process: asyncio.subprocess.Process) -> Said:
    """Wait for the end; `out` or `err` is empty where it went elsewhere."""
    async with asyncio.timeout(LIMIT_SECONDS):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Said(process.returncode, (out or b"").decode(), (err or b"").decode())
