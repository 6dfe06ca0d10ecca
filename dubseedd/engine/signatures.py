"""Signatures of bundles: has an enrolled key signed this manifest? Judged before any other file is opened. Blocks.

SHA256SUMS.sig is OpenSSH's, namespace dubnium-seed, of the bytes of SHA256SUMS. model.sig is OpenSSF Model Signing's,
and lists the very files and digests of SHA256SUMS. Of the forms that have a key enrolled, one valid signature suffices.
"""

from dubseedd.core.enrolment import Enrolment
from dubseedd.core.manifest import Manifest
from dubseedd.core.oms import Malformed
from dubseedd.core.sentence import shown
from dubseedd.engine import openssh, tree
from dubseedd.engine.trouble import reading_seed
from dubseedd.errors import SeedRefused
from dubseedd.names import MANIFEST, MODEL_SIGNATURE, SIGNATURE, SIGNATURE_NAMESPACE, ErrorName

LIMITS_BYTES = {SIGNATURE: 64 << 10, MODEL_SIGNATURE: 4 << 20}
"""The second lists about 17,000 files at most: it is read as JSON, which takes many times its size."""
HOW_TO_SIGN = f"ssh-keygen -Y sign -n {SIGNATURE_NAMESPACE} -f KEY {MANIFEST}"

HOW_TO_SIGN_MODELS = "model_signing sign key . --private-key KEY"


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
    reasons = []
    for enrolled, path, judge in (
        (enrolment.signers, SIGNATURE, _by_openssh),
        (enrolment.model_keys, MODEL_SIGNATURE, _by_model_signing),
    ):
        if enrolled:
            try:
                return shown(judge(_read(folder, path, LIMITS_BYTES[path]), manifest, enrolment))
            except Unsigned as reason:
                reasons.append(str(reason))
            except openssh.Unavailable as error:
                reasons.append(f"its {path} cannot be verified, {error}")
    keys, command = (
        (enrolment.where, HOW_TO_SIGN) if enrolment.signers else (f"{enrolment.where}.d", HOW_TO_SIGN_MODELS)
    )
    raise _untrusted(name, f"{', and '.join(reasons)}; sign it in its folder with a key of {keys}: {command}")


def _untrusted(name: str, reason: str) -> SeedRefused:
    return SeedRefused(ErrorName.UNTRUSTED_SEED, f"{shown(name)} cannot be trusted: {reason}", file=SIGNATURE)


def _read(folder: int, path: str, limit_bytes: int) -> bytes:
    """The bytes of a signature; Unsigned where there is none."""
    with reading_seed(path):
        try:
            raw = tree.read_small(folder, path, limit_bytes)
        except FileNotFoundError as error:
            raise Unsigned(f"it has no {path}") from error
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


def _by_model_signing(raw: bytes, manifest: Manifest, enrolment: Enrolment) -> str:
    from dubseedd.engine import oms  # noqa: PLC0415 - cryptography is large, and few machines enrol such a key

    try:
        return oms.signer_of(raw, manifest, enrolment.model_keys)
    except (Malformed, oms.Untrusted) as reason:
        raise Unsigned(f"its {MODEL_SIGNATURE} {reason}") from reason
