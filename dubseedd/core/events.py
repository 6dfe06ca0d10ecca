"""Events: what is announced, under which message id and at which priority.

An event's name decides its MESSAGE_ID and its syslog priority; the ids are fixed for ever, the catalog explains them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from dubseedd.names import EventName as E
from dubseedd.names import Field

ERR, WARNING, NOTICE, INFO = 3, 4, 5, 6


class Announcement(NamedTuple):
    """How an event stands in the journal."""

    message_id: str
    priority: int


ANNOUNCEMENTS: Mapping[E, Announcement] = {
    E.STARTED: Announcement("ecf67a7d4d804cbc8a352515faa9e137", INFO),
    E.STOPPED: Announcement("33c047103c544c4597d96935929f01ce", INFO),
    E.SEED_ADDED: Announcement("e21ab98f7e924797a522ed89acab2a48", NOTICE),
    E.SEED_REMOVED: Announcement("ba8e64e9b2484c06b8a1da12cb1f628b", NOTICE),
    E.SEED_MOUNTED: Announcement("8f29bb2ce1fe46309b5aa780b5827a3b", INFO),
    E.SEED_UNMOUNTED: Announcement("eee33cece03c4ff0a9469115b48f5f1a", INFO),
    E.SEED_REFUSED: Announcement("6cc8e402d0554bfab409eecd944b0c9a", ERR),
    E.BUNDLE_FOUND: Announcement("df9154325f3540e9820cbf274c4d1071", INFO),
    E.BUNDLE_REFUSED: Announcement("3cd1510f76064188bda7175b7e3254f1", ERR),
    E.JOB_STARTED: Announcement("dcab9611670f4d798bad0014d1ab1c51", NOTICE),
    E.JOB_PROGRESS: Announcement("8b422594895449c7bcbe785dd5aa1f0f", INFO),
    E.JOB_FINISHED: Announcement("849cd3c30f3640c1b544fa7b5944ad4b", NOTICE),
    E.JOB_FAILED: Announcement("f9df2e24a07e48aa991c31d93938068c", ERR),
    E.JOB_INTERRUPTED: Announcement("e11bd99668d249b3946055f203eeee04", WARNING),
    E.JOB_RESUMED: Announcement("8620fbc37b194db5b8395aa890560022", NOTICE),
    E.JOB_CANCELLED: Announcement("29617682788142ebbea0b6ad92907702", NOTICE),
    E.BUNDLE_INSTALLED: Announcement("d4fc5f6919e64c62923baa9f42302581", NOTICE),
    E.BUNDLE_ADOPTED: Announcement("d8d0ef78109f44b6ad8db51398928ed4", NOTICE),
    E.BUNDLE_CURRENT: Announcement("009e7bfa7674495d8727bc36f99d900f", INFO),
    E.BUNDLE_DAMAGED: Announcement("0028c7570db34b71ae57dc8c2133d27a", ERR),
    E.BUNDLE_ROLLED_BACK: Announcement("f996d17102054adbae9b35979a60053b", NOTICE),
    E.BUNDLE_REMOVED: Announcement("3bb732b2eb4941c1a998473df4e0d88d", NOTICE),
    E.SAFE_TO_REMOVE: Announcement("d2bfec8c20ce485281795337c76db4a6", NOTICE),
}


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: `message` is one line for a person, `fields` what programs filter by.

    `at` is the time in microseconds since the epoch.
    """

    name: E
    message: str
    at: int
    fields: Mapping[Field, str | int] = field(default_factory=dict)

    @property
    def message_id(self) -> str:
        return ANNOUNCEMENTS[self.name].message_id

    @property
    def priority(self) -> int:
        """The syslog priority."""
        return ANNOUNCEMENTS[self.name].priority

    def as_record(self) -> dict[str, str | int]:
        """The event as one flat object of the history: journal fields in lower case, empty ones left out."""
        return {
            "time": self.at,
            "message": self.message,
            "message_id": self.message_id,
            "priority": self.priority,
            Field.EVENT.lower(): self.name.value,
            **{name.lower(): value for name, value in self.fields.items() if value != ""},
        }
