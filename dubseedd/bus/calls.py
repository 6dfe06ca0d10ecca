"""Calls from the bus: authorise, parse, one call of the conductor, format. What is not in the table is not ours.

Every error that a caller may see is one of names.ErrorName; whatever else goes wrong is Internal, and in the journal.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from dubseedd.adapters.bus import CallFailed, Variant
from dubseedd.bus import faces
from dubseedd.errors import CallRefused, Failure
from dubseedd.names import (
    BUNDLE_INTERFACE,
    JOB_INTERFACE,
    MANAGER_INTERFACE,
    SEED_INTERFACE,
    Action,
    ErrorName,
)
from dubseedd.service.conductor import Conductor
from dubseedd.service.job import Job
from dubseedd.service.ports import Authority
from dubseedd.service.seed import Seed

log = logging.getLogger(__name__)

T = TypeVar("T")

SYNC_OPTIONS: Mapping[str, type] = {"dry-run": bool, "require-manifest-sha256": str, "replace-foreign": bool}
EJECT_OPTIONS: Mapping[str, type] = {"power-off": bool}
NO_OPTIONS: Mapping[str, type] = {}


class Call(NamedTuple):
    """One method call: the object's path, who calls, and the arguments as plain values."""

    path: str
    sender: str
    args: list[Any]


class Method(NamedTuple):
    """What a method needs to be allowed (None: nothing), and what it does."""

    action: Action | None
    run: Callable[[Call], Awaitable[list[Any]]]


class Calls:
    """Answers the methods of our interfaces."""

    def __init__(self, conductor: Conductor, authority: Authority) -> None:
        self._conductor = conductor
        self._authority = authority
        self._methods: Mapping[tuple[str, str], Method] = {
            (MANAGER_INTERFACE, "Scan"): Method(Action.SYNC, self._scan),
            (MANAGER_INTERFACE, "Sync"): Method(Action.SYNC, self._sync),
            (MANAGER_INTERFACE, "Verify"): Method(Action.VERIFY, self._verify),
            (MANAGER_INTERFACE, "GetHistory"): Method(None, self._history),
            (SEED_INTERFACE, "Sync"): Method(Action.SYNC, self._sync_seed),
            (SEED_INTERFACE, "Eject"): Method(Action.EJECT, self._eject),
            (BUNDLE_INTERFACE, "Verify"): Method(Action.VERIFY, self._verify_bundle),
            (JOB_INTERFACE, "Cancel"): Method(Action.CANCEL, self._cancel),
        }

    async def __call__(self, path: str, interface: str, member: str, sender: str, args: list[Any]) -> list[Any]:
        """The return values of one call; CallFailed with what the caller is told."""
        method = self._methods[interface, member]
        call = Call(path, sender, args)
        try:
            if method.action is not None:
                await self._authorise(sender, method.action)
            return await method.run(call)
        except Failure as failure:
            raise CallFailed(*failure.pair) from failure

    async def _authorise(self, sender: str, action: Action) -> None:
        if not await self._authority.check(sender, action):
            raise CallRefused(
                ErrorName.NOT_AUTHORIZED,
                f"you are not allowed to {action.replace('-', ' ')}; ask as root: sudo dubseedctl …",
            )

    async def _scan(self, _: Call) -> list[Any]:
        await self._conductor.scan()
        return []

    async def _sync(self, call: Call) -> list[Any]:
        seed, bundle, options = call.args
        return await self._start_sync(call.sender, seed, bundle, options)

    async def _sync_seed(self, call: Call) -> list[Any]:
        return await self._start_sync(call.sender, self._seed(call.path).device.node, "", call.args[0])

    async def _start_sync(self, sender: str, seed: str, bundle: str, raw: Mapping[str, Any]) -> list[Any]:
        options = parse_options(raw, SYNC_OPTIONS)
        if options.get("replace-foreign"):
            await self._authorise(sender, Action.REPLACE_FOREIGN)
        jobs = await self._conductor.sync(
            seed,
            bundle,
            dry_run=options.get("dry-run", False),
            manifest_sha256=options.get("require-manifest-sha256", "").lower(),
            replace_foreign=options.get("replace-foreign", False),
        )
        return [[faces.job_path(job) for job in jobs]]

    async def _verify(self, call: Call) -> list[Any]:
        bundle, options = call.args
        parse_options(options, NO_OPTIONS)
        return [[faces.job_path(job) for job in self._conductor.verify(bundle)]]

    async def _verify_bundle(self, call: Call) -> list[Any]:
        parse_options(call.args[0], NO_OPTIONS)
        return [faces.job_path(self._conductor.verify(self._bundle(call.path))[0])]

    async def _eject(self, call: Call) -> list[Any]:
        options = parse_options(call.args[0], EJECT_OPTIONS)
        await self._conductor.eject(self._seed(call.path), power_off=options.get("power-off", False))
        return []

    async def _cancel(self, call: Call) -> list[Any]:
        self._conductor.cancel(self._job(call.path))
        return []

    async def _history(self, call: Call) -> list[Any]:
        records = await self._conductor.history(call.args[0])
        return [
            [
                {key: Variant("x" if isinstance(value, int) else "s", value) for key, value in record.items()}
                for record in records
            ]
        ]

    # From paths to things

    def _seed(self, path: str) -> Seed:
        return _at(path, {faces.seed_path(seed): seed for seed in self._conductor.seeds.all.values()})

    def _job(self, path: str) -> Job:
        return _at(path, {faces.job_path(job): job for job in self._conductor.jobs.all.values()})

    def _bundle(self, path: str) -> str:
        return _at(path, {faces.bundle_path(name): name for name in self._conductor.shelf.bundles})


def _at(path: str, things: Mapping[str, T]) -> T:
    """The thing at a path, which was there when the call came; it may have left while the caller was authorised."""
    try:
        return things[path]
    except KeyError:
        raise CallRefused(
            ErrorName.NOT_FOUND, f"{path} is not there any more; dubseedctl status shows what is"
        ) from None


def parse_options(options: Mapping[str, Any], known: Mapping[str, type]) -> dict[str, Any]:
    """The options of a call; an unknown one, or one of the wrong type, is refused by name."""
    for name, value in options.items():
        if name not in known:
            allowed = ", ".join(known) or "none"
            raise CallRefused(ErrorName.INVALID_ARGS, f"unknown option {name!r}; known here: {allowed}")
        if not isinstance(value, known[name]):
            raise CallRefused(
                ErrorName.INVALID_ARGS,
                f"option {name!r} has to be of the D-Bus type {'b' if known[name] is bool else 's'}",
            )
    return dict(options)
