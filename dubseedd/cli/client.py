"""The daemon as dubseedctl sees it: its objects as frozen values, its methods as calls."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

from dubseedd.adapters.bus import Connection
from dubseedd.adapters.messages import DBUS, Match, RemoteError, Signal, Variant
from dubseedd.adapters.units import unit_named
from dubseedd.cli.exits import UNREACHABLE, Complaint
from dubseedd.cli.terminal import somebody_is_there
from dubseedd.cli.views import NO_ERROR, STOPPED, BundleView, Error, JobView, ManagerView, SeedView, State, view
from dubseedd.core.config import ConfigError
from dubseedd.core.serving import Server, served_by
from dubseedd.engine.configfile import load
from dubseedd.names import (
    BUNDLE_INTERFACE,
    BUS_NAME,
    JOB_INTERFACE,
    MANAGER_INTERFACE,
    ROOT_PATH,
    SEED_INTERFACE,
    ErrorName,
)

PROPERTIES = f"{DBUS}.Properties"
OBJECT_MANAGER = f"{DBUS}.ObjectManager"

JOB_OVER = (ErrorName.NOT_FOUND.full, f"{DBUS}.Error.UnknownObject")
"""What is answered to the cancelling of a job that has ended, or is forgotten already."""

RETRY_SECONDS = 1.0
"""Until a daemon that has refused to show itself is asked again, unless it says something first."""
LIMIT_SECONDS = 65.0
EJECT_SECONDS = 90.0
PASSWORD_SECONDS = 600.0
"""How long the daemon may take, and how much longer where a person is asked for a password first."""

T = TypeVar("T")


class Client:
    """A connection to the daemon. Its methods raise RemoteError, BusGone, TimeoutError or Complaint."""

    def __init__(self, connection: Connection, *, interactive: bool = False) -> None:
        self._connection = connection
        self._news = asyncio.Event()
        self._errors: dict[str, Error] = {}
        self._ended: dict[str, JobView] = {}
        """The jobs that have ended since we listen, by path: the daemon forgets them in time."""
        self._owner: str | None = None
        """The unique name of the daemon, "" while there is none, None until we know. Anybody may send us a signal: only
        the daemon's own are believed."""
        self._lost = self._away = False
        self._interactive = interactive or somebody_is_there()

    @classmethod
    @asynccontextmanager
    async def open(cls, *, wakes: bool = True, interactive: bool = False) -> AsyncIterator[Self]:
        """Connect and follow the daemon's signals, before anything is asked.

        A daemon that does not run is started by the first question, unless the client only looks on (`wakes`). A
        person can be asked for a password at a terminal, or where the caller knows of one (`interactive`).
        """
        connection = await Connection.open()
        try:
            client = cls(connection, interactive=interactive)
            changes = Match(sender=DBUS, member="NameOwnerChanged", arg0=BUS_NAME)
            await connection.subscribe(changes, client._on_owner)
            await client._find_owner()
            client._away = not wakes and not client._owner
            await connection.subscribe(Match(sender=BUS_NAME, below=ROOT_PATH), client._on_signal)
            yield client
        finally:
            await connection.close()

    async def _find_owner(self) -> None:
        """Who the daemon is now; what a signal has said of it meanwhile is newer."""
        owner = await self._connection.owner_of(BUS_NAME)
        if self._owner is None:
            self._owner = owner

    def _on_signal(self, signal: Signal) -> None:
        if signal.sender != self._owner:
            return
        if (signal.interface, signal.member) == (JOB_INTERFACE, "Completed"):
            _, name, sentence = signal.body
            self._errors[signal.path] = Error(name, sentence)
        elif (signal.interface, signal.member) == (MANAGER_INTERFACE, "JobRemoved"):
            number, path, bundle, result = signal.body
            error = self._errors.pop(path, NO_ERROR)
            self._ended[path] = JobView(path, number, "", bundle, result, error=error)
        self._news.set()

    def _on_owner(self, signal: Signal) -> None:
        _, former, self._owner = signal.body
        if former:
            self._lost = True
            self._errors.clear()
            self._ended.clear()
        self._away = not self._owner
        self._news.set()

    async def state(self) -> State:
        (manager,) = await self._call(ROOT_PATH, PROPERTIES, "GetAll", "s", MANAGER_INTERFACE)
        (objects,) = await self._call(ROOT_PATH, OBJECT_MANAGER, "GetManagedObjects")
        try:
            forgotten = (job for path, job in self._ended.items() if path not in objects)
            jobs = (*_views(JobView, JOB_INTERFACE, objects), *forgotten)
            return State(
                manager=view(ManagerView, manager),
                seeds=_views(SeedView, SEED_INTERFACE, objects),
                jobs=tuple(sorted(jobs, key=lambda job: job.id)),
                bundles=tuple(sorted(_views(BundleView, BUNDLE_INTERFACE, objects), key=lambda bundle: bundle.name)),
            )
        except KeyError as error:
            raise Complaint(
                f"the dubseedd that runs is of another version (it has no {error.args[0]}); "
                "restart it: systemctl restart dubseedd",
                UNREACHABLE,
            ) from error

    async def states(self, *, patient: bool = False) -> AsyncIterator[State]:
        """The state now, and again after each change, until the caller has seen enough.

        A daemon that goes away takes its jobs with it: a Complaint, or for the patient a state with nothing in it. Of a
        job that has ended and is forgotten, the patient are told once.
        """
        while True:
            self._news.clear()
            if self._lost and not patient:
                raise Complaint(
                    "dubseedd was stopped or restarted meanwhile; dubseedctl status shows how things are", UNREACHABLE
                )
            try:
                state = STOPPED if self._away and self._connection.is_open else await self.state()
            except RemoteError:
                if not self._lost:
                    raise
                await self._something_new(RETRY_SECONDS)
                continue
            if patient:
                self._let_go_of(job for job in state.jobs if job.ended)
            yield state
            await self._something_new()

    def _let_go_of(self, told: Iterable[JobView]) -> None:
        for job in told:
            self._ended.pop(job.path, None)

    async def _something_new(self, limit_seconds: float | None = None) -> None:
        lost = asyncio.ensure_future(self._connection.lost())
        news = asyncio.ensure_future(self._news.wait())
        await asyncio.wait({lost, news}, timeout=limit_seconds, return_when=asyncio.FIRST_COMPLETED)
        lost.cancel()
        news.cancel()

    async def server(self, store: str) -> Server | None:
        """What the configured unit serves of a store; None where there is no such unit, or no configuration."""
        try:
            name = load().server.unit
        except ConfigError:
            return None
        unit = await unit_named(self._connection, name) if name else None
        return served_by(unit, store) if unit else None

    async def sync(self, seed: str, bundle: str, options: Mapping[str, bool]) -> list[str]:
        """Queue syncs; the paths of the jobs."""
        given = {name: Variant("b", value) for name, value in options.items()}
        (paths,) = await self._call(ROOT_PATH, MANAGER_INTERFACE, "Sync", "ssa{sv}", seed, bundle, given)
        return list(paths)

    async def verify(self, bundle: str) -> list[str]:
        """Queue verifications; the paths of the jobs."""
        (paths,) = await self._call(ROOT_PATH, MANAGER_INTERFACE, "Verify", "sa{sv}", bundle, {})
        return list(paths)

    async def roll_back(self, bundle: str) -> str:
        """Queue a rollback; the path of its job."""
        (path,) = await self._call(ROOT_PATH, MANAGER_INTERFACE, "Rollback", "sa{sv}", bundle, {})
        return str(path)

    async def remove(self, bundle: str) -> None:
        await self._call(ROOT_PATH, MANAGER_INTERFACE, "Remove", "sa{sv}", bundle, {})

    async def history(self, most: int) -> list[dict[str, Any]]:
        """The newest events first."""
        (events,) = await self._call(ROOT_PATH, MANAGER_INTERFACE, "GetHistory", "u", most)
        return list(events)

    async def cancel(self, job: JobView) -> bool:
        """Cancel a job; False where it has ended meanwhile."""
        try:
            await self._call(job.path, JOB_INTERFACE, "Cancel")
        except RemoteError as error:
            if error.name not in JOB_OVER:
                raise
            return False
        return True

    async def eject(self, seed: SeedView, **wanted: bool) -> None:
        """Let the daemon let go of a seed; with `lend` it leaves the seed alone for as long as we are connected."""
        options = {name.replace("_", "-"): Variant("b", value) for name, value in wanted.items()}
        await self._call(seed.path, SEED_INTERFACE, "Eject", "a{sv}", options, limit_seconds=EJECT_SECONDS)

    async def _call(
        self,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        *body: Any,
        limit_seconds: float = LIMIT_SECONDS,
    ) -> list[Any]:
        """Call the daemon. A person who is there may be asked for a password before anything is done, not shown."""
        interactive = self._interactive and not interface.startswith(f"{DBUS}.")
        if interactive:
            limit_seconds += PASSWORD_SECONDS
        return await self._connection.call(
            BUS_NAME, path, interface, member, signature, body, timeout_seconds=limit_seconds, interactive=interactive
        )


def _views(kind: type[T], interface: str, objects: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> tuple[T, ...]:
    return tuple(
        view(kind, {"Path": path, **shown[interface]}) for path, shown in objects.items() if interface in shown
    )
