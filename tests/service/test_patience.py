"""A stick that is busy is unmounted as soon as it is free."""

import pytest

from dubseedd.errors import StoreTrouble
from dubseedd.names import ErrorName
from dubseedd.service import patience
from dubseedd.service.patience import unmounted


class Stick:
    """One that is busy for so many attempts."""

    def __init__(self, busy: int) -> None:
        self.busy = busy
        self.attempts = 0

    async def unmount(self) -> None:
        self.attempts += 1
        if self.attempts <= self.busy:
            raise StoreTrouble(ErrorName.MOUNT_FAILED, "it is busy")


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "RETRIES_SECONDS", (0.0, 0.0))


async def test_one_that_is_busy_for_a_moment_is_unmounted() -> None:
    stick = Stick(busy=2)
    assert await unmounted(stick.unmount)
    assert stick.attempts == 3


async def test_one_that_stays_busy_is_told() -> None:
    with pytest.raises(StoreTrouble, match="it is busy"):
        await unmounted(Stick(busy=3).unmount)


async def test_one_that_takes_long_is_told_of_once_and_tried_further(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where UDisks2 hangs until somebody restarts it."""
    monkeypatch.setattr(patience, "LONG_SECONDS", 0.0)
    stick, told = Stick(busy=2), []
    assert await unmounted(stick.unmount, overdue=lambda trouble: told.append(trouble.sentence))
    assert (stick.attempts, told) == (3, ["it is busy"])


async def test_one_that_is_busy_for_a_moment_is_not_told_of() -> None:
    told: list[StoreTrouble] = []
    assert await unmounted(Stick(busy=2).unmount, overdue=told.append)
    assert told == []


async def test_one_that_nobody_wants_unmounted_any_more_is_let_be() -> None:
    stick = Stick(busy=3)
    assert not await unmounted(stick.unmount, lambda: stick.attempts < 2)
    assert stick.attempts == 2
