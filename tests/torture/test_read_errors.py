"""R7: the stick fails to be read, at every single read, or the store does."""

import os
import re
from pathlib import Path

from tests.torture.faults import FailAt, Watching
from tests.torture.figures import Row
from tests.torture.invariants import assert_invariants
from tests.torture.nursery import Ended
from tests.torture.scene import Scene, calls_of_an_update
from tests.torture.tracer import READING
from tests.torture.versions import NAME, NEW

CONTENT = frozenset(path for path, data in NEW.files.items() if data)
OPENING = frozenset({"openat"})


def test_a_read_error_anywhere_on_the_stick_is_told_with_file_and_offset(scene: Scene) -> None:
    sticks = str(scene.sticks)
    total = calls_of_an_update(scene, Watching(sticks, READING))
    with Row("R7", "EIO at a read of the stick") as row:
        for n, (before, after) in zip(range(1, total + 1), scene.updates(), strict=False):
            with row.point(f"read {n} of {total}"):
                ended = scene.sync(after, FailAt(sticks, READING, n=n))
                assert ended.plan.hit, f"read {n} never came"
                assert_refused_by_name(ended, scene.sticks / after.name)
                assert_invariants(scene, ended, before=before, after=after)


def assert_refused_by_name(ended: Ended[FailAt], seed: Path) -> None:
    """One sentence that names what cannot be read, and of a file's content the byte."""
    assert ended.status == 1
    assert not ended.acknowledged(NAME)
    assert ended.plan.hit is not None
    name, path = ended.plan.hit
    assert "Input/output error" in ended.errors, ended.errors
    inner = Path(os.path.normpath(path)).relative_to(seed)
    if name == "getdents64":
        told = NAME if inner.name != "models" else "the folder of bundles"
    else:
        told = str(inner.relative_to(f"models/{NAME}"))
    assert told in ended.errors, f"{told} is not named: {ended.errors}"
    if name != "getdents64" and told in CONTENT:
        assert re.search(r"at byte \d+\b", ended.errors), ended.errors


def test_what_cannot_be_opened_on_the_stick_is_one_sentence(scene: Scene) -> None:
    """A folder is told by its bundle or by the seed."""
    sticks = str(scene.sticks)
    total = calls_of_an_update(scene, Watching(sticks, OPENING))
    with Row("R7", "EIO at an open on the stick") as row:
        for n, (before, after) in zip(range(1, total + 1), scene.updates(), strict=False):
            with row.point(f"open {n} of {total}"):
                ended = scene.sync(after, FailAt(sticks, OPENING, n=n))
                assert ended.plan.hit, f"open {n} never came"
                names = (Path(ended.plan.hit[1]).name, NAME, after.name, "models")
                assert ended.status == 1
                assert re.fullmatch(r"dubseedctl: .*[Ii]nput/output error.*\n", ended.errors), ended.errors
                assert any(name in ended.errors for name in names), ended.errors
                assert_invariants(scene, ended, before=before, after=after)


def test_a_read_error_anywhere_in_the_store_is_told_of_the_store_and_harms_nothing(scene: Scene) -> None:
    """A receipt that cannot be read now makes no bundle of ours a stranger's."""
    store = str(scene.store)
    total = calls_of_an_update(scene, Watching(store, READING | OPENING))
    with Row("R7", "EIO at a read or open in the store") as row:
        for n, (before, after) in zip(range(1, total + 1), scene.updates(), strict=False):
            with row.point(f"call {n} of {total}"):
                ended = scene.sync(after, FailAt(store, READING | OPENING, n=n))
                assert ended.plan.hit, f"call {n} never came"
                assert ended.status in (0, 1), ended.errors
                assert "where the output goes" not in ended.errors, f"{ended.plan.hit}: {ended.errors}"
                assert ended.acknowledged(NAME) or "dubseedctl: " in ended.errors, f"{ended.plan.hit}: nothing is said"
                assert_invariants(scene, ended, before=before, after=after)
