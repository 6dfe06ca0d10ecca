"""The second look: a file of the seed has another digest than its manifest says. Is it the stick or the manifest?

The file is read again, past the page cache. Two reads that differ say that the stick is failing, and where; two that
agree say that the manifest is wrong or the file was damaged before, which a B3SUMS beside the manifest can tell apart.
"""

from contextlib import suppress

from dubseedd.core.bundle import BundleFile
from dubseedd.core.manifest import MAX_BYTES, parse
from dubseedd.core.sentence import shown
from dubseedd.engine import tree
from dubseedd.engine.copying import MARK_BYTES, Hashes, digest_file
from dubseedd.engine.pump import Pump
from dubseedd.engine.scanning import SeedFolder
from dubseedd.engine.stop import StopFlag
from dubseedd.engine.trouble import reading_seed
from dubseedd.errors import Failure, SeedRefused
from dubseedd.names import BLAKE3_MANIFEST, ErrorName


def mismatch(seed: SeedFolder, bundle: str, file: BundleFile, first: Hashes, stop: StopFlag) -> SeedRefused:
    """The error for a file whose first reading gave `first`; reads it again."""
    name = file.path.rpartition("/")[2]
    with Pump(stop) as pump, reading_seed(file.path), seed.opened_parent(bundle, file.path) as folder:
        again = digest_file(pump, folder, name, file.size, count=lambda _: None)
    found, second = first.digests, again.digests
    if second.sha256 == found.sha256:
        why = f"a second read gives the same, {_witness(seed, bundle, file.path, found.blake3)}"
    else:
        bytes_read = "the right bytes" if second.sha256 == file.sha256 else second.sha256
        where = _where(first, again, file.size)
        why = f"a second read gives {bytes_read}{where}, so the stick is failing; copy it to another one"
    return SeedRefused(
        ErrorName.CHECKSUM_MISMATCH,
        f"{shown(file.path)} has the digest {found.sha256}, its manifest says {file.sha256}; {why}",
        file=file.path,
    )


def _where(first: Hashes, again: Hashes, size: int) -> str:
    """The first stretch in which two readings of a file differ, where it has several."""
    if size <= MARK_BYTES:
        return ""
    ends = sorted(first.marks.keys() & again.marks.keys())
    end = next((end for end in ends if first.marks[end] != again.marks[end]), size)
    begin = max((earlier for earlier in ends if earlier < end), default=0)
    return f" between bytes {begin:,} and {end:,}"


def _witness(seed: SeedFolder, bundle: str, path: str, blake3: str) -> str:
    """What the bundle's B3SUMS has to say about a file that reads the same twice. It decides nothing."""
    with suppress(OSError, Failure), seed.opened_parent(bundle, BLAKE3_MANIFEST) as folder:
        witness = parse(tree.read_small(folder, BLAKE3_MANIFEST, MAX_BYTES))
        digests = {entry.path: entry.sha256 for entry in witness.entries}
        if path in digests and digests[path] == blake3:
            return "and its B3SUMS agrees with the file, so SHA256SUMS is wrong; write it anew"
        if path in digests:
            return "and its B3SUMS disagrees with the file as well, so that was damaged; make the bundle anew"
    return "so the manifest is wrong or the file was damaged; make the bundle anew"
