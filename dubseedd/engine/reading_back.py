"""Reading a bundle back from the stick, past the page cache, before anybody sees it.

What was just written is compared by its BLAKE3, which is cheap; of what has stayed there the SHA-256 alone is known.
"""

from blake3 import blake3

from dubseedd.core.sentence import shown
from dubseedd.engine import copying, tree
from dubseedd.engine.copying import Hashes
from dubseedd.engine.meter import Meter
from dubseedd.engine.pump import Pump, ReadError, Sink
from dubseedd.engine.trouble import writing_stick
from dubseedd.errors import StoreTrouble
from dubseedd.names import ErrorName


class ReadingBack:
    """Reads files below a folder, a descriptor; `meter` counts them."""

    def __init__(self, pump: Pump, meter: Meter) -> None:
        self._pump = pump
        self._meter = meter

    def prove(self, root: int, path: str, size: int, expected: str) -> None:
        """Compare a file that was just written with its BLAKE3; StoreTrouble where the stick gives back other bytes."""
        hashes = Hashes()
        with writing_stick(path):
            self._read(root, path, size, (hashes.blake3,))
        found = hashes.digests.blake3
        if found != expected:
            raise StoreTrouble(
                ErrorName.CHECKSUM_MISMATCH,
                f"{shown(path)} was written well and reads back differently (BLAKE3 {found}, expected {expected}); "
                "the stick is failing, or has less room than it says: take another",
                file=path,
            )

    def prove_bytes(self, root: int, name: str, raw: bytes) -> None:
        self.prove(root, name, len(raw), blake3(raw).hexdigest())

    def look(self, root: int, path: str, size: int, expected: str) -> str | None:
        """The BLAKE3 of a file that has stayed; None where it is not what its SHA-256 says, or cannot be read."""
        hashes = Hashes()
        try:
            self._read(root, path, size, hashes.sinks)
        except (OSError, ReadError):
            return None
        return hashes.digests.blake3 if hashes.digests.sha256 == expected else None

    def _read(self, root: int, path: str, size: int, sinks: tuple[Sink, ...]) -> None:
        folder, _, name = path.rpartition("/")
        with tree.opened_folder(root, folder) as descriptor:
            copying.hash_file(self._pump, descriptor, name, size, sinks, count=self._meter.worked)
