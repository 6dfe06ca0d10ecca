"""Making a bundle on a stick that fails, and of models that are special."""

import json
import os
import struct
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from dubseedd.core.lifecycle import JobState
from dubseedd.core.manifest import MAX_DEPTH, parse
from dubseedd.core.selection import Wish
from dubseedd.engine import copying
from dubseedd.engine.durable import FOLDER, opened
from dubseedd.engine.finding import open_source
from dubseedd.engine.making import Made, Making
from dubseedd.engine.meter import Meter
from dubseedd.engine.order import Order
from dubseedd.engine.preparing import prepare
from dubseedd.engine.stop import StopFlag
from dubseedd.engine.workshop import Workshop
from dubseedd.errors import Cancelled, Failure
from dubseedd.names import ErrorName
from tests.support.bundles import contents, model_files, write_files

FILES = model_files(shards=2, shard_bytes=5_000_000)
SHARD = "model-00001-of-00002.safetensors"
NEW = ".dubseed-making/new/tiny"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_files(tmp_path / "tiny", FILES)
    return tmp_path / "tiny"


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    (tmp_path / "seed").mkdir()
    return tmp_path / "seed"


def make(
    model: Path,
    seed: Path,
    *,
    meanwhile: Callable[[JobState], None] = lambda _: None,
    filesystem: str = "ext4",
    stop: StopFlag | None = None,
    meter: Meter | None = None,
) -> Made:
    """`meanwhile` happens as each phase begins."""
    with ExitStack() as undo:
        source = undo.enter_context(open_source(str(model), "", ""))
        draft = prepare(source, "tiny", Wish())
        order = Order("tiny", source, draft, "", "2026-01-31T12:00:00Z", "a test", filesystem)
        root = undo.enter_context(opened(str(seed), FOLDER))
        shop = undo.enter_context(Workshop(root, "models"))
        return Making(shop, order, meter or Meter(on_phase=meanwhile), stop or StopFlag()).run()


