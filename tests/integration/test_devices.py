"""Which devices are taken, and how they have to be mounted: sticks that are not what they seem, real udev, UDisks2."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import MakeStick, PlugIn, StartDaemon
from tests.support.bundles import model_files
from tests.support.daemon import Client
from tests.support.sticks import LABEL
from tools.machine import CannotRun, run

FILES = model_files()
FSTAB = Path("/etc/fstab")
SUPERBLOCK = 1024
"""Where that of ext4 lies, in a place that btrfs leaves alone."""


@pytest.mark.parametrize(
    "label",
    [
        LABEL.lower(),
        f"-{LABEL}"[:16],
        f"{LABEL}%n"[:16],
        LABEL.replace("-", "\u2010"),
        LABEL[:-1],
        "%n%s",
        "-",
        "\x1b[2J",
    ],
)
async def test_a_label_that_only_looks_like_it_is_nobodys_business(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client, label: str
) -> None:
    """The right stick, plugged in after it, is served: then the other one has been seen as well."""
    daemon()
    plug(make_stick({"spoofed": FILES}, name="spoofed", label=label))
    plug(make_stick({"tiny": FILES}))
    await client.until_bundle("tiny")
    assert [seed["Label"] for seed in await client.seeds()] == [LABEL]


async def test_a_device_with_two_file_systems_on_it_is_nobodys_business(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    """Which of the two a kernel would see is anybody's guess; udev gives it no label then."""
    daemon()
    both, other = make_stick({"spoofed": FILES}, name="both", filesystem="btrfs"), make_stick({}, name="other")
    with both.open("r+b") as image, other.open("rb") as ext4:
        image.seek(SUPERBLOCK)
        ext4.seek(SUPERBLOCK)
        image.write(ext4.read(1024))
    with pytest.raises(CannotRun, match="ambivalent"):
        run("blkid", "--probe", str(both))
    plug(both)
    plug(make_stick({"tiny": FILES}))
    await client.until_bundle("tiny")
    assert len(await client.seeds()) == 1


@pytest.fixture
def fstab() -> Iterator[Path]:
    """/etc/fstab, which is put back after the test."""
    before = FSTAB.read_bytes() if FSTAB.exists() else None
    yield FSTAB
    if before is None:
        FSTAB.unlink()
    else:
        FSTAB.write_bytes(before)


@pytest.mark.parametrize(("options", "taken"), [("rw,exec,suid,dev", False), ("ro,noexec,nosuid,nodev", True)])
async def test_a_device_in_fstab_is_taken_where_that_mounts_it_safely(
    make_stick: MakeStick,
    daemon: StartDaemon,
    plug: PlugIn,
    client: Client,
    fstab: Path,
    tmp_path: Path,
    options: str,
    taken: bool,
) -> None:
    """UDisks2 mounts such a device with the options of fstab, and drops ours."""
    point = tmp_path / "by-fstab"
    point.mkdir()
    fstab.write_text(f"LABEL={LABEL} {point} ext4 noauto,{options} 0 0\n")
    process = daemon()
    plug(make_stick({"tiny": FILES}))
    if taken:
        await client.until_bundle("tiny")
    else:
        (seed,) = await client.until_seed("failed")
        assert seed["Error"][0].endswith(".UnsafeMount")
        assert not (process.store / "tiny").exists()
    await client.until_safe()
    assert not os.path.ismount(point)


async def test_a_daemon_that_new_mounts_do_not_reach_refuses_the_empty_folder_that_it_finds(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client
) -> None:
    """As under MountFlags=private: UDisks2 mounts the stick where the daemon does not see it."""
    process = daemon(within=("unshare", "--mount", "--propagation", "private"))
    plug(make_stick({"tiny": FILES}))
    (seed,) = await client.until_seed("failed")
    assert seed["Error"][0].endswith(".UnsafeMount")
    await client.until_safe()
    assert not (process.store / "tiny").exists()
