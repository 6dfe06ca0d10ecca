"""What dubseedctl shows, as frozen values.

Field names are those of org.dubnium.Seed1.xml in Python's spelling; units as there.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, TypeVar

from dubseedd.names import NO_OBJECT

ENDED = frozenset({"done", "failed", "cancelled", "interrupted"})
BUSY = frozenset({"mounting", "scanning", "working"})

T = TypeVar("T")


class Error(NamedTuple):
    """A full D-Bus error name and a sentence; both empty where all is well."""

    name: str
    message: str


class Progress(NamedTuple):
    """How far something is, 0 to 100, and a sentence on it; `depth` of nesting."""

    percentage: int
    message: str
    depth: int


class Offered(NamedTuple):
    """A bundle on a seed; `size` in bytes, `verdict` as on D-Bus."""

    name: str
    size: int
    manifest_sha256: str
    verdict: str


NOT_RUNNING = "dubseedd is not running; start it: systemctl start dubseedd"
NO_ERROR = Error("", "")
NO_PROGRESS = Progress(0, "", 1)


@dataclass(frozen=True, slots=True)
class ManagerView:
    """The daemon as a whole."""

    version: str
    state: str
    status: str
    last_error: Error
    safe_to_remove: bool
    store: str
    trust: str


@dataclass(frozen=True, slots=True)
class SeedView:
    """A seed."""

    path: str
    uuid: str
    label: str
    device: str
    filesystem: str
    size: int
    drive: str
    mount_point: str
    state: str
    safe_to_remove: bool
    bundles: tuple[Offered, ...]
    error: Error

    @property
    def busy(self) -> bool:
        """It is being looked at, or a job reads it."""
        return self.state in BUSY


@dataclass(frozen=True, slots=True)
class JobView:
    """A job."""

    path: str
    id: int
    kind: str
    bundle: str
    state: str
    bytes_total: int = 0
    bytes_done: int = 0
    bytes_skipped: int = 0
    files_total: int = 0
    files_done: int = 0
    current_file: str = ""
    rate: int = 0
    expected_end_time: int = 0
    progress: Progress = NO_PROGRESS
    error: Error = NO_ERROR
    seed: str = NO_OBJECT

    @property
    def ended(self) -> bool:
        """Nothing more happens to it by itself, unless the stick comes back."""
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class BundleView:
    """A bundle in the store."""

    name: str
    path: str
    size: int
    files: int
    manifest_sha256: str
    format: str
    state: str
    installed_at: int
    verified_at: int
    seed_uuid: str
    signer: str
    source: str
    can_rollback: bool
    error: Error


@dataclass(frozen=True, slots=True)
class State:
    """Everything at one moment."""

    manager: ManagerView
    seeds: tuple[SeedView, ...]
    jobs: tuple[JobView, ...]
    bundles: tuple[BundleView, ...]


STOPPED = State(ManagerView("", "stopped", NOT_RUNNING, NO_ERROR, safe_to_remove=False, store="", trust=""), (), (), ())
"""What there is to see of a daemon that does not run."""

SHAPES: Mapping[str, Callable[[Any], Any]] = {
    "error": lambda pair: Error(*pair),
    "last_error": lambda pair: Error(*pair),
    "progress": lambda triple: Progress(*triple),
    "bundles": lambda structs: tuple(Offered(*struct) for struct in structs),
}
"""The properties that are no plain values, by field."""


def view(kind: type[T], properties: Mapping[str, Any]) -> T:
    """An object from its D-Bus properties; those that it does not know are left out. KeyError where one is missing."""
    told = {_snake(name): value for name, value in properties.items()}
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # a dataclass
    return kind(**{name: SHAPES[name](told[name]) if name in SHAPES else told[name] for name in names})


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
