"""The acceptance check after seeding, as the runbook has it: is everything there that the manifest lists?

It reads no weights and needs no rights but to read the store's folders, which everybody may.
"""

import hashlib
import os
import stat

from dubseedd.core.manifest import MAX_BYTES, parse
from dubseedd.core.sentence import shown
from dubseedd.engine import tree
from dubseedd.engine.durable import FOLDER, opened
from dubseedd.errors import Failure
from dubseedd.names import MANIFEST


def missing(path: str, manifest_sha256: str) -> str:
    """What an installed bundle lacks, in a sentence; empty where all is there."""
    try:
        with opened(path, FOLDER) as folder:
            raw = _read_manifest(folder)
            if hashlib.sha256(raw).hexdigest() != manifest_sha256:
                return f"{path}/{MANIFEST} is not the one that was installed"
            for entry in parse(raw).entries:
                if not _is_there(folder, entry.path):
                    return f"{path}/{shown(entry.path)} is missing"
    except OSError as error:
        return f"{path} cannot be read ({error.strerror})"
    except Failure as failure:
        return failure.sentence
    return ""


def _read_manifest(folder: int) -> bytes:
    with opened(MANIFEST, tree.FILE, at=folder) as descriptor, open(descriptor, "rb", closefd=False) as stream:
        return stream.read(MAX_BYTES + 1)


def _is_there(folder: int, path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False
