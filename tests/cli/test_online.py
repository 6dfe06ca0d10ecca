"""dubseedctl and a daemon that does the rare things: jobs that end unseen, and a daemon that goes away."""

import asyncio
import signal
from typing import Any

import pytest
from dbus_next import Message

from dubseedd.adapters.messages import DBUS, DBUS_PATH, CallFailed, Variant
from dubseedd.cli.asking import complaint_of
from dubseedd.names import BUS_NAME, MANAGER_INTERFACE, ROOT_PATH, SEED_INTERFACE, ErrorName
from tests.cli.conftest import LIMIT_SECONDS, MANAGER, Connect, Ctl, ToyDaemon, ended
from tests.support.schema import document
from tests.support.terminal import Terminal

FAILURE = ("org.dubnium.Seed1.Error.NoSpace", "the store is full; make room")


async def first_line(process: asyncio.subprocess.Process) -> str:
    return await line_with("", process)


async def line_with(words: str, process: asyncio.subprocess.Process) -> str:
    """The next line that has these words in it; what comes before depends on how fast the reader is."""
    assert process.stdout is not None
    async with asyncio.timeout(LIMIT_SECONDS):
        while line := (await process.stdout.readline()).decode():
            if words in line:
                return line
    raise AssertionError(f"it ended and has not said {words!r}")


async def test_a_job_that_failed_and_was_forgotten_before_anybody_looked_is_a_failure(
    toy: ToyDaemon, start_ctl: Ctl
) -> None:
    def sync(_: str, args: list[Any]) -> list[Any]:
        path = toy.show_job(1)
        toy.end_job(path, "failed", *FAILURE)
        toy.tree.remove(path)
        return [[path]]

    toy.on["Sync"] = sync
    said = await ended(await start_ctl("sync"))
    assert said.status == 1
    assert "the store is full; make room" in said.err


async def test_a_job_of_which_nobody_knows_what_became_is_no_success(toy: ToyDaemon, start_ctl: Ctl) -> None:
    toy.on["Sync"] = lambda path, args: [[f"{ROOT_PATH}/jobs/1"]]
    said = await ended(await start_ctl("sync"))
    assert said.status == 1
    assert "journalctl -u dubseedd" in said.err


async def test_the_end_of_a_job_is_believed_of_the_daemon_alone(
    toy: ToyDaemon, start_ctl: Ctl, connect: Connect
) -> None:
    """The bus lets anybody send us a signal, whatever it is called and whoever it speaks of."""
    liar, path = await connect(), f"{ROOT_PATH}/jobs/1"

    async def lie(caller: str) -> None:
        forged = Message.new_signal(ROOT_PATH, MANAGER_INTERFACE, "JobRemoved", "uoss", [1, path, "tiny", "done"])
        forged.destination = caller
        await liar._bus.send(forged)
        await liar.call(DBUS, DBUS_PATH, DBUS, "GetId")

    toy.on["Sync"] = lambda _, args: [[path]]
    toy.before_reply = lie
    assert (await ended(await start_ctl("sync"))).status == 1


async def test_a_daemon_that_is_restarted_under_a_waiting_command_is_no_success(
    toy: ToyDaemon, start_ctl: Ctl, connect: Connect
) -> None:
    toy.on["Sync"] = lambda path, args: [[toy.show_job(1)]]
    process = await start_ctl("sync")
    assert "copying" in await first_line(process)
    await toy.connection.close()
    successor = await connect()
    await successor.request_name(BUS_NAME)
    ToyDaemon(successor)
    said = await ended(process)
    assert said.status == 3
    assert said.err.startswith("dubseedctl: dubseedd was stopped")


async def test_watch_sees_a_job_that_was_over_before_it_could_look(toy: ToyDaemon, start_ctl: Ctl) -> None:
    process = await start_ctl("watch")
    assert "waiting for a stick" in await first_line(process)
    toy.show_job(1, State="done", Progress=[100, "tiny is synced", 1])
    said = await ended(process)
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith("tiny: done")


