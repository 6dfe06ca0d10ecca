"""The signature of a model.sig, verified by `cryptography`, which no other module imports and only this one needs.

Enrolled are PEM files: public keys on the curves P-256, P-384, P-521 for the method `key`, certificates of authorities
for the method `certificate`. A chain is walked strictly: what is not understood refuses it. All has to be valid now,
not at a time that the signer gives.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from dubseedd.core.enrolment import ModelKey
from dubseedd.core.manifest import Manifest
from dubseedd.core.oms import Envelope, check_statement, open_bundle

T = TypeVar("T", bound=x509.ExtensionType)

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
_UNDERSTOOD = frozenset({ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE, ExtensionOID.EXTENDED_KEY_USAGE})
"""Extensions that may be critical; a chain with another critical one is refused."""
_BROKEN_HASHES = (hashes.MD5, hashes.SHA1)
_FAULTS = Exception
"""Whatever cryptography raises at what it cannot take: there is no list, and a strange TLS feature is a KeyError."""


class Untrusted(Exception):
    """No enrolled key or authority stands for it; the reason completes "its model.sig …"."""


def signer_of(raw: bytes, manifest: Manifest, keys: Sequence[ModelKey], *, now: datetime | None = None) -> str:
    """Who has signed, by a model.sig, what this manifest lists; Malformed or Untrusted where nobody has."""
    envelope = open_bundle(raw)
    if envelope.certificates:
        signer = _by_certificate(envelope, keys, now or datetime.now(UTC))
    else:
        signer = _by_key(envelope, keys)
    check_statement(envelope.payload, manifest)
    return signer


def fault_of(keys: Sequence[ModelKey]) -> str:
    """What is wrong with the enrolled files, or nothing."""
    for key in keys:
        try:
            authorities = _authorities(key)
            usable = all(_is_authority(one) for one in authorities) if authorities else _is_taken(_public_key(key))
        except _FAULTS:
            usable = False
        if not usable:
            return (
                f"{key.where} is neither a public key on P-256, P-384 or P-521 nor certificates of authorities; put "
                "one there, in PEM, or take it away"
            )
    return ""


def _authorities(key: ModelKey) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(key.pem) if b"-----BEGIN CERTIFICATE-----" in key.pem else []


def _public_key(key: ModelKey) -> object:
    return load_pem_public_key(key.pem)


def _is_taken(key: object) -> bool:
    return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _HASHES


def _signed(envelope: Envelope, key: object) -> bool:
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _HASHES:
        return False
    try:
        key.verify(envelope.signature, envelope.signed_bytes, ec.ECDSA(_HASHES[key.curve.name]))
    except _FAULTS:
        return False
    return True


def _by_key(envelope: Envelope, keys: Sequence[ModelKey]) -> str:
    for key in keys:
        if not _authorities(key) and _signed(envelope, _public_key(key)):
            return key.name
    raise Untrusted("is of no key that is enrolled, or was changed")


def _by_certificate(envelope: Envelope, keys: Sequence[ModelKey], now: datetime) -> str:
    try:
        signer, *others = (x509.load_der_x509_certificate(der) for der in envelope.certificates)
        usable = _may_sign(signer) and _is_sound(signer, now)
        authority = _authority_of(signer, others, keys, now) if usable else ""
        name, key = signer.subject.rfc4514_string(), signer.public_key()
    except _FAULTS as error:
        raise Untrusted(f"has a certificate that cannot be read ({type(error).__name__})") from error
    if not usable:
        raise Untrusted("has a certificate that is not for signing, or has expired")
    if not authority:
        raise Untrusted("has a certificate that no enrolled authority stands for")
    if not _signed(envelope, key):
        raise Untrusted("is not by the key of its certificate, or was changed")
    return f"{name} ({authority})"


def _authority_of(
    signer: x509.Certificate, others: list[x509.Certificate], keys: Sequence[ModelKey], now: datetime
) -> str:
    """The name of the enrolled authority that a chain ends at, "" for none; `others` may be in between, each once."""
    current, between = signer, 0
    while True:
        for key in keys:
            if any(_issued(one, current, between, now) for one in _authorities(key)):
                return key.name
        issuer = next((one for one in others if _issued(one, current, between, now)), None)
        if issuer is None:
            return ""
        others = [one for one in others if one is not issuer]
        current, between = issuer, between + 1


def _issued(issuer: x509.Certificate, subject: x509.Certificate, between: int, now: datetime) -> bool:
    """Has an authority that may do so, now, issued a certificate with so many authorities between it and the signer?"""
    if not _is_authority(issuer) or not _is_sound(issuer, now):
        return False
    length = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    if length is not None and between > length:
        return False
    try:
        subject.verify_directly_issued_by(issuer)
    except _FAULTS:
        return False
    return True


def _is_sound(certificate: x509.Certificate, now: datetime) -> bool:
    """In its time, signed by no broken hash, nothing critical in it that is not understood."""
    return (
        certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
        and not isinstance(certificate.signature_hash_algorithm, _BROKEN_HASHES)
        and all(one.oid in _UNDERSTOOD for one in certificate.extensions if one.critical)
    )


def _is_authority(certificate: x509.Certificate) -> bool:
    constraints = _extension(certificate, x509.BasicConstraints)
    usage = _extension(certificate, x509.KeyUsage)
    return constraints is not None and constraints.ca and (usage is None or usage.key_cert_sign)


def _may_sign(certificate: x509.Certificate) -> bool:
    """Its usage is given, and allows to sign code."""
    usage = _extension(certificate, x509.KeyUsage)
    extended = _extension(certificate, x509.ExtendedKeyUsage)
    return (
        (usage is not None or extended is not None)
        and (usage is None or usage.digital_signature)
        and (extended is None or ExtendedKeyUsageOID.CODE_SIGNING in extended)
    )


def _extension(certificate: x509.Certificate, kind: type[T]) -> T | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
