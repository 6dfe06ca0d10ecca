"""Receipts: what was installed, from where, when, signed by whom, and every file as it was left on the disk.

A receipt is a JSON object, schema version 1. Times in microseconds since the epoch, sizes in bytes, digests in hex.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any, Self

from dubseedd.errors import StoreTrouble
from dubseedd.names import ErrorName

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file as it lies on the disk. Same `size`, `mtime_ns` and `inode` later: nobody has touched it."""

    path: str
    size: int
    sha256: str
    blake3: str
    mtime_ns: int
    inode: int

    def untouched(self, *, size: int, mtime_ns: int, inode: int) -> bool:
        return (self.size, self.mtime_ns, self.inode) == (size, mtime_ns, inode)


class Displaced(StrEnum):
    """What was in the place of a version is kept as the previous one, or dropped."""

    NOTHING = "nothing"
    KEPT = "kept"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Receipt:
    """The record of one installed version of a bundle.

    `manifest` is the record of its SHA256SUMS. `folder` is (inode, time of birth in nanoseconds) of its folder and
    tells it from any other of that name. `displaced` is what became of the folder that it took the place of.
    `held_back` is the digest of the version that was rolled back from, installed again only on request.
    `damage` is the error pair of the last verification, empty while the bundle is whole.
    """

    name: str
    manifest: FileRecord
    files: tuple[FileRecord, ...]
    folder: tuple[int, int]
    format: str
    installed_at: int
    verified_at: int
    seed_uuid: str = ""
    adopted: bool = False
    signer: str = ""
    source: str = ""
    held_back: str = ""
    damage: tuple[str, str] = ("", "")
    displaced: Displaced = Displaced.NOTHING
    previous: "Receipt | None" = None

    @property
    def manifest_sha256(self) -> str:
        return self.manifest.sha256

    @property
    def size(self) -> int:
        """Bytes of all files of the manifest."""
        return sum(file.size for file in self.files)

    def succeeding(self, former: "Receipt | None") -> Self:
        """This receipt with `former` as the version before it."""
        return replace(self, previous=former and replace(former, previous=None))

    def to_json(self) -> bytes:
        """One JSON object with a line for each file; built line by line, for a bundle may have 200,000 of them."""
        return b"".join(self._lines(f'"schemaVersion": {SCHEMA_VERSION}'))

    def _lines(self, *first: str) -> Iterator[bytes]:
        rest = {
            field.name: getattr(self, field.name) for field in fields(self) if field.name not in ("files", "previous")
        }
        rest["manifest"] = asdict(self.manifest)
        members = [*first, *(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in rest.items())]
        yield "{{{}, {}: [\n".format(", ".join(members), '"files"').encode()
        for number, file in enumerate(self.files):
            yield (",\n" if number else "").encode() + json.dumps(asdict(file), ensure_ascii=False).encode()
        yield b'\n], "previous": '
        if self.previous is None:
            yield b"null"
        else:
            yield from self.previous._lines()
        yield b"}" if first == () else b"}\n"

    @classmethod
    def from_json(cls, raw: bytes) -> "Receipt":
        """Read a receipt; StoreTrouble (StoreFailed) where it is none of ours."""
        try:
            document = json.loads(raw)
            version = document.pop("schemaVersion")
            if version != SCHEMA_VERSION:
                raise ValueError(f"schema version {version}, this dubseedd knows {SCHEMA_VERSION}")
            return cls._build(document)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise StoreTrouble(
                ErrorName.STORE_FAILED,
                f"a receipt of the store cannot be read ({error}); run a sync or verify of its bundle",
            ) from error

    @classmethod
    def _build(cls, document: dict[str, Any]) -> "Receipt":
        former = document.pop("previous")
        return cls(
            **{
                **document,
                "manifest": FileRecord(**document["manifest"]),
                "files": tuple(FileRecord(**record) for record in document["files"]),
                "damage": tuple(document["damage"]),
                "folder": tuple(document["folder"]),
                "displaced": Displaced(document["displaced"]),
                "previous": cls._build(former) if former else None,
            }
        )
