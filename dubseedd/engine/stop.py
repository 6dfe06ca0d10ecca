"""Stopping a thread: a flag that says why."""

from dubseedd.errors import Failure


class StopFlag:
    """Set once; looked at by worker threads between two blocks. It is set as well when the one `above` it is."""

    def __init__(self, above: "StopFlag | None" = None) -> None:
        self._above = above
        self._reason: Failure | None = None

    def set(self, reason: Failure) -> None:
        """Ask for a stop; the first reason counts."""
        self._reason = self._reason or reason

    @property
    def reason(self) -> Failure | None:
        return self._reason or (self._above.reason if self._above is not None else None)

    def check(self) -> None:
        """Raise the reason if there is one."""
        reason = self.reason
        if reason is not None:
            raise reason
