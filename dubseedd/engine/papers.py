"""Papers: what lies beside the files of a model in its bundle, and says what they are.

dubnium-bundle.json     where they come from; the model.sig of a signed model instead, which allows no file beside it
SHA256SUMS              of the files, and of dubnium-bundle.json
SHA256SUMS.sig          where a key was named
B3SUMS                  of the same files, when all of them have been read back
"""

import hashlib
from collections.abc import Mapping

from blake3 import blake3

from dubseedd.core.manifest import Entry, Manifest, parse, render, sums
from dubseedd.engine import openssh
from dubseedd.engine.durable import fresh, owned, write_all
from dubseedd.errors import CallRefused
from dubseedd.names import ABOUT, BLAKE3_MANIFEST, MANIFEST, MODEL_SIGNATURE, SIGNATURE, SIGNATURE_NAMESPACE, ErrorName


class Papers:
    """Written into a folder, a descriptor; they stay with its next sync. `written` holds the bytes of each, by name."""

    def __init__(self, folder: int) -> None:
        self.written: dict[str, bytes] = {}
        self._folder = folder

    def put_model_signature(self, raw: bytes) -> None:
        self._put(MODEL_SIGNATURE, raw)

    def put_about(self, raw: bytes) -> None:
        self._put(ABOUT, raw)

    def put_manifest(self, name: str, digests: Mapping[str, str]) -> Manifest:
        """SHA256SUMS of these files by path, bound to the name of the bundle."""
        entries = [Entry(path, digest) for path, digest in digests.items()]
        if ABOUT in self.written:
            entries.append(Entry(ABOUT, hashlib.sha256(self.written[ABOUT]).hexdigest()))
        manifest = parse(render(entries, bundle=name))
        self._put(MANIFEST, manifest.raw)
        return manifest

    def sign(self, key: str) -> None:
        """Sign SHA256SUMS; CallRefused where the key cannot."""
        try:
            signature = openssh.sign(self.written[MANIFEST], key=key, namespace=SIGNATURE_NAMESPACE)
        except openssh.Unavailable as reason:
            raise CallRefused(ErrorName.UNTRUSTED_SEED, str(reason)) from reason
        self._put(SIGNATURE, signature)

    def put_blake3(self, digests: Mapping[str, str]) -> None:
        """B3SUMS of these files by path."""
        about = {name: blake3(raw).hexdigest() for name, raw in self.written.items() if name == ABOUT}
        self._put(BLAKE3_MANIFEST, sums({**digests, **about}.items()))

    def _put(self, name: str, raw: bytes) -> None:
        with owned(fresh(self._folder, name)) as descriptor:
            write_all(descriptor, raw)
        self.written[name] = raw
