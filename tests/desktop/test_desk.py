"""The desk and a notification server that refuses, leaves and comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from dbus_next import Message

from dubseedd.adapters.messages import DBUS, DBUS_PATH
from dubseedd.desktop import desk as desks
from dubseedd.desktop.desk import Desk
from dubseedd.desktop.notices import Button, Mood, Notice
from dubseedd.desktop.server import NAME, PATH, NotificationServer
from tests.cli.conftest import Connect
from tests.desktop.conftest import Screen, StartScreen

GOING = Notice("Syncing tiny", "", Mood.GOING)
OTHER = Notice("Syncing other", "", Mood.GOING)
QUEUED = Notice("tiny has its turn soon", "", Mood.GOING, quiet=True)
INTERRUPTED = Notice("tiny is interrupted", "", Mood.WRONG)
FAILED = Notice("other has failed", "", Mood.WRONG)
DONE = Notice("tiny is synced", "", Mood.WELL)
TOO_MANY = "org.freedesktop.Notifications.MaximumExceeded"
NO_REPLY = "org.freedesktop.DBus.Error.NoReply"


def unwanted(notice: Notice, button: Button, gone_at: float) -> None:
    pytest.fail("no button was pressed")


@asynccontextmanager
async def kept(desk: Desk) -> AsyncIterator[None]:
    """Have the desk keep the screen in step meanwhile."""
    keeping = asyncio.ensure_future(desk.keep())
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def heard(server: NotificationServer, screen: Screen | None = None) -> None:
    """Return when all that was said before, on the screen too, has arrived."""
    if screen is not None:
        await screen.connection.call(DBUS, DBUS_PATH, DBUS, "GetId")
    await server._session.call(DBUS, DBUS_PATH, DBUS, "GetId")


async def test_what_a_server_refuses_does_not_silence_what_comes_after_it(
    server: NotificationServer, start_screen: StartScreen
) -> None:
    screen, desk = await start_screen(), Desk(server, unwanted)
    screen.refused = TOO_MANY
    desk.tell({"/1": GOING, "/2": OTHER})
    assert not await desk.lay_out()
    screen.refused = ""
    desk.tell({"/1": DONE, "/2": OTHER})
    assert await desk.lay_out()
    assert set(screen.stands.values()) == {DONE.summary, OTHER.summary}


async def test_what_a_server_refuses_is_shown_though_nothing_changes(
    server: NotificationServer, start_screen: StartScreen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desks, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(desks, "RETRY_SECONDS", 0.0)
    screen, desk = await start_screen(), Desk(server, unwanted)
    screen.refused = TOO_MANY
    desk.tell({"/1": DONE})
    async with kept(desk):
        await screen.news.until(lambda: screen.asked)
        screen.refused = ""
        await screen.news.until(lambda: screen.stands)
    assert list(screen.stands.values()) == [DONE.summary]


async def test_a_server_that_does_not_answer_is_left_alone_until_another_comes(
    server: NotificationServer, start_screen: StartScreen
) -> None:
    screen, desk = await start_screen(), Desk(server, unwanted)
    screen.refused = NO_REPLY
    desk.tell({"/1": GOING, "/2": OTHER})
    await desk.lay_out()
    await desk.lay_out()
    assert len(screen.asked) == 1
    async with kept(desk):
        await screen.connection.close()
        successor: Screen = await start_screen()
        await successor.news.until(lambda: len(successor.stands) == 2)


async def test_what_is_quiet_only_takes_the_place_of_what_stands_there(
    server: NotificationServer, start_screen: StartScreen
) -> None:
    screen, desk = await start_screen(), Desk(server, unwanted)
    desk.tell({"/1": INTERRUPTED, "/2": QUEUED})
    assert await desk.lay_out()
    assert list(screen.stands.values()) == [INTERRUPTED.summary]
    desk.tell({"/1": QUEUED, "/2": QUEUED})
    assert await desk.lay_out()
    assert list(screen.stands.values()) == [QUEUED.summary]


async def test_a_result_is_shown_though_the_daemon_forgets_the_job_meanwhile(
    server: NotificationServer, start_screen: StartScreen
) -> None:
    screen, desk = await start_screen(), Desk(server, unwanted)
    desk.tell({"/1": DONE})
    desk.tell({})
    assert await desk.lay_out()
    assert list(screen.stands.values()) == [DONE.summary]


async def test_another_server_is_shown_what_goes_on_or_is_wrong_and_was_not_closed(
    server: NotificationServer, start_screen: StartScreen
) -> None:
    screen, desk = await start_screen(), Desk(server, unwanted)
    told = {"/1": GOING, "/2": FAILED, "/3": DONE, "/4": OTHER, "/5": INTERRUPTED}
    desk.tell(told)
    await desk.lay_out()
    for number, summary in screen.stands.items():
        if summary in {OTHER.summary, INTERRUPTED.summary}:
            screen.connection.emit(PATH, NAME, "NotificationClosed", "uu", [number, 2])
    await screen.connection.close()
    successor = await start_screen()
    await heard(server)
    assert await desk.lay_out()
    assert list(successor.stands.values()) == [GOING.summary, FAILED.summary]
    assert [call.body[1] for call in successor.asked] == [0, 0], "the old numbers are other applications'"


async def test_nothing_that_another_server_shows_is_closed(
    server: NotificationServer, start_screen: StartScreen
) -> None:
    screen, desk = await start_screen(), Desk(server, unwanted)
    desk.tell({"/1": GOING, "/2": OTHER})
    await desk.lay_out()
    await screen.connection.close()
    successor = await start_screen()
    await heard(server)
    desk.tell({"/2": OTHER})
    await desk.clear()
    assert successor.asked == []


async def test_a_server_that_is_replaced_meanwhile_takes_no_old_number(
    server: NotificationServer, start_screen: StartScreen
) -> None:
    """The news of it comes after the number of the notice that is just being shown."""
    screen, desk = await start_screen(), Desk(server, unwanted)
    desk.tell({"/1": GOING, "/2": OTHER})
    await desk.lay_out()
    successors = []

    async def give_way() -> None:
        await screen.connection.call(DBUS, DBUS_PATH, DBUS, "ReleaseName", "s", [NAME])
        successors.append(await start_screen())

    screen.before_answer = give_way
    desk.tell({"/1": DONE, "/2": FAILED})
    await desk.lay_out()
    await heard(server)
    (successor,) = successors
    assert await desk.lay_out()
    assert {call.body[1] for call in successor.asked} == {0}


async def test_a_stranger_closes_nothing(
    server: NotificationServer, start_screen: StartScreen, connect: Connect
) -> None:
    screen, desk = await start_screen(), Desk(server, unwanted)
    desk.tell({"/1": GOING})
    await desk.lay_out()
    stranger = await connect()
    forged = Message.new_signal(PATH, NAME, "NotificationClosed", "uu", [*screen.stands, 2])
    forged.destination = server._session.unique_name
    await stranger._bus.send(forged)
    await stranger.call(DBUS, DBUS_PATH, DBUS, "GetId")
    await heard(server)
    desk.tell({"/1": OTHER})
    await desk.lay_out()
    assert list(screen.stands.values()) == [OTHER.summary]


async def test_a_button_works_until_its_notice_is_closed(server: NotificationServer, start_screen: StartScreen) -> None:
    pressed: list[str] = []
    screen, desk = await start_screen(), Desk(server, lambda notice, *_: pressed.append(notice.summary))
    desk.tell({"/1": FAILED})
    await desk.lay_out()
    desk.tell({})
    await desk.lay_out()
    screen.press("DETAILS")
    await heard(server, screen)
    screen.connection.emit(PATH, NAME, "NotificationClosed", "uu", [*screen.stands, 2])
    screen.press("DETAILS")
    await heard(server, screen)
    assert pressed == [FAILED.summary]
