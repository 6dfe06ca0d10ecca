"""What is printed follows from what is shown to it."""

import json
import re
from dataclasses import replace

import pytest

from dubseedd.cli import show, text
from dubseedd.cli.document import document
from dubseedd.cli.views import NO_ERROR, BundleView, Error, JobView, ManagerView, Offered, Progress, SeedView, State

MANAGER = ManagerView("0.1.0", "idle", "all is well", NO_ERROR, True, "/store", "integrity")
SEED = SeedView(
    "/s", "u", "DUB-SEED", "/dev/sdb1", "exfat", 31 << 30, "ACME Stick", "", "done", True,
    (Offered("tiny", 1 << 30, "d", "current"), Offered("bad", 5, "d", "org.dubnium.Seed1.Error.UnsafeModel")), NO_ERROR,
)  # fmt: skip
JOB = JobView("/j/1", 1, "sync", "tiny", "copying", 1 << 30, 1 << 29, 0, 9, 3, "a", 1 << 20, 0, Progress(40, "s", 1))
BUNDLE = BundleView(
    "tiny", "/store/tiny", 1 << 30, 9, "m", "safetensors", "installed", 1, 1, "u", "", "", False, NO_ERROR
)
EMPTY = State(MANAGER, (), (), ())


def test_the_table_of_bundles_says_where_each_is_from() -> None:
    fat, ext4 = (
        replace(BUNDLE, seed_uuid="1234-ABCD"),
        replace(BUNDLE, seed_uuid="df17b62e-0000-4000-8000-000000000000"),
    )
    foreign = replace(BUNDLE, state="foreign", installed_at=0, verified_at=0, seed_uuid="")
    rows = [line.split() for line in show.bundles([fat, ext4, foreign]).splitlines()]
    assert rows[0] == ["NAME", "STATE", "SIZE", "VERIFIED", "FROM"]
    assert [row[-1] for row in rows[1:]] == ["1234-ABCD", "df17b62e…", "-"]
    assert rows[3][-2] == "-"


def test_a_sentence_that_the_status_tells_is_not_told_again_by_its_job() -> None:
    error = Error("org.dubnium.Seed1.Error.NoSpace", "the store is full")
    other = ("org.dubnium.Seed1.Error.SeedGone", "it was pulled")
    jobs = (replace(JOB, state="failed", error=error), replace(JOB, id=2, state="failed", error=other))
    manager = replace(MANAGER, state="failed", status="tiny failed: the store is full")
    text = show.status(replace(EMPTY, manager=manager, jobs=jobs))
    assert text.count("the store is full") == 1
    assert "NoSpace" in text
    assert "it was pulled" in text


def test_what_could_speak_to_a_terminal_is_escaped_at_any_depth_and_nothing_else() -> None:
    seed = replace(SEED, bundles=(Offered("\x1b[2J", 1, "", "new"),), drive="ACME\n\u202eStück")
    assert text.printable(seed).bundles == (("\\x1b[2J", 1, "", "new"),)
    assert text.printable(seed).drive == "ACME\\n\\u202eStück"
    assert text.printable(SEED) == SEED
    assert show.line(replace(JOB, state="failed", error=Error("n", "\x1b[2J"))) == "tiny: failed: \\x1b[2J"


@pytest.mark.parametrize(
    ("state", "step"),
    [
        (EMPTY, "plug in a stick with a bundle on it"),
        (replace(EMPTY, seeds=(replace(SEED, state="scanning"),)), "wait; the stick is being looked at"),
        (
            replace(EMPTY, bundles=(replace(BUNDLE, state="damaged"),)),
            "plug in a stick with tiny, that mends it; if it is in: dubseedctl sync --bundle tiny",
        ),
        (
            replace(EMPTY, manager=replace(MANAGER, state="failed"), seeds=(replace(SEED, bundles=()),)),
            "mend what the last job failed of, then dubseedctl sync; what happened: dubseedctl history",
        ),
        (replace(EMPTY, bundles=(BUNDLE,)), "nothing to do"),
        (replace(EMPTY, jobs=(JOB,)), "wait; dubseedctl watch shows how it goes on"),
        (
            replace(EMPTY, jobs=(replace(JOB, state="interrupted"),)),
            "plug the stick in again; the job goes on by itself",
        ),
        (replace(EMPTY, seeds=(replace(SEED, bundles=()),)), "nothing to do; you may pull the stick"),
        (
            replace(EMPTY, seeds=(replace(SEED, bundles=(Offered("llama", 1, "d", "staged"),)),)),
            "to install llama while the stick is in: dubseedctl sync --bundle llama",
        ),
        (replace(EMPTY, seeds=(SEED,)), "see why it was refused: dubseedctl history"),
        (
            replace(EMPTY, seeds=(replace(SEED, bundles=(), safe_to_remove=False, mount_point="/media/x"),)),
            "unmount DUB-SEED (/dev/sdb1) before you pull it out: umount /media/x",
        ),
        (
            replace(EMPTY, seeds=(replace(SEED, safe_to_remove=False, mount_point="/media/x"),)),
            "see why it was refused: dubseedctl history",
        ),
    ],
)
def test_status_ends_with_the_next_step(state: State, step: str) -> None:
    assert show.status(state).endswith(f"Next: {step}")


