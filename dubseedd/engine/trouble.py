"""Where the system's errors become ours: a seed or a model that is read, the store or a stick that is written."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from dubseedd.core.sentence import shown
from dubseedd.engine.pump import ReadError
from dubseedd.errors import SeedRefused, StoreTrouble
from dubseedd.names import ErrorName

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def reading_seed(path: str) -> Iterator[None]:
    """Reading `path` of a seed fails as ReadFailed; whether the device is still there is for the caller to find out."""
    try:
        yield
    except (ReadError, OSError) as error:
        raise SeedRefused(
            ErrorName.READ_FAILED,
            f"{shown(path)} cannot be read from the seed: {_reason(error)}; try another port or make the seed anew",
            file=path,
        ) from error


@contextmanager
def writing_store(path: str) -> Iterator[None]:
    """Writing `path` of the store fails as NoSpace or WriteFailed; reading it back as WriteFailed too."""
    try:
        yield
    except ReadError as error:
        raise StoreTrouble(
            ErrorName.WRITE_FAILED,
            f"{shown(path)} cannot be read back from the store's disk: {error}; check that disk",
            file=path,
        ) from error
    except OSError as error:
        if error.errno in NO_ROOM:
            raise StoreTrouble(
                ErrorName.NO_SPACE,
                f"the store's disk is full while writing {shown(path)}; make room, then plug the seed in again",
                file=path,
            ) from error
        raise StoreTrouble(
            ErrorName.WRITE_FAILED,
            f"the store's disk fails at {shown(path)}: {_reason(error)}; check that disk",
            file=path,
        ) from error


@contextmanager
def reading_source(path: str) -> Iterator[None]:
    """Reading `path` of the model that a bundle is made of fails as ReadFailed."""
    try:
        yield
    except (ReadError, OSError) as error:
        raise SeedRefused(
            ErrorName.READ_FAILED,
            f"{shown(path)} of the model cannot be read: {_reason(error)}; check its disk, or fetch the model anew",
            file=path,
        ) from error


@contextmanager
def writing_stick(path: str) -> Iterator[None]:
    """Writing `path` on a stick, or reading it back, fails as NoSpace or WriteFailed."""
    try:
        yield
    except (ReadError, OSError) as error:
        number = error.number if isinstance(error, ReadError) else error.errno or 0
        if number in NO_ROOM:
            raise StoreTrouble(
                ErrorName.NO_SPACE,
                f"the stick is full at {shown(path)}; remove a bundle from it, or take a larger one: what was on it "
                "is as it was",
                file=path,
            ) from error
        doing = "read back from" if isinstance(error, ReadError) else "written to"
        raise StoreTrouble(
            ErrorName.WRITE_FAILED,
            f"{shown(path)} cannot be {doing} the stick: {os.strerror(number)}; plug it in again, or take another, and "
            "run the same command: what was on it is as it was",
            file=path,
        ) from error


def way_to_write(folder: str, error: OSError) -> str:
    """What root does about a folder of the configuration that dubseedd cannot write to; "" where it is something else.

    It has few of root's powers, and its unit lets it write to what is named there alone.
    """
    if error.errno in (errno.ENOENT, errno.EROFS) and not os.path.isdir(folder):
        return f"make it: install -d {folder}; then systemctl restart dubseedd"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"it has to be root's: chown root:root {folder}"
    if error.errno == errno.EROFS:
        return (
            f'let dubseedd.service write there: systemctl edit dubseedd, put in the two lines "[Service]" and '
            f'"ReadWritePaths=-{folder}", then systemctl restart dubseedd'
        )
    return ""


def wrong_on_disk(path: str, found: str, expected: str, where: str = "") -> StoreTrouble:
    """The error for a staged file that reads back as something else; the digests are named with their kind."""
    return StoreTrouble(
        ErrorName.CHECKSUM_MISMATCH,
        f"{shown(path)} was written well and reads back differently{where} ({found}, expected {expected}); "
        "the store's disk is failing, check it before the next sync",
        file=path,
    )


def _reason(error: ReadError | OSError) -> str:
    return str(error) if isinstance(error, ReadError) else os.strerror(error.errno or errno.EIO)
