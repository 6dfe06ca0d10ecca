"""The configuration: one row an option, from which reading, checking and the error messages follow.

Documents are what tomllib reads; a later one overrides an earlier one, key by key. Sizes in bytes, times in seconds.
"""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from dubseedd.names import DEFAULT_LABEL, DEFAULT_STORE


class ConfigError(ValueError):
    """One line that names file, key and what is allowed."""


class Automatic(StrEnum):
    PUBLISH = "publish"
    VERIFY = "verify"
    OFF = "off"


class AfterSync(StrEnum):
    UNMOUNT = "unmount"
    POWER_OFF = "power-off"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class SeedConfig:
    label: str = DEFAULT_LABEL
    models: str = "models"
    filesystems: tuple[str, ...] = ("vfat", "exfat", "ntfs", "ext4", "xfs", "btrfs")
    bundles: tuple[str, ...] = ("*",)


@dataclass(frozen=True, slots=True)
class StoreConfig:
    path: str = DEFAULT_STORE
    reserve_bytes: int = 1 << 30
    keep_previous: bool = True


@dataclass(frozen=True, slots=True)
class SyncConfig:
    automatic: Automatic = Automatic.PUBLISH
    read_back: bool = True
    after: AfterSync = AfterSync.UNMOUNT


@dataclass(frozen=True, slots=True)
class TrustConfig:
    allowed_signers: str = "/etc/dubnium/seed-signers"
    pickle_allowed: bool = False


@dataclass(frozen=True, slots=True)
class ScrubConfig:
    interval_seconds: int = 30 * 86400


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Whoever serves the models; dubseedctl alone asks for it."""

    unit: str = "vllm.service"


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """Where the metrics go; empty: nowhere."""

    folder: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    seed: SeedConfig = field(default_factory=SeedConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
    sync: SyncConfig = field(default_factory=SyncConfig)
    trust: TrustConfig = field(default_factory=TrustConfig)
    scrub: ScrubConfig = field(default_factory=ScrubConfig)
    server: ServerConfig = field(default_factory=ServerConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)


class Option(NamedTuple):
    """One key: its table, its name in the file, its name in the code, how to read it, and what it allows in words.

    `read` raises ValueError for a bad value.
    """

    table: str
    key: str
    attribute: str
    read: Callable[[Any], Any]
    allowed: str


_UNITS = {
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_SPANS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True, slots=True)
class Text:
    """Reads a text that `pattern` matches as a whole, by default as it stands; with `numbers`, a bare number as well.

    Patterns keep to what POSIX knows too: the NixOS module types its options by them.
    """

    pattern: str
    take: Callable[[re.Match[str]], Any] = lambda match: match[0]
    numbers: bool = False

    def __call__(self, value: Any) -> Any:
        text = str(value) if self.numbers and type(value) is int else value
        match = re.fullmatch(self.pattern, text) if isinstance(text, str) else None
        if not match:
            raise ValueError
        return self.take(match)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError  # noqa: TRY004 - every bad value is the same to the reader
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(item, str) and item for item in value):
        raise ValueError
    return tuple(value)


_CONTROL = r"\x00-\x1f\x7f"
# A part of a path that is neither empty nor "." nor "..".
_PART = f"([^/.{_CONTROL}]|[.][^/.{_CONTROL}]|[.][.][^/{_CONTROL}])[^/{_CONTROL}]*"
_FOLDER = Text(f"{_PART}(/{_PART})*")
_ABSOLUTE = Text(f"/[^{_CONTROL}]*")
_SIZE = Text(f"([0-9]+) ?({'|'.join(_UNITS)})?", lambda match: int(match[1]) * _UNITS.get(match[2], 1), numbers=True)
_INTERVAL = Text("0|([0-9]+) ?([smhdw])", lambda match: int(match[1] or 0) * _SPANS.get(match[2], 0), numbers=True)

OPTIONS = (
    Option("seed", "label", "label", Text("[A-Za-z0-9_.+][A-Za-z0-9_.+-]{0,254}"), "a label of A-Z a-z 0-9 _ . + -"),
    Option("seed", "models", "models", _FOLDER, "a folder on the seed, relative and without '..'"),
    Option("seed", "filesystems", "filesystems", _texts, "a list of file-system names"),
    Option("seed", "bundles", "bundles", _texts, "a list of shell patterns"),
    Option("store", "path", "path", _ABSOLUTE, "an absolute path"),
    Option(
        "store",
        "reserve",
        "reserve_bytes",
        _SIZE,
        'a whole number of bytes, or with kB MB GB TB KiB MiB GiB TiB, as in "1GiB"',
    ),
    Option("store", "keep_previous", "keep_previous", _flag, "true or false"),
    Option("sync", "automatic", "automatic", Automatic, '"publish", "verify" or "off"'),
    Option("sync", "read_back", "read_back", _flag, "true or false"),
    Option("sync", "after", "after", AfterSync, '"unmount", "power-off" or "keep"'),
    Option("trust", "allowed_signers", "allowed_signers", _ABSOLUTE, "an absolute path"),
    Option(
        "trust",
        "pickle",
        "pickle_allowed",
        Text("refuse|allow", lambda match: match[0] == "allow"),
        '"refuse" or "allow"',
    ),
    Option("scrub", "interval", "interval_seconds", _INTERVAL, 'an interval such as "30d", or "0" for never'),
    Option(
        "server",
        "unit",
        "unit",
        Text(r"([A-Za-z0-9:_.@\\-]+[.]service)?"),
        'a unit such as "vllm.service", or "" for none',
    ),
    Option("metrics", "folder", "folder", Text(f"(/[^{_CONTROL}]*)?"), 'an absolute path, or "" for none'),
)

_TABLES: Mapping[str, type] = {
    "seed": SeedConfig,
    "store": StoreConfig,
    "sync": SyncConfig,
    "trust": TrustConfig,
    "scrub": ScrubConfig,
    "server": ServerConfig,
    "metrics": MetricsConfig,
}


def build(documents: Sequence[tuple[str, Mapping[str, Any]]]) -> Config:
    """The configuration that these (file name, document) pairs give, over the defaults. Raises ConfigError."""
    values: dict[str, dict[str, Any]] = {table: {} for table in _TABLES}
    for file, document in documents:
        for table, content in document.items():
            if table not in _TABLES:
                raise ConfigError(f"{file}: unknown table {table!r}; {_known(table, _TABLES)}")
            if not isinstance(content, Mapping):
                raise ConfigError(f"{file}: {table} has to be a table: [{table}]")
            for key, value in content.items():
                option = _option(file, table, key)
                values[table][option.attribute] = _value(file, option, value)
    return Config(**{table: kind(**values[table]) for table, kind in _TABLES.items()})


def _option(file: str, table: str, key: str) -> Option:
    options = {option.key: option for option in OPTIONS if option.table == table}
    if key not in options:
        raise ConfigError(f"{file}: unknown key {key!r} in [{table}]; {_known(key, options)}")
    return options[key]


def _value(file: str, option: Option, value: Any) -> Any:
    try:
        return option.read(value)
    except ValueError:
        raise ConfigError(
            f"{file}: [{option.table}] {option.key} = {value!r} is not allowed; it takes {option.allowed}"
        ) from None


def _known(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
