"""What is told on a desktop, in words: when the stick may be pulled out, how far a job is, what came of it."""

import time
from dataclasses import replace

import pytest

from dubseedd.cli.views import NO_ERROR, STOPPED, Error, JobView, Offered, Progress, SeedView
from dubseedd.desktop.notices import REFUSED_MOST, Button, Mood, Notice, notices, of_job, of_seed, story
from dubseedd.names import Field

SEED = SeedView(
    "/s", "u", "DUB-SEED", "/dev/sdb1", "exfat", 31 << 30, "ACME Stick", "", "done", True,
    (Offered("tiny", 1 << 30, "d", "new"),), NO_ERROR,
)  # fmt: skip
JOB = JobView("/j", 1, "sync", "tiny", "copying", 1 << 30, 1 << 29, progress=Progress(40, "s", 1), seed="/s")
REFUSAL = "org.dubnium.Seed1.Error.ManifestInvalid"


def test_a_stick_that_is_being_looked_at_says_so_at_once() -> None:
    assert of_seed(replace(SEED, state="mounting")) == Notice(
        "DUB-SEED (ACME Stick)", "Looking at what is on it", Mood.GOING
    )


def test_a_stick_at_work_is_to_be_left_in_and_can_be_ejected() -> None:
    notice = of_seed(replace(SEED, state="working", safe_to_remove=False))
    assert (notice.mood, notice.buttons) == (Mood.GOING, (Button.EJECT,))
    assert notice.body.startswith("Leave it in")


def test_a_job_that_is_queued_is_counted_on_its_stick_and_has_no_notice_of_its_own() -> None:
    jobs = tuple(replace(JOB, path=f"/{number}", state="queued") for number in range(60))
    told = notices(replace(STOPPED, seeds=(replace(SEED, state="working", safe_to_remove=False),), jobs=jobs))
    assert told.pop("/s").body.splitlines()[1:] == ["Bundles in the queue: 60"]
    assert all(notice.quiet for notice in told.values())
    assert not of_job(JOB, SEED).quiet


def test_a_stick_that_may_be_pulled_out_needs_no_button() -> None:
    assert of_seed(SEED) == Notice("DUB-SEED (ACME Stick)", "It may be pulled out", Mood.WELL)
    assert of_seed(SEED).buttons == ()


def test_a_stick_that_somebody_has_mounted_says_where() -> None:
    notice = of_seed(replace(SEED, safe_to_remove=False, mount_point="/media/op/DUB-SEED"))
    assert notice.body == "Unmount it before you pull it out: umount /media/op/DUB-SEED"


def test_what_is_refused_is_named_and_the_rest_counted() -> None:
    many = tuple(Offered(f"bad-{number}", 0, "", REFUSAL) for number in range(REFUSED_MOST + 2))
    notice = of_seed(replace(SEED, bundles=(*SEED.bundles, *many)))
    assert (notice.mood, notice.buttons) == (Mood.WRONG, (Button.DETAILS,))
    assert notice.body.splitlines()[1:] == [
        *(f"bad-{number} is refused: ManifestInvalid" for number in range(REFUSED_MOST)), "and 2 more are refused"
    ]  # fmt: skip


def test_a_stick_that_cannot_be_used_says_why_and_when_it_may_be_pulled_out() -> None:
    failed = replace(SEED, state="failed", error=Error("E", "it cannot be mounted; format it"))
    free = of_seed(failed)
    assert free == Notice("DUB-SEED (ACME Stick)", "It may be pulled out\nit cannot be mounted; format it", Mood.WRONG)
    assert free.buttons == (Button.DETAILS,)
    held = of_seed(replace(failed, safe_to_remove=False))
    assert held.body.startswith("Eject it before you pull it out\n")
    assert held.buttons == (Button.EJECT, Button.DETAILS)


def test_a_job_says_how_far_it_is_and_how_long_it_takes() -> None:
    end = round((time.time() + 3600.4) * 1_000_000)
    notice = of_job(replace(JOB, expected_end_time=end), SEED)
    assert notice == Notice("Syncing tiny", "copying, 512 MiB of 1.00 GiB, 1:00:00 left", Mood.GOING, percent=40)


