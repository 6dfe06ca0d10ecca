"""sysfs: what stands on a device, in a tree made up as the kernel shows RAID, LVM and encryption."""

import os
from pathlib import Path

import pytest

from dubseedd.adapters import sysfs


@pytest.fixture
def block(tmp_path: Path) -> Path:
    """sdb1 is half of md0, on which stands an encrypted volume, dm-0."""
    block = tmp_path / "block"
    for name, number in (("sdb", "8:16"), ("sdb/sdb1", "8:17"), ("md0", "9:0"), ("dm-0", "253:0")):
        write(block / name / "dev", number)
    write(block / "sdb/sdb1/partition", "1")
    write(block / "sdb/sdb1/size", "2048")
    write(block / "md0/md/level", "raid1")
    write(block / "dm-0/dm/name", "cellar")
    write(block / "dm-0/dm/uuid", "CRYPT-LUKS2-42-cellar")
    for holder, held in (("md0", "sdb/sdb1"), ("dm-0", "md0")):
        (block / held / "holders").mkdir()
        (block / held / "holders" / holder).symlink_to(block / holder)
    return block


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


def test_a_disk_knows_its_partitions_and_they_know_it(block: Path) -> None:
    assert sysfs.partitions(str(block / "sdb")) == [str(block / "sdb/sdb1")]
    assert sysfs.disk_of(str(block / "sdb/sdb1")) == str(block / "sdb")
    assert sysfs.disk_of(str(block / "sdb")) == str(block / "sdb")
    assert sysfs.size(str(block / "sdb/sdb1")) == 1 << 20


def test_an_nvme_disk_is_its_own_though_no_folder_block_is_above_it(tmp_path: Path) -> None:
    disk = tmp_path / "nvme" / "nvme0" / "nvme0n1"
    write(disk / "diskseq", "14")
    (disk / "slaves").mkdir()
    write(disk / "nvme0n1p1" / "partition", "1")
    for path in (disk, disk / "nvme0n1p1"):
        assert sysfs.disk_of(str(path)) == str(disk)
        assert sysfs.diskseq(str(path)) == 14
        assert sysfs.loops(str(path)) == set()


def test_every_disk_of_this_machine_is_its_own() -> None:
    disks = [os.path.realpath(f"/sys/block/{name}") for name in os.listdir("/sys/block")]
    assert [sysfs.disk_of(disk) for disk in disks] == disks


def test_all_that_stands_on_a_device_is_found(block: Path) -> None:
    assert list(sysfs.stack(str(block / "sdb/sdb1"))) == [(8, 17), (9, 0), (253, 0)]


@pytest.mark.parametrize(
    ("uuid", "words"),
    [
        ("CRYPT-LUKS2-42-cellar", "the encrypted volume cellar"),
        ("LVM-42", "the LVM volume cellar"),
        ("mpath-42", "the mapping cellar"),
    ],
)
def test_a_mapping_is_called_what_it_is(block: Path, uuid: str, words: str) -> None:
    write(block / "dm-0/dm/uuid", uuid)
    assert sysfs.called(str(block / "dm-0")) == words


def test_a_raid_is_called_by_its_level_and_anything_else_by_its_node(block: Path) -> None:
    assert sysfs.called(str(block / "md0")) == "the RAID /dev/md0 (raid1)"
    assert sysfs.called(str(block / "sdb")) == "/dev/sdb"


def test_what_a_device_does_not_say_is_nothing(block: Path) -> None:
    assert sysfs.attribute(str(block / "sdb"), "md/level") == ""
    assert sysfs.diskseq(str(block / "sdb")) == 0
    assert sysfs.linked(str(block / "sdb"), "slaves") == []
