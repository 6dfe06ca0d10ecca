"""The buttons of notices, pressed on a notification server that shows them, or on one that does what a test wants."""

import asyncio
from typing import Any

import pytest

from dubseedd.adapters.bus import Connection
from dubseedd.adapters.messages import DBUS, CallFailed, IncomingCall, Reply, Variant
from dubseedd.cli.client import Client
from dubseedd.cli.views import NOT_RUNNING
from dubseedd.desktop import main
from dubseedd.desktop.desk import Desk
from dubseedd.desktop.notices import Button, Mood, Notice
from dubseedd.desktop.server import NAME, PATH, NotificationServer
from dubseedd.names import SEED_INTERFACE
from tests.cli.conftest import LIMIT_SECONDS, Connect, ToyDaemon, ended
from tests.desktop.conftest import FAILURE, Dunst, Notifier, Screen, StartScreen
from tests.machine import Machine


def hold_eject(toy: ToyDaemon) -> tuple[asyncio.Event, asyncio.Event]:
    """Have a daemon take its time for Eject; an event when it is asked, and one that lets it answer."""
    asked, answers = asyncio.Event(), asyncio.Event()

    async def hold(_: str) -> None:
        asked.set()
        await answers.wait()

    toy.on["Eject"] = lambda path, args: []
    toy.before_reply = hold
    return asked, answers


async def test_eject_is_a_button(toy: ToyDaemon, dunst: Dunst, notify: Notifier) -> None:
    asked = asyncio.Event()

    def eject(_: str, args: list[Any]) -> list[Any]:
        asked.set()
        return []

    toy.on["Eject"] = eject
    seed = toy.show_seed(State="working", SafeToRemove=False)
    await notify()
    await dunst.shows(1)
    await dunst.press()
    async with asyncio.timeout(LIMIT_SECONDS):
        await asked.wait()
    await dunst.shows(2)
    assert [(call.path, call.interactive) for call in toy.calls] == [(seed, True)], "a password may be asked for"
    told = {one["summary"] for one in await dunst.dismissed()}
    assert told == {"DUB-SEED (ACME Stick)", "DUB-SEED may be pulled out"}


async def test_why_a_stick_is_not_ejected_is_said(toy: ToyDaemon, dunst: Dunst, notify: Notifier) -> None:
    def eject(_: str, args: list[Any]) -> list[Any]:
        raise CallFailed("org.dubnium.Seed1.Error.Busy", "somebody reads it; close <files>")

    toy.on["Eject"] = eject
    toy.show_seed(State="working", SafeToRemove=False)
    await notify()
    await dunst.shows(1)
    await dunst.press()
    await dunst.shows(2)
    told = {one["summary"]: one["body"] for one in await dunst.dismissed()}
    assert told["DUB-SEED is not ejected"] == "somebody reads it; close &lt;files&gt;", "it is markup there"


def remember(toy: ToyDaemon, *events: dict[str, Any]) -> None:
    """Have a daemon tell these events, the newest first."""
    kinds = {int: "x", str: "s"}
    told = [{key: Variant(kinds[type(value)], value) for key, value in event.items()} for event in events]
    toy.on["GetHistory"] = lambda _, args: [told]


async def test_details_are_what_has_happened(toy: ToyDaemon, dunst: Dunst, notify: Notifier) -> None:
    about = {"dubseed_job": 1, "dubseed_bundle": "tiny"}
    events = [{"time": 1, "message": f"event {number}", **about} for number in (2, 1)]
    remember(toy, *events, {"time": 1, "message": "of another", "dubseed_job": 2, "dubseed_bundle": "tiny"})
    path = toy.show_job(1)
    await notify()
    await dunst.shows(1)
    await dunst.dismissed()
    toy.end_job(path, "failed", *FAILURE)
    await dunst.shows(1)
    await dunst.press()
    await dunst.shows(2)
    told = {one["summary"]: one["body"] for one in await dunst.dismissed()}
    assert told["What has happened"].splitlines() == [
        "event 1", "event 2", "More: journalctl -x DUBSEED_JOB=1 DUBSEED_BUNDLE=tiny"
    ]  # fmt: skip


async def looked_again(toy: ToyDaemon, screen: Screen) -> None:
    """Return when dubseed-notify has seen what the daemon shows now."""
    path = toy.show_job(9, Bundle="other")
    await screen.news.until(lambda: "Syncing other" in screen.stands.values())
    toy.tree.remove(path)
    await screen.news.until(lambda: "Syncing other" not in screen.stands.values())


async def test_details_are_told_though_the_daemon_has_forgotten_the_job(
    toy: ToyDaemon, start_screen: StartScreen, notify: Notifier
) -> None:
    """Later events are those of another job of that number."""
    about = {"dubseed_job": 1, "dubseed_bundle": "tiny"}
    remember(toy, {"time": 1 << 60, "message": "later", **about}, {"time": 1, "message": "of it", **about})
    screen = await start_screen()
    path = toy.show_job(1)
    await notify()
    await screen.news.until(lambda: screen.stands)
    toy.end_job(path, "failed", *FAILURE)
    await screen.news.until(lambda: "tiny has failed" in screen.stands.values())
    toy.tree.remove(path)
    await looked_again(toy, screen)
    screen.press("DETAILS")
    await screen.news.until(lambda: "What has happened" in screen.stands.values())
    assert screen.asked[-1].body[4].splitlines() == [
        "of it", "More: journalctl -x DUBSEED_JOB=1 DUBSEED_BUNDLE=tiny"
    ]  # fmt: skip


