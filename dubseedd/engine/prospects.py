"""Prospects: what the store would say to the bundles of a seed, one after the other. Nothing in it is changed.

It is judged as a sync judges it: the verdict, a folder that is somebody else's, the room. Whoever is not root may not
read what dubseedd has noted there: then `trouble` says so, and every byte of a bundle counts as one to be copied.
"""

import os
from typing import NamedTuple, Self

from dubseedd.core.config import Config
from dubseedd.core.plan import Plan, Verdict, make_plan
from dubseedd.engine import adopting
from dubseedd.engine.housekeeping import Room, no_space, room_for
from dubseedd.engine.meter import Meter
from dubseedd.engine.pump import Pump
from dubseedd.engine.scanning import Examined
from dubseedd.engine.store_view import StoreView
from dubseedd.engine.trouble import writing_store
from dubseedd.errors import StoreTrouble
from dubseedd.names import ErrorName


class Prospect(NamedTuple):
    """What a bundle means for the store, None where that is not known, and the bytes that a sync has to copy from the
    seed and to find room for."""

    verdict: Verdict | None
    to_copy: int = 0
    needed: int = 0
    notes: tuple[str, ...] = ()


class Prospects:
    """The prospects of one seed's bundles; `trouble` is why the store cannot be read, "" where it can."""

    def __init__(self, config: Config) -> None:
        self.path = config.store.path
        self.reserve = config.store.reserve_bytes
        self.needed = 0
        self.trouble = ""
        self._view: StoreView | None = None
        try:
            self._view = StoreView(self.path)
        except FileNotFoundError:  # the first sync makes it
            pass
        except OSError as error:
            self._give_up(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._view is not None:
            self._view.close()

    @property
    def free(self) -> int:
        """Bytes that are free where the store is, or will be; 0 where nobody can tell."""
        path = os.path.abspath(self.path)
        while True:
            try:
                status = os.statvfs(path)
            except FileNotFoundError:
                path = os.path.dirname(path)
            except OSError:
                return 0
            else:
                return status.f_bavail * status.f_frsize

    def of(self, bundle: Examined, pump: Pump, meter: Meter) -> Prospect:
        """The prospect of the next bundle. StoreTrouble: ForeignBundle, or NoSpace with the bundles before it counted
        in."""
        if self._view is None:
            return self._unseen(bundle)
        try:
            return self._seen(self._view, bundle, pump, meter)
        except OSError as error:
            self._give_up(error)
            return self._unseen(bundle)

    def _give_up(self, error: OSError) -> None:
        way_out = (
            "run it with sudo"
            if isinstance(error, PermissionError)
            else "name another folder: [store] path, or --store"
        )
        self.trouble = f"the store {self.path} cannot be read ({error.strerror}); {way_out}"

    def _unseen(self, bundle: Examined) -> Prospect:
        """With no store yet, or none that may be read: then there is no word on room either."""
        plan = make_plan(bundle.files, (), {})
        if self.trouble:
            self.needed += plan.bytes_needed
            return Prospect(None, plan.bytes_total, plan.bytes_needed)
        return self._planned(Verdict.NEW, plan, Room(plan.bytes_needed, self._spoken_for, self.free, 0))

    def _seen(self, view: StoreView, bundle: Examined, pump: Pump, meter: Meter) -> Prospect:
        digest = bundle.manifest.sha256
        verdict, unasked = view.verdict(bundle.name, digest, len(bundle.files))
        if verdict is Verdict.CURRENT or (verdict is Verdict.FOREIGN and self._adopted(view, bundle, pump, meter)):
            return Prospect(verdict)
        plan = make_plan(bundle.files, view.staged_paths(digest), view.twins())
        room = room_for(view, plan.bytes_needed, self._spoken_for, but=digest)
        notes = () if unasked else ("it was rolled back from, and is installed again only on request",)
        return self._planned(verdict, plan, room)._replace(notes=notes)

    @property
    def _spoken_for(self) -> int:
        return self.reserve + self.needed

    def _planned(self, verdict: Verdict, plan: Plan, room: Room) -> Prospect:
        if not room.enough:
            raise no_space(self.path, room)
        self.needed += room.needed
        return Prospect(verdict, plan.bytes_total, room.needed)

    @staticmethod
    def _adopted(view: StoreView, bundle: Examined, pump: Pump, meter: Meter) -> bool:
        """Would a folder that is not ours be taken over as this very bundle? An older one is taken over and updated."""
        with writing_store(bundle.name):
            found = adopting.examine(view, bundle.name, bundle.manifest, pump, meter)
        if isinstance(found, adopting.Foreign):
            raise StoreTrouble(ErrorName.FOREIGN_BUNDLE, found.sentence)
        return found.manifest.sha256 == bundle.manifest.sha256
