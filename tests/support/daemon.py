"""The daemon as a real process, and a client that waits for what the bus says, never for time."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from dubseedd.adapters.bus import Connection
from dubseedd.adapters.messages import DBUS, DBUS_PATH, Match, Signal
from dubseedd.names import (
    BUNDLE_INTERFACE,
    BUS_NAME,
    JOB_INTERFACE,
    MANAGER_INTERFACE,
    ROOT_PATH,
    SEED_INTERFACE,
)
from tests.support.sticks import LABEL
from tools.machine import start_notifying

LIMIT_SECONDS = 20.0
PROPERTIES = "org.freedesktop.DBus.Properties"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"

Thing = dict[str, Any]


class Client:
    """Follows the objects of the daemon by their signals."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.signals: list[Signal] = []
        self._woken = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def connected(cls, address: str) -> AsyncIterator["Client"]:
        client = cls(await Connection.open(address))
        await client.connection.subscribe(Match(below=ROOT_PATH), client._on_signal)
        await client.connection.subscribe(Match(member="NameOwnerChanged", arg0=BUS_NAME), client._on_signal)
        try:
            yield client
        finally:
            await client.connection.close()

    def _on_signal(self, signal: Signal) -> None:
        self.signals.append(signal)
        self._woken.set()

    async def until_owned(self) -> None:
        """Wait until the daemon has its name, as after the bus was restarted."""

        async def found() -> bool:
            (owned,) = await self.connection.call(DBUS, DBUS_PATH, DBUS, "NameHasOwner", "s", [BUS_NAME])
            return bool(owned)

        await self.until("the daemon on the bus", found)

    async def objects(self) -> dict[str, dict[str, Thing]]:
        (objects,) = await self.connection.call(BUS_NAME, ROOT_PATH, OBJECT_MANAGER, "GetManagedObjects")
        found: dict[str, dict[str, Thing]] = objects
        return found

    async def _of(self, interface: str) -> list[Thing]:
        return [shown[interface] for shown in (await self.objects()).values() if interface in shown]

    async def seeds(self) -> list[Thing]:
        return await self._of(SEED_INTERFACE)

    async def jobs(self) -> list[Thing]:
        return await self._of(JOB_INTERFACE)

    async def bundles(self) -> dict[str, Thing]:
        return {bundle["Name"]: bundle for bundle in await self._of(BUNDLE_INTERFACE)}

    async def manager(self) -> Thing:
        (found,) = await self.connection.call(BUS_NAME, ROOT_PATH, PROPERTIES, "GetAll", "s", [MANAGER_INTERFACE])
        properties: Thing = found
        return properties

    async def told(self, event: str) -> list[str]:
        """The messages of an event so far, oldest first; the daemon answers when all of them are written."""
        (events,) = await self.call(ROOT_PATH, MANAGER_INTERFACE, "GetHistory", "u", 1000)
        return [record["message"] for record in reversed(events) if record["dubseed_event"] == event]

    async def call(self, path: str, interface: str, member: str, signature: str = "", *body: Any) -> list[Any]:
        return await self.connection.call(BUS_NAME, path, interface, member, signature, list(body))

    async def until(self, what: str, found: Callable[[], Any]) -> Any:
        """Ask again after every signal until something true comes back; the bound is for a test that fails."""
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                while True:
                    self._woken.clear()
                    answer = await found()
                    if answer:
                        return answer
                    await self._woken.wait()
        except TimeoutError:
            state = await self.manager()
            raise AssertionError(
                f"{what} did not happen; {state['State']}: {state['Status']}; jobs: {await self.jobs()}"
            ) from None

    async def until_bundle(self, name: str, state: str = "installed") -> Thing:
        async def found() -> Thing | None:
            bundle = (await self.bundles()).get(name)
            return bundle if bundle is not None and bundle["State"] == state else None

        bundle: Thing = await self.until(f"bundle {name} {state}", found)
        return bundle

    async def until_job(self, bundle: str, *states: str, progress: int = 0) -> Thing:
        async def found() -> Thing | None:
            jobs = [job for job in await self.jobs() if job["Bundle"] == bundle and job["State"] in states]
            return jobs[-1] if jobs and jobs[-1]["BytesDone"] >= progress else None

        job: Thing = await self.until(f"job for {bundle} {states}", found)
        return job

    async def until_seed(self, *states: str, count: int = 1) -> list[Thing]:
        async def found() -> list[Thing]:
            seeds = [seed for seed in await self.seeds() if seed["State"] in states]
            return seeds if len(seeds) >= count else []

        seeds: list[Thing] = await self.until(f"seed {states}", found)
        return seeds

    async def until_safe(self) -> Thing:
        async def found() -> Thing | None:
            manager = await self.manager()
            return manager if manager["SafeToRemove"] and await self.seeds() else None

        manager: Thing = await self.until("safe to remove", found)
        return manager

    async def until_no_seed(self) -> None:
        async def found() -> bool:
            return not await self.seeds()

        await self.until("no seed", found)


class Daemon:
    """One dubseedd process with a store and a configuration of its own."""

    def __init__(
        self, folder: Path, environment: Mapping[str, str], config: str = "", store: Path | None = None
    ) -> None:
        self.folder = folder
        self.store = store or folder / "store"
        self.runtime = folder / "run"
        self.config = folder / "dubseedd.toml"
        own = f'seed.label = "{LABEL}"\nstore.path = "{self.store}"\nstore.reserve = 0\n'
        self.config.write_text(f"{own}{config}\n")
        self.environment = {**environment, "RUNTIME_DIRECTORY": str(self.runtime)}
        self.address = environment["DBUS_SYSTEM_BUS_ADDRESS"]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, undo: ExitStack, *within: str) -> None:
        """Start it, by another program where one is given, and wait until it is ready."""
        argv = (*within, sys.executable, "-m", "dubseedd.daemon", "--config", str(self.config), "--log-level", "debug")
        self.process = start_notifying(undo, self.folder, *argv, environment=self.environment)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def reload(self) -> None:
        """SIGHUP."""
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def terminate(self, limit_seconds: float = 5.0) -> int:
        """SIGTERM; the exit status. Fails when it takes longer than the limit."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(limit_seconds)

    @property
    def log(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob("*.log")) if "python" in path.name)

    def events(self) -> list[dict[str, Any]]:
        """The history, oldest first."""
        history = self.store / ".dubseed" / "history.jsonl"
        return [json.loads(line) for line in history.read_text().splitlines()] if history.exists() else []

    def left_told(self, event: str) -> list[str]:
        """The messages of an event in the history of a daemon that has ended."""
        return [record["message"] for record in self.events() if record["dubseed_event"] == event]

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))
