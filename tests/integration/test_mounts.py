"""The proof of a mount, on file systems that are really mounted."""

import os
from pathlib import Path

import pytest

from dubseedd.core.device import BlockDevice
from dubseedd.engine.mounts import open_seed
from dubseedd.errors import StoreTrouble
from dubseedd.names import ErrorName
from tests.integration.conftest import MakeStick
from tests.machine import Machine
from tests.support.sticks import mounted
from tools.machine import run

OPTIONS = "ro,nosuid,nodev,noexec"


def device_of(folder: Path) -> BlockDevice:
    node, uuid, kind = run("findmnt", "-no", "SOURCE,UUID,FSTYPE", str(folder)).split()
    number = os.stat(node).st_rdev
    return BlockDevice(node, (os.major(number), os.minor(number)), 1, "filesystem", "OTHER", uuid, kind, 1, ready=True)


@pytest.mark.parametrize("filesystem", ["ext4", "xfs", "btrfs"])
def test_a_mount_proves_its_own_device_and_no_other(machine: Machine, make_stick: MakeStick, filesystem: str) -> None:
    one, other = (make_stick({}, name=name, filesystem=filesystem, label="OTHER") for name in ("one", "other"))
    with mounted(one, OPTIONS) as folder, mounted(other, OPTIONS) as elsewhere:
        root, notes = open_seed(str(folder), device_of(folder), ours=True)
        os.close(root)
        assert notes == ()
        with pytest.raises(StoreTrouble) as trouble:
            open_seed(str(folder), device_of(elsewhere), ours=True)
    assert trouble.value.error is ErrorName.UNSAFE_MOUNT
