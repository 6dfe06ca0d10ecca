"""Provenance: where a bundle came from, as it says itself."""

from contextlib import suppress

from dubseedd.core import about
from dubseedd.engine import tree
from dubseedd.errors import Failure
from dubseedd.names import ABOUT


def source_of(folder: int) -> str:
    """Repository and revision of the verified bundle in a folder; "" where it records none."""
    with suppress(OSError, Failure):
        told = about.parse(tree.read_small(folder, ABOUT, about.MAX_BYTES))
        return told.origin.called if told else ""
    return ""