@pytest.mark.parametrize(
    ("state", "kind", "summary", "body", "mood"),
    [
        ("queued", "sync", "tiny has its turn soon", "s", Mood.GOING),
        ("waiting", "sync", "tiny waits", "s", Mood.GOING),
        ("publishing", "rollback", "Rolling tiny back", "publishing, 512 MiB of 1.00 GiB", Mood.GOING),
        ("done", "sync", "s", "512 MiB of 1.00 GiB", Mood.WELL),
        ("failed", "sync", "tiny has failed", "why", Mood.WRONG),
        ("interrupted", "sync", "tiny is interrupted", "why", Mood.WRONG),
        ("cancelled", "sync", "tiny is cancelled", "What was verified is kept", Mood.WELL),
    ],
)
def test_every_state_of_a_job_has_its_words(state: str, kind: str, summary: str, body: str, mood: Mood) -> None:
    error = Error("E", "why") if mood is Mood.WRONG else NO_ERROR
    notice = of_job(replace(JOB, state=state, kind=kind, error=error), None)
    assert (notice.summary, notice.body, notice.mood) == (summary, body, mood)


def test_a_job_that_has_published_nothing_says_what_is_left_to_do() -> None:
    told = Progress(100, "tiny is copied, not published; while the stick is in: dubseedctl sync --bundle tiny", 1)
    notice = of_job(replace(JOB, state="done", progress=told), SEED)
    assert notice.summary == "tiny is copied, not published"
    assert notice.body == "while the stick is in: dubseedctl sync --bundle tiny"


def test_a_job_that_the_daemon_has_forgotten_says_how_it_has_ended() -> None:
    forgotten = JobView("/j", 1, "", "tiny", "failed", error=Error("E", "why"))
    told = notices(replace(STOPPED, jobs=(forgotten, replace(forgotten, path="/k", state="done", error=NO_ERROR))))
    assert (told["/j"].summary, told["/j"].body) == ("tiny has failed", "why")
    assert told["/k"].summary == "tiny is done"


@pytest.mark.parametrize("state", ["done", "failed", "interrupted"])
def test_the_stick_of_a_job_can_be_ejected_as_long_as_it_is_there(state: str) -> None:
    ended = replace(JOB, state=state)
    there = notices(replace(STOPPED, seeds=(SEED,), jobs=(ended,)))["/j"]
    gone = notices(replace(STOPPED, jobs=(ended,)))["/j"]
    assert Button.EJECT in there.buttons
    assert (there.about.seed, there.about.label) == ("/s", "DUB-SEED")
    assert Button.EJECT not in gone.buttons
    assert there == gone, "it is not shown anew because the stick is pulled"


def test_names_cannot_speak_in_other_colours() -> None:
    told = notices(replace(STOPPED, jobs=(replace(JOB, bundle="a\x1b[2J\nb"),)))
    assert told["/j"].summary == "Syncing a\\x1b[2J\\nb"


def test_the_story_ends_where_the_daemon_was_started() -> None:
    """Before that, numbers of jobs were those of others."""
    of_it = {"dubseed_job": 1}
    started = {"time": 2, "message": "-", "dubseed_event": "started"}
    events = [{"time": 3, "message": "new", **of_it}, started, {"time": 1, "message": "old", **of_it}]
    assert story({Field.JOB: 1}, events).body.splitlines() == ["new", "More: journalctl -x DUBSEED_JOB=1"]
    assert story({Field.JOB: 1}, events, until=1.5).body.splitlines() == ["old", "More: journalctl -x DUBSEED_JOB=1"]


def test_a_story_of_which_nothing_is_known_says_so() -> None:
    events = [
        {"time": 1, "message": "of another stick at this device", "dubseed_seed": "v", "dubseed_device": "/dev/sdb1"}
    ]
    assert story(of_seed(SEED).about.fields, events).body.splitlines() == [
        "dubseedd has nothing to tell of it any more", "More: journalctl -x DUBSEED_SEED=u DUBSEED_DEVICE=/dev/sdb1"
    ]  # fmt: skip
