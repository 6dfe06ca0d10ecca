"""Receipts: what was installed, from where, when, signed by whom, and every file as it was left on the disk.

A receipt is a JSON object, schema version 1. Times in microseconds since the epoch, sizes in bytes, digests in hex.
"""

import json
from dataclasses import asdict, dataclass, replace
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


@dataclass(frozen=True, slots=True)
class Receipt:
    """The record of one installed version of a bundle.

    `manifest` is the record of its SHA256SUMS and `folder_inode` tells its folder from any other of that name.
    `held_back` is the digest of the version that was rolled back from, installed again only on request.
    `damage` is the error pair of the last verification, empty while the bundle is whole.
    """

    name: str
    manifest: FileRecord
    files: tuple[FileRecord, ...]
    folder_inode: int
    format: str
    installed_at: int
    verified_at: int
    seed_uuid: str = ""
    adopted: bool = False
    signer: str = ""
    source: str = ""
    held_back: str = ""
    damage: tuple[str, str] = ("", "")
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
        return (
            json.dumps({"schemaVersion": SCHEMA_VERSION, **asdict(self)}, ensure_ascii=False, indent=1).encode() + b"\n"
        )

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
                "previous": cls._build(former) if former else None,
            }
        )
