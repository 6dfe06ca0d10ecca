"""The desk: which notice stands on the screen for what, and what has to change there."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from dubseedd.desktop.notices import Button, Mood, Notice
from dubseedd.desktop.server import NotificationServer

PAUSE_SECONDS = 0.5
"""Between two changes of the screen: a notification is no progress bar."""
RETRY_SECONDS = 30.0
"""Until what was not shown is tried again, unless something changes first."""
UNSHOWN_MOST = 20
"""Results of what is gone that wait to be shown; the oldest give way."""

Wanted = Callable[[Notice, Button, float], None]
"""Called with a notice, its button that is pressed, and when what it is about was gone, in microseconds since the
epoch."""


@dataclass(slots=True)
class Card:
    """The notice that is to stand on the screen, None for none; as it was shown last; its number while it stands; when
    what it is about was gone."""

    wanted: Notice | None
    shown: Notice | None = None
    number: int = 0
    gone_at: float = math.inf

    @property
    def due(self) -> bool:
        """Has the screen to be changed? What goes on and was dismissed comes back only to say how it has ended."""
        if self.wanted is None:
            return self.number != 0
        if self.wanted == self.shown:
            return False
        dismissed = _goes_on(self.wanted) and _goes_on(self.shown)
        return self.number != 0 or not (dismissed or self.wanted.quiet)

    def leave(self) -> None:
        """What it is about is gone: nobody will say how that ends."""
        self.gone_at = time.time() * 1_000_000
        if _goes_on(self.wanted):
            self.wanted = None

    def fall(self) -> None:
        """The server is gone, and the notice with it: what goes on or is wrong is to be shown again."""
        if self.number and self.shown is not None and self.shown.mood is not Mood.WELL:
            self.shown = None
        self.number = 0


class Desk:
    """Keeps the screen in step with the notices."""

    def __init__(self, server: NotificationServer, wanted: Wanted) -> None:
        self._server = server
        self._wanted = wanted
        self._cards: dict[str, Card] = {}
        self._left: list[Card] = []
        """Of what is gone: what still stands on the screen, with its buttons, or has yet to get there."""
        self._stale = asyncio.Event()
        server.pressed, server.closed = self._on_pressed, self._on_closed
        server.lost, server.came = self._on_lost, self._stale.set

    def know(self, notices: Mapping[str, Notice]) -> None:
        """What was over before anybody looked is not news."""
        self._cards = {path: Card(notice, notice) for path, notice in notices.items() if not _goes_on(notice)}

    def tell(self, notices: Mapping[str, Notice]) -> None:
        """What is to be on the screen from now on, by the path of what it is about."""
        for path in self._cards.keys() - notices.keys():
            card = self._cards.pop(path)
            card.leave()
            self._left.append(card)
        for path, notice in notices.items():
            self._cards.setdefault(path, Card(notice)).wanted = notice
        self._stale.set()

    async def keep(self) -> None:
        """Keep the screen in step, until the bus is gone."""
        while True:
            self._stale.clear()
            laying = asyncio.ensure_future(self.lay_out())
            try:
                done = await asyncio.shield(laying)
            finally:  # what has no number yet could not be taken away
                await asyncio.gather(laying, return_exceptions=True)
            await asyncio.sleep(PAUSE_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(None if done else RETRY_SECONDS):
                    await self._stale.wait()

    async def lay_out(self) -> bool:
        """Show what is new or has changed, take away what went on and is no more; False where it could not be shown."""
        for card in self._all():
            await self._bring(card)
        unshown = [card for card in self._left if card.due and not card.number]
        self._left = [*(card for card in self._left if card.number), *unshown[-UNSHOWN_MOST:]]
        return not any(card.due for card in self._all())

    async def say(self, notice: Notice) -> None:
        """Show an answer, which is about nothing that goes on."""
        await self._server.show(notice)

    async def clear(self) -> None:
        """Take away whatever goes on."""
        for card in self._all():
            card.leave()
            if card.wanted is None:
                await self._bring(card)

    def _all(self) -> list[Card]:
        return [*self._left, *self._cards.values()]

    async def _bring(self, card: Card) -> None:
        notice = card.wanted
        if not card.due:
            return
        if notice is None:
            await self._server.close(card.number)
            card.number = 0
        elif number := await self._server.show(notice, replaces=card.number):
            card.shown, card.number = notice, number

    def _on_pressed(self, number: int, button: Button) -> None:
        for card in self._all():
            if card.number == number and card.shown is not None:
                self._wanted(card.shown, button, card.gone_at)

    def _on_closed(self, number: int) -> None:
        for card in self._all():
            if card.number == number:
                card.number = 0

    def _on_lost(self) -> None:
        for card in self._all():
            card.fall()
        self._stale.set()


def _goes_on(notice: Notice | None) -> bool:
    return notice is not None and notice.mood is Mood.GOING
