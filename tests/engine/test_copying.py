"""Single files: copied, digested and read back, also where direct I/O is refused."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from blake3 import blake3

from dubseedd.engine.copying import MARK_BYTES, Hashes, copy_file, create, digest_file, reopen
from dubseedd.engine.durable import FOLDER, opened, owned
from dubseedd.engine.pump import BLOCK_BYTES, Pump
from dubseedd.engine.stop import StopFlag
from tests.machine import Machine
from tests.support.sticks import mounted
from tools.image import empty_image
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
                yield undo.enter_context(mounted(empty_image(tmp_path / "old.img", 64 << 20, "ext3")))
            case _:
                yield tmp_path


def copy(folder: Path, size: int) -> Hashes:
    """Copy `source` to `copy` in a folder."""
    hashes = Hashes()
    with (
        opened(str(folder), FOLDER) as parent,
        opened(str(folder / "source"), os.O_RDONLY) as source,
        owned(create(parent, "copy")) as target,
        Pump(StopFlag()) as pump,
    ):
        copy_file(pump, source, size, target, hashes=hashes)
    return hashes


@pytest.mark.parametrize("size", SIZES)
def test_a_copy_has_the_bytes_the_mode_and_both_digests(folder: Path, size: int) -> None:
    data = os.urandom(size)
    (folder / "source").write_bytes(data)
    digests = copy(folder, size).digests
    assert (folder / "copy").read_bytes() == data
    assert (folder / "copy").stat().st_mode & 0o777 == 0o644
    assert digests.sha256 == hashlib.sha256(data).hexdigest()
    assert digests.blake3 == blake3(data).hexdigest()
    counted: list[int] = []
    with opened(str(folder), FOLDER) as parent, Pump(StopFlag()) as pump:
        assert digest_file(pump, parent, "copy", size, count=counted.append).digests == digests
    assert sum(counted) == size


def test_what_an_earlier_attempt_left_is_replaced_and_links_are_not_followed(folder: Path) -> None:
    (folder / "source").write_bytes(b"new")
    (folder / "victim").write_bytes(b"victim")
    (folder / "copy").symlink_to("victim")
    copy(folder, 3)
    assert (folder / "copy").read_bytes() == b"new"
    assert (folder / "victim").read_bytes() == b"victim"


def test_a_copy_goes_on_from_where_its_hashes_are(folder: Path) -> None:
    data = os.urandom(BLOCK_BYTES * 3 + 5)
    (folder / "source").write_bytes(data[: BLOCK_BYTES * 2])
    begun = copy(folder, BLOCK_BYTES * 2)
    (folder / "source").write_bytes(bytes(BLOCK_BYTES * 2) + data[BLOCK_BYTES * 2 :])
    with (
        opened(str(folder), FOLDER) as parent,
        opened(str(folder / "source"), os.O_RDONLY) as source,
        owned(reopen(parent, "copy")) as target,
        Pump(StopFlag()) as pump,
    ):
        copy_file(pump, source, len(data), target, hashes=begun)
    assert (folder / "copy").read_bytes() == data
    assert begun.digests.sha256 == hashlib.sha256(data).hexdigest()


def test_the_marks_are_the_digests_of_what_comes_before_them(tmp_path: Path) -> None:
    data = os.urandom(MARK_BYTES * 2 + 1)
    (tmp_path / "source").write_bytes(data)
    marks = copy(tmp_path, len(data)).marks
    assert marks == {end: blake3(data[:end]).hexdigest() for end in (MARK_BYTES, MARK_BYTES * 2)}