def test_status_shows_every_verdict_by_its_short_name() -> None:
    text = show.status(replace(EMPTY, seeds=(SEED,), bundles=(BUNDLE,)))
    assert "ACME Stick" in text
    assert "refused: UnsafeModel\n" in text
    assert "org.dubnium" not in text


def test_in_sixty_columns_the_names_give_way() -> None:
    long = "a-model-with-a-very-long-name-70b-instruct-q4"
    offered = Offered(long, 1 << 30, "d", "new")
    state = replace(
        EMPTY,
        seeds=(replace(SEED, bundles=(offered,)),),
        jobs=(replace(JOB, bundle=long, bytes_total=4000, bytes_done=1600),),
        bundles=(replace(BUNDLE, name=long),),
    )
    rows = [line for line in show.status(state, width=60).splitlines() if "a-model-w" in line]
    assert len(rows) == 3
    assert max(map(len, rows)) <= 60


def test_colours_change_nothing_but_the_colours() -> None:
    state = replace(EMPTY, seeds=(replace(SEED, error=Error("n", "because")),), bundles=(BUNDLE,))
    coloured = show.status(state, paint=text.in_colour)
    assert re.sub("\033\\[[0-9]+m", "", coloured) == show.status(state)
    for words, colour in (("idle", 32), ("current", 32), ("refused: UnsafeModel", 31), ("because", 31), ("Next:", 1)):
        assert f"\033[{colour}m{words}\033[0m" in coloured


def test_json_has_its_version_its_command_and_camel_case_keys() -> None:
    told = json.loads(document("list", bundles=[BUNDLE]))
    assert (told["schemaVersion"], told["command"]) == (1, "seed list")
    assert told["bundles"][0]["manifestSha256"] == "m"
    assert told["bundles"][0]["installedAt"] == 1


def test_structs_are_objects_in_json_and_no_error_is_null() -> None:
    refused = replace(SEED, error=Error("n", "because"))
    told = json.loads(document("status", seeds=[refused], jobs=[JOB]))
    assert told["seeds"][0]["bundles"][0] == {
        "name": "tiny", "size": 1 << 30, "manifestSha256": "d", "verdict": "current",
    }  # fmt: skip
    assert told["seeds"][0]["error"] == {"name": "n", "message": "because"}
    assert told["jobs"][0]["progress"] == {"percentage": 40, "message": "s", "depth": 1}
    assert told["jobs"][0]["error"] is None


def test_a_line_on_a_job_says_how_far_it_is_or_why_it_ended() -> None:
    assert show.line(JOB) == "tiny: copying, 40 %, 512 MiB of 1.00 GiB, 1.00 MiB/s"
    assert show.line(replace(JOB, state="failed", error=Error("n", "because"))) == "tiny: failed: because"
    there = replace(JOB, state="done", bytes_total=0, bytes_done=0, bytes_skipped=1 << 20)
    assert show.line(there) == "tiny: done, 1.00 MiB were there already"
    cancelled = replace(JOB, state="cancelled", error=Error("n", "cancelled; what was verified is kept"))
    assert show.line(cancelled) == "tiny: cancelled; what was verified is kept"
    assert show.line(replace(JOB, state="queued", bytes_total=0, bytes_done=0, rate=0)) == "tiny: queued"


def test_a_sentence_is_wrapped_between_words_and_never_cut_short() -> None:
    sentence = (
        "x.safetensors is a pointer of Git LFS, not the weights; run git lfs pull in the clone, then copy it anew"
    )
    failed = replace(JOB, state="failed", error=Error("org.dubnium.Seed1.Error.ModelIncomplete", sentence))
    text = show.status(replace(EMPTY, jobs=(failed,)), width=60)
    row, *below = text.partition("Jobs:\n")[2].partition("\n\n")[0].splitlines()
    assert row.endswith("ModelIncomplete")
    assert " ".join(" ".join(below).split()) == sentence
    assert max(map(len, text.splitlines())) <= 60
    told = show.events([{"time": 1, "message": f"tiny: {sentence}"}], width=60)
    assert " ".join(told.split()).endswith(f"tiny: {sentence}")
    assert max(map(len, told.splitlines())) <= 60


def test_of_jobs_that_ended_long_ago_the_status_has_the_number_alone() -> None:
    over = tuple(replace(JOB, id=number, bundle=f"b-{number}", state="done") for number in range(1, 10))
    waits = replace(JOB, id=10, bundle="pulled", state="interrupted")
    text = show.status(replace(EMPTY, jobs=(*over, waits, replace(JOB, id=11, bundle="now"))))
    assert [name for name in ("b-3", "b-4", "b-9", "pulled", "now") if name in text] == ["b-4", "b-9", "pulled", "now"]
    assert "3 that ended before: dubseedctl history" in text


def test_a_row_of_jobs_is_one_line_in_sixty_columns() -> None:
    much = replace(JOB, bundle="a-model-with-a-long-name", state="done", bytes_skipped=5 << 30)
    text = show.status(replace(EMPTY, jobs=(much,)), width=60)
    assert [len(line) for line in text.splitlines() if "a-model-" in line] == [60]
