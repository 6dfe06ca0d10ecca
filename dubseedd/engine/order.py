"""An order: what bundle is to be made, and of what."""

from dataclasses import dataclass

from dubseedd.core.about import About
from dubseedd.engine.preparing import Draft
from dubseedd.engine.source import Source


@dataclass(frozen=True, slots=True)
class Order:
    """A bundle of this name, of what the draft chose of the source; with whose signature ("" for none), when (ISO 8601)
    and by what it is made; `filesystem` is that of the stick, as the kernel calls it."""

    name: str
    source: Source
    draft: Draft
    key: str
    created: str
    created_by: str
    filesystem: str

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(self.draft.sizes.values())

    @property
    def about(self) -> About:
        return About(self.name, self.source.origin, len(self.draft.sizes), self.size, self.created, self.created_by)