async def test_watch_ends_with_what_may_be_pulled_out_as_soon_as_it_may(toy: ToyDaemon, start_ctl: Ctl) -> None:
    seed = toy.show_seed(SafeToRemove=False, MountPoint="/media/x")
    toy.show_job(1, Seed=seed)
    process = await start_ctl("watch")
    await line_with("copying", process)
    toy.change_job(f"{ROOT_PATH}/jobs/1", State="done")
    await line_with("done", process)
    toy.tree.update(seed, SEED_INTERFACE, {"SafeToRemove": True, "MountPoint": ""})
    said = await ended(process)
    assert (said.status, said.out) == (0, "DUB-SEED (/dev/sdb1) may be pulled out\n")


async def test_a_stick_that_stays_mounted_is_not_waited_for_but_told_of(toy: ToyDaemon, start_ctl: Ctl) -> None:
    at_once = "from dubseedd.cli import following; following.LET_GO_SECONDS = 0.1"
    seed = toy.show_seed(SafeToRemove=False, MountPoint="/media/x")
    toy.on["Sync"] = lambda path, args: [[toy.show_job(1, Seed=seed, State="done")]]
    said = await ended(await start_ctl("sync", code=at_once))
    assert said.status == 0
    assert said.out.endswith("unmount DUB-SEED (/dev/sdb1) before you pull it out: umount /media/x\n")


async def test_a_job_that_could_not_be_cancelled_any_more_is_not_called_cancelled(
    toy: ToyDaemon, start_ctl: Ctl
) -> None:
    path = toy.show_job(1, State="publishing")

    def cancel(_: str, args: list[Any]) -> list[Any]:
        toy.change_job(path, State="done")
        return []

    toy.on["Cancel"] = cancel
    said = await ended(await start_ctl("cancel"))
    assert said.status == 1
    assert "cancelled; " not in said.out
    assert "done" in said.err


async def test_a_job_that_has_ended_since_the_listing_keeps_no_other_from_being_cancelled(
    toy: ToyDaemon, start_ctl: Ctl
) -> None:
    first, ended_first, forgotten = (toy.show_job(number) for number in (1, 2, 3))

    def cancel(path: str, args: list[Any]) -> list[Any]:
        if path == ended_first:
            toy.end_job(ended_first, "done")
            toy.tree.remove(forgotten)
            raise CallFailed(ErrorName.NOT_FOUND.full, "job 2 has ended already; there is nothing to cancel")
        toy.end_job(path, "cancelled")
        return []

    last = toy.show_job(4)
    toy.on["Cancel"] = cancel
    said = await ended(await start_ctl("cancel"))
    assert (said.status, said.err) == (0, "")
    assert [line.partition(" (")[0] for line in said.out.splitlines()] == ["job 1", "job 4"]
    assert [call.path for call in toy.calls] == [first, ended_first, last]


async def test_where_every_job_has_ended_since_the_listing_there_was_nothing_to_cancel(
    toy: ToyDaemon, start_ctl: Ctl
) -> None:
    def cancel(path: str, args: list[Any]) -> list[Any]:
        raise CallFailed(ErrorName.NOT_FOUND.full, "job 1 has ended already; there is nothing to cancel")

    toy.show_job(1)
    toy.on["Cancel"] = cancel
    for words, told in ((("cancel",), "no job is running"), (("cancel", "1"), "job 1 is not running")):
        said = await ended(await start_ctl(*words))
        assert said == (1, "", f"dubseedctl: {told}; dubseedctl status lists the jobs\n")


async def test_names_on_a_stick_cannot_speak_to_the_terminal(toy: ToyDaemon, start_ctl: Ctl) -> None:
    toy.show_seed(Bundles=[["\x1b[2Jevil\n", 1, "", "org.dubnium.Seed1.Error.InvalidName"]], Drive="A\x1b]0;x\x07B")
    said = await ended(await start_ctl("status"))
    assert said.status == 0
    assert "\x1b" not in said.out
    assert "evil" in said.out


