"""What a model.sig says, without its cryptography: hostile input is malformed, only the manifest's files fit."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubseedd.core.manifest import Entry, Manifest, parse, render
from dubseedd.core.oms import Malformed, check_statement, open_bundle
from tests.support.model_signing import statement

VECTORS = Path(__file__).parent.parent / "vectors" / "oms"
DIGESTS = {"config.json": "a" * 64, "sub/model.safetensors": "b" * 64}


def manifest(digests: dict[str, str]) -> Manifest:
    return parse(render([Entry(path, digest) for path, digest in digests.items()]))


MANIFEST = manifest(DIGESTS)


def check(said: Any, listed: Manifest = MANIFEST) -> None:
    check_statement(json.dumps(said).encode(), listed)


def test_a_statement_on_the_files_of_the_manifest_fits() -> None:
    check(statement(DIGESTS))
    check(statement(DIGESTS, ignore_paths=[".git"], allow_symlinks=True))


def test_what_signers_leave_out_by_default_may_be_listed_all_the_same() -> None:
    more = dict.fromkeys(
        (".gitattributes", ".git/config", ".github/x", "B3SUMS", "model.sig", "SHA256SUMS.sig"), "c" * 64
    )
    check(statement(DIGESTS), manifest(DIGESTS | more))


def test_a_manifest_may_be_signed_with_its_files_and_is_this_one_then() -> None:
    check(statement(DIGESTS | {"SHA256SUMS": MANIFEST.sha256, "SHA256SUMS.sig": "d" * 64}))
    with pytest.raises(Malformed, match="signs another SHA256SUMS"):
        check(statement(DIGESTS | {"SHA256SUMS": "d" * 64}))


@pytest.mark.parametrize(
    ("signs", "reason"),
    [
        ({"config.json": "a" * 64}, r"does not sign sub/model\.safetensors"),
        (DIGESTS | {"config.json": "c" * 64}, r"signs another config\.json"),
        (DIGESTS | {"extra.py": "c" * 64}, r"signs extra\.py, which SHA256SUMS does not list"),
        (DIGESTS | {"\u202e\x1b": "c" * 64}, r"signs '\\u202e\\x1b', which"),
        ({"Config.json": "a" * 64, "sub/model.safetensors": "b" * 64}, r"does not sign config\.json"),
    ],
)
def test_other_files_than_those_of_the_manifest_do_not_fit(signs: dict[str, str], reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        check(statement(signs))


def test_what_a_signer_has_left_out_on_purpose_is_not_signed() -> None:
    listed = manifest(DIGESTS | {"modeling.py": "c" * 64})
    with pytest.raises(Malformed, match=r"does not sign modeling\.py"):
        check(statement(DIGESTS, ignore_paths=["modeling.py"]), listed)


def changed(path: str, value: Any) -> dict[str, Any]:
    said = statement(DIGESTS)
    *parents, last = path.split("/")
    inner: Any = said
    for parent in parents:
        inner = inner[int(parent)] if isinstance(inner, list) else inner[parent]
    inner[int(last) if isinstance(inner, list) else last] = value
    return said


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("_type", "https://in-toto.io/Statement/v0.1", "signs no in-toto statement"),
        ("predicateType", "https://model_signing/Digests/v0.1", "signs no model"),
        ("predicate", [], "has no predicate"),
        ("predicate/resources", [], "has no resources"),
        ("predicate/resources/0", "config.json", "something that is no file"),
        ("predicate/resources/0/name", "", "has no name"),
        ("predicate/resources/0/name", "sub/model.safetensors", "twice"),
        ("predicate/resources/0/algorithm", "blake3", "without a SHA-256"),
        ("predicate/resources/0/digest", "A" * 64, "without a SHA-256"),
        ("predicate/resources/0/digest", "a" * 62, "without a SHA-256"),
        ("predicate/serialization/method", "shards", "other digests than the SHA-256 of whole files"),
        ("predicate/serialization/hash_type", "blake2b", "other digests than the SHA-256 of whole files"),
        ("subject", [{}, {}], "exactly one subject"),
        ("subject/0", 1, "exactly one subject"),
        ("subject/0/digest", {"sha256": "0" * 64}, "contradicts itself"),
    ],
)
def test_a_statement_of_another_kind_is_named(path: str, value: Any, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        check(changed(path, value))


@pytest.mark.parametrize("name", ["valid-key", "valid-certificate", "v1.0.1-elliptic-key", "v1.1.0-elliptic-key"])
def test_published_bundles_are_opened(name: str) -> None:
    envelope = open_bundle((VECTORS / f"{name}.json").read_bytes())
    assert json.loads(envelope.payload)["_type"] == "https://in-toto.io/Statement/v1"
    assert len(envelope.certificates) == (2 if name == "valid-certificate" else 0)
    assert envelope.signed_bytes.startswith(b"DSSEv1 28 application/vnd.in-toto+json ")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("invalid-empty", "is no JSON"),
        ("invalid-missing-envelope", "has no dsseEnvelope"),
        ("invalid-missing-verification-material", "has no verificationMaterial"),
        ("invalid-missing-tlog-entries", "by way of Sigstore"),
        ("valid-sigstore", "by way of Sigstore"),
    ],
)
def test_published_bundles_that_we_cannot_judge_are_refused(name: str, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        open_bundle((VECTORS / f"{name}.json").read_bytes())


def test_the_published_bundle_with_another_predicate_is_refused_by_its_statement() -> None:
    envelope = open_bundle((VECTORS / "invalid-payload-wrong-predicate.json").read_bytes())
    with pytest.raises(Malformed, match="signs no model"):
        check_statement(envelope.payload, MANIFEST)


def bundle_with(**changes: Any) -> bytes:
    bundle = json.loads((VECTORS / "valid-key.json").read_bytes())
    for path, value in changes.items():
        inner, last = bundle, path.split("__")
        for name in last[:-1]:
            inner = inner[name]
        inner[last[-1]] = value
    return json.dumps(bundle).encode()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"[]", "is no JSON"),
        (b"\xff", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "is no JSON"),
        (bundle_with(mediaType="application/json"), "is no Sigstore bundle"),
        (bundle_with(mediaType=None), "is no Sigstore bundle"),
        (bundle_with(dsseEnvelope__payloadType="text/plain"), "holds no application"),
        (bundle_with(dsseEnvelope__payload="*"), "a payload that is no base64"),
        (bundle_with(dsseEnvelope__payload="\u00e9"), "a payload that is no base64"),
        (bundle_with(dsseEnvelope__payload=""), "has no payload"),
        (bundle_with(dsseEnvelope__signatures=[{"sig": "MA=="}] * 2), "exactly one signature"),
        (bundle_with(dsseEnvelope__signatures=["x"]), "exactly one signature"),
        (bundle_with(dsseEnvelope__signatures=[{"sig": 1}]), "has no sig"),
        (bundle_with(verificationMaterial__publicKey=None), "has no x509CertificateChain"),
        (
            bundle_with(
                verificationMaterial={"x509CertificateChain": {"certificates": [{"rawBytes": "MA=="}] * 9}},
            ),
            "1 to 8 certificates",
        ),
    ],
    ids=lambda value: value[:12] if isinstance(value, bytes) else "",
)
def test_a_bundle_of_another_kind_is_named(raw: bytes, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        open_bundle(raw)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PATHS = st.sampled_from(
    [
        "_type",
        "subject",
        "subject/0",
        "subject/0/digest",
        "predicate",
        "predicate/resources",
        "predicate/resources/0",
        "predicate/resources/1/name",
        "predicate/resources/1/digest",
        "predicate/serialization",
    ]
)


@given(path=PATHS, value=JSON)
@settings(max_examples=300, deadline=None)
def test_whatever_stands_in_a_statement_it_is_malformed_or_fits(path: str, value: Any) -> None:
    with suppress(Malformed):
        check(changed(path, value))


@given(at=st.integers(0), bits=st.integers(1, 255))
@settings(max_examples=300, deadline=None)
def test_a_bundle_with_a_byte_changed_is_malformed_or_another_envelope(at: int, bits: int) -> None:
    raw = bytearray((VECTORS / "valid-key.json").read_bytes())
    raw[at % len(raw)] ^= bits
    with suppress(Malformed):
        assert open_bundle(bytes(raw)).payload
