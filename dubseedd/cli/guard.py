"""dubseedctl guard: may a script count on a bundle? Its exit status says so, whatever else goes wrong.

0 installed, whole and verified; 10 absent; 11 damaged; 12 foreign or unverified; 20 cannot be determined
"""

import argparse
import asyncio
from contextlib import closing
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from dubseedd.cli import advice, text
from dubseedd.cli.asking import asked
from dubseedd.cli.document import document
from dubseedd.cli.exits import UNREACHABLE, Complaint, complain
from dubseedd.core.config import ConfigError
from dubseedd.engine.acceptance import missing
from dubseedd.engine.configfile import load
from dubseedd.engine.store_view import StoreView

if TYPE_CHECKING:
    from dubseedd.cli.client import Client


class Verdict(IntEnum):
    """What is known of a bundle, as an exit status."""

    WHOLE = 0
    ABSENT = 10
    DAMAGED = 11
    UNVERIFIED = 12
    UNKNOWN = 20


class Told(NamedTuple):
    """A verdict and why, and what to do about the server of that bundle, if anything."""

    verdict: Verdict
    sentence: str
    advice: str = ""


class Bundle(Protocol):
    """A bundle as the daemon shows it, or as the store has it."""

    @property
    def path(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def verified_at(self) -> int: ...
    @property
    def manifest_sha256(self) -> str: ...
    @property
    def error(self) -> tuple[str, str]: ...


def guard(options: argparse.Namespace) -> int:
    """Ask the daemon, or where none can be reached the store itself."""
    try:
        told = _look(options)
    except (Complaint, ConfigError) as trouble:
        told = Told(Verdict.UNKNOWN, f"it cannot be determined whether {options.bundle} is there: {trouble}")
    if options.json:
        verdict = told.verdict.name.lower()
        print(document("guard", bundle=options.bundle, verdict=verdict, reason=told.sentence, next=told.advice))
    elif told.verdict is Verdict.WHOLE:
        print(f"{told.sentence}\nNext: {told.advice}" if told.advice else told.sentence)
    if told.verdict is not Verdict.WHOLE:
        complain(told.sentence)
    return told.verdict


def _look(options: argparse.Namespace) -> Told:
    name: str = options.bundle

    async def look(client: "Client") -> Told:
        state = await client.state()
        server = await client.server(state.manager.store)
        told = judge(name, next((bundle for bundle in state.bundles if bundle.name == name), None))
        ours = told.verdict is Verdict.WHOLE and server is not None and server.bundle in ("", name)
        return told._replace(advice=advice.serving(state, server)) if ours else told

    if options.store or options.config:
        return _look_into_store(name, options)
    try:
        return asyncio.run(asked(look))
    except Complaint as complaint:
        if complaint.status != UNREACHABLE:
            raise
        return _look_into_store(name, options)


def _look_into_store(name: str, options: argparse.Namespace) -> Told:
    """Without a daemon, whoever works on the store; takes the rights to read what dubseedd keeps for itself."""
    path = options.store or load(options.config).store.path
    try:
        with closing(StoreView(path)) as store:
            return judge(name, store.look(name))
    except FileNotFoundError:
        reason = f"there is no store {path}; plug in a stick that has it, or name another store: --store DIR"
        return Told(Verdict.ABSENT, f"{name} is not installed: {reason}")
    except OSError as error:
        reason = f"the store {path} cannot be read ({error.strerror}); run the same command with sudo"
        return Told(Verdict.UNKNOWN, f"it cannot be determined whether {name} is there: {reason}")


def judge(name: str, bundle: Bundle | None) -> Told:
    """The verdict on a bundle, None where there is none of that name."""
    if bundle is None:
        return Told(Verdict.ABSENT, f"{name} is not installed; plug in a stick that has it")
    if bundle.state == "foreign":
        return Told(
            Verdict.UNVERIFIED,
            f"{bundle.path} was not installed by dubseedd, so nobody has verified it; plug in a stick that has {name}",
        )
    if bundle.state == "damaged":
        return Told(Verdict.DAMAGED, bundle.error[1])
    lack = missing(bundle.path, bundle.manifest_sha256)
    if lack:
        return Told(Verdict.DAMAGED, f"{name} is damaged: {lack}; plug in a stick that has it")
    if not bundle.verified_at:
        return Told(Verdict.UNVERIFIED, f"{name} was never read back; verify it: dubseedctl verify {name}")
    return Told(Verdict.WHOLE, f"{name} is installed, whole and verified on {text.day(bundle.verified_at)}")
