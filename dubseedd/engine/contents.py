"""The rules on content: what is in the files of a bundle has to make a model. Only verified bytes are judged."""

from dubseedd.core.bundle import CONFIG, MAX_CONTENT_BYTES, check_config, check_index
from dubseedd.core.manifest import Manifest
from dubseedd.engine import tree


def judge(folder: int, path: str, manifest: Manifest) -> tuple[str, ...]:
    """Judge one file that rules look into, below `folder`; returns notes. SeedRefused where it makes no model."""
    raw = tree.read_small(folder, path, MAX_CONTENT_BYTES)
    if path == CONFIG:
        return check_config(raw)
    check_index(path, raw, manifest)
    return ()
