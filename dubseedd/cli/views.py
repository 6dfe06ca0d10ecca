"""What dubseedctl shows, as frozen values.

Field names are those of org.dubnium.Seed1.xml in Python's spelling; units as there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

ENDED = frozenset({"done", "failed", "cancelled", "interrupted"})
NO_ERROR = ("", "")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ManagerView:
    """The daemon as a whole."""

    version: str
    state: str
    status: str
    last_error: tuple[str, str]
    safe_to_remove: bool
    store: str
    trust: str


@dataclass(frozen=True, slots=True)
class SeedView:
    """A seed; `bundles` are (name, size, manifest digest, verdict)."""

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
    bundles: tuple[tuple[str, int, str, str], ...]
    error: tuple[str, str]


@dataclass(frozen=True, slots=True)
class JobView:
    """A job; `progress` is (percentage, sentence, depth)."""

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
    progress: tuple[int, str, int] = (0, "", 1)
    error: tuple[str, str] = NO_ERROR

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
    error: tuple[str, str]


@dataclass(frozen=True, slots=True)
class State:
    """Everything at one moment."""

    manager: ManagerView
    seeds: tuple[SeedView, ...]
    jobs: tuple[JobView, ...]
    bundles: tuple[BundleView, ...]


def view(kind: type[T], properties: Mapping[str, Any]) -> T:
    """An object from its D-Bus properties; those that it does not know are left out. KeyError where one is missing."""
    told = {_snake(name): _frozen(value) for name, value in properties.items()}
    return kind(**{field.name: told[field.name] for field in fields(kind)})  # type: ignore[arg-type]  # a dataclass


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
