"""Receipts: what was installed, from where, when, signed by whom, and every file as it was left on the disk.

A receipt is a JSON object, schema version 1. Times in microseconds since the epoch, sizes in bytes, digests in hex.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
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

    def to_json(self) -> bytes:
        """One JSON object."""
        return _encode({name: getattr(self, name) for name in _FILE_FIELDS}).encode()

    def untouched(self, *, size: int, mtime_ns: int, inode: int) -> bool:
        return (self.size, self.mtime_ns, self.inode) == (size, mtime_ns, inode)


_FILE_FIELDS = tuple(field.name for field in fields(FileRecord))
_encode = json.JSONEncoder(ensure_ascii=False).encode


def _record_or_object(members: dict[str, Any]) -> "dict[str, Any] | FileRecord":
    """Of all objects in a receipt, those of files become records at once: there may be 200,000 of them."""
    return FileRecord(**members) if "mtime_ns" in members else members


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

    def to_json(self) -> Iterator[bytes]:
        """One JSON object, a line for each file; in pieces, for a bundle may have 200,000 of them."""
        yield from self._pieces({"schemaVersion": SCHEMA_VERSION})
        yield b"\n"

    def _pieces(self, members: dict[str, Any]) -> Iterator[bytes]:
        plain = (field.name for field in fields(self) if field.name not in ("manifest", "files", "previous"))
        members |= {name: getattr(self, name) for name in plain}
        yield _encode(members).removesuffix("}").encode()
        yield b', "manifest": ' + self.manifest.to_json() + b', "files": ['
        for number, file in enumerate(self.files):
            yield (b",\n" if number else b"\n") + file.to_json()
        yield b'\n], "previous": '
        if self.previous is None:
            yield b"null"
        else:
            yield from self.previous._pieces({})
        yield b"}"

    @classmethod
    def from_json(cls, raw: bytes) -> "Receipt":
        """Read a receipt; StoreTrouble (StoreFailed) where it is none of ours."""
        try:
            document = json.loads(raw, object_hook=_record_or_object)
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
        if not all(isinstance(record, FileRecord) for record in (document["manifest"], *document["files"])):
            raise ValueError("a file in it is no record")
        return cls(
            **{
                **document,
                "files": tuple(document["files"]),
                "damage": tuple(document["damage"]),
                "folder": tuple(document["folder"]),
                "displaced": Displaced(document["displaced"]),
                "previous": cls._build(former) if former else None,
            }
        )
