"""Housekeeping: what the store gives up, because room is needed or because nobody has come back for it.

Unfinished copies go first, then previous versions, the oldest first. What somebody works on is left alone.
"""

import os
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from dubseedd.core import tidings
from dubseedd.core.tidings import Tiding
from dubseedd.engine.durable import FOLDER, names_in, opened
from dubseedd.engine.kernel import sync_file_system
from dubseedd.engine.staging import StagedCopy, size_on_disk, staged_copies
from dubseedd.engine.store import Store
from dubseedd.engine.store_view import StoreView
from dubseedd.errors import StoreTrouble
from dubseedd.names import ErrorName

STAGING_LIFE_DAYS = 30


class Room(NamedTuple):
    """What a sync needs of the store, what has to stay free beside, what is free, and what could be given up: bytes."""

    needed: int
    reserve: int
    free: int
    spare: int

    @property
    def enough(self) -> bool:
        return not self.needed or self.needed + self.reserve <= self.free + self.spare


class _Spare(NamedTuple):
    """What can be given up: its size in bytes, and how. `give_up` tells what it was; None where somebody has begun to
    work on it meanwhile."""

    size: int
    give_up: Callable[[], Tiding | None]


def room_for(store: StoreView, needed_bytes: int, reserve_bytes: int, *, but: str) -> Room:
    """The room that there is for the bundle whose manifest is `but`; nothing is given up."""
    spare = sum(copy.size for copy in _copies(store, {but})) + sum(size for _, size in _previous(store))
    return Room(needed_bytes, reserve_bytes, store.free_bytes(), spare)


def make_room(store: Store, needed_bytes: int, reserve_bytes: int, *, but: str) -> Iterator[Tiding]:
    """Give up staging of manifests other than `but`, then previous versions, until there is room; tells of each.
    StoreTrouble (NoSpace), with nothing given up, where even that would not do."""

    def room(spare: int = 0) -> Room:
        return Room(needed_bytes, reserve_bytes, store.free_bytes(), spare)

    if room().enough:
        return
    spares = [*_unfinished_copies(store, but), *_previous_versions(store)]
    if not (most := room(sum(spare.size for spare in spares))).enough:
        raise no_space(store.path, most)
    for spare in spares:
        if room().enough:
            return
        if tiding := spare.give_up():
            yield tiding
            sync_file_system(store.root)  # btrfs counts as free only what it has committed
    if not room().enough:
        raise no_space(store.path, room())


def expire_staging(store: Store, now_seconds: float) -> Iterator[Tiding]:
    """Give up staging that nothing has continued for long, and tell of each; `now_seconds` since the epoch."""
    for copy in staged_copies(store.staging):
        old = now_seconds - copy.continued_at > STAGING_LIFE_DAYS * 86400
        why = f": nothing has continued it for {STAGING_LIFE_DAYS} days"
        if old and (tiding := _give_up_copy(store, copy.manifest_sha256, why)) and copy.size:
            yield tiding


def _unfinished_copies(store: Store, but: str) -> Iterator[_Spare]:
    for copy in _copies(store, {but, *store.busy}):
        yield _Spare(copy.size, partial(_give_up_copy, store, copy.manifest_sha256, " to make room"))


def _give_up_copy(store: Store, manifest_sha256: str, why: str) -> Tiding | None:
    """Of an unfinished copy the manifest is known, and not the name."""
    with store.changing:
        if manifest_sha256 in store.busy:
            return None
        store.discard(store.staging, manifest_sha256)
    sentence = f"gave up the unfinished copy {manifest_sha256[:12]}…{why}"
    return tidings.given_up(sentence, manifest_sha256=manifest_sha256)


def _copies(store: StoreView, but: AbstractSet[str]) -> Iterator[StagedCopy]:
    """Unfinished copies of manifests other than these."""
    with suppress(FileNotFoundError), store.inner("staging") as folder:
        yield from (copy for copy in staged_copies(folder) if copy.manifest_sha256 not in but)


def _previous_versions(store: Store) -> Iterator[_Spare]:
    for name, size in _previous(store):
        yield _Spare(size, partial(_give_up_previous, store, name))


def _previous(store: StoreView) -> Iterator[tuple[str, int]]:
    """(name, bytes) of every previous version, the oldest first."""
    with suppress(FileNotFoundError), store.inner("previous") as folder:

        def age(name: str) -> float:
            return os.stat(name, dir_fd=folder, follow_symlinks=False).st_ctime

        for name in sorted(names_in(folder), key=age):
            size = 0
            with suppress(OSError), opened(name, FOLDER, at=folder) as version:
                size = size_on_disk(version)
            yield name, size


def _give_up_previous(store: Store, name: str) -> Tiding:
    """The receipt comes after: on a full disk there is no room for it before. One that was not written any more speaks
    of a version that is gone, and nobody rolls back to that."""
    digest = ""
    with store.changing:
        receipt = store.receipt(name)
        store.discard(store.previous, name)
        sync_file_system(store.root)
        if receipt and receipt.previous:
            digest = receipt.previous.manifest_sha256
            store.write_receipt(receipt.succeeding(None))
    return tidings.given_up(f"gave up the previous version of {name} to make room", name=name, manifest_sha256=digest)


def no_space(path: str, room: Room) -> StoreTrouble:
    return StoreTrouble(
        ErrorName.NO_SPACE,
        f"{path} has {room.free:,} bytes free, {room.needed:,} are needed and {room.reserve:,} kept "
        "in reserve; remove a bundle or make room, then plug the seed in again",
    )
