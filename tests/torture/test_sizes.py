"""R15: files around 2 and 4 GiB, and many small files: right digests, in little memory."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.torture.amounts import FULL, amount
from tests.torture.figures import Row
from tests.torture.invariants import assert_checks_out
from tests.torture.nursery import Ended, Nursery

SIZES = (2**31 - 1, 2**31, 2**32 + 1)
MOST_BYTES = 150 << 20
FILES_A_FOLDER = 1_000


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder whose content does not outlive the test."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def test_many_small_files_are_all_there_and_take_little_memory(place: Path, nursery: Nursery) -> None:
    files = {f"{n // FILES_A_FOLDER}/{n}.txt": str(n).encode() for n in range(amount("R15"))}
    bundle = make_bundle(place, files)
    with Row("R15", f"{len(files):,} small files") as row, row.point("many files"):
        assert_synced(bundle, place / "store", nursery)
        assert sum(path.is_file() for path in (place / "store" / bundle.name).rglob("*")) == len(files) + 2


def test_files_around_2_and_4_gib_have_the_right_digests(place: Path, nursery: Nursery) -> None:
    """Sparse on the stick, with a byte here and there that a wrapped offset would miss."""
    if amount("R15") < FULL["R15"]:
        pytest.skip("8 GiB are too many for every day: make torture R15=100000 takes them")
    if shutil.disk_usage(place).free < 2 * sum(SIZES):
        pytest.skip(f"{place} has no room for 8 GiB and a reserve")
    bundle = make_bundle(place, {})
    with (bundle / "SHA256SUMS").open("a") as manifest:
        for size in SIZES:
            path = bundle / f"{size}.dat"
            make_large(path, size)
            with path.open("rb") as file:
                manifest.write(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  ./{path.name}\n")
    with Row("R15", "files of 2^31-1, 2^31, 2^32+1 bytes") as row, row.point("large files"):
        assert_synced(bundle, place / "store", nursery)


def make_large(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)
        for offset in (0, 2**31 - 2, 2**31 - 1, 2**31, 2**32 - 1, 2**32, size - 1):
            if offset < size:
                file.seek(offset)
                file.write(bytes([1 + offset % 251]))


def make_bundle(place: Path, files: dict[str, bytes]) -> Path:
    bundle = place / "stick" / "models" / "sizes"
    lines = []
    for path, data in {"config.json": b"{}", **files}.items():
        (bundle / path).parent.mkdir(parents=True, exist_ok=True)
        (bundle / path).write_bytes(data)
        lines.append(f"{hashlib.sha256(data).hexdigest()}  ./{path}\n")
    (bundle / "SHA256SUMS").write_text("".join(lines))
    (place / "dubseedd.toml").write_text("store.reserve = 0\n")
    return bundle


def assert_synced(bundle: Path, store: Path, nursery: Nursery) -> None:
    """Copied, then found current, with little memory in both; right as sha256sum sees it."""

    def sync() -> Ended[None]:
        stick, config = bundle.parents[1], bundle.parents[2] / "dubseedd.toml"
        ended = nursery.run("sync", "--from", str(stick), "--store", str(store), "--config", str(config))
        assert ended.status == 0, ended.errors
        return ended

    first = sync()
    assert_checks_out(store / bundle.name)
    second = sync()
    assert "is current" in second.output
    peaks = [ended.peak_bytes for ended in (first, second)]
    assert max(peaks) < MOST_BYTES, f"resident at the most: {[peak >> 20 for peak in peaks]} MiB"
