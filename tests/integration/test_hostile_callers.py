"""An unprivileged user, the bus and the daemon: nothing that he can say changes anything, or costs much.

    CALLS=1000000 FUZZ_SEED=7 pytest tests/integration/test_hostile_callers.py

The bus lets everything through here, so that the daemon has to help itself; the policy that is installed allows less.
"""

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dubseedd import __version__
from dubseedd.adapters.inotify import Inotify
from dubseedd.names import MANAGER_INTERFACE, ROOT_PATH
from tests.integration.conftest import MakeStick, PlugIn, StartDaemon
from tests.machine import Machine
from tests.support.bundles import model_files
from tests.support.daemon import PROPERTIES, Client, Daemon

ROOT = Path(__file__).resolve().parents[2]
CALLS = int(os.environ.get("CALLS") or 10_000)
SEED = int(os.environ.get("FUZZ_SEED") or 1)
WARM = 1_000
MOST_GROWN_KIB = 20 << 10
LIMIT_SECONDS = 60 + CALLS / 100


class State(NamedTuple):
    """All that a stranger must not change."""

    manager: dict[str, Any]
    objects: dict[str, Any]
    history: list[dict[str, Any]]
    files: list[str]


@pytest.fixture
async def target(daemon: StartDaemon, make_stick: MakeStick, plug: PlugIn, client: Client) -> Daemon:
    """A daemon with one of everything, at rest."""
    process = daemon()
    plug(make_stick({"tiny": model_files(), "-rf": model_files()}))
    await client.until_bundle("tiny")
    await client.until_seed("done")
    await client.until_safe()
    return process


async def state_of(daemon: Daemon, client: Client) -> State:
    (history,) = await client.call(ROOT_PATH, MANAGER_INTERFACE, "GetHistory", "u", 1000)  # written down by then
    files = sorted(str(path) for path in daemon.store.rglob("*"))
    return State(await client.manager(), await client.objects(), history, files)


def resident_kib(daemon: Daemon) -> int:
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0])


async def stranger(undo: AsyncExitStack, machine: Machine, *words: str) -> asyncio.subprocess.Process:
    """tests.support.hostile at work; it ends with the test."""
    pipe = asyncio.subprocess.PIPE
    argv = (sys.executable, "-m", "tests.support.hostile", machine.bus_address, *words)
    process = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe, stderr=pipe, cwd=ROOT)

    async def end() -> None:
        if process.returncode is None:
            process.kill()
        await process.communicate()

    undo.push_async_callback(end)
    return process


async def told(process: asyncio.subprocess.Process) -> dict[str, int]:
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    answers: dict[str, int] = json.loads(out)
    return answers


@pytest.mark.timeout(LIMIT_SECONDS * 2)
async def test_nothing_that_a_stranger_says_changes_anything(target: Daemon, machine: Machine, client: Client) -> None:
    async with AsyncExitStack() as undo, asyncio.timeout(LIMIT_SECONDS):
        paths = [ROOT_PATH, *await client.objects()]
        await told(await stranger(undo, machine, "calls", str(SEED + 1), str(min(WARM, CALLS)), *paths))
        before, memory = await state_of(target, client), resident_kib(target)
        answers = await told(await stranger(undo, machine, "calls", str(SEED), str(CALLS), *paths))
        grown = resident_kib(target) - memory
        print(f"CALLS={CALLS} FUZZ_SEED={SEED}: {answers}; {grown} KiB")
        assert await state_of(target, client) == before
    assert answers.get("answered", 0) > CALLS / 20
    assert answers.get("refused", 0) > CALLS / 20
    assert not answers.keys() & {"internal", "traceback", "called"}
    assert "Traceback" not in target.log
    assert "lost" not in target.log
    assert grown < MOST_GROWN_KIB


@pytest.mark.parametrize(
    "words",
    [("flood", "20000"), ("weight", "100"), ("crowd", "200")],
    ids=["who wants no answer", "who sends heavy calls", "two hundred at once"],
)
async def test_who_asks_much_does_not_keep_the_others_waiting(
    target: Daemon, machine: Machine, client: Client, words: tuple[str, ...]
) -> None:
    """A call of somebody else is answered within seconds all the time; nothing is left of it in memory."""
    async with AsyncExitStack() as undo, asyncio.timeout(LIMIT_SECONDS):
        before, memory = await state_of(target, client), resident_kib(target)
        working = asyncio.ensure_future(told(await stranger(undo, machine, *words)))
        slowest = 0.0
        while not working.done():
            begun = time.monotonic()
            await client.call(ROOT_PATH, PROPERTIES, "Get", "ss", MANAGER_INTERFACE, "Version")
            slowest = max(slowest, time.monotonic() - begun)
        answers = working.result()
        grown = resident_kib(target) - memory
        print(f"{words}: {answers}; {grown} KiB; slowest {slowest:.3f} s")
        assert slowest < 5.0
        assert grown < MOST_GROWN_KIB
        assert await state_of(target, client) == before
    assert not answers.keys() & {"internal", "traceback"}
    assert "Traceback" not in target.log


async def test_who_never_reads_harms_nobody_else(target: Daemon, machine: Machine, client: Client) -> None:
    async with AsyncExitStack() as undo, asyncio.timeout(LIMIT_SECONDS):
        before, memory = await state_of(target, client), resident_kib(target)
        deaf = await stranger(undo, machine, "deaf", "20", "1000")
        assert deaf.stdout is not None
        asked = json.loads(await deaf.stdout.readline())["asked"]
        assert (await client.call(ROOT_PATH, MANAGER_INTERFACE, "GetHistory", "u", 1))[0]
        grown = resident_kib(target) - memory
        print(f"deaf: {asked}; {grown} KiB")
        assert asked > 1000
        assert grown < MOST_GROWN_KIB
    assert await state_of(target, client) == before
    assert "Traceback" not in target.log


@pytest.fixture
def narrow_bus(machine: Machine) -> Iterator[None]:
    """A bus that takes nothing more of a connection while a megabyte of it lies unread; a system bus allows 127."""
    machine.restart_bus(unread_bytes=1 << 20)
    yield
    machine.restart_bus()


async def test_who_reads_no_answers_silences_us_and_keeps_no_stick_from_being_installed(
    narrow_bus: None, daemon: StartDaemon, machine: Machine, make_stick: MakeStick, plug: PlugIn
) -> None:
    process, installed = daemon(), asyncio.Event()
    async with AsyncExitStack() as undo, asyncio.timeout(LIMIT_SECONDS), Client.connected(machine.bus_address) as other:
        await other.manager()
        deaf = await stranger(undo, machine, "deaf", "20", "1000")
        assert deaf.stdout is not None
        await deaf.stdout.readline()
        answer = asyncio.ensure_future(other.manager())
        undo.callback(Inotify().watch(str(process.store), "tiny", installed.set))
        plug(make_stick({"tiny": model_files()}))
        await installed.wait()
        assert not answer.done(), "nobody was silenced: there was nothing to withstand"
        deaf.kill()
        assert (await answer)["Version"] == __version__
