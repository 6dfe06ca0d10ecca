"""What a stick can take."""

import pytest

from dubseedd.core.stick import check_files, check_room, room_needed
from dubseedd.errors import SeedRefused, StoreTrouble

MOST = (4 << 30) - 1


def test_fat_takes_no_file_of_4_gib() -> None:
    check_files("vfat", [("model.safetensors", MOST)])
    with pytest.raises(SeedRefused, match=r"^model\.safetensors has 4,294,967,296 bytes.*erase it and make it exfat"):
        check_files("vfat", [("config.json", 2), ("model.safetensors", MOST + 1)])


@pytest.mark.parametrize("filesystem", ["exfat", "ext4", "ntfs3", "tmpfs"])
def test_others_do(filesystem: str) -> None:
    check_files(filesystem, [("model.safetensors", 1 << 40)])


@pytest.mark.parametrize("path", ["a:b.json", "what?/config.json", "ends./x", "ends "])
def test_names_that_windows_forbids_go_on_no_stick_of_its_kind(path: str) -> None:
    check_files("ext4", [(path, 1)])
    for filesystem in ("vfat", "exfat"):
        with pytest.raises(SeedRefused, match="is no name for a stick with"):
            check_files(filesystem, [("tokenizer.json", 1), (path, 1)])


def test_room_is_given_out_by_the_cluster() -> None:
    assert room_needed([1, 4096, 4097], 4096) == (2 + 2 + 3) * 4096


def test_too_little_room_is_told_with_both_amounts() -> None:
    check_room(5, 5)
    with pytest.raises(StoreTrouble, match=r"the stick has 512 bytes free, and 1\.5 GiB have to be copied"):
        check_room(3 << 29, 512)
