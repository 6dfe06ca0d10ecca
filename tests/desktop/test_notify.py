"""dubseed-notify on a desktop: a real notification server shows what a person gets to see."""

import asyncio

from dubseedd.adapters.messages import IncomingCall, Reply
from dubseedd.desktop.server import NAME
from dubseedd.names import BUS_NAME
from tests.cli.conftest import LIMIT_SECONDS, Connect, ToyDaemon, ended
from tests.desktop.conftest import FAILURE, Dunst, Notifier, StartDunst


async def test_a_job_is_one_notification_with_a_bar_and_then_its_result(
    toy: ToyDaemon, dunst: Dunst, notify: Notifier
) -> None:
    path = toy.show_job(1)
    await notify()
    await dunst.shows(1)
    (going,) = await dunst.dismissed()
    assert (going["summary"], going["progress"]) == ("Syncing tiny", 40)
    assert going["body"].startswith("copying, 800 B of 1.95 KiB")
    toy.end_job(path, "done")
    await dunst.shows(1)
    (result,) = await dunst.dismissed()
    assert (result["summary"], result["progress"]) == ("tiny is synced", -1)


async def test_what_was_over_before_is_no_news_and_what_changes_stays_one_notification(
    toy: ToyDaemon, dunst: Dunst, notify: Notifier
) -> None:
    toy.show_job(1, State="done", Bundle="old")
    path = toy.show_job(2)
    await notify()
    await dunst.shows(1)
    toy.end_job(path, "failed", *FAILURE)
    toy.show_job(3, Bundle="other")
    await dunst.shows(2)
    told = {one["summary"]: one["body"] for one in await dunst.dismissed()}
    assert told.pop("Syncing other")
    assert told == {"tiny has failed": "the store is full; make room"}


async def test_a_bar_that_was_dismissed_stays_away(toy: ToyDaemon, dunst: Dunst, notify: Notifier) -> None:
    path = toy.show_job(1)
    await notify()
    await dunst.shows(1)
    await dunst.dismissed()
    toy.change_job(path, Progress=[80, "", 1])
    toy.show_job(2, Bundle="other")
    await dunst.shows(1)
    assert [one["summary"] for one in await dunst.dismissed()] == ["Syncing other"]


async def test_a_bar_disappears_with_the_daemon(toy: ToyDaemon, dunst: Dunst, notify: Notifier) -> None:
    toy.show_job(1)
    await notify()
    await dunst.shows(1)
    await toy.connection.close()
    await dunst.shows(0)


async def test_it_ends_with_the_session_and_leaves_no_bar(toy: ToyDaemon, dunst: Dunst, notify: Notifier) -> None:
    toy.show_job(1)
    process = await notify()
    await dunst.shows(1)
    process.terminate()
    assert await ended(process) == (0, "", "")
    await dunst.shows(0)


async def test_a_bar_that_is_just_being_shown_is_taken_away_too(
    toy: ToyDaemon, notify: Notifier, connect: Connect
) -> None:
    """A notification server that takes its time; a real one is too quick."""
    asked, told, closed = asyncio.Event(), asyncio.Event(), []

    async def answer(call: IncomingCall) -> Reply:
        if call.member == "Notify":
            asked.set()
            await told.wait()
            return Reply("u", [5])
        if call.member == "CloseNotification":
            closed.append(call.body[0])
            return Reply()
        return Reply("as", [["body"]])

    server = await connect()
    server.answer(answer)
    await server.request_name(NAME)
    toy.show_job(1)
    process = await notify()
    async with asyncio.timeout(LIMIT_SECONDS):
        await asked.wait()
    process.terminate()
    told.set()
    assert await ended(process) == (0, "", "")
    assert closed == [5]


async def test_it_waits_for_a_daemon_and_for_a_notification_server(
    connect: Connect, notify: Notifier, start_dunst: StartDunst
) -> None:
    process = await notify()
    connection = await connect()
    await connection.request_name(BUS_NAME)
    toy = ToyDaemon(connection)
    toy.show_job(1)
    async with start_dunst() as dunst:
        await dunst.shows(1)
        assert process.returncode is None


async def test_without_a_bus_it_says_so(notify: Notifier) -> None:
    said = await ended(await notify(DBUS_SESSION_BUS_ADDRESS="unix:path=/nowhere"))
    assert (said.status, said.out) == (3, "")
    assert said.err.startswith("dubseed-notify: ")
