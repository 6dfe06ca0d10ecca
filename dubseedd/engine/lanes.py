"""Lanes: one list of work, done by one thread or several; how many may change while it is done."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

from dubseedd.engine.stop import StopFlag
from dubseedd.errors import Failure
from dubseedd.names import ErrorName

T = TypeVar("T")

Lane = Callable[["Lanes[T]"], AbstractContextManager[Callable[[T], None]]]
"""Opens what one thread needs, gives what handles an item with it. It heeds the `stop` of the lanes in the middle of
one, and may let them `grow`."""


class Lanes(Generic[T]):
    """Handles every item once. The first failure stops all lanes, and is raised when the last has ended."""

    def __init__(self, items: Iterable[T], lane: Lane[T], stop: StopFlag) -> None:
        self.stop = StopFlag(above=stop)
        self._items = deque(items)
        self._lane = lane
        self._failure: BaseException | None = None
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def run(self) -> None:
        """Work until nothing is left, with the calling thread as the first lane."""
        self._serve()
        for thread in self._threads:
            thread.join()
        if self._failure is not None:
            raise self._failure

    def grow(self, most: int) -> None:
        """Open another lane, if there are not `most` already and there is work for it."""
        with self._lock:
            if len(self._threads) + 1 >= most or not self._items:
                return
            thread = threading.Thread(target=self._serve, name="dubseedd-lane", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self) -> None:
        try:
            with self._lane(self) as handle:
                for item in self._remaining():
                    handle(item)
        except BaseException as failure:  # noqa: BLE001 - it is raised again by the thread that waits for us
            with self._lock:
                self._failure = self._failure or failure
            known = isinstance(failure, Failure)
            self.stop.set(failure if known else Failure(ErrorName.INTERNAL, "another lane has failed"))  # type: ignore[arg-type]

    def _remaining(self) -> Iterator[T]:
        while True:
            self.stop.check()
            try:
                item = self._items.popleft()
            except IndexError:
                return
            yield item
