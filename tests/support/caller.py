"""Somebody else on the bus: a process of another user, and of a session where one is wanted, that calls as it is told.

Run as a module it is that process: it reads calls as lines of JSON and writes their outcomes, in the order in which
they end.
"""

import asyncio
import itertools
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from dubseedd.adapters.bus import Connection
from dubseedd.adapters.messages import RemoteError, Variant

ROOT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 20.0


class Outcome(NamedTuple):
    """What became of a call; `error` is empty where it was answered."""

    body: list[Any]
    error: str = ""
    text: str = ""


class Caller:
    """A process of another user, with one connection."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.name = ""
        self._numbers = itertools.count()
        self._calls: dict[int, asyncio.Future[Outcome]] = {}

    @classmethod
    @asynccontextmanager
    async def connected(cls, address: str, uid: int, group: Path | None = None) -> AsyncIterator["Caller"]:
        """A caller with this uid, in this control group."""
        pipe = asyncio.subprocess.PIPE
        argv = (sys.executable, "-m", __name__, address, str(uid), str(group or ""))
        process = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe, cwd=ROOT, limit=1 << 24)
        caller = cls(process)
        assert process.stdout is not None
        async with asyncio.timeout(LIMIT_SECONDS):
            caller.name = (await process.stdout.readline()).decode().strip()
        reading = asyncio.ensure_future(caller._read(process.stdout))
        try:
            yield caller
        finally:
            await caller.leave()
            await reading

    async def leave(self) -> None:
        """Go away, whatever has not been answered yet."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    def call(
        self, destination: str, path: str, interface: str, member: str, signature: str = "", *body: Any, **flags: bool
    ) -> "asyncio.Future[Outcome]":
        """Send a call; `interactive=True` lets its user be asked."""
        number = next(self._numbers)
        told = [number, [destination, path, interface, member, signature, list(body)], flags]
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(told, default=_pack).encode() + b"\n")
        self._calls[number] = asyncio.get_running_loop().create_future()
        return self._calls[number]

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            number, outcome = json.loads(line)
            future = self._calls.pop(number)
            if not future.cancelled():
                future.set_result(Outcome(*outcome))


def _pack(value: Any) -> Any:
    assert isinstance(value, Variant)
    return {"variant": [value.signature, value.value]}


def _unpack(found: dict[str, Any]) -> Any:
    return Variant(*found["variant"]) if "variant" in found else found


async def obey(address: str) -> None:
    connection = await Connection.open(address)
    print(connection.unique_name, flush=True)

    async def perform(number: int, arguments: list[Any], flags: dict[str, bool]) -> None:
        try:
            outcome = Outcome(await connection.call(*arguments, timeout_seconds=600.0, **flags))
        except RemoteError as error:
            outcome = Outcome([], error.name, error.text)
        print(json.dumps([number, outcome]), flush=True)

    orders = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    async with asyncio.TaskGroup() as calls:
        while line := await orders.readline():
            calls.create_task(perform(*json.loads(line, object_hook=_unpack)))


def main(address: str, uid: str, group: str) -> None:
    if group:
        Path(group, "cgroup.procs").write_text(str(os.getpid()))
    os.setgroups([])
    os.setgid(int(uid))
    os.setuid(int(uid))
    asyncio.run(obey(address))


if __name__ == "__main__":
    main(*sys.argv[1:])
