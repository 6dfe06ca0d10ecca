"""The bytes of a bus connection, and whose turn it is, without a bus."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from dbus_next import Message, MessageType
from dbus_next.signature import SignatureTree

from dubseedd.adapters.mended import WAITING_MOST, WAITING_MOST_BYTES, Turns
from dubseedd.adapters.wire import (
    CALL_MOST_BYTES,
    HEADER_MOST_BYTES,
    METHOD_CALL,
    SIGNAL_MOST_BYTES,
    SIGNATURES_MOST,
    UNSENT_MOST_BYTES,
    UNSENT_ROOM_BYTES,
    Frame,
    Frames,
    Outbox,
    unmarshalled,
)


def call(member: str = "Work", signature: str = "", *body: object, path: str = "/") -> bytes:
    message = Message(
        destination="a.b", path=path, interface="a.b", member=member, signature=signature, body=list(body)
    )
    message.serial = 1
    return bytes(message._marshall())


def signal(length: int) -> bytes:
    message = Message.new_signal("/", "a.b", "Changed", "s", ["x" * length])
    message.serial = 1
    return bytes(message._marshall())


def reply(length: int) -> bytes:
    message = Message(message_type=MessageType.METHOD_RETURN, reply_serial=1, signature="s", body=["x" * length])
    message.serial = 1
    return bytes(message._marshall())


def in_parts(data: bytes, size: int) -> Iterator[Frame]:
    frames = Frames()
    for start in range(0, len(data), size):
        yield from frames.cut(data[start : start + size])


@pytest.mark.parametrize("size", [1, 7, 16, 100_000])
def test_messages_arrive_whole_however_they_are_cut(size: int) -> None:
    messages = [call("One", "s", "x" * 300), signal(20), call("Two")]
    assert [frame.data for frame in in_parts(b"".join(messages), size)] == messages


@pytest.mark.parametrize("size", [1000, 16 << 10, 1 << 20])
def test_of_a_call_that_is_too_long_only_the_head_is_kept(size: int) -> None:
    long, next_one = call("Long", "s", "x" * CALL_MOST_BYTES), call("Next")
    first, second = in_parts(long + next_one, size)
    assert (first.too_long, first.head().member, first.head().body) == (True, "Long", [])
    assert len(first.data) < 200
    assert (second.too_long, second.whole().member) == (False, "Next")


def test_a_long_signal_is_known_to_be_too_long_and_a_long_reply_is_wanted() -> None:
    last, most, answer = in_parts(signal(100) + signal(SIGNAL_MOST_BYTES) + reply(1 << 20), 1 << 16)
    assert [frame.too_long for frame in (last, most, answer)] == [False, True, False]
    assert len(answer.whole().body[0]) == 1 << 20


def test_a_header_that_is_too_long_is_passed_over_with_its_body() -> None:
    long = call("Long", "s", "x" * 1000, path="/" + "a" * HEADER_MOST_BYTES)
    assert [frame.whole().member for frame in in_parts(long + call("Next"), 5000)] == ["Next"]


def test_a_message_of_an_unknown_type_is_passed_over() -> None:
    unknown = bytearray(call())
    unknown[1] = 77
    assert [frame.whole().member for frame in in_parts(bytes(unknown) + call("Next"), 64)] == ["Next"]


def test_signatures_of_strangers_are_not_kept_for_ever() -> None:
    for number in range(3 * SIGNATURES_MOST):
        signature = "".join("ybnqiux"[number // 7**place % 7] for place in range(6))
        unmarshalled(call("Work", f"a({signature})", []))
    assert len(SignatureTree._cache) < 2 * SIGNATURES_MOST


# Turns


def frame(name: str, size: int = 10) -> Frame:
    return Frame(METHOD_CALL, name.encode().ljust(size), too_long=False)


def test_callers_take_turns() -> None:
    turns = Turns()
    for caller, name in [("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("c", "c1"), ("c", "c2")]:
        assert turns.add(caller, frame(name))
    order = []
    while turns.some.is_set():
        order.append(turns.next().data.decode().strip())
    assert order == ["a1", "b1", "c1", "a2", "c2", "a3"]


def test_of_one_caller_so_many_calls_wait_and_the_others_still_may() -> None:
    turns = Turns()
    assert all(turns.add("a", frame("x")) for _ in range(WAITING_MOST))
    assert not turns.add("a", frame("x"))
    assert turns.add("b", frame("x"))
    turns.next()
    assert turns.add("a", frame("x"))


def test_of_all_callers_so_many_bytes_wait() -> None:
    turns = Turns()
    size = CALL_MOST_BYTES
    added = sum(turns.add(f":1.{number}", frame("x", size)) for number in range(2 * WAITING_MOST_BYTES // size))
    assert added == WAITING_MOST_BYTES // size


# Sending


async def test_what_nobody_takes_ends_the_connection() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    failures: list[Exception] = []
    outbox = Outbox(ours, lambda: True, failures.append)
    for _ in range(2 * UNSENT_MOST_BYTES >> 20):
        outbox.put(bytes(1 << 20))
    assert outbox.size <= UNSENT_MOST_BYTES + (1 << 20)
    assert isinstance(failures[0], BrokenPipeError)
    asyncio.get_running_loop().remove_writer(ours.fileno())
    for one in (ours, theirs):
        one.close()


async def test_an_outbox_that_is_read_has_room_again_and_keeps_the_order() -> None:
    ours, theirs = socket.socketpair()
    for one in (ours, theirs):
        one.setblocking(False)
    outbox = Outbox(ours, lambda: True, pytest.fail)
    sent = [bytes([number]) * 100_000 for number in range(20)]
    for data in sent:
        outbox.put(data)
    assert outbox.size > UNSENT_ROOM_BYTES
    assert not outbox.roomy.is_set()
    loop, arrived = asyncio.get_running_loop(), b""
    while len(arrived) < 2_000_000:
        arrived += await loop.sock_recv(theirs, 1 << 20)
    await outbox.roomy.wait()
    assert arrived == b"".join(sent)
    assert outbox.size == 0
    for one in (ours, theirs):
        one.close()


async def test_descriptors_go_with_their_message_once_and_are_closed_when_it_is_sent_or_dropped() -> None:
    """The first message fills the socket, so that the second has to wait; the third is never sent."""
    ours, theirs = socket.socketpair()
    for one in (ours, theirs):
        one.setblocking(False)
    outbox = Outbox(ours, lambda: True, pytest.fail)
    loop, gifts = asyncio.get_running_loop(), [os.open(os.devnull, os.O_RDONLY) for _ in range(2)]
    sent = loop.create_future()
    outbox.put(bytes(1 << 20))
    outbox.put(b"message", sent, gifts[:1])
    arrived, received = 0, []
    while not sent.done() or arrived < (1 << 20) + len("message"):
        await asyncio.sleep(0)
        with suppress(BlockingIOError):
            data, descriptors, *_ = socket.recv_fds(theirs, 1 << 16, 10)
            arrived += len(data)
            received += descriptors
    assert len(received) == 1
    os.close(received[0])  # it may have the number that the one which was sent had before
    outbox.put(bytes(1 << 20))
    outbox.put(b"unsent", None, gifts[1:])
    outbox.drop()
    for gift in gifts:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(gift)
    loop.remove_writer(ours.fileno())
    for one in (ours, theirs):
        one.close()