async def test_a_daemon_of_another_version_is_one_sentence(toy: ToyDaemon, start_ctl: Ctl) -> None:
    told = {name: value for name, value in MANAGER.items() if name != "Trust"}
    toy.tree.remove(ROOT_PATH)
    toy.tree.export(ROOT_PATH, {MANAGER_INTERFACE: told})
    said = await ended(await start_ctl("status"))
    assert said.status == 3
    assert said.err.startswith("dubseedctl: ")
    assert said.err.count("\n") == 1


async def test_what_is_refused_has_no_job_and_is_a_failure_all_the_same(toy: ToyDaemon, start_ctl: Ctl) -> None:
    toy.show_seed(Bundles=[["tiny", 1, "", "new"], ["bad", 1, "", "org.dubnium.Seed1.Error.UnsafeModel"]])
    toy.on["Sync"] = lambda path, args: [[toy.show_job(1, State="done")]]
    toy.on["GetHistory"] = lambda path, args: [[]]
    said = await ended(await start_ctl("sync"))
    assert said.status == 1
    assert said.err == "dubseedctl: bad is refused (UnsafeModel); see journalctl -u dubseedd\n"
    assert (await ended(await start_ctl("sync", "--bundle", "tiny"))).status == 0


@pytest.mark.parametrize("afterwards", ["/run/media/me/DUB-SEED", ""])
async def test_what_is_refused_of_a_seed_named_by_its_mount_point_is_told(
    toy: ToyDaemon, start_ctl: Ctl, afterwards: str
) -> None:
    """The mount may be the daemon's own, and gone when the job is done."""
    offers = [["tiny", 1, "", "new"], ["bad", 1, "", "org.dubnium.Seed1.Error.UnsafeModel"]]
    seed = toy.show_seed(Bundles=offers, MountPoint=afterwards)
    toy.on["Sync"] = lambda path, args: [[toy.show_job(1, Seed=seed, State="done")]]
    toy.on["GetHistory"] = lambda path, args: [[]]
    said = await ended(await start_ctl("sync", "--seed", "/run/media/me/DUB-SEED"))
    assert said.status == 1
    assert said.err == "dubseedctl: bad is refused (UnsafeModel); see journalctl -u dubseedd\n"


async def test_what_a_job_has_taken_is_not_refused_whatever_was_said_of_it_before(
    toy: ToyDaemon, start_ctl: Ctl
) -> None:
    """As after a Conflict that this very job has decided: the seed is judged again only when the job has ended."""
    seed = toy.show_seed(Bundles=[["tiny", 1, "", "org.dubnium.Seed1.Error.Conflict"]])
    toy.on["Sync"] = lambda path, args: [[toy.show_job(1, Seed=seed, State="done")]]
    said = await ended(await start_ctl("sync", "--seed", "/dev/sdb1", "--bundle", "tiny"))
    assert (said.status, said.err) == (0, "")


async def test_why_it_is_refused_is_told_in_the_words_of_the_journal(toy: ToyDaemon, start_ctl: Ctl) -> None:
    def event(message: str, **more: str) -> dict[str, Variant]:
        told = {"message": message, "dubseed_event": "bundle-refused", "dubseed_bundle": "bad", **more}
        return {name: Variant("s", value) for name, value in told.items()}

    toy.show_seed(Uuid="here", Bundles=[["bad", 1, "", "org.dubnium.Seed1.Error.UnsafeModel"]])
    toy.on["Sync"] = lambda path, args: [[]]
    toy.on["GetHistory"] = lambda path, args: [
        [
            event("of another stick", dubseed_seed="elsewhere"),
            event("bad is refused: x.pkl holds pickled weights", dubseed_seed="here"),
            event("what it was before", dubseed_seed="here"),
        ]
    ]
    said = await ended(await start_ctl("sync"))
    assert said == (1, "", "dubseedctl: bad is refused: x.pkl holds pickled weights\n")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("org.freedesktop.DBus.Error.ServiceUnknown", "dubseedd is not running; start it: systemctl start dubseedd"),
        ("org.freedesktop.systemd1.UnitMasked", "dubseedd cannot be started (it says); see systemctl status dubseedd"),
        (
            "org.freedesktop.DBus.Error.Spawn.ChildExited",
            "dubseedd cannot be started (it says); see systemctl status dubseedd",
        ),
    ],
)
def test_a_daemon_that_does_not_run_and_one_that_cannot_are_told_apart(name: str, sentence: str) -> None:
    complaint = complaint_of(name, "it says")
    assert (str(complaint), complaint.status) == (sentence, 3)


