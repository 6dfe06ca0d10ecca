"""Single files: copied, digested and read back, also where direct I/O is refused."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from blake3 import blake3

from dubseedd.engine.copying import copy_file, digest_file, read_back
from dubseedd.engine.pump import BLOCK_BYTES, Pump
from dubseedd.engine.stop import StopFlag
from tests.machine import Machine
from tests.support.sticks import mounted
from tools.machine import run

SIZES = [0, 1, 4095, 4096, 4097, BLOCK_BYTES, BLOCK_BYTES * 3 + 5]


@pytest.fixture(params=["disk", "tmpfs", "ext3"])
def folder(request: pytest.FixtureRequest, machine: Machine, tmp_path: Path) -> Iterator[Path]:
    with ExitStack() as undo:
        match request.param:
            case "tmpfs":
                run("mount", "-t", "tmpfs", "tmpfs", str(tmp_path))
                undo.callback(run, "umount", "--lazy", str(tmp_path))
                yield tmp_path
            case "ext3":
                image = tmp_path / "old.img"
                run("truncate", "--size", "64M", str(image))
                run("mkfs.ext3", "-q", "-F", str(image))
                yield undo.enter_context(mounted(image))
            case _:
                yield tmp_path


@pytest.mark.parametrize("size", SIZES)
def test_a_copy_has_the_bytes_the_mode_and_both_digests(folder: Path, size: int) -> None:
    data = os.urandom(size)
    (folder / "source").write_bytes(data)
    counted: list[int] = []
    parent, source = os.open(folder, os.O_RDONLY), os.open(folder / "source", os.O_RDONLY)
    with Pump(StopFlag()) as pump:
        digests = copy_file(pump, source, size, parent, "copy", count=counted.append)
        assert read_back(pump, parent, "copy", size, count=lambda _: None) == digests.blake3
        assert digest_file(pump, parent, "copy", size, count=lambda _: None) == digests
    os.close(source)
    os.close(parent)
    assert (folder / "copy").read_bytes() == data
    assert (folder / "copy").stat().st_mode & 0o777 == 0o644
    assert digests.sha256 == hashlib.sha256(data).hexdigest()
    assert digests.blake3 == blake3(data).hexdigest()
    assert sum(counted) == size


def test_what_an_earlier_attempt_left_is_replaced_and_links_are_not_followed(folder: Path) -> None:
    (folder / "source").write_bytes(b"new")
    (folder / "victim").write_bytes(b"victim")
    (folder / "copy").symlink_to("victim")
    parent, source = os.open(folder, os.O_RDONLY), os.open(folder / "source", os.O_RDONLY)
    with Pump(StopFlag()) as pump:
        copy_file(pump, source, 3, parent, "copy", count=lambda _: None)
    os.close(source)
    os.close(parent)
    assert (folder / "copy").read_bytes() == b"new"
    assert (folder / "victim").read_bytes() == b"victim"


def test_a_copy_that_fails_leaves_nothing(folder: Path) -> None:
    (folder / "source").write_bytes(b"short")
    parent, source = os.open(folder, os.O_RDONLY), os.open(folder / "source", os.O_RDONLY)
    with Pump(StopFlag()) as pump, pytest.raises(Exception, match="ends early"):
        copy_file(pump, source, 500, parent, "copy", count=lambda _: None)
    os.close(source)
    os.close(parent)
    assert not (folder / "copy").exists()
