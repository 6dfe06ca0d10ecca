"""Errors of the system in the words of whoever has to act: whose disk it is, which file, what to do."""

import errno
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from dubseedd.engine.pump import ReadError
from dubseedd.engine.trouble import reading_seed, reading_source, writing_stick, writing_store
from dubseedd.errors import Failure, SeedRefused, StoreTrouble
from dubseedd.names import ErrorName

BROKEN, FULL = OSError(errno.EIO, "Input/output error"), OSError(errno.ENOSPC, "No space left on device")
CUT, SHORT = ReadError(4096, errno.EIO), ReadError(7, 0)
SEED = "cannot be read from the seed: {}; try another port or make the seed anew"
MODEL = "of the model cannot be read: {}; check its disk, or fetch the model anew"
STICK = "the stick: {}; plug it in again, or take another, and run the same command: what was on it is as it was"


@pytest.mark.parametrize(
    ("doing", "error", "name", "sentence"),
    [
        (reading_seed, BROKEN, ErrorName.READ_FAILED, f"x {SEED}".format("Input/output error")),
        (reading_seed, CUT, ErrorName.READ_FAILED, f"x {SEED}".format("Input/output error at byte 4096")),
        (reading_source, BROKEN, ErrorName.READ_FAILED, f"x {MODEL}".format("Input/output error")),
        (reading_source, SHORT, ErrorName.READ_FAILED, f"x {MODEL}".format("the file ends early at byte 7")),
        (
            writing_store,
            FULL,
            ErrorName.NO_SPACE,
            "the store's disk is full while writing x; make room, then plug the seed in again",
        ),
        (
            writing_store,
            BROKEN,
            ErrorName.WRITE_FAILED,
            "the store's disk fails at x: Input/output error; check that disk",
        ),
        (
            writing_store,
            CUT,
            ErrorName.WRITE_FAILED,
            "x cannot be read back from the store's disk: Input/output error at byte 4096; check that disk",
        ),
        (
            writing_stick,
            FULL,
            ErrorName.NO_SPACE,
            "the stick is full at x; remove a bundle from it, or take a larger one: what was on it is as it was",
        ),
        (writing_stick, BROKEN, ErrorName.WRITE_FAILED, f"x cannot be written to {STICK}".format("Input/output error")),
        (
            writing_stick,
            CUT,
            ErrorName.WRITE_FAILED,
            f"x cannot be read back from {STICK}".format("Input/output error"),
        ),
    ],
)
def test_an_error_of_the_system_says_whose_disk_it_is_and_what_to_do(
    doing: Callable[[str], AbstractContextManager[None]], error: Exception, name: ErrorName, sentence: str
) -> None:
    with pytest.raises(Failure) as failure, doing("x"):
        raise error
    assert type(failure.value) is (SeedRefused if name is ErrorName.READ_FAILED else StoreTrouble)
    assert (failure.value.error, failure.value.file, failure.value.sentence) == (name, "x", sentence)
    assert failure.value.__cause__ is error
