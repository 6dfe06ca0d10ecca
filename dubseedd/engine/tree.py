"""Walking a tree that is not trusted: by descriptors, never through a link, nothing opened that is not a regular file.

Everything is reached from the descriptor of a folder by one component at a time, so that nothing outside it can be.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from typing import Self

from dubseedd.core.bundle import Found, Kind
from dubseedd.core.manifest import MAX_BYTES, MAX_DEPTH
from dubseedd.core.sentence import shown
from dubseedd.engine.durable import FOLDER, owned
from dubseedd.errors import SeedRefused
from dubseedd.names import ErrorName

FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
FOLDER_MODE = 0o755
MAX_OBJECTS = 500_000
MAX_CHARACTERS = 4 * MAX_BYTES
"""More objects than this in one bundle, or longer paths in all, are nobody's model: a manifest could not list them."""

_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.FOLDER,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFSOCK: Kind.SOCKET,
}


def kind_of(mode: int) -> Kind:
    return _KINDS.get(stat.S_IFMT(mode), Kind.DEVICE)


def open_folder(root: int, path: str) -> int:
    """The descriptor of a folder below `root`, reached without following a link; "" is `root` itself."""
    descriptor = os.open(".", FOLDER, dir_fd=root)
    for component in path.split("/") if path else ():
        try:
            following = os.open(component, FOLDER, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = following
    return descriptor


def make_folders(root: int, path: str) -> int:
    """The descriptor of a folder below `root`, made as needed; "" is `root` itself. The caller closes it."""
    descriptor = os.dup(root)
    for component in path.split("/") if path else ():
        try:
            with suppress(FileExistsError):
                os.mkdir(component, FOLDER_MODE, dir_fd=descriptor)
            following = os.open(component, FOLDER, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = following
    return descriptor


def open_file(root: int, path: str) -> int:
    """The descriptor of a regular file below `root`; OSError where there is none, SeedRefused where it is no file."""
    folder, _, name = path.rpartition("/")
    with opened_folder(root, folder) as parent:
        return open_in(parent, name, path)


def open_in(folder: int, name: str, path: str) -> int:
    """`open_file` for a file right in a folder; `path` is what it is called in the error.

    What is no regular file is never opened: for some devices, such as a watchdog, that alone is a command.
    """
    _check_regular(os.lstat(name, dir_fd=folder), path)
    descriptor = os.open(name, FILE, dir_fd=folder)
    try:
        _check_regular(os.fstat(descriptor), path)
    except SeedRefused:
        os.close(descriptor)
        raise
    return descriptor


def _check_regular(status: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise SeedRefused(
            ErrorName.UNSAFE_FILE, f"{shown(path)} is no regular file; remove it from the bundle", file=path
        )


def opened_file(root: int, path: str) -> AbstractContextManager[int]:
    """`open_file` for the length of a block."""
    return owned(open_file(root, path))


def opened_folder(root: int, path: str) -> AbstractContextManager[int]:
    """`open_folder` for the length of a block."""
    return owned(open_folder(root, path))


def opened_parent(root: int, path: str) -> AbstractContextManager[int]:
    """The folder that holds a file below `root`, made as needed, for the length of a block."""
    return owned(make_folders(root, path.rpartition("/")[0]))


class Folders:
    """Folders below a root, opened one after the other; the last one stays open, for the next is often the same."""

    def __init__(self, open_folder: Callable[[str], int]) -> None:
        self._open_folder = open_folder
        self._path = ""
        self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def of(self, path: str) -> tuple[int, str]:
        """The descriptor of the folder that holds `path`, good until the next call, and the name in it."""
        folder, _, name = path.rpartition("/")
        if self._descriptor < 0 or folder != self._path:
            descriptor = self._open_folder(folder)
            self.__exit__()
            self._descriptor, self._path = descriptor, folder
        return self._descriptor, name


def read_small(root: int, path: str, limit_bytes: int) -> bytes:
    """The bytes of a small file below `root`; one more than the limit where it is larger."""
    descriptor = open_file(root, path)
    with open(descriptor, "rb") as stream:
        return stream.read(limit_bytes + 1)


def walk(root: int) -> Iterator[tuple[str, os.stat_result]]:
    """Every object below a folder as (path, lstat), folders before what they hold; nothing is kept in memory."""
    objects = characters = 0
    for path, status in _walk(open_folder(root, ""), ""):
        objects, characters = objects + 1, characters + len(path)
        if objects > MAX_OBJECTS or characters > MAX_CHARACTERS:
            raise SeedRefused(
                ErrorName.UNLISTED_FILE,
                f"the bundle holds more than {MAX_OBJECTS:,} objects, or paths of more than {MAX_CHARACTERS:,} "
                "characters in all; remove what does not belong to it",
            )
        yield path, status


def _walk(folder: int, above: str) -> Iterator[tuple[str, os.stat_result]]:
    """What the descriptor `folder`, which is closed at the end, holds; `above` is put in front of its names."""
    with owned(folder), os.scandir(folder) as entries:
        for entry in entries:
            path = above + entry.name
            status = entry.stat(follow_symlinks=False)
            yield path, status
            if stat.S_ISDIR(status.st_mode):
                _check_depth(path)
                yield from _walk(os.open(entry.name, FOLDER, dir_fd=folder), f"{path}/")


def _check_depth(path: str) -> None:
    if path.count("/") >= MAX_DEPTH:
        raise SeedRefused(
            ErrorName.UNLISTED_FILE,
            f"{shown(path.split('/', maxsplit=1)[0])} has folders deeper than {MAX_DEPTH}; remove them",
            file=path,
        )


def listing(root: int) -> Iterator[Found]:
    """What a bundle's folder holds, as facts for the rules."""
    return (Found(path, kind_of(status.st_mode), status.st_size) for path, status in walk(root))
