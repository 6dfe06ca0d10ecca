"""What is installed is read back: whole, touched, damaged, gone."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dubseedd.core.receipt import Receipt
from dubseedd.engine.meter import Meter
from dubseedd.engine.pump import Pump
from dubseedd.engine.stop import StopFlag
from dubseedd.engine.store import Store
from dubseedd.engine.store_view import BundleState
from dubseedd.engine.syncing import Readiness
from dubseedd.engine.verifying import Verification, verify
from dubseedd.errors import CallRefused, Cancelled
from dubseedd.names import ErrorName
from tests.engine.conftest import Syncing
from tests.support.bundles import contents, model_files, published, write_bundle

FILES = model_files()


@pytest.fixture
def bundle(models: Path, sync: Syncing, store: Store) -> Path:
    write_bundle(models / "tiny", FILES)
    sync("tiny")
    return Path(store.path) / "tiny"


def verified(store: Store, stop: StopFlag | None = None) -> Receipt:
    receipt = store.receipt("tiny")
    assert receipt is not None
    fresh = verify(store, receipt, Meter(), stop or StopFlag(), now=99)
    assert store.receipt("tiny") == fresh
    return fresh


def test_a_whole_bundle_is_whole_and_the_time_is_noted(bundle: Path, store: Store) -> None:
    fresh = verified(store)
    assert fresh.damage == ("", "")
    assert fresh.verified_at == 99


def test_a_file_that_was_touched_and_is_right_is_good_and_current_again(
    bundle: Path, store: Store, sync: Syncing
) -> None:
    os.utime(bundle / "tokenizer.json", ns=(1, 1))
    assert verified(store).damage == ("", "")
    assert sync("tiny") is Readiness.CURRENT


@pytest.mark.parametrize(
    ("change", "error", "word"),
    [
        ("flip", ErrorName.CHECKSUM_MISMATCH, "its manifest says"),
        ("grow", ErrorName.CHECKSUM_MISMATCH, "bytes and had"),
        ("remove", ErrorName.FILE_MISSING, "is missing"),
        ("link", ErrorName.READ_FAILED, "cannot be read"),
        ("shrink", ErrorName.READ_FAILED, "ends early"),
    ],
)
def test_damage_is_named_noted_and_mended_by_the_next_sync(
    bundle: Path, store: Store, sync: Syncing, change: str, error: ErrorName, word: str
) -> None:
    path = bundle / "tokenizer.json"
    match change:
        case "flip":
            path.write_bytes(b'{"version": "1.1"}')
        case "grow":
            path.write_bytes(path.read_bytes() + b"x")
        case "shrink":
            path.write_bytes(b"{")
        case "remove":
            path.unlink()
        case _:
            path.unlink()
            path.symlink_to("/etc/hostname")
    fresh = verified(store)
    assert fresh.damage[0] == error.full
    assert "tokenizer.json of tiny" in fresh.damage[1]
    assert word in fresh.damage[1]
    found = store.look("tiny")
    assert found is not None
    assert found.state is BundleState.DAMAGED
    assert sync("tiny") is Readiness.STAGED
    assert contents(bundle) == published(FILES)
    assert verified(store).damage == ("", "")


def test_a_verification_that_is_cancelled_says_nothing_of_damage(bundle: Path, store: Store) -> None:
    stop = StopFlag()
    stop.set(Cancelled())
    with pytest.raises(Cancelled):
        verified(store, stop)
    receipt = store.receipt("tiny")
    assert receipt is not None
    assert receipt.damage == ("", "")


def test_a_verification_goes_on_with_the_file_that_it_was_stopped_in(bundle: Path, store: Store) -> None:
    receipt, stop, meter = store.receipt("tiny"), StopFlag(), Meter()
    assert receipt is not None
    verification, read = Verification(store, receipt, meter), []

    def count(length: int) -> None:
        read.append((meter.current_file, length))
        if len(read) == 3:
            stop.set(Cancelled())

    with Pump(stop) as pump, pytest.raises(Cancelled):
        verification.run(pump, now=98, read=count)
    with Pump(StopFlag()) as pump:
        fresh = verification.run(pump, now=99, read=count)
    assert [path for path, _ in read] == [*sorted(FILES, key=read_order(receipt)), "SHA256SUMS"]
    assert (fresh.verified_at, meter.bytes_done, meter.files_done) == (99, meter.bytes_total, meter.files_total)


def read_order(receipt: Receipt) -> Callable[[str], int]:
    return [file.path for file in receipt.files].index


@pytest.mark.parametrize("wrong", [False, True])
def test_a_bundle_that_is_replaced_while_it_is_read_back_is_neither_whole_nor_damaged(
    bundle: Path, store: Store, models: Path, sync: Syncing, wrong: bool
) -> None:
    receipt = store.receipt("tiny")
    assert receipt is not None
    verification = Verification(store, receipt, Meter())
    write_bundle(models / "tiny", model_files(seed=b"another") if wrong else FILES | {"more.txt": b"more"})
    sync("tiny")
    after = store.receipt("tiny")
    with Pump(StopFlag()) as pump, pytest.raises(CallRefused) as refused:
        verification.run(pump, now=99)
    assert refused.value.error is ErrorName.BUSY
    assert "verify it again" in refused.value.sentence
    assert store.receipt("tiny") == after
