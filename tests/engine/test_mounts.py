"""The record of the mounts that we made."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dubseedd.core.device import BlockDevice
from dubseedd.engine.mounts import MountRecord, open_seed
from dubseedd.errors import StoreTrouble
from dubseedd.names import ErrorName

STICK = BlockDevice("/dev/sdb1", (8, 17), 12, "filesystem", "DUB-SEED", "u-1", "ext4", 1, ready=True)


def test_a_mount_that_was_noted_is_known_to_the_next_daemon_as_ours(tmp_path: Path) -> None:
    MountRecord(str(tmp_path / "run")).note(STICK)
    again = MountRecord(str(tmp_path / "run"))
    assert again.made(STICK)
    assert not again.made(replace(STICK, diskseq=13))
    assert not again.made(replace(STICK, uuid="u-2"))
    again.forget(STICK)
    assert not MountRecord(str(tmp_path / "run")).made(STICK)


def test_a_mount_is_forgotten_even_where_that_cannot_be_written_down(tmp_path: Path) -> None:
    record = MountRecord(str(tmp_path / "run"))
    record.note(STICK)
    shutil.rmtree(tmp_path / "run")
    record.forget(STICK)
    assert not record.made(STICK)


def test_a_record_that_cannot_be_read_is_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "mounts.json").write_text('{"8:17": ')
    record = MountRecord(str(tmp_path))
    assert not record.made(STICK)
    record.note(STICK)
    assert MountRecord(str(tmp_path)).made(STICK)


def test_a_folder_that_is_not_the_devices_mount_is_unsafe(tmp_path: Path) -> None:
    with pytest.raises(StoreTrouble) as trouble:
        open_seed(str(tmp_path), STICK, ours=False)
    assert trouble.value.error is ErrorName.UNSAFE_MOUNT


def test_a_mount_point_that_is_gone_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreTrouble) as trouble:
        open_seed(str(tmp_path / "absent"), STICK, ours=True)
    assert trouble.value.error is ErrorName.MOUNT_FAILED


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may change its root")
def test_a_folder_of_a_chroot_lies_on_a_mount_that_is_not_seen_there(tmp_path: Path) -> None:
    """The root of a chroot is seldom a mount point."""
    script = """
import os, sys
from dubseedd.engine.durable import FOLDER
from dubseedd.engine.mounts import mount_of

mount_of(os.open("/", FOLDER))  # what Python loads for that is out of reach then
os.chroot(sys.argv[1])
print(mount_of(os.open("/", FOLDER)), mount_of(os.open("/proc", FOLDER)).filesystem)
"""
    (tmp_path / "proc").mkdir()
    inside = (
        "sh",
        "-ec",
        'mount --bind /proc "$1/proc"; exec "$2" -c "$3" "$1"',
        "sh",
        tmp_path,
        sys.executable,
        script,
    )
    said = subprocess.run(("unshare", "--mount", *inside), capture_output=True, text=True, check=True)
    assert said.stdout == "None proc\n"
