"""The desk: which notice stands on the screen for what, and what has to change there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dubseedd.desktop.notices import Button, Mood, Notice
from dubseedd.desktop.server import NotificationServer


@dataclass(slots=True)
class Card:
    """A notice as it was last shown, and its number there; `dismissed` while what it was about went on."""

    notice: Notice | None = None
    number: int = 0
    dismissed: bool = False

    @property
    def going(self) -> bool:
        return self.notice is not None and self.notice.mood is Mood.GOING


class Desk:
    """Keeps the screen in step with the notices. `wanted(path, button)` is called when a button is pressed."""

    def __init__(self, server: NotificationServer, wanted: Callable[[str, Button], None]) -> None:
        self._server = server
        self._wanted = wanted
        self._cards: dict[str, Card] = {}
        server.pressed, server.closed = self._on_pressed, self._on_closed

    def know(self, notices: Mapping[str, Notice]) -> None:
        """What was over before anybody looked is not news."""
        self._cards = {path: Card(notice) for path, notice in notices.items() if notice.mood is not Mood.GOING}

    async def lay_out(self, notices: Mapping[str, Notice]) -> None:
        """Show what is new or has changed. What went on and is about nothing any more disappears."""
        for path in self._cards.keys() - notices.keys():
            await self._take_away(self._cards.pop(path))
        for path, notice in notices.items():
            await self.show(path, notice)

    async def show(self, path: str, notice: Notice) -> None:
        """Show a notice. One that the person has dismissed comes back only to say how the thing has ended."""
        card = self._cards.setdefault(path, Card())
        if card.notice == notice or (card.dismissed and notice.mood is Mood.GOING):
            return
        if number := await self._server.show(notice, replaces=card.number):
            card.notice, card.number, card.dismissed = notice, number, False

    async def clear(self) -> None:
        """Take away whatever goes on: nobody will say how it ends."""
        for card in self._cards.values():
            await self._take_away(card)

    async def _take_away(self, card: Card) -> None:
        if card.going and not card.dismissed:
            await self._server.close(card.number)

    def _on_pressed(self, number: int, button: Button) -> None:
        for path, card in self._cards.items():
            if card.number == number:
                self._wanted(path, button)

    def _on_closed(self, number: int) -> None:
        for card in self._cards.values():
            if card.number == number:
                card.dismissed = card.going
