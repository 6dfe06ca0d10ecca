"""The rules on content: what is in the files of a bundle has to make a model. Only verified bytes are judged."""

import hashlib

from dubseedd.core.bundle import CONFIG, MAX_CONTENT_BYTES, check_config, check_index
from dubseedd.core.manifest import Manifest
from dubseedd.engine import tree
from dubseedd.engine.trouble import wrong_on_disk


def judge(folder: int, path: str, manifest: Manifest) -> tuple[str, ...]:
    """Judge one file that rules look into, below `folder`; returns notes. SeedRefused where it makes no model,
    StoreTrouble where the disk gives back other bytes than those that were verified."""
    raw = tree.read_small(folder, path, MAX_CONTENT_BYTES)
    verified = next(entry.sha256 for entry in manifest.entries if entry.path == path)
    found = hashlib.sha256(raw).hexdigest()
    if found != verified and len(raw) <= MAX_CONTENT_BYTES:
        raise wrong_on_disk(path, f"SHA-256 {found}", verified)
    if path == CONFIG:
        return check_config(raw)
    check_index(path, raw, manifest)
    return ()
