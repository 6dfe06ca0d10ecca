"""OpenSSF Model Signing, version 1.0: what a model.sig says, and whether that is what SHA256SUMS says. No cryptography.

A model.sig is a Sigstore bundle around a DSSE envelope around an in-toto statement, whose predicate lists every file of
the model with its digest. Source: ossf/model-signing-spec, spec/v1.0.md; the numbers in comments are its sections.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dubseedd.core.manifest import Manifest
from dubseedd.core.sentence import shown
from dubseedd.names import MANIFEST, NEIGHBOURS

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
UNSIGNED = frozenset({".git", ".gitignore", ".gitattributes", ".github"})
"""What signers leave out by default (6.2). What else a signer has left out is not signed, and not taken."""
MAX_CERTIFICATES = 8

_DIGEST = re.compile(r"[0-9a-f]{64}")


class Malformed(Exception):
    """It is no model.sig that we can judge, or it signs something else; the reason completes "its model.sig …"."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is signed and by which material: with no certificates (DER, the signer's first) by a plain key."""

    payload: bytes
    signature: bytes
    certificates: tuple[bytes, ...] = ()

    @property
    def signed_bytes(self) -> bytes:
        """The pre-authentication encoding of DSSE."""
        kind = PAYLOAD_TYPE.encode()
        return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(self.payload), self.payload)


def open_bundle(raw: bytes) -> Envelope:
    """Read the outer layers (4); nothing in them is trusted, and of the payload nothing is looked at."""
    bundle = _object(raw, "is no JSON")
    if bundle.get("mediaType") != MEDIA_TYPE:
        raise Malformed(f"is no Sigstore bundle of the kind {MEDIA_TYPE}")
    envelope = _member(bundle, "dsseEnvelope", dict)
    if envelope.get("payloadType") != PAYLOAD_TYPE:
        raise Malformed(f"holds no {PAYLOAD_TYPE}")
    signatures = _member(envelope, "signatures", list)
    if len(signatures) != 1 or not isinstance(signatures[0], dict):
        raise Malformed("does not hold exactly one signature")
    return Envelope(
        _decoded(envelope, "payload"),
        _decoded(signatures[0], "sig"),
        _certificates(_member(bundle, "verificationMaterial", dict)),
    )


def _certificates(material: Mapping[str, Any]) -> tuple[bytes, ...]:
    """The chain of the method `certificate`, nothing of the method `key` (4.1)."""
    if isinstance(material.get("publicKey"), dict):
        return ()
    if "certificate" in material:
        raise Malformed("is signed without a key of its own, by way of Sigstore, which needs a network to be judged")
    chain = _member(_member(material, "x509CertificateChain", dict), "certificates", list)
    if not 1 <= len(chain) <= MAX_CERTIFICATES or not all(isinstance(link, dict) for link in chain):
        raise Malformed(f"does not hold 1 to {MAX_CERTIFICATES} certificates")
    return tuple(_decoded(link, "rawBytes") for link in chain)


def check_statement(payload: bytes, manifest: Manifest) -> None:
    """Does a signed statement list the files of the manifest, each with its digest, and no other? (5, 6.5, 8)"""
    statement = _object(payload, "signs no JSON")
    if statement.get("_type") != STATEMENT_TYPE:
        raise Malformed(f"signs no in-toto statement {STATEMENT_TYPE}")
    if statement.get("predicateType") != PREDICATE_TYPE:
        raise Malformed(f"signs no model: its predicate is not {PREDICATE_TYPE}")
    predicate = _member(statement, "predicate", dict)
    serialization = _member(predicate, "serialization", dict)
    if (serialization.get("method"), serialization.get("hash_type")) != ("files", "sha256"):
        raise Malformed("signs other digests than the SHA-256 of whole files")
    signed = _resources(_member(predicate, "resources", list))
    _check_root(_member(statement, "subject", list), signed)
    _compare(signed, manifest)


def _resources(resources: list[Any]) -> dict[str, str]:
    """Digests by path, in the order of the statement."""
    signed: dict[str, str] = {}
    for resource in resources:
        if not isinstance(resource, dict):
            raise Malformed("lists something that is no file")
        name, digest = _member(resource, "name", str), _member(resource, "digest", str)
        if resource.get("algorithm") != "sha256" or not _DIGEST.fullmatch(digest):
            raise Malformed(f"lists {shown(name)} without a SHA-256")
        if name in signed:
            raise Malformed(f"lists {shown(name)} twice")
        signed[name] = digest
    return signed


def _check_root(subjects: list[Any], signed: Mapping[str, str]) -> None:
    """The digest of all digests, by which the statement calls the model (6.5)."""
    if len(subjects) != 1 or not isinstance(subjects[0], dict):
        raise Malformed("does not have exactly one subject")
    root = hashlib.sha256(b"".join(bytes.fromhex(digest) for digest in signed.values())).hexdigest()
    if _member(subjects[0], "digest", dict).get("sha256") != root:
        raise Malformed("contradicts itself: its subject is not the digest of the digests that it lists")


def _compare(signed: Mapping[str, str], manifest: Manifest) -> None:
    listed = {entry.path: entry.sha256 for entry in manifest.entries}
    for path, digest in listed.items():
        if path not in signed and path.partition("/")[0] not in UNSIGNED and path not in NEIGHBOURS:
            raise Malformed(f"does not sign {shown(path)}, which SHA256SUMS lists")
        if signed.get(path, digest) != digest:
            raise Malformed(f"signs another {shown(path)} than SHA256SUMS lists")
    for path, digest in signed.items():
        if path == MANIFEST and digest != manifest.sha256:
            raise Malformed("signs another SHA256SUMS")
        if path not in listed and path != MANIFEST and path not in NEIGHBOURS:
            raise Malformed(f"signs {shown(path)}, which SHA256SUMS does not list")


def _object(raw: bytes, fault: str) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Malformed(fault) from error
    if not isinstance(value, dict):
        raise Malformed(fault)
    return value


def _member(value: Mapping[str, Any], name: str, kind: type) -> Any:
    member = value.get(name)
    if not isinstance(member, kind) or not member:
        raise Malformed(f"has no {name}")
    return member


def _decoded(value: Mapping[str, Any], name: str) -> bytes:
    try:
        return base64.b64decode(_member(value, name, str), validate=True)
    except ValueError as error:
        raise Malformed(f"has a {name} that is no base64") from error
