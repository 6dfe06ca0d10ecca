"""Overlap: shall what is written be read back while the copy still goes on? Found out by trying, not by guessing.

ALONE     the copy alone, to see how fast it is
TRYING    with reading back beside it
TOGETHER  it was as fast: the source is the slower device, reading back costs no time
APART     it was slower: source and store share what limits them, reading back comes after the copy
"""

from enum import StrEnum

MEASURE_SECONDS = 1.0
"""How long each way is looked at."""
NO_SLOWER = 0.9
"""As fast is at least this part of the rate that the copy has alone."""


class Way(StrEnum):
    ALONE = "alone"
    TRYING = "trying"
    TOGETHER = "together"
    APART = "apart"


class Overlap:
    """The decision of one sync, fed with what was copied when."""

    def __init__(self) -> None:
        self.way = Way.ALONE
        self._since: float | None = None
        self._bytes = 0
        self._rate_alone = 0.0

    @property
    def together(self) -> bool:
        """Read back now?"""
        return self.way in (Way.TRYING, Way.TOGETHER)

    def copied(self, now_seconds: float, length: int) -> None:
        """So much more was copied; `now_seconds` by a clock that never goes back."""
        if self.way in (Way.TOGETHER, Way.APART):
            return
        if self._since is None:
            self._since = now_seconds
            return
        self._bytes += length
        elapsed = now_seconds - self._since
        if elapsed < MEASURE_SECONDS:
            return
        rate = self._bytes / elapsed
        self._since, self._bytes = now_seconds, 0
        if self.way is Way.ALONE:
            self.way, self._rate_alone = Way.TRYING, rate
        else:
            self.way = Way.TOGETHER if rate >= NO_SLOWER * self._rate_alone else Way.APART
