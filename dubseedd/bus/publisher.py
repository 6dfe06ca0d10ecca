"""The publisher: follows the conductor and keeps the objects on the bus as they are.

It sits on the board as a listener. Whatever changed is shown anew; the object tree sends what is different.
"""

from dubseedd.bus import faces
from dubseedd.bus.tree import ObjectTree
from dubseedd.engine.store_view import StoredBundle
from dubseedd.names import JOB_INTERFACE, MANAGER_INTERFACE, ROOT_PATH
from dubseedd.service.board import Listener, Thing
from dubseedd.service.conductor import Conductor
from dubseedd.service.job import Job
from dubseedd.service.seed import Seed


class Publisher(Listener):
    """A listener of the board that owns the paths of the object tree."""

    def __init__(self, conductor: Conductor, tree: ObjectTree) -> None:
        self._conductor = conductor
        self._tree = tree
        self._shown: set[str] = set()
        self._seeds: dict[str, Seed] = {}
        self._show(ROOT_PATH, *faces.manager(conductor))

    def _show(self, path: str, interface: str, properties: faces.Properties) -> None:
        if path in self._shown:
            self._tree.update(path, interface, properties)
        else:
            self._shown.add(path)
            self._tree.export(path, {interface: properties})

    def _show_seed(self, seed: Seed) -> None:
        """Show a seed, unless it has been pulled: its path is that of the next plug of the same stick."""
        path = faces.seed_path(seed)
        if not seed.gone.is_set():
            self._seeds[path] = seed
        if self._seeds.get(path) is seed:
            self._show(path, *faces.seed(seed, self._conductor))

    def _hide(self, path: str) -> None:
        if path in self._shown:
            self._shown.discard(path)
            self._tree.remove(path)

    def changed(self, thing: Thing) -> None:
        match thing:
            case Seed():
                self._show_seed(thing)
            case Job():
                self._show(faces.job_path(thing), *faces.job(thing))
                if thing.seed is not None:
                    self._show_seed(thing.seed)
            case StoredBundle():
                self._show(faces.bundle_path(thing.name), *faces.bundle(thing))

    def gone(self, thing: Thing) -> None:
        match thing:
            case Seed():
                self._seeds.pop(faces.seed_path(thing), None)
                self._hide(faces.seed_path(thing))
            case Job():
                self._hide(faces.job_path(thing))
                if thing.seed is not None:
                    self._show_seed(thing.seed)
            case StoredBundle():
                self._hide(faces.bundle_path(thing.name))

    def ended(self, job: Job) -> None:
        path = faces.job_path(job)
        name, message = job.error
        self._tree.signal(path, JOB_INTERFACE, "Completed", [not name, name, message])
        self._tree.signal(ROOT_PATH, MANAGER_INTERFACE, "JobRemoved", [job.id, path, job.bundle, job.state.value])

    def installed(self, bundle: StoredBundle) -> None:
        body = [bundle.name, bundle.path, bundle.manifest_sha256]
        self._tree.signal(ROOT_PATH, MANAGER_INTERFACE, "BundleInstalled", body)

    def overall(self) -> None:
        self._show(ROOT_PATH, *faces.manager(self._conductor))
