"""Stopping a thread: a flag that says why."""

from dubseedd.errors import Failure


class StopFlag:
    """Set once, by the loop; looked at by worker threads between two blocks."""

    def __init__(self) -> None:
        self._reason: Failure | None = None

    def set(self, reason: Failure) -> None:
        """Ask for a stop; the first reason counts."""
        self._reason = self._reason or reason

    @property
    def reason(self) -> Failure | None:
        return self._reason

    def check(self) -> None:
        """Raise the reason if there is one."""
        if self._reason is not None:
            raise self._reason
