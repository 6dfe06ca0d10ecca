"""Records: a file is known again by size, mtime and inode."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dubseedd.engine.durable import FOLDER, opened
from dubseedd.engine.records import record_below, untouched


def grow(file: Path) -> None:
    status = file.stat()
    file.write_bytes(b"longer")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def touch(file: Path) -> None:
    os.utime(file, ns=(1, 1))


def replace(file: Path) -> None:
    status, fresh = file.stat(), file.with_name("fresh")
    fresh.write_bytes(b"bytes")
    os.utime(fresh, ns=(status.st_atime_ns, status.st_mtime_ns))
    fresh.rename(file)


@pytest.mark.parametrize("change", [grow, touch, replace])
def test_a_file_is_untouched_as_long_as_size_time_and_inode_are(tmp_path: Path, change: Callable[[Path], None]) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"bytes")
    with opened(str(tmp_path), FOLDER) as folder:
        recorded = record_below(folder, "file", sha256="s", blake3="b")
    assert untouched(recorded, file.stat())
    change(file)
    assert not untouched(recorded, file.stat())
