"""The board: where the conductor posts what has changed, and whoever follows it reads.

Events are stamped here and go to journal and history; changes of state go to the listeners, the D-Bus face above all.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

from dubseedd.core.events import Event
from dubseedd.core.tidings import Tiding
from dubseedd.engine.store_view import StoredBundle
from dubseedd.names import EventName, Field
from dubseedd.service.job import Job
from dubseedd.service.ports import Clock, Recorder
from dubseedd.service.seed import Seed

Thing: TypeAlias = Seed | Job | StoredBundle


class Listener:
    """Follows the state; every call comes on the loop. What is of no interest is left as it is here: nothing."""

    def changed(self, thing: Thing) -> None:
        """Something is new or has changed."""

    def gone(self, thing: Thing) -> None:
        """Something is there no more."""

    def ended(self, job: Job) -> None:
        """A job has reached its end."""

    def installed(self, bundle: StoredBundle) -> None:
        """A bundle was published or adopted."""

    def overall(self) -> None:
        """What is said of the daemon as a whole may have changed."""


class Board:
    """One for the daemon. Listeners are told in the order in which they were added."""

    def __init__(self, recorder: Recorder, clock: Clock) -> None:
        self._recorder = recorder
        self.clock = clock
        self.listeners: list[Listener] = []

    def tell(self, name: EventName, message: str, fields: dict[Field, str | int] | None = None) -> None:
        """Record an event: one line for a person, fields for programs."""
        self._recorder.record(Event(name, message, self.clock(), fields or {}))

    def report(self, tiding: Tiding, fields: Mapping[Field, str | int] = MappingProxyType({})) -> None:
        """Record what is told of a bundle, with more fields where a job or a seed brought it about."""
        self.tell(tiding.event, tiding.sentence, {**fields, **tiding.fields})

    def changed(self, thing: Thing) -> None:
        for listener in self.listeners:
            listener.changed(thing)
            listener.overall()

    def gone(self, thing: Thing) -> None:
        for listener in self.listeners:
            listener.gone(thing)
            listener.overall()

    def overall(self) -> None:
        for listener in self.listeners:
            listener.overall()

    def ended(self, job: Job) -> None:
        for listener in self.listeners:
            listener.ended(job)

    def installed(self, bundle: StoredBundle) -> None:
        for listener in self.listeners:
            listener.installed(bundle)