async def test_options_reach_the_daemon(toy: ToyDaemon, start_ctl: Ctl) -> None:
    asked: list[list[Any]] = []

    def sync(_: str, args: list[Any]) -> list[Any]:
        asked.append(args)
        return [[toy.show_job(1, State="done")]]

    toy.on["Sync"] = sync
    said = await ended(
        await start_ctl("sync", "--seed", "/dev/sdb1", "--bundle", "tiny", "--dry-run", "--replace-foreign", "--json")
    )
    assert said.status == 0
    assert asked == [["/dev/sdb1", "tiny", {"dry-run": True, "replace-foreign": True}]]
    assert document(said.out)["jobs"][0]["bytesTotal"] == 2000


async def test_watch_forever_outlives_the_job_and_the_daemon(toy: ToyDaemon, start_ctl: Ctl, connect: Connect) -> None:
    process = await start_ctl("watch", "--forever")
    await first_line(process)
    toy.end_job(toy.show_job(1), "done")
    await line_with("tiny: done", process)
    await toy.connection.close()
    successor = await connect()
    await successor.request_name(BUS_NAME)
    ToyDaemon(successor).show_job(1)
    await line_with("tiny: copying", process)
    process.send_signal(signal.SIGINT)
    assert (await ended(process)).status == 130


async def test_watch_says_what_became_of_a_stick_that_makes_no_job(toy: ToyDaemon, start_ctl: Ctl) -> None:
    process = await start_ctl("watch")
    assert "waiting for a stick" in await first_line(process)
    toy.tree.update(ROOT_PATH, MANAGER_INTERFACE, {"Status": "1 bundle refused; the stick may be pulled out"})
    assert await first_line(process) == "1 bundle refused; the stick may be pulled out\n"


async def test_watch_once_does_not_wait(toy: ToyDaemon, start_ctl: Ctl) -> None:
    toy.show_job(1, State="failed")
    said = await ended(await start_ctl("watch", "--once"))
    assert (said.status, said.out) == (0, "no bundles installed, waiting for a stick labelled DUB-SEED\n")


async def test_ctrl_c_ends_the_command_and_not_its_job(toy: ToyDaemon, start_ctl: Ctl) -> None:
    toy.on["Sync"] = lambda path, args: [[toy.show_job(1)]]
    process = await start_ctl("sync")
    await first_line(process)
    process.send_signal(signal.SIGINT)
    said = await ended(process)
    assert said.status == 130
    assert said.err == "dubseedctl: jobs that were queued go on; dubseedctl cancel ends them\n"


async def test_who_may_not_is_told_so_with_4(toy: ToyDaemon, start_ctl: Ctl) -> None:
    def refuse(_: str, args: list[Any]) -> list[Any]:
        raise CallFailed("org.dubnium.Seed1.Error.NotAuthorized", "you are not allowed to eject; ask as root")

    toy.show_seed()
    toy.on["Eject"] = refuse
    said = await ended(await start_ctl("eject"))
    assert said == (4, "", "dubseedctl: you are not allowed to eject; ask as root\n")


async def test_a_rollback_is_followed_to_its_end(toy: ToyDaemon, start_ctl: Ctl) -> None:
    toy.on["Rollback"] = lambda path, args: [toy.show_job(1, State="done", Kind="rollback")]
    said = await ended(await start_ctl("rollback", "tiny"))
    assert (said.status, toy.calls[-1].body) == (0, ["tiny", {}])
    assert said.out.startswith("tiny is rolled back; restart its server")