async def test_a_stick_that_is_gone_is_not_ejected_but_said_to_be_gone(
    toy: ToyDaemon, start_screen: StartScreen, notify: Notifier
) -> None:
    screen = await start_screen()
    path = toy.show_seed(State="working", SafeToRemove=False)
    await notify()
    await screen.news.until(lambda: screen.stands)
    toy.tree.update(path, SEED_INTERFACE, {"State": "failed", "Error": list(FAILURE)})
    await screen.news.until(lambda: "the store is full" in screen.asked[-1].body[4])
    toy.tree.remove(path)
    await looked_again(toy, screen)
    screen.press("EJECT")
    await screen.news.until(lambda: "DUB-SEED is gone" in screen.stands.values())
    assert toy.calls == []


async def test_a_stick_that_is_pulled_in_this_moment_is_said_to_be_gone(
    toy: ToyDaemon, start_screen: StartScreen, notify: Notifier
) -> None:
    def eject(path: str, args: list[Any]) -> list[Any]:
        raise CallFailed(f"{DBUS}.Error.UnknownObject", f"no object {path}")

    toy.on["Eject"] = eject
    screen = await start_screen()
    toy.show_seed(State="working", SafeToRemove=False)
    await notify()
    await screen.news.until(lambda: screen.stands)
    screen.press("EJECT")
    await screen.news.until(lambda: "DUB-SEED is gone" in screen.stands.values())


async def test_no_stick_is_ejected_by_a_daemon_that_does_not_run(
    toy: ToyDaemon, start_screen: StartScreen, notify: Notifier
) -> None:
    screen = await start_screen()
    seed, job = toy.show_seed(State="done"), toy.show_job(1)
    await notify()
    await screen.news.until(lambda: screen.stands)
    toy.change_job(job, Seed=seed)
    toy.end_job(job, "failed", *FAILURE)
    await screen.news.until(lambda: "tiny has failed" in screen.stands.values())
    toy.show_job(2)
    await screen.news.until(lambda: len(screen.stands) == 2)
    await toy.connection.close()
    await screen.news.until(lambda: len(screen.stands) == 1)
    screen.press("EJECT")
    await screen.news.until(lambda: "DUB-SEED is not ejected" in screen.stands.values())
    assert screen.asked[-1].body[4] == NOT_RUNNING


async def test_it_ends_while_a_stick_is_being_ejected(
    toy: ToyDaemon,
    start_screen: StartScreen,
    server: NotificationServer,
    bus_address: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, _ = hold_eject(toy)
    screen = await start_screen()
    toy.show_seed(State="working", SafeToRemove=False)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus_address)
    async with Client.open(wakes=False) as client:
        notifier = main.Notifier(client, server)
        running = asyncio.ensure_future(notifier.run())
        await screen.news.until(lambda: screen.stands)
        screen.press("EJECT")
        async with asyncio.timeout(LIMIT_SECONDS):
            await asked.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert not notifier._deeds
    assert screen.stands == {}


async def test_a_session_that_goes_while_a_stick_is_being_ejected_is_one_sentence(
    toy: ToyDaemon, bus: Machine, notify: Notifier
) -> None:
    asked, answers = hold_eject(toy)
    screen = Screen(await Connection.open(bus.bus_address))
    await screen.connection.request_name(NAME)
    toy.show_seed(State="working", SafeToRemove=False)
    process = await notify(DBUS_SESSION_BUS_ADDRESS=bus.bus_address)
    await screen.news.until(lambda: screen.stands)
    screen.press("EJECT")
    async with asyncio.timeout(LIMIT_SECONDS):
        await asked.wait()
    bus.stop()
    await screen.connection.close()
    answers.set()
    toy.show_job(1)
    said = await ended(process)
    assert (said.status, said.out) == (3, "")
    assert said.err.splitlines() == [said.err.strip()]


async def test_a_button_that_is_pressed_as_soon_as_it_is_there_is_not_lost(connect: Connect, bus_address: str) -> None:
    """The server tells of it in the very next message after the number of the notice."""
    eager, pressed = await connect(), asyncio.Event()

    async def answer(call: IncomingCall) -> Reply:
        if call.member == "GetCapabilities":
            return Reply("as", [["actions"]])
        asyncio.get_running_loop().call_soon(eager.emit, PATH, NAME, "ActionInvoked", "us", [7, "EJECT"])
        return Reply("u", [7])

    def wanted(notice: Notice, button: Button, _: float) -> None:
        assert (notice.summary, button) == ("a stick", Button.EJECT)
        pressed.set()

    eager.answer(answer)
    await eager.request_name(NAME)
    async with NotificationServer.open(bus_address) as server:
        desk = Desk(server, wanted)
        desk.tell({"/seed": Notice("a stick", "", Mood.GOING, buttons=(Button.EJECT,))})
        await desk.lay_out()
        async with asyncio.timeout(LIMIT_SECONDS):
            await pressed.wait()
