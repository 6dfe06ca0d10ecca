"""The workshop on a stick: one run at a time, whichever ends while another begins."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dubseedd.engine.durable import FOLDER, opened
from dubseedd.engine.workshop import LOCK, Workshop, is_at_work
from dubseedd.errors import CallRefused, StoreTrouble
from dubseedd.names import WORKSHOP, ErrorName


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    (tmp_path / "seed").mkdir()
    return tmp_path / "seed"


@pytest.fixture
def root(seed: Path) -> Iterator[int]:
    with opened(str(seed), FOLDER) as descriptor:
        yield descriptor


@pytest.mark.parametrize("about_to_open", [WORKSHOP, LOCK])
def test_a_run_that_ends_while_another_begins_does_not_keep_it_from_its_lock(
    root: int, monkeypatch: pytest.MonkeyPatch, about_to_open: str
) -> None:
    ending = ExitStack()
    ending.enter_context(Workshop(root, "models"))
    system_open = os.open

    def end_first(path: str, *arguments: Any, **options: Any) -> int:
        if path == about_to_open:
            ending.close()
        return system_open(path, *arguments, **options)

    monkeypatch.setattr(os, "open", end_first)
    with Workshop(root, "models"):
        assert is_at_work(root)
        with pytest.raises(CallRefused) as refused, Workshop(root, "models"):
            pass
        assert refused.value.error is ErrorName.BUSY
    assert os.listdir(root) == ["models"]


def test_a_stick_whose_folder_is_gone_is_told(root: int, seed: Path) -> None:
    seed.rmdir()
    with pytest.raises(StoreTrouble) as trouble, Workshop(root, "models"):
        pass
    assert trouble.value.error is ErrorName.WRITE_FAILED