async def test_a_removal_asks_nobody_where_nobody_is(toy: ToyDaemon, start_ctl: Ctl) -> None:
    toy.on["Remove"] = lambda path, args: []
    said = await ended(await start_ctl("remove", "tiny"))
    assert (said.status, said.out, toy.calls[-1].body) == (0, "tiny is removed\n", ["tiny", {}])


@pytest.mark.parametrize(("answer", "status"), [("y", 0), ("", 1), ("no", 1)])
async def test_a_removal_asks_the_person_at_the_terminal(
    toy: ToyDaemon, start_ctl: Ctl, terminal: Terminal, answer: str, status: int
) -> None:
    toy.on["Remove"] = lambda path, args: []
    process = await start_ctl("remove", "tiny", stdin=terminal.end, stdout=terminal.end, stderr=terminal.end)
    await terminal.until("remove tiny from the store, and its previous version? [y/N]")
    terminal.type(f"{answer}\n")
    assert (await ended(process)).status == status
    assert bool(toy.calls) == (status == 0)


async def test_ctrl_c_at_the_question_removes_nothing(toy: ToyDaemon, start_ctl: Ctl, terminal: Terminal) -> None:
    process = await start_ctl("remove", "tiny", stdin=terminal.end, stdout=terminal.end, stderr=terminal.end)
    await terminal.until("[y/N]")
    process.send_signal(signal.SIGINT)
    assert (await ended(process)).status == 130
    assert toy.calls == []


EVENTS = [
    {"time": 1_700_000_000_000_000 + number, "message": f"event {number}", "dubseed_bundle": name, "priority": 5}
    for number, name in enumerate(("tiny", "other", "tiny"))
][::-1]


async def test_the_history_ends_with_the_newest(toy: ToyDaemon, start_ctl: Ctl) -> None:
    def told(_: str, args: list[Any]) -> list[Any]:
        variants = {int: "x", str: "s"}
        return [[{key: Variant(variants[type(value)], value) for key, value in one.items()} for one in EVENTS]]

    toy.on["GetHistory"] = told
    said = await ended(await start_ctl("history", "--bundle", "tiny", "-n", "2"))
    assert [line.rpartition("  ")[2] for line in said.out.splitlines()] == ["event 0", "event 2"]
    said = await ended(await start_ctl("history", "--json"))
    assert [event["message"] for event in document(said.out)["events"]] == ["event 2", "event 1", "event 0"]
    assert toy.calls[-1].body == [20]


async def test_without_a_daemon_every_command_that_needs_it_ends_with_3(start_ctl: Ctl) -> None:
    for command in (
        "status",
        "watch",
        "list",
        "sync",
        "verify",
        "rollback x",
        "remove x",
        "cancel",
        "eject",
        "history",
    ):
        said = await ended(await start_ctl(*command.split()))
        assert said == (3, "", "dubseedctl: dubseedd is not running; start it: systemctl start dubseedd\n"), command


async def test_a_history_with_nothing_in_it_says_so(toy: ToyDaemon, start_ctl: Ctl) -> None:
    toy.on["GetHistory"] = lambda path, args: [[]]
    said = await ended(await start_ctl("history", "--bundle", "tiny"))
    assert said == (0, "nothing has happened yet to tiny\n", "")


@pytest.mark.parametrize(
    ("no_color", "term", "coloured"), [("", "xterm", True), ("1", "xterm", False), ("", "dumb", False)]
)
async def test_the_status_has_colours_for_a_terminal_whose_user_wants_them(
    toy: ToyDaemon, start_ctl: Ctl, terminal: Terminal, no_color: str, term: str, coloured: bool
) -> None:
    said = await ended(await start_ctl("status", stdout=terminal.end, NO_COLOR=no_color, TERM=term))
    assert said.status == 0
    text = await terminal.until("plug in a stick with a bundle on it\r\n")
    assert ("\033[1mNext:\033[0m" in text, "\033" in text) == (coloured, coloured)
