"""Inhibitors: who holds publications back, and why, for as long as they hold the descriptor that they were given.

It is the writing end of a pipe, as logind does it: when the last copy of it is closed, by whoever or by their end, the
reading end, which is ours, says so.
"""

import asyncio
import os
from collections import Counter
from contextlib import suppress
from typing import NamedTuple

from dubseedd.core.sentence import shown
from dubseedd.errors import CallRefused
from dubseedd.names import ErrorName
from dubseedd.service.board import Board

MOST_OF_A_USER = 8
TEXT_MOST_BYTES = 256


class Inhibitor(NamedTuple):
    """Who, in the words of whoever asked, why, and the uid that asked."""

    who: str
    why: str
    uid: int


class Inhibitors:
    """All there are."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._held: dict[int, Inhibitor] = {}
        """By our end of the pipe."""
        self._changed = asyncio.Event()

    @property
    def all(self) -> list[Inhibitor]:
        return list(self._held.values())

    async def news(self) -> None:
        """Return when there is one more, or one less."""
        await self._changed.wait()

    def refuse(self, what: str) -> None:
        """CallRefused (Inhibited) where somebody holds `what` back."""
        for one in self._held.values():
            raise CallRefused(ErrorName.INHIBITED, f"{what} is held back by {_told(one)}; ask again when that is over")

    @property
    def reason(self) -> str:
        """Who holds publications back, in words; empty where nobody does."""
        return ", ".join(_told(one) for one in self._held.values())

    def take(self, inhibitor: Inhibitor) -> int:
        """Hold back from now on; the descriptor whose closing ends it. CallRefused where it is one too many, or too
        long."""
        for name, text in (("who", inhibitor.who), ("why", inhibitor.why)):
            if not 0 < len(text.encode()) <= TEXT_MOST_BYTES:
                raise CallRefused(ErrorName.INVALID_ARGS, f"{name!r} has to be 1 to {TEXT_MOST_BYTES} bytes long")
        if Counter(one.uid for one in self._held.values())[inhibitor.uid] >= MOST_OF_A_USER:
            raise CallRefused(
                ErrorName.BUSY, f"you hold {MOST_OF_A_USER} inhibitors already; close one of their descriptors first"
            )
        ours, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._held[ours] = inhibitor
        asyncio.get_running_loop().add_reader(ours, self._look, ours)
        self._announce()
        return theirs

    def stop(self) -> None:
        """Let go of every pipe."""
        for ours in list(self._held):
            self._drop(ours)

    def _look(self, ours: int) -> None:
        """Somebody has written into the pipe, which means nothing, or all have closed it."""
        with suppress(BlockingIOError):
            if not os.read(ours, 4096):
                self._drop(ours)

    def _drop(self, ours: int) -> None:
        asyncio.get_running_loop().remove_reader(ours)
        os.close(ours)
        del self._held[ours]
        self._announce()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
        self._board.overall()


def _told(one: Inhibitor) -> str:
    return f"{shown(one.who)} ({shown(one.why)})"
