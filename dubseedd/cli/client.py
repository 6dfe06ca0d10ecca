"""The daemon as dubseedctl sees it: its objects as frozen values, its methods as calls.

Field names are those of org.dubnium.Seed1.xml in Python's spelling; units as there.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from typing import Any, Self, TypeVar

from dubseedd.adapters.bus import DBUS, Connection, Match, RemoteError, Signal, Variant
from dubseedd.names import (
    BUNDLE_INTERFACE,
    BUS_NAME,
    JOB_INTERFACE,
    MANAGER_INTERFACE,
    ROOT_PATH,
    SEED_INTERFACE,
)

PROPERTIES = f"{DBUS}.Properties"
OBJECT_MANAGER = f"{DBUS}.ObjectManager"
ENDED = frozenset({"done", "failed", "cancelled", "interrupted"})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ManagerView:
    """The daemon as a whole."""

    version: str
    state: str
    status: str
    last_error: tuple[str, str]
    safe_to_remove: bool
    store: str
    trust: str


@dataclass(frozen=True, slots=True)
class SeedView:
    """A seed; `bundles` are (name, size, manifest digest, verdict)."""

    path: str
    uuid: str
    label: str
    device: str
    filesystem: str
    size: int
    drive: str
    mount_point: str
    state: str
    safe_to_remove: bool
    bundles: tuple[tuple[str, int, str, str], ...]
    error: tuple[str, str]


@dataclass(frozen=True, slots=True)
class JobView:
    """A job; `progress` is (percentage, sentence, depth)."""

    path: str
    id: int
    kind: str
    bundle: str
    state: str
    bytes_total: int
    bytes_done: int
    bytes_skipped: int
    files_total: int
    files_done: int
    current_file: str
    rate: int
    expected_end_time: int
    progress: tuple[int, str, int]
    error: tuple[str, str]

    @property
    def ended(self) -> bool:
        """Nothing more happens to it by itself, unless the stick comes back."""
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class BundleView:
    """A bundle in the store."""

    name: str
    path: str
    size: int
    files: int
    manifest_sha256: str
    format: str
    state: str
    installed_at: int
    verified_at: int
    seed_uuid: str
    error: tuple[str, str]


@dataclass(frozen=True, slots=True)
class State:
    """Everything at one moment."""

    manager: ManagerView
    seeds: tuple[SeedView, ...]
    jobs: tuple[JobView, ...]
    bundles: tuple[BundleView, ...]


class Client:
    """A connection to the daemon. Its methods raise RemoteError, BusGone or TimeoutError."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._news = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator[Self]:
        """Connect and follow the daemon's signals, before anything is asked."""
        connection = await Connection.open()
        try:
            client = cls(connection)
            await connection.subscribe(Match(sender=BUS_NAME, below=ROOT_PATH), client._on_signal)
            gone = Match(sender=DBUS, member="NameOwnerChanged", arg0=BUS_NAME)
            await connection.subscribe(gone, client._on_signal)
            yield client
        finally:
            await connection.close()

    def _on_signal(self, _: Signal) -> None:
        self._news.set()

    async def state(self) -> State:
        (manager,) = await self._call(ROOT_PATH, PROPERTIES, "GetAll", "s", MANAGER_INTERFACE)
        (objects,) = await self._call(ROOT_PATH, OBJECT_MANAGER, "GetManagedObjects")
        return State(
            manager=_view(ManagerView, manager),
            seeds=_views(SeedView, SEED_INTERFACE, objects),
            jobs=tuple(sorted(_views(JobView, JOB_INTERFACE, objects), key=lambda job: job.id)),
            bundles=tuple(sorted(_views(BundleView, BUNDLE_INTERFACE, objects), key=lambda bundle: bundle.name)),
        )

    async def states(self) -> AsyncIterator[State]:
        """The state now, and again after each change, until the caller has seen enough."""
        while True:
            self._news.clear()
            yield await self.state()
            lost = asyncio.ensure_future(self._connection.lost())
            news = asyncio.ensure_future(self._news.wait())
            await asyncio.wait({lost, news}, return_when=asyncio.FIRST_COMPLETED)
            lost.cancel()
            news.cancel()

    async def sync(self, seed: str, bundle: str, options: Mapping[str, bool]) -> list[str]:
        """Queue syncs; the paths of the jobs."""
        given = {name: Variant("b", value) for name, value in options.items()}
        (paths,) = await self._call(ROOT_PATH, MANAGER_INTERFACE, "Sync", "ssa{sv}", seed, bundle, given)
        return list(paths)

    async def verify(self, bundle: str) -> list[str]:
        """Queue verifications; the paths of the jobs."""
        (paths,) = await self._call(ROOT_PATH, MANAGER_INTERFACE, "Verify", "sa{sv}", bundle, {})
        return list(paths)

    async def cancel(self, job: JobView) -> None:
        await self._call(job.path, JOB_INTERFACE, "Cancel")

    async def eject(self, seed: SeedView, *, power_off: bool) -> None:
        options = {"power-off": Variant("b", power_off)}
        await self._call(seed.path, SEED_INTERFACE, "Eject", "a{sv}", options, timeout_seconds=90.0)

    async def _call(
        self, path: str, interface: str, member: str, signature: str = "", *body: Any, timeout_seconds: float = 65.0
    ) -> list[Any]:
        return await self._connection.call(
            BUS_NAME, path, interface, member, signature, body, timeout_seconds=timeout_seconds
        )


def _views(kind: type[T], interface: str, objects: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> tuple[T, ...]:
    return tuple(
        _view(kind, {"Path": path, **shown[interface]}) for path, shown in objects.items() if interface in shown
    )


def _view(kind: type[T], properties: Mapping[str, Any]) -> T:
    """A frozen view of an object; what this dubseedctl does not know is left out."""
    told = {_snake(name): _frozen(value) for name, value in properties.items()}
    return kind(**{field.name: told[field.name] for field in fields(kind)})  # type: ignore[arg-type]  # a dataclass


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


__all__ = ["BundleView", "Client", "JobView", "ManagerView", "RemoteError", "SeedView", "State"]
