"""Signatures in the format of OpenSSF Model Signing, made with keys of the test's own."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey
HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
PAYLOAD_TYPE = "application/vnd.in-toto+json"


def new_key(curve: ec.EllipticCurve | None = None) -> Key:
    return ec.generate_private_key(curve or ec.SECP256R1())


def public_pem(key: Key) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def statement(digests: Mapping[str, str], **changes: Any) -> dict[str, Any]:
    """The in-toto statement on files with these digests; `changes` go into its predicate's serialization."""
    resources = [{"name": path, "algorithm": "sha256", "digest": digest} for path, digest in sorted(digests.items())]
    root = hashlib.sha256(b"".join(bytes.fromhex(one["digest"]) for one in resources)).hexdigest()
    serialization = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, **changes}
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model", "digest": {"sha256": root}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {"resources": resources, "serialization": serialization},
    }


def digests_of(files: Mapping[str, bytes]) -> dict[str, str]:
    return {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}


def signed(said: Mapping[str, Any], key: Key, chain: Sequence[x509.Certificate] = ()) -> bytes:
    """A model.sig: by a plain key, or with a chain of certificates, the signer's first."""
    payload = json.dumps(said).encode()
    encoded = f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} ".encode() + payload
    signature = key.sign(encoded, ec.ECDSA(HASHES[key.curve.name]))
    der = [{"rawBytes": _text(one.public_bytes(Encoding.DER))} for one in chain]
    material = {"x509CertificateChain": {"certificates": der}} if der else {"publicKey": {"hint": "0"}}
    envelope = {
        "payload": _text(payload),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"sig": _text(signature), "keyid": ""}],
    }
    bundle = {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {**material, "tlogEntries": []},
        "dsseEnvelope": envelope,
    }
    return json.dumps(bundle).encode()


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def certificate(
    name: str,
    key: Key,
    issuer: x509.Certificate | None = None,
    issuer_key: Key | None = None,
    *,
    authority: bool = False,
    path_length: int | None = None,
    days: tuple[int, int] = (-1, 1),
    usage: x509.ExtendedKeyUsage | None = None,
    critical: x509.ExtensionType | None = None,
) -> x509.Certificate:
    """A certificate, self-signed where there is no issuer; valid from and to so many days from now."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days[0]))
        .not_valid_after(now + timedelta(days[1]))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=path_length), critical=True)
    )
    if not authority:
        builder = builder.add_extension(
            usage or x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False
        )
    if critical is not None:
        builder = builder.add_extension(critical, critical=True)
    return builder.sign(issuer_key or key, hashes.SHA256())


def certificate_pem(one: x509.Certificate) -> bytes:
    return one.public_bytes(Encoding.PEM)
