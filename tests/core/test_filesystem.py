"""What is peculiar to a file system stands in one table."""

import pytest

from dubseedd.core.config import SeedConfig
from dubseedd.core.filesystem import FILE_SYSTEMS, FileSystem, file_system


@pytest.mark.parametrize("kind", SeedConfig().filesystems)
def test_each_that_a_seed_may_have_can_be_given_a_label(kind: str) -> None:
    assert FILE_SYSTEMS[kind].label_command.format(node="/dev/sdb1", label="DUB-SEED").split()[1:]


def test_one_that_is_not_known_is_peculiar_in_nothing() -> None:
    assert file_system("f2fs") == FileSystem()
