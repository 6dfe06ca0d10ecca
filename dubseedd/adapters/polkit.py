"""Who may do what: root everything, everybody else what polkit says of their connection to the bus.

polkit is told the caller's unique name, which the bus never gives to anybody else, and no process id, which the kernel
does. Every doubt is a no: no polkit, an error from it, a caller that went away, no answer in time.

A question may last minutes, while a person types a password, where the caller's message allows that; nothing else
waits for it, and it is withdrawn when the caller leaves. (When we leave, polkit withdraws it by itself.)
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress

from dubseedd.adapters.bus import Connection
from dubseedd.adapters.messages import DBUS, DBUS_PATH, BusGone, Match, RemoteError, Signal, Variant
from dubseedd.errors import CallRefused
from dubseedd.names import Action, ErrorName

POLKIT = "org.freedesktop.PolicyKit1"
AUTHORITY = f"{POLKIT}.Authority"
AUTHORITY_PATH = "/org/freedesktop/PolicyKit1/Authority"

ROOT_UID = 0
ALLOW_USER_INTERACTION = 1
ANSWER_SECONDS = 25.0
PASSWORD_SECONDS = 600.0
"""How long polkit may take by itself, and with a person who looks for a password."""
MOST_OF_A_CALLER = 8
MOST_OF_A_USER = 32
"""Questions that wait at a time: of one connection, and of one uid, which may have many connections."""

WHAT = {
    Action.SYNC: "sync bundles",
    Action.VERIFY: "verify bundles",
    Action.CANCEL: "cancel a job",
    Action.EJECT: "eject a seed",
    Action.INHIBIT: "hold back publications",
    Action.MANAGE: "roll back or remove bundles",
    Action.REPLACE_FOREIGN: "replace a folder that dubseedd did not make",
}
"""Each action in the words of the sentence that refuses it."""
PROMPT = "Authentication is required to"
"""How a dialog begins that names the bundle, as `details` give it; the policy file has the sentences without one."""


class Polkit:
    """Asks the bus who calls, and polkit whether he may."""

    def __init__(self, link: Callable[[], Connection]) -> None:
        self._link = link
        self._numbers = itertools.count(1)
        self._waiting: Counter[str] = Counter()

    async def authorise(
        self, sender: str, action: Action, *, interactive: bool = False, details: Mapping[str, str] | None = None
    ) -> None:
        """Return when the connection with this unique bus name may do it; else raise CallRefused.

        `interactive` lets polkit ask a person; `details` say what it is about, to that person and to polkit's rules.
        """
        try:
            connection = self._link()
            uid = await _uid(connection, sender)
            if uid == ROOT_UID:
                return
            with self._one_more(sender, f"uid {uid}"):
                ask = self._ask_a_person if interactive else self._check
                allowed, password_helps = await ask(connection, sender, action, details or {})
        except (RemoteError, BusGone, TimeoutError) as error:
            raise _denied(
                action, "polkit, which would know, does not answer; ask as root: sudo dubseedctl …"
            ) from error
        if allowed:
            return
        if password_helps:
            raise _denied(
                action,
                "it takes a password, and none was given; ask as root (sudo dubseedctl …), or where somebody can be "
                "asked for it: on a desktop, or in a terminal where pkttyagent runs (gdbus: with --interactive)",
            )
        raise _denied(action, "the policy of this machine says no; ask as root: sudo dubseedctl …")

    async def uid_of(self, sender: str) -> int:
        """The user of the connection with this unique bus name; CallRefused where it has left."""
        try:
            return await _uid(self._link(), sender)
        except (RemoteError, BusGone, TimeoutError) as error:
            raise CallRefused(ErrorName.NOT_AUTHORIZED, "the caller has left the bus; ask again") from error

    async def until_gone(self, sender: str) -> None:
        """Return when the connection with this unique bus name has left, or we have."""
        try:
            connection = self._link()
            async with _leaving(connection, sender) as left:
                await _uid(connection, sender)
                ours = asyncio.ensure_future(connection.lost())
                theirs = asyncio.ensure_future(left.wait())
                try:
                    await asyncio.wait((ours, theirs), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    ours.cancel()
                    theirs.cancel()
        except (RemoteError, BusGone, TimeoutError):
            return

    @contextmanager
    def _one_more(self, caller: str, user: str) -> Iterator[None]:
        """Count a question for as long as it waits; one too many is refused at once."""
        if self._waiting[caller] >= MOST_OF_A_CALLER or self._waiting[user] >= MOST_OF_A_USER:
            raise CallRefused(
                ErrorName.BUSY,
                f"{self._waiting[caller] or self._waiting[user]} calls of yours wait for polkit already; answer its "
                "dialog, or end those calls, and ask again",
            )
        self._waiting.update((caller, user))
        try:
            yield
        finally:
            self._waiting.subtract((caller, user))
            self._waiting = +self._waiting

    async def _ask_a_person(
        self, connection: Connection, sender: str, action: Action, details: Mapping[str, str]
    ) -> tuple[bool, bool]:
        """As `_check`, but a dialog may open; it is closed again when the caller leaves."""
        number = f"dubseedd-{next(self._numbers)}"
        async with _leaving(connection, sender) as left:
            answer = asyncio.ensure_future(self._check(connection, sender, action, details, number))
            gone = asyncio.ensure_future(left.wait())
            try:
                await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
                if not answer.done():
                    raise BusGone("the caller went away")
                return answer.result()
            except (BusGone, TimeoutError):
                await self._withdraw(connection, number)
                raise
            finally:
                answer.cancel()
                gone.cancel()

    @staticmethod
    async def _check(
        connection: Connection, sender: str, action: Action, details: Mapping[str, str], cancellation: str = ""
    ) -> tuple[bool, bool]:
        """(may he, would a password help), of polkit; with an id to cancel the question by, a person may be asked."""
        prompt = {"polkit.message": f"{PROMPT} {WHAT[action]} ($(bundle))"} if "bundle" in details else {}
        subject = ["system-bus-name", {"name": Variant("s", sender)}]
        flags, limit = (ALLOW_USER_INTERACTION, PASSWORD_SECONDS) if cancellation else (0, ANSWER_SECONDS)
        answer = await connection.call(
            POLKIT,
            AUTHORITY_PATH,
            AUTHORITY,
            "CheckAuthorization",
            "(sa{sv})sa{ss}us",
            [subject, action.full, {**details, **prompt}, flags, cancellation],
            timeout_seconds=limit,
        )
        match answer:
            case [[bool() as allowed, bool() as challenge, _]]:
                return allowed, challenge
        return False, False

    @staticmethod
    async def _withdraw(connection: Connection, cancellation: str) -> None:
        """Close the dialog that nobody waits for any more."""
        with suppress(RemoteError, BusGone, TimeoutError):
            await connection.call(POLKIT, AUTHORITY_PATH, AUTHORITY, "CancelCheckAuthorization", "s", [cancellation])


@asynccontextmanager
async def _leaving(connection: Connection, sender: str) -> AsyncIterator[asyncio.Event]:
    """An event that is set when the connection with this unique bus name leaves the bus."""
    left = asyncio.Event()

    def watch(signal: Signal) -> None:
        if not signal.body[2]:
            left.set()

    leaves = Match(sender=DBUS, path=DBUS_PATH, interface=DBUS, member="NameOwnerChanged", arg0=sender)
    undo = await connection.subscribe(leaves, watch)
    try:
        yield left
    finally:
        await undo()


async def _uid(connection: Connection, sender: str) -> int:
    (uid,) = await connection.call(DBUS, DBUS_PATH, DBUS, "GetConnectionUnixUser", "s", [sender])
    return int(uid)


def _denied(action: Action, why: str) -> CallRefused:
    return CallRefused(ErrorName.NOT_AUTHORIZED, f"you are not allowed to {WHAT[action]}: {why}")
