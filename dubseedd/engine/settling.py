"""Settling: what was decided and then cut short is finished at the next start, before anything else."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from dubseedd.core import tidings
from dubseedd.core.tidings import Tiding
from dubseedd.engine.durable import names_in
from dubseedd.engine.publishing import settle_one
from dubseedd.engine.store import Store
from dubseedd.engine.versions import finish_removal, note_rollback


@dataclass(frozen=True, slots=True)
class Settled:
    """What is complete now, and what stood in the way of the rest."""

    told: tuple[Tiding, ...]
    troubles: tuple[OSError, ...]


def settle(store: Store) -> Settled:
    """Finish every publication, removal and rollback that was past its rename. One that cannot be holds up no other."""
    steps: list[Callable[[], list[Tiding]]] = [
        *(partial(_publication, store, digest) for digest in names_in(store.staging)),
        *(partial(finish_removal, store, name) for name in names_in(store.removing)),
        *(partial(note_rollback, store, name) for name in store.names()),
    ]
    told, troubles = [], []
    for step in steps:
        try:
            told += step()
        except OSError as error:
            troubles.append(error)
    return Settled(tuple(told), tuple(troubles))


def _publication(store: Store, manifest_sha256: str) -> list[Tiding]:
    return [tidings.completed(receipt) for receipt in settle_one(store, manifest_sha256)]
