"""What udev has told of a device, as a BlockDevice; its database is compared with libudev in test_drives."""

from pathlib import Path

from dubseedd.adapters.udevdb import device_of

TOLD = {"DISKSEQ": "14", "ID_FS_USAGE": "filesystem", "ID_FS_LABEL": "DUB-SEED"}


def test_a_device_that_is_gone_is_not_ready_whatever_was_told_of_it(tmp_path: Path) -> None:
    here, gone = (device_of(TOLD, str(tmp_path / "sdb1"), (8, 17), loops) for loops in ({"/dev/loop0"}, None))
    assert here.is_seed("DUB-SEED")
    assert here.loops == ("/dev/loop0",)
    assert not gone.is_seed("DUB-SEED")
    assert (gone.node, gone.number, gone.diskseq, gone.loops) == ("/dev/sdb1", (8, 17), 14, ())
