"""The rules on content: what is in the files of a bundle has to make a model. Only verified bytes are judged."""

import hashlib

from dubseedd.core.bundle import CONFIG, MAX_CONTENT_BYTES, check_config, check_index, shown
from dubseedd.core.manifest import Manifest
from dubseedd.engine import tree
from dubseedd.errors import StoreTrouble
from dubseedd.names import ErrorName


def judge(folder: int, path: str, manifest: Manifest) -> tuple[str, ...]:
    """Judge one file that rules look into, below `folder`; returns notes. SeedRefused where it makes no model,
    StoreTrouble where the disk gives back other bytes than those that were verified."""
    raw = tree.read_small(folder, path, MAX_CONTENT_BYTES)
    verified = {entry.path: entry.sha256 for entry in manifest.entries}[path]
    found = hashlib.sha256(raw).hexdigest()
    if found != verified and len(raw) <= MAX_CONTENT_BYTES:
        raise StoreTrouble(
            ErrorName.CHECKSUM_MISMATCH,
            f"{shown(path)} was written well and reads back differently (SHA-256 {found}, expected {verified}); "
            "the store's disk is failing, check it before the next sync",
            file=path,
        )
    if path == CONFIG:
        return check_config(raw)
    check_index(path, raw, manifest)
    return ()