def damage(path: Path) -> None:
    """Change a byte in the middle, on the disk."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
        file.flush()
        os.fsync(file.fileno())


@pytest.mark.parametrize("path", [SHARD, "config.json", "SHA256SUMS", "dubnium-bundle.json"])
def test_a_stick_that_does_not_keep_what_it_took_is_found_out(model: Path, seed: Path, path: str) -> None:
    make(model, seed)
    former = contents(seed)
    write_files(model, model_files(shards=2, shard_bytes=5_000_000, seed=b"2"))

    def meanwhile(phase: JobState) -> None:
        if phase is JobState.VERIFYING:
            damage(seed / NEW / path)

    with pytest.raises(Failure) as caught:
        make(model, seed, meanwhile=meanwhile)
    assert caught.value.error is ErrorName.CHECKSUM_MISMATCH
    assert caught.value.sentence.startswith(f"{path} was written well and reads back differently")
    assert contents(seed) == former


def test_what_stays_is_read_back_after_what_is_new_was_written(model: Path, seed: Path) -> None:
    """A stick that lies about its size writes over what it has."""
    make(model, seed)
    write_files(model, {"config.json": b'{"model_type": "newer"}'})

    def meanwhile(phase: JobState) -> None:
        if phase is JobState.VERIFYING:
            damage(seed / "models/tiny" / SHARD)

    made = make(model, seed, meanwhile=meanwhile)
    assert made.copied == len(FILES[SHARD]) + len(b'{"model_type": "newer"}')
    assert contents(seed / "models/tiny")[SHARD] == FILES[SHARD]


def test_a_former_bundle_that_somebody_has_filled_past_reading_is_replaced(model: Path, seed: Path) -> None:
    make(model, seed)
    (seed / "models/tiny" / "/".join("d" * (MAX_DEPTH + 1))).mkdir(parents=True)
    with pytest.raises(Failure):
        make(model, seed)
    write_files(model, {"config.json": b'{"model_type": "newer"}'})
    assert make(model, seed).outcome == "refreshed"
    assert not (seed / "models/tiny/d").exists()


def test_what_goes_bad_when_all_was_right_is_written_as_well(model: Path, seed: Path) -> None:
    """A stick that fails does not wait until everything was read once."""
    first, second = SHARD, "model-00002-of-00002.safetensors"
    make(model, seed)
    left = [first, second]

    def meanwhile(phase: JobState) -> None:
        if phase is JobState.VERIFYING and left:
            damage(seed / "models/tiny" / left.pop(0))

    made = make(model, seed, meanwhile=meanwhile)
    assert made.copied == len(FILES[first]) + len(FILES[second])
    assert contents(seed / "models/tiny").items() >= FILES.items()


class Lanes(Meter):
    """Sees which threads write large files, and lets none of them end one before so many have."""

    def __init__(self, at_once: int) -> None:
        super().__init__()
        self.threads: set[int] = set()
        self._together = threading.Barrier(at_once)

    def finished(self, files: int = 1) -> None:
        super().finished(files)
        if self.current_file.endswith(".safetensors"):
            self.threads.add(threading.get_ident())
            self._together.wait(timeout=30)


@pytest.mark.skipif(os.cpu_count() == 1, reason="one processor hashes one file")
@pytest.mark.parametrize(("bound", "at_once"), [(0.0, 2), (2.0, 1)], ids=["hashing", "the stick"])
def test_a_second_file_is_written_beside_the_first_only_where_hashing_holds_that_up(
    model: Path, seed: Path, monkeypatch: pytest.MonkeyPatch, bound: float, at_once: int
) -> None:
    monkeypatch.setattr(copying, "HASH_BOUND", bound)
    monkeypatch.setattr(copying, "MARK_BYTES", copying.BLOCK_BYTES)
    meter = Lanes(at_once)
    make(model, seed, meter=meter)
    assert len(meter.threads) == at_once
    assert contents(seed / "models/tiny").items() >= FILES.items()


@pytest.mark.parametrize("phase", [JobState.COPYING, JobState.VERIFYING])
def test_a_stop_leaves_nothing_new(model: Path, seed: Path, phase: JobState) -> None:
    stop = StopFlag()

    def meanwhile(entered: JobState) -> None:
        if entered is phase:
            stop.set(Cancelled())

    with pytest.raises(Cancelled):
        make(model, seed, meanwhile=meanwhile, stop=stop)
    assert contents(seed) == {}


def test_fat_takes_no_file_of_4_gib_and_nothing_is_written(model: Path, seed: Path) -> None:
    data = 4 << 30
    header = json.dumps({"w": {"dtype": "U8", "shape": [data], "data_offsets": [0, data]}}).encode()
    with (model / "large.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + data)
    with pytest.raises(Failure, match=r"^large\.safetensors has .* takes files of less than 4 GiB only"):
        make(model, seed, filesystem="vfat")
    assert contents(seed) == {}


def test_a_model_that_grows_meanwhile_is_refused(model: Path, seed: Path) -> None:
    def meanwhile(phase: JobState) -> None:
        if phase is JobState.COPYING:
            with (model / SHARD).open("ab") as file:
                file.write(b"more")

    with pytest.raises(Failure, match="has changed meanwhile"):
        make(model, seed, meanwhile=meanwhile)
    assert contents(seed) == {}


def test_a_model_that_changes_before_what_was_to_stay_is_written_after_all_is_refused(model: Path, seed: Path) -> None:
    """It has the size that it had, and nothing says what its digest has to be: SHA256SUMS lists the former one."""
    make(model, seed)

    def meanwhile(phase: JobState) -> None:
        if phase is JobState.VERIFYING:
            damage(seed / "models/tiny" / SHARD)
            damage(model / SHARD)

    with pytest.raises(Failure, match=f"^{SHARD} has changed meanwhile"):
        make(model, seed, meanwhile=meanwhile)


def test_a_signature_of_the_model_goes_along_and_no_file_is_added_to_what_it_signs(model: Path, seed: Path) -> None:
    (model / "model.sig").write_text("a signature")
    make(model, seed)
    bundle = contents(seed / "models/tiny")
    assert bundle["model.sig"] == b"a signature"
    assert parse(bundle["SHA256SUMS"]).paths == FILES.keys()


def test_the_sums_of_blake3_are_of_every_file(model: Path, seed: Path) -> None:
    make(model, seed)
    bundle = contents(seed / "models/tiny")
    listed = {line.split("  ./")[1] for line in bundle["B3SUMS"].decode().splitlines()}
    assert listed == parse(bundle["SHA256SUMS"]).paths


def test_what_a_crash_has_left_goes(model: Path, seed: Path) -> None:
    for path in ("new/other/a", "new/tiny/b", "former/old/c"):
        write_files(seed / ".dubseed-making", {path: b"x"})
    (seed / "models/old").mkdir(parents=True)
    make(model, seed)
    assert not (seed / ".dubseed-making").exists()
    assert sorted(os.listdir(seed / "models")) == ["old", "tiny"]
