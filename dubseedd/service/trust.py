"""What decides whether a bundle is taken, digests alone or an enrolled key's signature: as it was last looked at."""

from collections.abc import Callable

from dubseedd.core.config import Config
from dubseedd.engine.enrolment import enrolled_in
from dubseedd.service.board import Board
from dubseedd.service.worker import in_thread


class Trust:
    """`word` is what the bus shows: integrity, or signed. Each sync reads the keys for itself."""

    def __init__(self, config: Callable[[], Config], board: Board) -> None:
        self._config = config
        self._board = board
        self.word = "integrity"

    async def look(self) -> None:
        """Find out anew; never raises."""
        path = self._config().trust.allowed_signers
        enrolment = await in_thread(lambda: enrolled_in(path))
        word = "signed" if enrolment.demands_signatures else "integrity"
        if word != self.word:
            self.word = word
            self._board.overall()
