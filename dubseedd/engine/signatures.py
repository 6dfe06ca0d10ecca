"""Signatures of bundles: has an enrolled key signed this manifest? Judged before any other file is opened. Blocks.

SHA256SUMS.sig is OpenSSH's, namespace dubnium-seed, of the bytes of SHA256SUMS.
"""

import errno

from dubseedd.core.bundle import shown
from dubseedd.core.enrolment import Enrolment
from dubseedd.core.manifest import Manifest
from dubseedd.engine import openssh, tree
from dubseedd.engine.trouble import reading_seed
from dubseedd.errors import SeedRefused
from dubseedd.names import MANIFEST, SIGNATURE, SIGNATURE_NAMESPACE, ErrorName

MAX_SIGNATURE_BYTES = 64 << 10
HOW_TO_SIGN = f"ssh-keygen -Y sign -n {SIGNATURE_NAMESPACE} -f KEY {MANIFEST}"


class Unsigned(Exception):
    """A signature that does not count; the reason completes a sentence that begins with the bundle's name."""


def signer_of(folder: int, name: str, manifest: Manifest, enrolment: Enrolment) -> str:
    """Whose signature the bundle in `folder` bears, "" where none is demanded; SeedRefused (UntrustedSeed) without one.

    The name is fit to be shown: bounded, nothing in it that is not printable.
    """
    if not enrolment.demands_signatures:
        return ""
    if enrolment.fault:
        raise _untrusted(name, enrolment.fault)
    try:
        return shown(_by_openssh(_read(folder, SIGNATURE, MAX_SIGNATURE_BYTES), manifest, enrolment))
    except Unsigned as reason:
        raise _untrusted(
            name, f"{reason}; sign it in its folder with a key of {enrolment.where}: {HOW_TO_SIGN}"
        ) from reason
    except openssh.Unavailable as error:
        raise _untrusted(name, f"its signature cannot be verified, {error}") from error


def _untrusted(name: str, reason: str) -> SeedRefused:
    return SeedRefused(ErrorName.UNTRUSTED_SEED, f"{shown(name)} cannot be trusted: {reason}", file=SIGNATURE)


def _read(folder: int, path: str, limit_bytes: int) -> bytes:
    """The bytes of a signature; Unsigned where there is none."""
    try:
        with reading_seed(path):
            raw = tree.read_small(folder, path, limit_bytes)
    except SeedRefused as refusal:
        if isinstance(refusal.__cause__, OSError) and refusal.__cause__.errno == errno.ENOENT:
            raise Unsigned(f"it has no {path}") from refusal
        raise
    if len(raw) > limit_bytes:
        raise Unsigned(f"its {path} is larger than {limit_bytes >> 10} KiB")
    return raw


def _by_openssh(signature: bytes, manifest: Manifest, enrolment: Enrolment) -> str:
    """The enrolled name whose key has made this signature; of several, the first that verifies."""
    names, answer = openssh.principals(signature, enrolment.signers)
    if not names:
        raise Unsigned(f"its {SIGNATURE} is of no key that is enrolled now ({answer.complaint})")

    def verified(name: str, revoked: bytes | None) -> openssh.Answer:
        return openssh.verify(
            manifest.raw,
            signature,
            principal=name,
            namespace=SIGNATURE_NAMESPACE,
            signers=enrolment.signers,
            revoked=revoked,
        )

    for name in names:
        answer = verified(name, enrolment.revoked)
        if answer.accepted:
            return name
    if enrolment.revoked is not None and verified(names[0], None).accepted:
        raise Unsigned(f"its {SIGNATURE} is by {shown(names[0])}, whose key is revoked")
    raise Unsigned(f"its {SIGNATURE} is not valid for this {MANIFEST} ({answer.complaint})")
