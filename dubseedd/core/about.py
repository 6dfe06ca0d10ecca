"""dubnium-bundle.json: what a bundle is, where it came from, when and by what it was made.

    {"schemaVersion": 1, "name": "tiny", "source": "owner/tiny", "revision": "…40 hex…", "license": "apache-2.0",
     "files": 7, "bytes": 200123, "created": "2026-01-31T12:00:00Z", "createdBy": "dubseedctl 0.1.0"}

`files` and `bytes` are of the other files that the manifest lists. It is a file of the bundle like any other, so one
that says the same of a bundle, but for when and by what, is kept as it is: a refresh without changes changes nothing.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from dubseedd.core.sentence import SHOWN_CHARACTERS

SCHEMA_VERSION = 1
MAX_BYTES = 64 << 10
_FRONT_MATTER = re.compile(rb"\A---\r?\n(.*?)\r?\n---", re.DOTALL)
_LICENSE = re.compile(rb"^(license_name|license):[ \t]*[\"']?([\w.+-]+)", re.MULTILINE)
_NO_NAME = "other"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a model came from: a repository or the name of a folder, its revision, its licence; "" is not known."""

    source: str
    revision: str = ""
    license: str = ""

    @property
    def called(self) -> str:
        """Repository and revision in one word, `owner/tiny@0123abcd`; "" where that is nothing to be shown."""
        name = f"{self.source}@{self.revision}" if self.source and self.revision else self.source
        return name if name.isprintable() and len(name) <= SHOWN_CHARACTERS else ""


@dataclass(frozen=True, slots=True)
class About:
    """What stands in the file. `size` in bytes; `created` is UTC as in ISO 8601."""

    name: str
    origin: Origin
    files: int
    size: int
    created: str
    created_by: str

    def render(self) -> bytes:
        content = {
            "schemaVersion": SCHEMA_VERSION,
            "name": self.name,
            **asdict(self.origin),
            "files": self.files,
            "bytes": self.size,
            "created": self.created,
            "createdBy": self.created_by,
        }
        return json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n"

    def says_the_same_as(self, other: "About") -> bool:
        """Does it differ in nothing but when and by what the bundle was made?"""
        return replace(self, created=other.created, created_by=other.created_by) == other


def parse(raw: bytes) -> About | None:
    """The content of a file, None where it is none of ours."""
    try:
        content = json.loads(raw)
        return About(
            _text(content, "name"),
            Origin(_text(content, "source"), _text(content, "revision"), _text(content, "license")),
            int(content["files"]),
            int(content["bytes"]),
            _text(content, "created"),
            _text(content, "createdBy"),
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _text(content: Mapping[str, object], key: str) -> str:
    text = content[key]
    if isinstance(text, str):
        return text
    raise TypeError(key)


def license_in(readme: bytes) -> str:
    """The licence that the front matter of a model card names; "" where it names none."""
    front = _FRONT_MATTER.match(readme)
    named: dict[str, str] = {key.decode(): value.decode() for key, value in _LICENSE.findall(front[1])} if front else {}
    plain = named.get("license", "")
    return named.get("license_name", plain) if plain == _NO_NAME else plain
