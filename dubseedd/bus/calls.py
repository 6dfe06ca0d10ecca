"""Calls from the bus: authorise, parse, one request, format. What is not in the table is not ours.

Every error that a caller may see is one of names.ErrorName; whatever else goes wrong is Internal, and in the journal.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from dubseedd.adapters.messages import CallFailed, Descriptor, IncomingCall, Variant
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
from dubseedd.service.requests import Requests
from dubseedd.service.seed import Seed

log = logging.getLogger(__name__)

T = TypeVar("T")

SYNC_OPTIONS: Mapping[str, type] = {"dry-run": bool, "require-manifest-sha256": str, "replace-foreign": bool}
EJECT_OPTIONS: Mapping[str, type] = {"power-off": bool, "lend": bool}
NO_OPTIONS: Mapping[str, type] = {}
NAMED_AT = {Action.MANAGE: 0, Action.REPLACE_FOREIGN: 1}
"""Which argument of a call to the manager names the bundle that somebody is asked about, by action."""


class Handler(NamedTuple):
    """What the calls of a method need to be allowed (None: nothing), and what answers them."""

    action: Action | None
    run: Callable[[IncomingCall], Awaitable[list[Any]]]


class Calls:
    """Answers the methods of our interfaces."""

    def __init__(self, conductor: Conductor, authority: Authority) -> None:
        self._conductor = conductor
        self._requests = Requests(conductor)
        self._authority = authority
        self._handlers: Mapping[tuple[str, str], Handler] = {
            (MANAGER_INTERFACE, "Scan"): Handler(Action.SYNC, self._scan),
            (MANAGER_INTERFACE, "Sync"): Handler(Action.SYNC, self._sync),
            (MANAGER_INTERFACE, "Verify"): Handler(Action.VERIFY, self._verify),
            (MANAGER_INTERFACE, "Rollback"): Handler(Action.MANAGE, self._roll_back),
            (MANAGER_INTERFACE, "Remove"): Handler(Action.MANAGE, self._remove),
            (MANAGER_INTERFACE, "Inhibit"): Handler(Action.INHIBIT, self._inhibit),
            (MANAGER_INTERFACE, "GetHistory"): Handler(None, self._history),
            (SEED_INTERFACE, "Sync"): Handler(Action.SYNC, self._sync_seed),
            (SEED_INTERFACE, "Eject"): Handler(Action.EJECT, self._eject),
            (BUNDLE_INTERFACE, "Verify"): Handler(Action.VERIFY, self._verify_bundle),
            (BUNDLE_INTERFACE, "Rollback"): Handler(Action.MANAGE, self._roll_back),
            (BUNDLE_INTERFACE, "Remove"): Handler(Action.MANAGE, self._remove),
            (JOB_INTERFACE, "Cancel"): Handler(Action.CANCEL, self._cancel),
        }

    async def __call__(self, call: IncomingCall) -> list[Any]:
        """The return values of one call; CallFailed with what the caller is told."""
        handler = self._handlers[call.interface, call.member]
        try:
            if handler.action is not None:
                await self._authorise(call, handler.action)
            return await handler.run(call)
        except Failure as failure:
            raise CallFailed(*failure.pair) from failure

    async def _authorise(self, call: IncomingCall, action: Action) -> None:
        """Ask for an action. It may take minutes: whatever is read of our state has to be read after it."""
        details = {"method": call.member, "object": call.path}
        named = call.body[NAMED_AT[action]] if call.interface == MANAGER_INTERFACE and action in NAMED_AT else ""
        if bundle := self._bundles.get(faces.bundle_path(named) if named else call.path):
            details["bundle"] = bundle
        await self._authority.authorise(call.sender, action, interactive=call.interactive, details=details)

    async def _scan(self, _: IncomingCall) -> list[Any]:
        await self._requests.scan()
        return []

    async def _sync(self, call: IncomingCall) -> list[Any]:
        seed, bundle, options = call.body
        return await self._start_sync(seed, bundle, await self._sync_options(call, options))

    async def _sync_seed(self, call: IncomingCall) -> list[Any]:
        options = await self._sync_options(call, call.body[0])
        return await self._start_sync(self._seed(call.path).device.node, "", options)

    async def _sync_options(self, call: IncomingCall, raw: Mapping[str, Any]) -> Mapping[str, Any]:
        options = parse_options(raw, SYNC_OPTIONS)
        if options.get("replace-foreign"):
            await self._authorise(call, Action.REPLACE_FOREIGN)
        return options

    async def _start_sync(self, seed: str, bundle: str, options: Mapping[str, Any]) -> list[Any]:
        jobs = await self._requests.sync(
            seed,
            bundle,
            dry_run=options.get("dry-run", False),
            manifest_sha256=options.get("require-manifest-sha256", "").lower(),
            replace_foreign=options.get("replace-foreign", False),
        )
        return [[faces.job_path(job) for job in jobs]]

    async def _verify(self, call: IncomingCall) -> list[Any]:
        bundle, options = call.body
        parse_options(options, NO_OPTIONS)
        return [[faces.job_path(job) for job in self._requests.verify(bundle)]]

    async def _verify_bundle(self, call: IncomingCall) -> list[Any]:
        parse_options(call.body[0], NO_OPTIONS)
        return [faces.job_path(self._requests.verify(self._bundle(call.path))[0])]

    async def _roll_back(self, call: IncomingCall) -> list[Any]:
        return [faces.job_path(self._requests.roll_back(self._managed(call)))]

    async def _remove(self, call: IncomingCall) -> list[Any]:
        await self._requests.remove(self._managed(call))
        return []

    def _managed(self, call: IncomingCall) -> str:
        """The bundle of a call to it, or named in a call to the manager."""
        *named, options = call.body
        parse_options(options, NO_OPTIONS)
        return named[0] if named else self._bundle(call.path)

    async def _inhibit(self, call: IncomingCall) -> list[Any]:
        who, why = call.body
        uid = await self._authority.uid_of(call.sender)
        return [Descriptor(await self._requests.inhibit(who, why, uid))]

    async def _eject(self, call: IncomingCall) -> list[Any]:
        options = parse_options(call.body[0], EJECT_OPTIONS)
        if options.get("lend") and options.get("power-off"):
            raise CallRefused(
                ErrorName.INVALID_ARGS,
                "a seed that is lent cannot be powered off, it is about to be written to; ask for one of the two",
            )
        seed = self._seed(call.path)
        if options.get("lend"):
            await self._requests.lend(seed, lambda: self._authority.until_gone(call.sender))
        else:
            await self._requests.eject(seed, power_off=options.get("power-off", False))
        return []

    async def _cancel(self, call: IncomingCall) -> list[Any]:
        self._requests.cancel(self._job(call.path))
        return []

    async def _history(self, call: IncomingCall) -> list[Any]:
        records = await self._requests.history(call.body[0])
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
        return _at(path, self._bundles)

    @property
    def _bundles(self) -> Mapping[str, str]:
        return {faces.bundle_path(name): name for name in self._conductor.shelf.bundles}


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
