"""The shelf while the store changes under it."""

import asyncio
import os
import threading
from pathlib import Path

from dubseedd.engine.store import Store
from dubseedd.engine.store_view import StoredBundle
from dubseedd.service.board import Board
from dubseedd.service.shelf import Shelf
from dubseedd.service.worker import in_thread


class SlowStore(Store):
    """A store whose listing takes its time: it is told when to end."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.listed, self.end = threading.Event(), threading.Event()

    def listing(self) -> list[StoredBundle]:
        found = super().listing()
        self.listed.set()
        self.end.wait()
        return found


class Nowhere:
    """A recorder that forgets."""

    def record(self, event: object) -> None: ...
    def flush(self) -> None: ...


async def test_what_appears_while_the_store_is_listed_stays_on_the_shelf(tmp_path: Path) -> None:
    """A bundle that is published meanwhile is not in the listing, and is there all the same."""
    store = SlowStore(str(tmp_path))
    shelf = Shelf(store, Board(Nowhere(), lambda: 0))
    listing = asyncio.ensure_future(shelf.refresh())
    await in_thread(store.listed.wait)
    os.mkdir(tmp_path / "tiny")
    published = asyncio.ensure_future(shelf.refresh_one("tiny"))
    await asyncio.wait({published}, timeout=0.2)
    store.end.set()
    await asyncio.gather(listing, published)
    assert list(shelf.bundles) == ["tiny"]
    store.close()
