"""The daemon, measured from the plug: the moment at which the seed's image is attached."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from dubseedd.adapters.bus import Connection
from dubseedd.adapters.messages import Match, Signal
from dubseedd.names import BUS_NAME, MANAGER_INTERFACE, ROOT_PATH, SEED_INTERFACE
from tools.bench.candidates import DUBSEEDCTL
from tools.bench.costs import Cost
from tools.bench.disk import Stage, direct_io, drop_caches
from tools.bench.process import cost_so_far
from tools.bench.throttle import throttled
from tools.image import attach, release
from tools.machine import CannotRun, Machine, run, start_notifying

DUBSEEDD = DUBSEEDCTL.with_name("dubseedd")
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
PROPERTIES = "org.freedesktop.DBus.Properties"
SILENCE_SECONDS = 60.0
"""A daemon that works announces something all the time; one that is silent for so long is stuck."""


class Listener:
    """Looks at the daemon whenever it says something."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._signals: asyncio.Queue[Signal] = asyncio.Queue()

    async def listen(self) -> None:
        await self._connection.subscribe(Match(below=ROOT_PATH), self._signals.put_nowait)

    async def until(self, found: Callable[[Signal], Awaitable[bool]]) -> None:
        """Wait for a signal after which something is so."""
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    signal = await self._signals.get()
            except TimeoutError:
                raise CannotRun(f"the daemon has said nothing for {SILENCE_SECONDS:.0f} s") from None
            if signal.member == "JobRemoved" and signal.body[3] != "done":
                raise CannotRun(f"the job of the daemon ended as {signal.body[3]}")
            if await found(signal):
                return

    async def is_installed(self, signal: Signal) -> bool:
        """Is this the announcement?"""
        return signal.member == "BundleInstalled"

    async def is_settled(self, _: Signal) -> bool:
        """Has a seed been looked at, and let go of?"""
        (objects,) = await self._ask(OBJECT_MANAGER, "GetManagedObjects")
        seeds = [faces[SEED_INTERFACE] for faces in objects.values() if SEED_INTERFACE in faces]
        (released,) = await self._ask(PROPERTIES, "Get", "ss", MANAGER_INTERFACE, "SafeToRemove")
        return bool(released) and any(seed["State"] == "done" for seed in seeds)

    async def _ask(self, interface: str, member: str, signature: str = "", *body: str) -> list[Any]:
        return await self._connection.call(BUS_NAME, ROOT_PATH, interface, member, signature, list(body))


Found = Callable[[Listener, Signal], Awaitable[bool]]


class Plug:
    """One daemon after another, each with the store of a stage that is mounted already."""

    def __init__(self, machine: Machine, config: Path) -> None:
        self._machine = machine
        self._config = config

    def published(self, stage: Stage, read_bytes_per_second: int = 0) -> Cost:
        """From the plug to the announcement of the bundle. 0 is no limit."""
        return self._measure(stage, Listener.is_installed, read_bytes_per_second)

    def settled(self, stage: Stage) -> Cost:
        """From the plug to the permission to pull the seed out again."""
        return self._measure(stage, Listener.is_settled, 0)

    def _measure(self, stage: Stage, found: Found, read_bytes_per_second: int) -> Cost:
        """A daemon that is ready, a plug, what it costs until it is so. The daemon and the plug are gone in the end."""
        with ExitStack() as undo:
            runtime = stage.folder / "run"
            runtime.mkdir(mode=0o700, exist_ok=True)
            environment = {**self._machine.environment, "RUNTIME_DIRECTORY": str(runtime)}
            argv = (str(DUBSEEDD), "--config", str(self._config))
            pid = start_notifying(undo, stage.folder, *argv, environment=environment).pid
            undo.callback(release, stage.seed_image)
            node = run("losetup", "--find").strip()
            if read_bytes_per_second:
                group = undo.enter_context(throttled(node, read_bytes_per_second))
                group.write_text(str(pid))
            drop_caches(stage.store)
            try:
                return asyncio.run(self._plug(stage, node, pid, found))
            except CannotRun as reason:
                log = (stage.folder / f"{DUBSEEDD.name}.log").read_text()
                raise CannotRun(f"{reason}; its log:\n{log}") from reason

    async def _plug(self, stage: Stage, node: str, pid: int, found: Found) -> Cost:
        connection = await Connection.open(self._machine.environment.get("DBUS_SYSTEM_BUS_ADDRESS"))
        try:
            listener = Listener(connection)
            await listener.listen()
            mode = direct_io(stage.seed_image)
            before = cost_so_far(pid, 0)
            began = time.monotonic()
            await asyncio.to_thread(attach, stage.seed_image, mode, node=node)
            await listener.until(lambda signal: found(listener, signal))
            after = cost_so_far(pid, time.monotonic() - began)
            return Cost(after.wall_seconds, after.cpu_seconds - before.cpu_seconds, after.peak_bytes)
        finally:
            await connection.close()
