"""The daemon asked to lend a stick, by a daemon that does just what a test tells it to."""

import asyncio
import threading

import pytest

from dubseedd.adapters.messages import DBUS, DBUS_PATH, CallFailed
from dubseedd.cli.exits import FAILED, NOT_AUTHORISED, Complaint
from dubseedd.cli.lending import lent
from dubseedd.names import SEED_INTERFACE, ErrorName
from tests.cli.conftest import LIMIT_SECONDS, ToyDaemon

NODE = "/dev/sdb1"


@pytest.fixture(autouse=True)
def system_bus(bus_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus_address)


def is_lent() -> bool:
    with lent(NODE) as has_it:
        return has_it


async def test_a_stick_that_the_daemon_has_is_lent(toy: ToyDaemon) -> None:
    toy.show_seed()
    toy.on["Eject"] = lambda path, args: []
    assert await asyncio.to_thread(is_lent)
    assert [call.body for call in toy.calls if call.member == "Eject"] == [[{"lend": True}]]


async def test_it_is_lent_for_as_long_as_the_block_lasts(toy: ToyDaemon) -> None:
    """The daemon takes it back when the caller has left the bus."""
    toy.show_seed()
    toy.on["Eject"] = lambda path, args: []
    begun, over = threading.Event(), threading.Event()

    def hold() -> None:
        with lent(NODE):
            begun.set()
            over.wait(LIMIT_SECONDS)

    async def is_there() -> bool:
        (there,) = await toy.connection.call(DBUS, DBUS_PATH, DBUS, "NameHasOwner", "s", [toy.calls[-1].sender])
        return bool(there)

    holding = asyncio.create_task(asyncio.to_thread(hold))
    await asyncio.to_thread(begun.wait, LIMIT_SECONDS)
    assert await is_there()
    over.set()
    await holding
    assert not await is_there()


async def test_a_stick_that_the_daemon_does_not_have_is_nobodys(toy: ToyDaemon) -> None:
    toy.show_seed(Device="/dev/sdc1")
    assert not await asyncio.to_thread(is_lent)
    assert toy.calls == []


async def test_where_no_daemon_runs_or_no_bus_nobody_lends(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not await asyncio.to_thread(is_lent)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere")
    assert not await asyncio.to_thread(is_lent)


async def test_while_the_daemon_still_looks_at_it_it_is_asked_again(toy: ToyDaemon) -> None:
    path = toy.show_seed()

    def eject(_: str, args: list[object]) -> list[object]:
        if len(toy.calls) == 1:
            toy.tree.update(path, SEED_INTERFACE, {"State": "ready"})
            raise CallFailed(ErrorName.BUSY.full, "it is being looked at")
        return []

    toy.on["Eject"] = eject
    assert await asyncio.to_thread(is_lent)
    assert len(toy.calls) == 2


async def test_a_stick_that_is_lent_to_somebody_else_is_not_waited_for(toy: ToyDaemon) -> None:
    sentence = "a bundle is being made on DUB-SEED (/dev/sdb1); when that has ended it is looked at again"
    toy.show_seed(State="failed", Error=[ErrorName.BUSY.full, sentence])

    def eject(_: str, args: list[object]) -> list[object]:
        raise CallFailed(ErrorName.BUSY.full, sentence)

    toy.on["Eject"] = eject
    with pytest.raises(Complaint, match="a bundle is being made on DUB-SEED"):
        await asyncio.to_thread(is_lent)


@pytest.mark.parametrize(
    ("error", "status"), [(ErrorName.NOT_AUTHORIZED, NOT_AUTHORISED), (ErrorName.MOUNT_FAILED, FAILED)]
)
async def test_a_daemon_that_does_not_let_go_is_heard(toy: ToyDaemon, error: ErrorName, status: int) -> None:
    toy.show_seed()

    def eject(_: str, args: list[object]) -> list[object]:
        raise CallFailed(error.full, "it is busy")

    toy.on["Eject"] = eject
    with pytest.raises(Complaint, match="it is busy") as caught:
        await asyncio.to_thread(is_lent)
    assert caught.value.status == status
