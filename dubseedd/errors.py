"""The deliberate errors, in families that tell the caller what to do.

    SeedRefused     the seed or bundle is wrong: mend the seed
    Interrupted     the device went away, or the daemon is stopped: it goes on by itself
    StoreTrouble    our side is wrong: disk, store, mount
    CallRefused     the caller asked for what cannot be
    Cancelled       somebody asked us to stop

Raising never logs. Each carries the error's name and one sentence that names the thing, the reason and the next step.
"""

from dubseedd.names import ErrorName


class Failure(Exception):
    """A deliberate error: `error` is its well-known name, `sentence` what a person reads, `file` the path concerned."""

    def __init__(self, error: ErrorName, sentence: str, *, file: str = "") -> None:
        super().__init__(sentence)
        self.error = error
        self.sentence = sentence
        self.file = file

    @property
    def pair(self) -> tuple[str, str]:
        """(full D-Bus name, sentence), the form of every Error property."""
        return self.error.full, self.sentence


class SeedRefused(Failure):
    """The seed breaks a rule of acceptance."""


class StoreTrouble(Failure):
    """The store, the disk or a mount failed us."""


class CallRefused(Failure):
    """What was asked for is impossible, unknown or not allowed."""


class Interrupted(Failure):
    """The work was cut short from outside and goes on by itself; what was verified is kept."""


class SeedGone(Interrupted):
    """The device was pulled or died while it was read."""

    def __init__(self, sentence: str = "the seed was pulled out; plug it in again and the job goes on") -> None:
        super().__init__(ErrorName.SEED_GONE, sentence)


class Stopping(Interrupted):
    """The daemon is being stopped."""

    def __init__(self) -> None:
        super().__init__(
            ErrorName.CANCELLED,
            "dubseedd is being stopped; a sync goes on when it runs again and the stick is plugged in",
        )


class Cancelled(Failure):
    """The work was stopped on request; what was verified is kept."""

    def __init__(self, sentence: str = "cancelled; what was verified is kept for the next time") -> None:
        super().__init__(ErrorName.CANCELLED, sentence)


NO_ERROR = ("", "")
"""The pair of an Error property where there is none."""
