"""Plans: which file of a bundle comes from where, and in which order.

What is staged already is left alone, what the store has under any name is copied within it, the rest is read from the
seed. Files that rules look into go first, small ones next: what is wrong is known before the weights are moved. Small
files go folder by folder, large ones by size.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from dubseedd.core.bundle import BundleFile
from dubseedd.core.content import read_whole
from dubseedd.core.receipt import Receipt

ROUNDING_BYTES = 4096
"""What a file occupies is rounded up to this."""

SMALL_BYTES = 4 << 20
"""Files up to this size are small: moved as a whole, many of them at a time."""


class Origin(StrEnum):
    STAGED = "staged"
    STORE = "store"
    SEED = "seed"


class Verdict(StrEnum):
    """What a bundle on a seed means for the store; a refused one has its error's full name instead."""

    NEW = "new"
    UPDATE = "update"
    STAGED = "staged"
    CURRENT = "current"
    FOREIGN = "foreign"


INSTALLABLE = frozenset({Verdict.NEW, Verdict.UPDATE, Verdict.STAGED})
"""Those of a bundle that the store has not, or not in this version, and takes."""


@dataclass(frozen=True, slots=True)
class Step:
    """One file, its origin and, within the store, the path that holds the same bytes.

    `held` are the bytes that a part of it occupies in staging already.
    """

    file: BundleFile
    origin: Origin
    twin: str = ""
    held: int = 0

    @property
    def small(self) -> bool:
        return self.file.size <= SMALL_BYTES

    @property
    def bytes_needed(self) -> int:
        """Room that it will still take."""
        if self.origin is Origin.STAGED:
            return 0
        return max(0, -(-self.file.size // ROUNDING_BYTES) * ROUNDING_BYTES - self.held)


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of one sync in their order. Sizes in bytes."""

    steps: tuple[Step, ...]

    @property
    def bytes_total(self) -> int:
        """What has to be moved from the seed."""
        return sum(step.file.size for step in self.steps if step.origin is Origin.SEED)

    @property
    def bytes_skipped(self) -> int:
        """What is in place or in the store already."""
        return sum(step.file.size for step in self.steps if step.origin is not Origin.SEED)

    @property
    def bytes_needed(self) -> int:
        """Room that the files still to be written will take."""
        return sum(step.bytes_needed for step in self.steps)


def make_plan(
    files: Collection[BundleFile],
    staged: Collection[str],
    twins: Mapping[str, str],
    held: Mapping[str, int] | None = None,
) -> Plan:
    """Plan the files of a bundle: `staged` are paths in place, `twins` maps a SHA-256 to a path in the store, `held` a
    path to the bytes that a part of that file occupies in staging."""
    parts = held or {}
    judged = read_whole([file.path for file in files])

    def step(file: BundleFile) -> Step:
        if file.path in staged:
            return Step(file, Origin.STAGED)
        if file.sha256 in twins:
            return Step(file, Origin.STORE, twins[file.sha256], held=parts.get(file.path, 0))
        return Step(file, Origin.SEED, held=parts.get(file.path, 0))

    def order(step: Step) -> tuple[bool, bool, int, str]:
        return (step.file.path not in judged, not step.small, 0 if step.small else step.file.size, step.file.path)

    return Plan(tuple(sorted(map(step, files), key=order)))


def judge(manifest_sha256: str, *, receipt: Receipt | None, untouched: bool, occupied: bool, staged: bool) -> Verdict:
    """What a bundle with this manifest means: `receipt` is of the folder of its name, `untouched` that its files are
    as recorded, `occupied` that something of that name is there at all, `staged` that a copy of it is complete."""
    if receipt is None:
        return Verdict.FOREIGN if occupied else (Verdict.STAGED if staged else Verdict.NEW)
    if receipt.manifest_sha256 == manifest_sha256 and untouched and not receipt.damage[0]:
        return Verdict.CURRENT
    return Verdict.STAGED if staged and receipt.held_back != manifest_sha256 else Verdict.UPDATE
