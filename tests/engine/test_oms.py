"""OpenSSF Model Signing: published vectors, our own in the same format, and bundles on a seed that bear them."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from dubseedd.core.enrolment import ModelKey
from dubseedd.core.manifest import Entry, Manifest, parse, render
from dubseedd.core.oms import Malformed
from dubseedd.engine.oms import Untrusted, fault_of, signer_of
from dubseedd.engine.signatures import HOW_TO_SIGN, HOW_TO_SIGN_MODELS
from dubseedd.engine.store import Store
from dubseedd.engine.syncing import Readiness
from dubseedd.names import ErrorName
from tests.engine.conftest import Syncing
from tests.support.bundles import manifest_of, model_files, write_bundle
from tests.support.model_signing import (
    Key,
    certificate,
    certificate_pem,
    digests_of,
    new_key,
    public_pem,
    signed,
    statement,
)
from tests.support.opened import opened_by_a_sync
from tests.support.signing import make_key, sign

VECTORS = Path(__file__).parent.parent / "vectors" / "oms"
DAY = datetime(2026, 6, 1, tzinfo=UTC)
SIGNED_BY_THEM = {
    "signme-1": "bc9a717db6064a32cbe9eae6fc40651dd6d36ef1757183f590eff2b1765d7ebc",
    "signme-2": "32dcb1f8e1ae52d5963e56a6ba06ab58b424c15ed2a6b70d2feca1d089370028",
}
FILES = model_files()


def manifest(digests: dict[str, str]) -> Manifest:
    return parse(render([Entry(path, digest) for path, digest in digests.items()]))


def enrolled(name: str, pem: bytes) -> ModelKey:
    return ModelKey(name, f"/keys/{name}.pem", pem)


KEY = enrolled("key", (VECTORS / "signing-key-pub.pem").read_bytes())
ROOT = enrolled("root", (VECTORS / "ca-cert.pem").read_bytes())


def published(name: str, *keys: ModelKey, digests: dict[str, str] = SIGNED_BY_THEM, now: datetime = DAY) -> str:
    return signer_of((VECTORS / f"{name}.json").read_bytes(), manifest(digests), keys, now=now)


# Published vectors


@pytest.mark.parametrize("name", ["valid-key", "v1.0.1-elliptic-key", "v1.1.0-elliptic-key"])
def test_published_signatures_by_key_are_valid_for_the_enrolled_key_alone(name: str) -> None:
    assert published(name, ROOT, KEY) == "key"
    with pytest.raises(Untrusted, match="is of no key that is enrolled"):
        published(name, ROOT, enrolled("other", public_pem(new_key(ec.SECP384R1()))))


def test_the_published_signature_by_certificate_is_valid_under_its_root_alone() -> None:
    assert published("valid-certificate", KEY, ROOT) == "CN=intermediate-ca (root)"
    other = enrolled("other", certificate_pem(certificate("root-ca", new_key(), authority=True)))
    with pytest.raises(Untrusted, match="no enrolled authority stands for"):
        published("valid-certificate", KEY, other)


def test_a_published_certificate_counts_in_its_time_alone() -> None:
    with pytest.raises(Untrusted, match="has expired"):
        published("valid-certificate", ROOT, now=datetime(2036, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "name",
    [
        "invalid-empty",
        "invalid-missing-envelope",
        "invalid-missing-tlog-entries",
        "invalid-missing-verification-material",
        "invalid-payload-wrong-predicate",
        "valid-sigstore",
        "v0.2.0-certificate",
    ],
)
def test_published_vectors_that_are_not_to_be_taken_are_refused(name: str) -> None:
    with pytest.raises((Malformed, Untrusted)):
        published(name, KEY, ROOT)


def test_a_published_signature_holds_for_its_own_files_alone() -> None:
    with pytest.raises(Malformed, match="signs another signme-1"):
        published("valid-key", KEY, digests=SIGNED_BY_THEM | {"signme-1": "0" * 64})


# Our own


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_every_curve_of_the_registry_signs(curve: ec.EllipticCurve) -> None:
    key = new_key(curve)
    keys = [enrolled("strange", public_pem(new_key())), enrolled("own", public_pem(key))]
    assert fault_of(keys) == ""
    assert signer_of(signed(statement(SIGNED_BY_THEM), key), manifest(SIGNED_BY_THEM), keys) == "own"


def by_chain(change: Callable[["Chain"], None] = lambda _: None) -> str:
    chain = Chain()
    change(chain)
    raw = signed(statement(SIGNED_BY_THEM), chain.signing_key, chain.certificates)
    return signer_of(raw, manifest(SIGNED_BY_THEM), [enrolled("site", certificate_pem(chain.root))])


class Chain:
    """A root, an authority below it, a signer below that; a test makes one of them anew."""

    def __init__(self) -> None:
        self.root_key, self.between_key, self.signing_key = new_key(), new_key(), new_key()
        self.root = certificate("root", self.root_key, authority=True)
        self.certify_between()

    def certify_between(self, **kind: object) -> None:
        kind = {"authority": True, **kind}
        self.between = certificate("between", self.between_key, self.root, self.root_key, **kind)  # type: ignore[arg-type]
        self.certify_signer()

    def certify_signer(self, **kind: object) -> None:
        self.signer = certificate("signer", self.signing_key, self.between, self.between_key, **kind)  # type: ignore[arg-type]
        self.certificates = [self.signer, self.between]

    def certify_root(self, **kind: object) -> None:
        self.root = certificate("root", self.root_key, **{"authority": True, **kind})  # type: ignore[arg-type]
        self.certify_between()

    def replace_signing_key(self) -> None:
        self.signing_key = new_key()

    def forge(self) -> None:
        self.between_key = new_key()
        self.certify_signer_by(self.between_key)

    def certify_signer_by(self, key: Key) -> None:
        self.signer = certificate("signer", self.signing_key, self.between, key)
        self.certificates = [self.signer, self.between]

    def deepen(self) -> None:
        deeper_key = new_key()
        deeper = certificate("deeper", deeper_key, self.between, self.between_key, authority=True)
        self.signer = certificate("signer", self.signing_key, deeper, deeper_key)
        self.certificates = [self.signer, deeper, self.between]


def test_a_chain_of_certificates_leads_to_an_enrolled_authority() -> None:
    assert by_chain() == "CN=signer (site)"
    assert by_chain(lambda chain: chain.certificates.append(chain.root)) == "CN=signer (site)"
    assert by_chain(Chain.deepen) == "CN=signer (site)"
    assert by_chain(lambda chain: chain.certify_root(path_length=1)) == "CN=signer (site)"


CONSTRAINED = x509.NameConstraints(permitted_subtrees=[x509.DNSName("example.org")], excluded_subtrees=None)
SERVER = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])


def deepened_under_a_limit(chain: Chain) -> None:
    chain.certify_root(path_length=1)
    chain.deepen()


WRONG_CHAINS: dict[str, Callable[[Chain], None]] = {
    "expired signer": lambda chain: chain.certify_signer(days=(-2, -1)),
    "signer of tomorrow": lambda chain: chain.certify_signer(days=(1, 2)),
    "expired authority": lambda chain: chain.certify_between(days=(-2, -1)),
    "expired root": lambda chain: chain.certify_root(days=(-2, -1)),
    "no authority": lambda chain: chain.certify_between(authority=False),
    "for servers": lambda chain: chain.certify_signer(usage=SERVER),
    "critical": lambda chain: chain.certify_signer(critical=CONSTRAINED),
    "critical authority": lambda chain: chain.certify_between(critical=CONSTRAINED),
    "path too long": lambda chain: chain.certify_root(path_length=0),
    "deeper than allowed": deepened_under_a_limit,
    "link missing": lambda chain: chain.certificates.remove(chain.between),
    "issued by another": Chain.forge,
    "another key": Chain.replace_signing_key,
}


@pytest.mark.parametrize("wrong", WRONG_CHAINS)
def test_a_chain_that_does_not_hold_is_refused(wrong: str) -> None:
    with pytest.raises(Untrusted):
        by_chain(WRONG_CHAINS[wrong])


def test_certificates_that_are_none_are_refused() -> None:
    chain = Chain()
    raw = signed(statement(SIGNED_BY_THEM), chain.signing_key, chain.certificates)
    document = raw.replace(b'"rawBytes": "MII', b'"rawBytes": "AAA')
    assert document != raw
    with pytest.raises(Untrusted, match="cannot be read"):
        signer_of(document, manifest(SIGNED_BY_THEM), [enrolled("site", certificate_pem(chain.root))])


UNREADABLE = {
    "x400Address": (ExtensionOID.SUBJECT_ALTERNATIVE_NAME, "3002a300"),
    "ediPartyName": (ExtensionOID.ISSUER_ALTERNATIVE_NAME, "3002a500"),
    "a TLS feature": (ExtensionOID.TLS_FEATURE, "300302014f"),
    "no DER": (ExtensionOID.NAME_CONSTRAINTS, "ff"),
}


@pytest.mark.parametrize("certify", [Chain.certify_signer, Chain.certify_between], ids=["signer", "authority"])
@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_certificate_that_holds_what_cryptography_does_not_read_is_refused(
    certify: Callable[..., None], kind: str
) -> None:
    oid, value = UNREADABLE[kind]
    extension = x509.UnrecognizedExtension(oid, bytes.fromhex(value))
    with pytest.raises(Untrusted, match="cannot be read"):
        by_chain(lambda chain: certify(chain, critical=extension))


def test_what_is_enrolled_has_to_be_a_key_or_an_authority() -> None:
    key = new_key()
    ed = ed25519.Ed25519PrivateKey.generate().public_key()
    for pem in (
        b"",
        b"nonsense",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ed.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        certificate_pem(certificate("no authority", key)),
    ):
        assert fault_of([enrolled("own", public_pem(key)), enrolled("bad", pem)]).startswith("/keys/bad.pem is neither")


# On a seed


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """The folder of enrolled keys, with one in it."""
    folder = tmp_path / "seed-signers.d"
    folder.mkdir()
    return folder


@pytest.fixture
def key(keys: Path) -> Key:
    key = new_key()
    (keys / "vendor.pem").write_bytes(public_pem(key))
    (keys / "README").write_text("keys of our vendors")
    return key


def refusal(sync: Syncing) -> str:
    with sync.folder() as folder:
        refused = folder.offer("tiny").refusal
    assert refused is not None
    assert refused.error is ErrorName.UNTRUSTED_SEED, refused.sentence
    return refused.sentence


def test_a_bundle_with_a_model_sig_of_an_enrolled_key_is_installed(
    models: Path, sync: Syncing, store: Store, key: Key
) -> None:
    folder = write_bundle(models / "tiny", FILES)
    (folder / "model.sig").write_bytes(signed(statement(digests_of(FILES)), key))
    assert sync("tiny") is Readiness.STAGED
    receipt = store.receipt("tiny")
    assert receipt is not None
    assert receipt.signer == "vendor"


def test_a_bundle_without_one_is_told_how_to_sign(models: Path, sync: Syncing, key: Key, keys: Path) -> None:
    write_bundle(models / "tiny", FILES)
    assert refusal(sync) == (
        f"tiny cannot be trusted: it has no model.sig; sign it in its folder with a key of {keys}: {HOW_TO_SIGN_MODELS}"
    )


@pytest.mark.parametrize("case", ["stranger", "other files", "garbage", "too large"])
def test_a_model_sig_that_does_not_hold_is_refused(models: Path, sync: Syncing, key: Key, case: str) -> None:
    folder = write_bundle(models / "tiny", FILES)
    mine = statement(digests_of(FILES))
    contents = {
        "stranger": lambda: signed(mine, new_key()),
        "other files": lambda: signed(statement(digests_of(model_files(seed=b"2"))), key),
        "garbage": lambda: b"{}",
        "too large": lambda: signed(mine, key) + b" " * (4 << 20),
    }
    (folder / "model.sig").write_bytes(contents[case]())
    assert refusal(sync).startswith("tiny cannot be trusted: its model.sig ")


def test_of_a_bundle_with_a_strange_model_sig_no_file_of_the_model_is_opened(
    models: Path, key: Key, tmp_path: Path
) -> None:
    folder = write_bundle(models / "tiny", FILES)
    (folder / "model.sig").write_bytes(signed(statement(digests_of(FILES)), new_key()))
    opened = opened_by_a_sync(models.parent, tmp_path)
    assert "model.sig" in opened
    assert not {Path(path).name for path in FILES} & set(opened)


def test_of_two_forms_one_valid_signature_suffices(models: Path, sync: Syncing, key: Key, tmp_path: Path) -> None:
    (tmp_path / "seed-signers").write_text(f"ops {make_key(tmp_path / 'ops')}\n")
    folder = write_bundle(models / "tiny", FILES)
    sentence = refusal(sync)
    assert "it has no SHA256SUMS.sig, and it has no model.sig; sign it" in sentence
    assert sentence.endswith(HOW_TO_SIGN)
    (folder / "model.sig").write_bytes(signed(statement(digests_of(FILES)), key))
    with sync.folder() as seed:
        assert seed.offer("tiny").signer == "vendor"
    sign(folder, tmp_path / "ops")
    with sync.folder() as seed:
        assert seed.offer("tiny").signer == "ops"
    (folder / "model.sig").write_bytes(b"")
    with sync.folder() as seed:
        assert seed.offer("tiny").signer == "ops"


def test_a_model_sig_counts_for_nothing_where_only_keys_of_openssh_are_enrolled(
    models: Path, sync: Syncing, tmp_path: Path
) -> None:
    (tmp_path / "seed-signers").write_text(f"ops {make_key(tmp_path / 'ops')}\n")
    folder = write_bundle(models / "tiny", FILES)
    (folder / "model.sig").write_bytes(signed(statement(digests_of(FILES)), new_key()))
    assert "model.sig" not in refusal(sync)


def test_a_name_in_a_signed_manifest_still_binds(models: Path, sync: Syncing, key: Key) -> None:
    raw = b"# dubnium-bundle: other\n" + manifest_of(FILES)
    folder = write_bundle(models / "tiny", FILES, manifest=raw)
    (folder / "model.sig").write_bytes(signed(statement(digests_of(FILES)), key))
    assert "was written for other" in refusal(sync)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda keys: (keys / "bad.pem").write_text("nonsense"),
        lambda keys: (keys / "bad.pem").mkdir(),
        lambda keys: (keys / "bad.pem").symlink_to("absent"),
        lambda keys: keys.rename(keys.with_name("away")) and keys.write_text(""),
        lambda keys: keys.rename(keys.with_name("away")) and keys.symlink_to("absent"),
    ],
    ids=["no key", "folder", "link to nothing", "no folder", "link"],
)
def test_keys_that_cannot_be_read_refuse_every_bundle(
    models: Path, sync: Syncing, key: Key, keys: Path, spoil: Callable[[Path], None]
) -> None:
    folder = write_bundle(models / "tiny", FILES)
    (folder / "model.sig").write_bytes(signed(statement(digests_of(FILES)), key))
    spoil(keys)
    assert str(keys) in refusal(sync)


def test_a_folder_without_a_key_demands_nothing(models: Path, sync: Syncing, keys: Path) -> None:
    write_bundle(models / "tiny", FILES)
    with sync.folder() as folder:
        assert folder.offer("tiny").refusal is None


def test_what_nobody_needs_is_not_loaded() -> None:
    """cryptography takes a third of the memory of an idle daemon."""
    script = "import sys, dubseedd.daemon, dubseedd.cli.offline; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
