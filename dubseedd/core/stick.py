"""What a stick can take: names, sizes of files, room."""

import re
from collections.abc import Iterable

from dubseedd.core.filesystem import file_system
from dubseedd.core.sentence import shown
from dubseedd.errors import SeedRefused, StoreTrouble
from dubseedd.names import ErrorName

FORBIDDEN = '" * : < > ? |'
_NOT_ON_WINDOWS = re.compile(r'["*:<>?|]|[. ](/|$)')
_UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "bytes"))


def check_files(filesystem: str, sizes: Iterable[tuple[str, int]]) -> None:
    """Refuse what the file system of the stick cannot hold: `sizes` are (path, bytes)."""
    kind = file_system(filesystem)
    for path, size in sizes:
        if kind.windows_names and _NOT_ON_WINDOWS.search(path):
            raise SeedRefused(
                ErrorName.WRITE_FAILED,
                f"{shown(path)} is no name for a stick with {filesystem}, which takes none of {FORBIDDEN} and no dot "
                "or space at the end; leave the file out (--exclude), or erase the stick and make it ext4: dubseedctl "
                "format /dev/sdX --type ext4",
                file=path,
            )
        if kind.most_bytes is not None and size > kind.most_bytes:
            raise SeedRefused(
                ErrorName.WRITE_FAILED,
                f"{shown(path)} has {size:,} bytes, and a stick with {filesystem} takes files of less than 4 GiB only; "
                "erase it and make it exfat: dubseedctl format /dev/sdX",
                file=path,
            )


def room_needed(sizes: Iterable[int], cluster_bytes: int) -> int:
    """Bytes that files take at most, where room is given out by the cluster: one more for each, for their folders."""
    return sum((-(-size // cluster_bytes) + 1) * cluster_bytes for size in sizes)


def check_room(needed_bytes: int, free_bytes: int) -> None:
    if needed_bytes > free_bytes:
        raise StoreTrouble(
            ErrorName.NO_SPACE,
            f"the stick has {_told(free_bytes)} free, and {_told(needed_bytes)} have to be copied; remove a bundle "
            "from it, or take a larger one",
        )


def _told(count: int) -> str:
    size, unit = next((size, unit) for size, unit in _UNITS if count >= size or size == 1)
    return f"{count / size:.1f} {unit}" if size > 1 else f"{count} {unit}"
