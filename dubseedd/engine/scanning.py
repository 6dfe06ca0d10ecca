"""Looking at a seed: which bundles are on it, and does each keep the rules of acceptance? No weights are read.

What is read of a seed is read through the one descriptor of its mounted root, which was proven when it was opened.
"""

import errno
import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Self

from dubseedd.core.bundle import (
    CACHE_FOLDERS,
    BundleFile,
    Policy,
    accept,
    check_bound_name,
    check_cache_tree,
    check_name,
    is_litter,
)
from dubseedd.core.config import Config
from dubseedd.core.device import BlockDevice
from dubseedd.core.manifest import MAX_BYTES, RECIPE, Manifest, parse
from dubseedd.core.sentence import shown
from dubseedd.engine import tree
from dubseedd.engine.durable import FOLDER, exists, opened, owned
from dubseedd.engine.enrolment import enrolled_in, proven
from dubseedd.engine.signatures import signer_of
from dubseedd.engine.trouble import reading_seed
from dubseedd.errors import Failure, SeedRefused
from dubseedd.names import MANIFEST, ErrorName

MAX_BUNDLES = 256
"""Each is shown on the bus, told in the journal and kept in the history, and may become a job: a thousand keep callers
waiting for seconds."""


@dataclass(frozen=True, slots=True)
class Examined:
    """A bundle of a seed that keeps the rules which can be judged before its bytes are read.

    `size` in bytes; `signer` is whose signature was found valid, "" where none is demanded.
    """

    name: str
    manifest: Manifest
    files: tuple[BundleFile, ...]
    format: str
    size: int
    notes: tuple[str, ...] = ()
    signer: str = ""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a seed has under one name: an acceptable bundle, or the reason why not."""

    name: str
    size: int = 0
    manifest_sha256: str = ""
    entries: int = 0
    notes: tuple[str, ...] = ()
    signer: str = ""
    refusal: Failure | None = None


def _policy_of(config: Config) -> Policy:
    """What the configuration allows, and whose signatures it demands, by the files as they are now."""
    return Policy(config.trust.pickle_allowed, proven(enrolled_in(config.trust.allowed_signers)))


def _open_models(root: int, models: str) -> int:
    with reading_seed(models):
        try:
            return tree.open_folder(root, models)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise SeedRefused(
                    ErrorName.FILE_MISSING,
                    f"the seed has no folder {models}/; put the bundles there, as {models}/NAME/",
                    file=models,
                ) from error
            raise


class SeedFolder:
    """The folder of bundles on a seed, open for reading, with the rules of the configuration at that moment."""

    def __init__(self, root: int, config: Config, device: BlockDevice | None = None) -> None:
        """Open it below the descriptor `root`; SeedRefused (FileMissing) where the seed has no such folder. `device` is
        what the seed lies on, None where that is any folder."""
        self.uuid = device.uuid if device else ""
        self._policy = _policy_of(config)
        self._filesystem = device.filesystem if device else ""
        self._device = device.node if device else ""
        self._models = _open_models(root, config.seed.models)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._models)

    def names(self, patterns: tuple[str, ...]) -> list[str]:
        """Whatever may be a bundle and fits a pattern, by name, sorted; SeedRefused where there are too many."""
        with (
            reading_seed("the folder of bundles"),
            opened(".", FOLDER, at=self._models) as folder,
            os.scandir(folder) as entries,
        ):
            fitting = (entry.name for entry in entries if any(fnmatchcase(entry.name, one) for one in patterns))
            wanted = (name for name in fitting if not is_litter(name) and not self._is_file(name))
            names = list(itertools.islice(wanted, MAX_BUNDLES + 1))
        if len(names) > MAX_BUNDLES:
            raise SeedRefused(
                ErrorName.UNLISTED_FILE,
                f"the folder of bundles holds more than {MAX_BUNDLES:,} of them; spread them over more sticks, or name "
                "those that are to be taken: [seed] bundles",
            )
        return sorted(names)

    def offers(self, patterns: tuple[str, ...]) -> list[Offer]:
        """Every bundle whose name fits a pattern, the refused ones too, by name."""
        return [self.offer(name) for name in self.names(patterns)]

    def offer(self, name: str) -> Offer:
        """One bundle as an offer."""
        try:
            bundle = self.examine(name)
        except Failure as refusal:
            return Offer(name, refusal=refusal)
        return Offer(name, bundle.size, bundle.manifest.sha256, len(bundle.files), bundle.notes, bundle.signer)

    def examine(self, name: str) -> Examined:
        """Judge one bundle by name, listing and manifest; raises the first Failure that applies."""
        check_name(name)
        with owned(self._open_bundle(name)) as folder:
            with reading_seed(name):
                check_cache_tree(name, [child for child in CACHE_FOLDERS if exists(folder, child)])
            manifest = parse(self._manifest(folder, name))
            check_bound_name(name, manifest)
            signer = signer_of(folder, name, manifest, self._policy.enrolment)
            with reading_seed(name):
                found = tree.listing(folder)
                accepted = accept(name, manifest, found, self._policy, filesystem=self._filesystem, device=self._device)
        notes = (*manifest.notes, *accepted.notes)
        size = sum(file.size for file in accepted.files)
        return Examined(name, manifest, accepted.files, accepted.format, size, notes, signer)

    @contextmanager
    def opened(self, name: str, path: str) -> Iterator[int]:
        """A regular file of a bundle, for the length of a block; OSError where it cannot be opened."""
        with tree.opened_folder(self._models, name) as folder, tree.opened_file(folder, path) as descriptor:
            yield descriptor

    def open_folder(self, name: str, folder: str) -> int:
        """The descriptor of a folder of a bundle, "" for the bundle's own. The caller closes it."""
        return tree.open_folder(self._models, f"{name}/{folder}" if folder else name)

    def opened_parent(self, name: str, path: str) -> AbstractContextManager[int]:
        """The folder that holds a file of a bundle, for the length of a block."""
        return owned(self.open_folder(name, path.rpartition("/")[0]))

    def _is_file(self, name: str) -> bool:
        """A plain file beside the bundles is passed over; what cannot even be looked at is refused by itself."""
        with suppress(OSError):
            return stat.S_ISREG(os.lstat(name, dir_fd=self._models).st_mode)
        return False

    def _open_bundle(self, name: str) -> int:
        """The folder of a bundle; SeedRefused where it is none, or is not there. The caller closes it."""
        with reading_seed(name):
            try:
                return tree.open_folder(self._models, name)
            except OSError as error:
                if error.errno == errno.ENOENT:
                    raise SeedRefused(
                        ErrorName.NOT_FOUND,
                        f"the seed has no bundle {shown(name)}; dubseedctl status lists what it has",
                    ) from error
                if error.errno in (errno.ENOTDIR, errno.ELOOP):
                    raise SeedRefused(
                        ErrorName.UNSAFE_FILE,
                        f"{shown(name)} is no folder; a bundle is a folder of its own, put it there as one",
                        file=name,
                    ) from error
                raise

    @staticmethod
    def _manifest(folder: int, name: str) -> bytes:
        with reading_seed(MANIFEST):
            try:
                return tree.read_small(folder, MANIFEST, MAX_BYTES)
            except FileNotFoundError as error:
                raise SeedRefused(
                    ErrorName.MANIFEST_MISSING,
                    f"{shown(name)} has no SHA256SUMS; write one in its folder: {RECIPE}",
                    file=MANIFEST,
                ) from error
