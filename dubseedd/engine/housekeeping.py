"""Housekeeping: what the store gives up, because room is needed or because nobody has come back for it.

Unfinished copies go first, then previous versions, the oldest first. What somebody works on is left alone.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from dubseedd.engine.durable import FOLDER, names_in, opened
from dubseedd.engine.staging import size_on_disk, staged_copies
from dubseedd.engine.store import Store
from dubseedd.errors import StoreTrouble
from dubseedd.names import ErrorName


class _Spare(NamedTuple):
    """What can be given up: its size in bytes, how, and the sentence that tells it. Giving up is False where somebody
    has begun to work on it meanwhile."""

    size: int
    give_up: Callable[[], bool]
    sentence: str


def make_room(store: Store, needed_bytes: int, reserve_bytes: int, *, but: str) -> Iterator[str]:
    """Give up staging of manifests other than `but`, then previous versions, until there is room; yields a sentence for
    each. StoreTrouble (NoSpace), with nothing given up, where even that would not do."""

    def missing() -> int:
        return needed_bytes + reserve_bytes - store.free_bytes()

    if missing() <= 0:
        return
    spares = [*_unfinished_copies(store, but), *_previous_versions(store)]
    if sum(spare.size for spare in spares) < missing():
        raise _no_space(store, needed_bytes, reserve_bytes)
    for spare in spares:
        if missing() <= 0:
            return
        if spare.give_up():
            yield spare.sentence
    if missing() > 0:
        raise _no_space(store, needed_bytes, reserve_bytes)


def expire_staging(store: Store, before_seconds: float) -> Iterator[str]:
    """Give up staging that nothing has continued since; yields a sentence for each."""
    for copy in staged_copies(store.staging):
        if copy.continued_at < before_seconds and _give_up_copy(store, copy.manifest_sha256) and copy.size:
            yield f"gave up the unfinished copy {copy.manifest_sha256[:12]}…: nothing has continued it for 30 days"


def _unfinished_copies(store: Store, but: str) -> Iterator[_Spare]:
    for copy in staged_copies(store.staging):
        digest = copy.manifest_sha256
        if digest != but and digest not in store.busy:
            sentence = f"gave up the unfinished copy {digest[:12]}… to make room"
            yield _Spare(copy.size, partial(_give_up_copy, store, digest), sentence)


def _give_up_copy(store: Store, manifest_sha256: str) -> bool:
    with store.changing:
        if manifest_sha256 in store.busy:
            return False
        store.discard(store.staging, manifest_sha256)
    return True


def _previous_versions(store: Store) -> Iterator[_Spare]:
    def age(name: str) -> float:
        return os.stat(name, dir_fd=store.previous, follow_symlinks=False).st_ctime

    for name in sorted(names_in(store.previous), key=age):
        size = 0
        with suppress(OSError), opened(name, FOLDER, at=store.previous) as folder:
            size = size_on_disk(folder)
        sentence = f"gave up the previous version of {name} to make room"
        yield _Spare(size, partial(_give_up_previous, store, name), sentence)


def _give_up_previous(store: Store, name: str) -> bool:
    with store.changing:
        receipt = store.receipt(name)
        if receipt and receipt.previous:
            store.write_receipt(receipt.succeeding(None))
        store.discard(store.previous, name)
    return True


def _no_space(store: Store, needed_bytes: int, reserve_bytes: int) -> StoreTrouble:
    return StoreTrouble(
        ErrorName.NO_SPACE,
        f"{store.path} has {store.free_bytes():,} bytes free, {needed_bytes:,} are needed and {reserve_bytes:,} kept "
        "in reserve; remove a bundle or make room, then plug the seed in again",
    )
