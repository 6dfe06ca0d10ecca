"""What is printed follows from what is shown to it."""

import json
from dataclasses import replace

import pytest

from dubseedd.cli import show
from dubseedd.cli.client import BundleView, JobView, ManagerView, SeedView, State

MANAGER = ManagerView("0.1.0", "idle", "all is well", ("", ""), True, "/store", "integrity")
SEED = SeedView(
    "/s", "u", "DUB-SEED", "/dev/sdb1", "exfat", 31 << 30, "ACME Stick", "", "done", True,
    (("tiny", 1 << 30, "d", "current"), ("bad", 5, "d", "org.dubnium.Seed1.Error.UnsafeModel")), ("", ""),
)  # fmt: skip
JOB = JobView("/j/1", 1, "sync", "tiny", "copying", 1 << 30, 1 << 29, 0, 9, 3, "a", 1 << 20, 0, (40, "s", 1), ("", ""))
BUNDLE = BundleView("tiny", "/store/tiny", 1 << 30, 9, "m", "safetensors", "installed", 1, 1, "u", ("", ""))
EMPTY = State(MANAGER, (), (), ())


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "0.98 KiB"), (1024, "1.00 KiB"), (10 << 20, "10.0 MiB"), (200 << 30, "200 GiB"),
     (5 << 50, "5120 TiB")],
)  # fmt: skip
def test_sizes_have_three_digits_and_a_binary_unit(count: int, text: str) -> None:
    assert show.size(count) == text


def test_columns_are_aligned_and_have_no_trailing_blanks() -> None:
    assert show.columns([("a", "bb", "c"), ("aaa", "b", "")]) == "a    bb  c\naaa  b"


@pytest.mark.parametrize(
    ("state", "step"),
    [
        (EMPTY, "plug in a stick with model bundles"),
        (replace(EMPTY, bundles=(BUNDLE,)), "nothing to do"),
        (replace(EMPTY, jobs=(JOB,)), "wait; dubseedctl watch shows how it goes on"),
        (
            replace(EMPTY, jobs=(replace(JOB, state="interrupted"),)),
            "plug the stick in again; the job goes on by itself",
        ),
        (replace(EMPTY, seeds=(replace(SEED, bundles=()),)), "nothing to do; you may pull the stick"),
        (replace(EMPTY, seeds=(SEED,)), "look at what was refused: journalctl -u dubseedd -p warning"),
        (
            replace(EMPTY, seeds=(replace(SEED, mount_point="/media/x"),)),
            "unmount /media/x before you pull the stick: umount /media/x",
        ),
    ],
)
def test_status_ends_with_the_next_step(state: State, step: str) -> None:
    assert show.status(state).endswith(f"Next: {step}")


def test_status_shows_every_verdict_by_its_short_name() -> None:
    text = show.status(replace(EMPTY, seeds=(SEED,), bundles=(BUNDLE,)))
    assert "ACME Stick" in text
    assert "UnsafeModel" in text
    assert "org.dubnium" not in text


def test_json_has_its_version_its_command_and_camel_case_keys() -> None:
    told = json.loads(show.document("list", bundles=[show.plain(BUNDLE)]))
    assert (told["schemaVersion"], told["command"]) == (1, "seed list")
    assert told["bundles"][0]["manifestSha256"] == "m"
    assert told["bundles"][0]["installedAt"] == 1


def test_a_line_on_a_job_says_how_far_it_is_or_why_it_ended() -> None:
    assert show.line(JOB) == "tiny: copying, 40 %, 512 MiB of 1.00 GiB, 1.00 MiB/s"
    assert show.line(replace(JOB, state="failed", error=("n", "because"))) == "tiny: failed: because"
