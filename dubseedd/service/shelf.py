"""The shelf: what the store holds, as it was last looked at."""

import asyncio

from dubseedd.engine.store import Store
from dubseedd.engine.store_view import StoredBundle
from dubseedd.service.board import Board
from dubseedd.service.worker import in_thread


class Shelf:
    """The bundles of the store by name."""

    def __init__(self, store: Store, board: Board) -> None:
        self.store = store
        self._board = board
        self._looking = asyncio.Lock()
        """One look after the other: the last to end is the last that was taken."""
        self.bundles: dict[str, StoredBundle] = {}

    async def refresh(self) -> None:
        """Look at the whole store."""
        async with self._looking:
            self._take(await in_thread(lambda: {bundle.name: bundle for bundle in self.store.listing()}))

    async def refresh_one(self, name: str) -> StoredBundle | None:
        """Look at one name, after it was changed."""
        async with self._looking:
            bundle = await in_thread(lambda: self.store.look(name))
            others = {other: known for other, known in self.bundles.items() if other != name}
            self._take(others | ({name: bundle} if bundle else {}))
        return bundle

    def _take(self, fresh: dict[str, StoredBundle]) -> None:
        known, self.bundles = self.bundles, dict(sorted(fresh.items()))
        for name, bundle in known.items():
            if name not in fresh:
                self._board.gone(bundle)
        for name, bundle in self.bundles.items():
            if known.get(name) != bundle:
                self._board.changed(bundle)
