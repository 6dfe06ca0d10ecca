"""The bus: a seam over dbus-next at the level of messages.

What `mended` does not cure of dbus-next is kept away from. A call on a lost connection would never return: the loss
ends every call, and so does a time limit. Handlers of replies that never come would pile up: they are dropped. Its own
handlers would tell callers tracebacks: they never see a call, every one is answered here, and of one caller so many at
a time.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Self

from dbus_next import AuthError, InvalidAddressError, Message, MessageFlag, MessageType

from dubseedd.adapters.mended import CONNECT_LIMIT_SECONDS, LIMITS_EXCEEDED, MendedBus, connected, release
from dubseedd.adapters.messages import (
    DBUS,
    DBUS_PATH,
    BusGone,
    CallFailed,
    IncomingCall,
    Match,
    RemoteError,
    Reply,
    Signal,
    sendable,
    unwrap,
)
from dubseedd.adapters.wire import close_all
from dubseedd.names import ErrorName

log = logging.getLogger(__name__)

CALL_LIMIT_SECONDS = 25.0
DO_NOT_QUEUE = 4
PRIMARY_OWNER = 1
HUNG_UP = "the bus hung up"
PENDING_MOST = 32
"""Calls of one connection that are being answered at a time."""
TEXT_MOST = 1000
"""The characters of an error, which may quote what the caller has sent."""

SignalHandler = Callable[[Signal], None]
CallHandler = Callable[[IncomingCall], Awaitable[Reply]]


async def _nothing_here(call: IncomingCall) -> Reply:
    raise CallFailed(f"{DBUS}.Error.UnknownObject", f"no object {call.path}")


class Connection:
    """One connection to a bus, from `open` until it is lost or closed."""

    def __init__(self, bus: MendedBus, address: str | None) -> None:
        self._bus = bus
        self._address = address
        self._subscriptions: dict[object, tuple[Match, SignalHandler]] = {}
        self._handler: CallHandler = _nothing_here
        self._tasks: set[asyncio.Task[Any]] = set()
        self._pending: Counter[str] = Counter()
        bus.add_message_handler(self._receive)
        self._lost = asyncio.ensure_future(self._watch())

    @classmethod
    async def open(cls, address: str | None = None, *, keeps_descriptors: bool = False) -> Self:
        """Connect to the bus at an address, by default to the system bus. Raises BusGone or TimeoutError.

        Anybody can send descriptors: they are closed as they arrive, unless the connection keeps them.
        """
        try:
            return cls(await connected(address, keeps_descriptors=keeps_descriptors), address)
        except TimeoutError:
            raise TimeoutError(f"the bus did not answer within {CONNECT_LIMIT_SECONDS:g} s") from None
        except (OSError, EOFError, AuthError, InvalidAddressError) as error:
            raise BusGone(getattr(error, "strerror", None) or str(error) or HUNG_UP) from error

    @property
    def unique_name(self) -> str:
        return str(self._bus.unique_name)

    @property
    def is_open(self) -> bool:
        return not self._lost.done()

    async def owner_of(self, name: str) -> str:
        """The unique name of who has a well-known one, "" where nobody has it. Raises as `call`."""
        try:
            (owner,) = await self.call(DBUS, DBUS_PATH, DBUS, "GetNameOwner", "s", [name])
        except RemoteError:
            return ""
        return str(owner)

    async def lost(self) -> None:
        """Return when the connection is gone."""
        await asyncio.wait({self._lost})

    async def close(self) -> None:
        """Close it; what was sent before is still delivered, unless the bus takes longer than a second for it."""
        with suppress(BusGone, TimeoutError, RemoteError):
            await self.call(DBUS, DBUS_PATH, DBUS, "GetId", timeout_seconds=1.0)
        if self.is_open:
            self._bus.disconnect()
        await self.lost()

    async def _watch(self) -> None:
        try:
            with suppress(Exception):
                await self._bus.wait_for_disconnect()
        finally:
            for task in list(self._tasks):
                task.cancel()
            release(self._bus)

    # Calling

    async def call(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Sequence[Any] = (),
        *,
        timeout_seconds: float = CALL_LIMIT_SECONDS,
        interactive: bool = False,
    ) -> list[Any]:
        """Call a method; returns the body of the reply. Raises RemoteError, BusGone or TimeoutError.

        `interactive` lets the other side have our user asked for a password first.
        """
        if not self.is_open:
            raise BusGone("the connection to the bus is lost")
        message = Message(
            destination=destination,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=sendable(list(body)),
            flags=MessageFlag.ALLOW_INTERACTIVE_AUTHORIZATION if interactive else MessageFlag.NONE,
        )
        answer = self._keep(self._bus.call(message))
        try:
            await asyncio.wait({answer}, timeout=timeout_seconds)
            if answer.done():
                return self._read(answer)
        finally:
            answer.cancel()
            self._bus._method_return_handlers.pop(message.serial, None)
        raise TimeoutError(f"{destination} did not answer {member} within {timeout_seconds:g} s")

    async def call_for_descriptor(
        self, destination: str, path: str, interface: str, member: str, signature: str, body: Sequence[Any]
    ) -> int:
        """Call a method that returns one descriptor; whoever gets it closes it. As `call`.

        The call goes over a connection of its own, which no stranger knows.
        """
        other = await type(self).open(self._address, keeps_descriptors=True)
        try:
            await other.call(destination, path, interface, member, signature, body)
            descriptor = other._bus.take_descriptor()
        finally:
            await other.close()
        if descriptor is None:
            raise RemoteError(f"{DBUS}.Error.InconsistentMessage", f"{member} returned no descriptor")
        return descriptor

    @staticmethod
    def _read(answer: "asyncio.Task[Message]") -> list[Any]:
        if answer.cancelled() or isinstance(answer.exception(), OSError | EOFError):
            raise BusGone("the connection to the bus is lost")
        reply = answer.result()
        body = [unwrap(value) for value in reply.body]
        if reply.message_type is MessageType.ERROR:
            raise RemoteError(reply.error_name, str(body[0]) if body else "")
        return body

    async def subscribe(self, match: Match, handler: SignalHandler) -> Callable[[], Awaitable[None]]:
        """Have the handler called for each signal that fits; returns the undo. What a handler raises is logged."""
        key = object()
        self._subscriptions[key] = (match, handler)
        try:
            await self.call(DBUS, DBUS_PATH, DBUS, "AddMatch", "s", [match.rule])
        except BaseException:
            del self._subscriptions[key]
            raise

        async def undo() -> None:
            if self._subscriptions.pop(key, None):
                with suppress(BusGone, RemoteError, TimeoutError):
                    await self.call(DBUS, DBUS_PATH, DBUS, "RemoveMatch", "s", [match.rule])

        return undo

    async def request_name(self, name: str) -> None:
        """Own a name, now. Raises RemoteError where the bus does not allow it or somebody else has it."""
        (result,) = await self.call(DBUS, DBUS_PATH, DBUS, "RequestName", "su", [name, DO_NOT_QUEUE])
        if result != PRIMARY_OWNER:
            raise RemoteError(f"{DBUS}.Error.NameHasOwner", f"{name} has an owner already; stop the other dubseedd")

    # Serving

    def answer(self, handler: CallHandler) -> None:
        """Have this handler answer every method call to us; what it raises, CallFailed aside, is Internal."""
        self._handler = handler

    def emit(self, path: str, interface: str, member: str, signature: str, body: Sequence[Any]) -> None:
        """Send a signal; a lost connection drops it."""
        if self.is_open:
            self._send(Message.new_signal(path, interface, member, signature, sendable(list(body))))

    def _receive(self, message: Message) -> bool:
        """True for what the library must not look at any more."""
        if message.message_type is MessageType.SIGNAL:
            self._spread(message)
            return False
        if message.message_type is MessageType.METHOD_CALL:
            self._keep(self._answer(message))
            return True
        return False

    def _spread(self, message: Message) -> None:
        signal = Signal(
            message.sender or "",
            message.path,
            message.interface,
            message.member,
            [unwrap(value) for value in message.body],
        )
        for match, handler in list(self._subscriptions.values()):
            if match.fits(signal):
                try:
                    handler(signal)
                except Exception:
                    log.exception("handling %s.%s", signal.interface, signal.member)

    async def _answer(self, message: Message) -> None:
        call = IncomingCall(
            message.sender or "",
            message.path,
            message.interface or "",
            message.member,
            message.signature,
            [unwrap(value) for value in message.body],
            interactive=bool(message.flags & MessageFlag.ALLOW_INTERACTIVE_AUTHORIZATION),
        )
        self._pending[call.sender] += 1
        wanted = not message.flags & MessageFlag.NO_REPLY_EXPECTED
        try:
            outcome = await self._outcome(message, call)
            answer = self._bytes_of(outcome) if wanted else b""
        except (Exception, asyncio.CancelledError):
            if _being_cancelled():
                raise
            log.exception("answering %s.%s of %s", call.interface, call.member, call.sender)
            outcome = Message.new_error(message, ErrorName.INTERNAL.full, "internal error, see the journal")
            answer = self._bytes_of(outcome)
        finally:
            self._pending[call.sender] -= 1
            self._pending = +self._pending
        descriptors = outcome.unix_fds or ()
        if self.is_open and wanted:
            self._bus._writer.put(answer, descriptors=descriptors)
        else:
            close_all(descriptors)

    async def _outcome(self, message: Message, call: IncomingCall) -> Message:
        """What the handler says."""
        try:
            if self._pending[call.sender] > PENDING_MOST:
                raise CallFailed(LIMITS_EXCEEDED, "too many calls of yours wait already; wait for answers first")
            reply = await self._handler(call)
            body, descriptors = sendable(list(reply.body)), list(reply.descriptors)
            return Message.new_method_return(message, reply.signature, body, descriptors)
        except CallFailed as failure:
            return Message.new_error(message, failure.name, sendable(failure.text[:TEXT_MOST]))

    def _bytes_of(self, answer: Message) -> bytes:
        answer.serial = self._bus.next_serial()
        return bytes(answer._marshall(negotiate_unix_fd=True))

    def _send(self, message: Message) -> None:
        future = self._bus.send(message)
        future.add_done_callback(_look_at)

    # Housekeeping

    def _keep(self, coroutine: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_look_at)
        return task


def _being_cancelled() -> bool:
    """Was this task told to end, rather than something that it waited for?"""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _look_at(future: "asyncio.Future[Any]") -> None:
    """Take note of an outcome, so that asyncio does not report it as forgotten."""
    if not future.cancelled():
        future.exception()
