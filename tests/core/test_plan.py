"""Where each file comes from, in which order, and what a bundle means for the store."""

from dataclasses import replace

import pytest

from dubseedd.core.bundle import BundleFile
from dubseedd.core.plan import Origin, Verdict, judge, make_plan
from dubseedd.core.receipt import FileRecord, Receipt

BIG = BundleFile("big.safetensors", 10_000_000, "b" * 64)
SMALL = BundleFile("config.json", 10, "c" * 64)
TWIN = BundleFile("tokenizer.json", 500, "d" * 64)

RECEIPT = Receipt(
    name="tiny",
    manifest=FileRecord("SHA256SUMS", 1, "m" * 64, "", 1, 1),
    files=(FileRecord("config.json", 10, "c" * 64, "", 1, 2),),
    folder=(3, 4),
    format="safetensors",
    installed_at=1,
    verified_at=1,
)


def test_what_rules_look_into_goes_first_then_small_files_folder_by_folder_then_large_ones_by_size() -> None:
    sizes = {"b/x": 500, "a/y": 600, "a.bin": 700, "model.safetensors.index.json": 800}
    others = [BundleFile(path, size, "d" * 64) for path, size in sizes.items()]
    larger = BundleFile("a large one", 20_000_000, "e" * 64)
    plan = make_plan([larger, BIG, *others, SMALL], (), {})
    assert [step.file.path for step in plan.steps] == [
        "config.json", "model.safetensors.index.json", "a.bin", "a/y", "b/x", "big.safetensors", "a large one",
    ]  # fmt: skip


@pytest.mark.parametrize(("size", "small"), [(0, True), (4 << 20, True), ((4 << 20) + 1, False)])
def test_up_to_4_mib_a_file_is_small(size: int, small: bool) -> None:
    (step,) = make_plan([BundleFile("a", size, "a" * 64)], (), {}).steps
    assert step.small is small


def test_what_a_part_of_a_file_occupies_is_not_needed_again() -> None:
    assert make_plan([BIG], (), {}, {BIG.path: 11_000_000}).bytes_needed == 0
    assert make_plan([BIG], (), {}, {BIG.path: 2_432 + 4096}).bytes_needed == 10_000_000 - 4096
    assert make_plan([BIG], (), {BIG.sha256: "other/big"}, {BIG.path: 2_432 + 4096}).bytes_needed == 10_000_000 - 4096


def test_what_is_staged_stays_what_the_store_has_is_copied_there_the_rest_is_read() -> None:
    plan = make_plan([BIG, SMALL, TWIN], {"config.json"}, {"d" * 64: "other/tokenizer.json"})
    assert [(step.origin, step.twin) for step in plan.steps] == [
        (Origin.STAGED, ""),
        (Origin.STORE, "other/tokenizer.json"),
        (Origin.SEED, ""),
    ]
    assert plan.bytes_total == 10_000_000
    assert plan.bytes_skipped == 510
    assert plan.bytes_needed == 10_002_432 + 4096


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"receipt": None, "untouched": False, "occupied": False, "staged": False}, Verdict.NEW),
        ({"receipt": None, "untouched": False, "occupied": False, "staged": True}, Verdict.STAGED),
        ({"receipt": None, "untouched": False, "occupied": True, "staged": False}, Verdict.FOREIGN),
        ({"receipt": RECEIPT, "untouched": True, "occupied": True, "staged": False}, Verdict.CURRENT),
        ({"receipt": RECEIPT, "untouched": False, "occupied": True, "staged": False}, Verdict.UPDATE),
        (
            {"receipt": replace(RECEIPT, damage=("e", "s")), "untouched": True, "occupied": True, "staged": False},
            Verdict.UPDATE,
        ),
    ],
)
def test_the_verdict_follows_from_the_facts(facts: dict[str, object], expected: Verdict) -> None:
    assert judge("m" * 64, **facts) is expected  # type: ignore[arg-type]


def test_another_manifest_is_an_update_and_the_version_rolled_back_from_is_never_called_staged() -> None:
    facts = {"untouched": False, "occupied": True, "staged": True}
    assert judge("n" * 64, receipt=RECEIPT, **facts) is Verdict.STAGED  # type: ignore[arg-type]
    held = replace(RECEIPT, held_back="n" * 64)
    assert judge("n" * 64, receipt=held, **facts) is Verdict.UPDATE  # type: ignore[arg-type]
