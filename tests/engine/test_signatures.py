"""Signatures of bundles, with the machine's own ssh-keygen: only what an enrolled key has signed is taken."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from dubseedd.core.bundle import Policy
from dubseedd.core.receipt import Receipt
from dubseedd.engine import openssh
from dubseedd.engine.enrolment import enrolled_in
from dubseedd.engine.scanning import Offer
from dubseedd.engine.signatures import HOW_TO_SIGN
from dubseedd.engine.store import Store
from dubseedd.engine.syncing import Readiness
from dubseedd.errors import SeedRefused
from dubseedd.names import ErrorName
from tests.engine.conftest import Syncing
from tests.support.bundles import manifest_of, model_files, published, write_bundle
from tests.support.opened import opened_by_a_sync
from tests.support.signing import make_key, public, sign
from tests.support.users import needs_roots_work

FILES = model_files()
OTHERS = model_files(seed=b"2")


@pytest.fixture
def signers(tmp_path: Path) -> Path:
    """The file in which keys are enrolled; it is not there yet."""
    return tmp_path / "seed-signers"


@pytest.fixture
def key(tmp_path: Path, signers: Path) -> Path:
    """A key that is enrolled as ops@example.org."""
    key = tmp_path / "ops"
    signers.write_text(f"ops@example.org {make_key(key)}\n")
    return key


def offer(sync: Syncing, name: str = "tiny") -> Offer:
    with sync.folder() as folder:
        return folder.offer(name)


def refusal(sync: Syncing, name: str = "tiny") -> str:
    refused = offer(sync, name).refusal
    assert refused is not None
    assert refused.error is ErrorName.UNTRUSTED_SEED, refused.sentence
    assert refused.sentence.isprintable()
    return refused.sentence


def test_a_bundle_with_a_valid_signature_is_installed_under_its_signers_name(
    models: Path, sync: Syncing, store: Store, key: Path
) -> None:
    sign(write_bundle(models / "tiny", FILES), key)
    assert offer(sync).signer == "ops@example.org"
    assert sync("tiny") is Readiness.STAGED
    receipt = store.receipt("tiny")
    assert receipt is not None
    assert receipt.signer == "ops@example.org"
    assert {one.name: one.signer for one in store.listing()} == {"tiny": "ops@example.org"}
    assert {path.name for path in Path(store.path, "tiny").iterdir()} == {
        path.split("/")[0] for path in published(FILES)
    }


@pytest.mark.parametrize("kind", [("-t", "rsa", "-b", "3072"), ("-t", "ecdsa")], ids=["rsa", "ecdsa"])
def test_every_kind_of_key_that_openssh_has_is_taken(
    models: Path, sync: Syncing, signers: Path, tmp_path: Path, kind: tuple[str, ...]
) -> None:
    signers.write_text(f"ops {make_key(tmp_path / 'other', *kind)}\n")
    sign(write_bundle(models / "tiny", FILES), tmp_path / "other")
    assert offer(sync).signer == "ops"


# Row S5: what is no valid signature of an enrolled key


def unsigned(folder: Path, key: Path, signers: Path) -> None:
    (folder / "SHA256SUMS.sig").unlink()


def of_a_wrong_key(folder: Path, key: Path, signers: Path) -> None:
    make_key(key.with_name("stranger"))
    sign(folder, key.with_name("stranger"))


def of_another_namespace(folder: Path, key: Path, signers: Path) -> None:
    sign(folder, key, namespace="git")


def enrolled_for_another_namespace(folder: Path, key: Path, signers: Path) -> None:
    signers.write_text(f'ops namespaces="git,file" {public(key)}\n')


def expired(folder: Path, key: Path, signers: Path) -> None:
    signers.write_text(f'ops valid-before="20200101" {public(key)}\n')


def not_yet_valid(folder: Path, key: Path, signers: Path) -> None:
    signers.write_text(f'ops valid-after="29990101" {public(key)}\n')


def revoked_by_its_key(folder: Path, key: Path, signers: Path) -> None:
    signers.with_name("seed-signers.revoked").write_text(f"# lost\n{public(key)}\n")


def revoked_by_a_list(folder: Path, key: Path, signers: Path) -> None:
    revoked = signers.with_name("seed-signers.revoked")
    subprocess.run(["ssh-keygen", "-q", "-k", "-f", revoked, f"{key}.pub"], check=True)


def truncated(folder: Path, key: Path, signers: Path) -> None:
    signature = folder / "SHA256SUMS.sig"
    signature.write_bytes(signature.read_bytes()[:150])


def empty(folder: Path, key: Path, signers: Path) -> None:
    (folder / "SHA256SUMS.sig").write_bytes(b"")


def noise(folder: Path, key: Path, signers: Path) -> None:
    (folder / "SHA256SUMS.sig").write_bytes(bytes(range(256)) * 100)


def larger_than_any(folder: Path, key: Path, signers: Path) -> None:
    with (folder / "SHA256SUMS.sig").open("ab") as stream:
        stream.write(b"\n" * (64 << 10))


def of_another_bundle(folder: Path, key: Path, signers: Path) -> None:
    other = write_bundle(folder.parent.parent / "other", OTHERS)
    (folder / "SHA256SUMS.sig").write_bytes(sign(other, key).read_bytes())


def of_a_manifest_that_was_changed(folder: Path, key: Path, signers: Path) -> None:
    with (folder / "SHA256SUMS").open("ab") as stream:
        stream.write(b"# one more line\n")


BROKEN: dict[str, tuple[Callable[[Path, Path, Path], None], str]] = {
    "none": (unsigned, "it has no SHA256SUMS.sig"),
    "wrong key": (of_a_wrong_key, "is of no key that is enrolled now"),
    "namespace": (of_another_namespace, "namespace does not match"),
    "enrolled for another namespace": (enrolled_for_another_namespace, "not permitted for use in signature namespace"),
    "expired": (expired, "key has expired"),
    "not yet valid": (not_yet_valid, "key is not yet valid"),
    "revoked": (revoked_by_its_key, "is by ops@example.org, whose key is revoked"),
    "revoked by a list": (revoked_by_a_list, "is by ops@example.org, whose key is revoked"),
    "truncated": (truncated, "missing footer"),
    "empty": (empty, "missing header"),
    "noise": (noise, "missing header"),
    "too large": (larger_than_any, "is larger than 64 KiB"),
    "of another bundle": (of_another_bundle, "is not valid for this SHA256SUMS"),
    "manifest changed": (of_a_manifest_that_was_changed, "is not valid for this SHA256SUMS"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_any_other_signature_is_refused_with_the_reason_and_the_command_that_signs(
    models: Path, sync: Syncing, store: Store, key: Path, signers: Path, case: str
) -> None:
    folder = write_bundle(models / "tiny", FILES)
    sign(folder, key)
    assert offer(sync).refusal is None
    breaks, reason = BROKEN[case]
    breaks(folder, key, signers)
    sentence = refusal(sync)
    assert sentence.startswith("tiny cannot be trusted: it")
    assert reason in sentence
    assert sentence.endswith(f"sign it in its folder with a key of {signers}: {HOW_TO_SIGN}")
    with pytest.raises(SeedRefused, match="cannot be trusted"):
        sync("tiny")
    assert not Path(store.path, "tiny").exists()


def test_the_command_of_the_refusal_signs(models: Path, sync: Syncing, key: Path) -> None:
    folder = write_bundle(models / "tiny", FILES)
    command = refusal(sync).rpartition(": ")[2].replace("KEY", str(key))
    subprocess.run(shlex.split(command), cwd=folder, check=True, capture_output=True)
    assert offer(sync).signer == "ops@example.org"


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("SHA256SUMS"), Path.mkdir], ids=str)
def test_a_signature_that_is_no_file_is_unsafe_and_nothing_hangs(
    models: Path, sync: Syncing, key: Path, make: Callable[[Path], None]
) -> None:
    make(write_bundle(models / "tiny", FILES) / "SHA256SUMS.sig")
    refused = offer(sync).refusal
    assert refused is not None
    assert refused.error is ErrorName.UNSAFE_FILE


def test_one_bundle_that_is_not_signed_stops_no_other(models: Path, sync: Syncing, key: Path) -> None:
    write_bundle(models / "a", FILES)
    sign(write_bundle(models / "b", FILES), key)
    with sync.folder() as folder:
        assert [(found.name, found.signer) for found in folder.offers(("*",))] == [("a", ""), ("b", "ops@example.org")]


def test_the_bundles_of_a_seed_are_judged_one_by_one(models: Path, sync: Syncing, key: Path) -> None:
    folder = write_bundle(models / "b000", {"config.json": b"{}"})
    sign(folder, key)
    for number in range(1, 20):
        write_bundle(models / f"b{number:03}", {"config.json": b"{}"})
        (models / f"b{number:03}" / "SHA256SUMS.sig").write_bytes((folder / "SHA256SUMS.sig").read_bytes())
    before = len(os.listdir("/proc/self/fd"))
    with sync.folder() as seed:
        assert all(found.signer for found in seed.offers(("*",)))
    assert len(os.listdir("/proc/self/fd")) == before


# No payload byte before the signature is known to be good


PAYLOAD = {os.path.basename(path) for path in FILES}


@pytest.mark.parametrize("case", [case for case in BROKEN if case not in ("empty", "noise", "revoked by a list")])
def test_of_an_untrusted_bundle_no_file_but_manifest_and_signature_is_opened(
    models: Path, key: Path, signers: Path, tmp_path: Path, case: str
) -> None:
    folder = write_bundle(models / "tiny", FILES)
    sign(folder, key)
    BROKEN[case][0](folder, key, signers)
    opened = opened_by_a_sync(models.parent, tmp_path)
    assert "SHA256SUMS" in opened
    assert ("SHA256SUMS.sig" in opened) is (case != "none")
    assert not PAYLOAD & set(opened)


def test_of_a_trusted_bundle_files_are_opened_after_the_last_verification(
    models: Path, key: Path, tmp_path: Path
) -> None:
    sign(write_bundle(models / "tiny", FILES), key)
    opened = opened_by_a_sync(models.parent, tmp_path)
    verified = max(at for at, what in enumerate(opened) if what == "run ssh-keygen")
    read = {what: at for at, what in reversed(list(enumerate(opened))) if what in PAYLOAD}
    assert read.keys() == PAYLOAD
    assert min(read.values()) > verified


# The name that a manifest is bound to


def bound(name: str) -> bytes:
    return b"# dubnium-bundle: " + name.encode() + b"\n" + manifest_of(FILES)


@pytest.mark.parametrize("enrolled", [True, False])
def test_a_manifest_that_is_bound_to_a_name_is_refused_under_another(
    models: Path, sync: Syncing, key: Path, signers: Path, enrolled: bool
) -> None:
    for name in ("tiny", "huge"):
        sign(write_bundle(models / name, FILES, manifest=bound("tiny")), key)
    if not enrolled:
        signers.unlink()
    assert offer(sync, "tiny").refusal is None
    sentence = refusal(sync, "huge")
    assert sentence.startswith("huge cannot be trusted: its SHA256SUMS was written for tiny")


def test_sha256sum_accepts_a_manifest_that_is_bound(models: Path) -> None:
    folder = write_bundle(models / "tiny", FILES, manifest=bound("tiny"))
    subprocess.run(["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"], cwd=folder, check=True)


@needs_roots_work
def test_what_was_put_into_the_store_by_hand_is_adopted_with_the_seeds_signer(
    models: Path, sync: Syncing, store: Store, key: Path
) -> None:
    sign(write_bundle(models / "tiny", FILES), key)
    write_bundle(Path(store.path) / "tiny", FILES)
    assert sync("tiny") is Readiness.ADOPTABLE
    assert receipt_of(store).signer == "ops@example.org"


@needs_roots_work
def test_an_older_revision_in_the_store_that_was_adopted_first_is_nobodys(
    models: Path, sync: Syncing, store: Store, key: Path
) -> None:
    sign(write_bundle(models / "tiny", FILES), key)
    write_bundle(Path(store.path) / "tiny", OTHERS)
    assert sync("tiny") is Readiness.STAGED
    receipt = receipt_of(store)
    assert receipt.previous is not None
    assert (receipt.signer, receipt.previous.signer) == ("ops@example.org", "")


def receipt_of(store: Store) -> Receipt:
    receipt = store.receipt("tiny")
    assert receipt is not None
    return receipt


# Who is enrolled


def test_of_several_names_the_first_whose_key_verifies_is_the_signer(
    models: Path, sync: Syncing, key: Path, signers: Path
) -> None:
    signers.write_text(f"alice@example.org,bob@example.org {public(key)}\n")
    sign(write_bundle(models / "tiny", FILES), key)
    assert offer(sync).signer == "alice@example.org"


@pytest.mark.parametrize(
    ("enrolled", "shown"),
    [
        (b"j\xc3\xb6rg", "j\xf6rg"),
        (b"-rf", "-rf"),
        (b"a\xff\x1b[2Jb", r"'a\udcff\x1b[2Jb'"),
        (b"n" * 1000, "n" * 256 + "\u2026"),
        (b'"two words"', "two words"),
    ],
    ids=["umlaut", "dash", "control", "long", "quoted"],
)
def test_a_signers_name_is_shown_bounded_and_printable(
    models: Path, sync: Syncing, store: Store, key: Path, signers: Path, enrolled: bytes, shown: str
) -> None:
    signers.write_bytes(enrolled + b" " + public(key).encode() + b"\n")
    sign(write_bundle(models / "tiny", FILES), key)
    sync("tiny")
    assert receipt_of(store).signer == shown
    json.dumps(shown).encode()


def test_a_certificate_of_an_enrolled_authority_signs(
    models: Path, sync: Syncing, signers: Path, tmp_path: Path
) -> None:
    make_key(tmp_path / "authority")
    make_key(tmp_path / "carol")
    signers.write_text(f"*@example.org cert-authority {public(tmp_path / 'authority')}\n")
    argv = ["ssh-keygen", "-q", "-s", tmp_path / "authority", "-I", "carol", "-n", "carol@example.org"]
    subprocess.run([*argv, tmp_path / "carol.pub"], check=True)
    sign(write_bundle(models / "tiny", FILES), tmp_path / "carol-cert.pub")
    assert offer(sync).signer == "carol@example.org"


@pytest.mark.parametrize("text", [None, "", "# nobody yet\n", " \t\n\n  # nor here\n"], ids=repr)
def test_with_no_key_enrolled_digests_alone_decide(
    models: Path, sync: Syncing, signers: Path, text: str | None
) -> None:
    if text is not None:
        signers.write_text(text)
    write_bundle(models / "tiny", FILES)
    assert (offer(sync).refusal, offer(sync).signer) == (None, "")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"nonsense", "line 3, is no line of allowed_signers ("),
        (b"eve ssh-ed25519 AAAA", "(invalid key)"),
        (b"eve ssh-nope AAAA", "(invalid key)"),
        (b'eve valid-before="soon" KEY', "(bad options: invalid"),
        (b"eve friendly=yes KEY", "(bad options: unknown key option)"),
        (b'"eve KEY', "(invalid line)"),
        (b"eve \0KEY", "(missing key)"),
        (b"KEY", "(invalid key)"),
    ],
    ids=lambda value: value.decode() if isinstance(value, bytes) else "",
)
@pytest.mark.parametrize("last", [False, True], ids=["before", "after"])
def test_a_broken_line_refuses_every_bundle(
    models: Path, sync: Syncing, key: Path, signers: Path, line: bytes, reason: str, last: bool
) -> None:
    """ssh-keygen itself would pass over it before the key that fits, and not even look at it behind that."""
    broken = line.replace(b"KEY", public(key).encode())
    lines = [b"# signers", b"  ", broken, signers.read_bytes()]
    signers.write_bytes(b"\n".join([*lines[:2], lines[3].strip(), broken] if last else lines))
    sign(write_bundle(models / "tiny", FILES), key)
    sentence = refusal(sync)
    assert str(signers) in sentence
    assert (reason.replace("line 3", "line 4") if last else reason) in sentence


def test_blank_lines_and_comments_break_nothing(models: Path, sync: Syncing, key: Path, signers: Path) -> None:
    signers.write_text(f"# signers\n\n   \n\t\n  # indented\n{signers.read_text()}   \n\r\n")
    sign(write_bundle(models / "tiny", FILES), key)
    assert offer(sync).signer == "ops@example.org"


UNREADABLE: dict[str, Callable[[Path], object]] = {
    "folder": Path.mkdir,
    "FIFO": os.mkfifo,
    "link to nothing": lambda path: path.symlink_to("absent"),
    "link to itself": lambda path: path.symlink_to(path),
    "too large": lambda path: path.write_text("# no key\n" * 200_000),
    "device": lambda path: path.symlink_to("/dev/null"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
@pytest.mark.parametrize("suffix", ["", ".revoked"])
def test_a_file_of_keys_that_cannot_be_read_refuses_every_bundle(
    models: Path, sync: Syncing, key: Path, signers: Path, kind: str, suffix: str
) -> None:
    sign(write_bundle(models / "tiny", FILES), key)
    path = signers.with_name(signers.name + suffix)
    path.unlink(missing_ok=True)
    UNREADABLE[kind](path)
    assert f"{path} " in refusal(sync)


@pytest.mark.parametrize("name", ["seed-signers", "seed-signers.revoked", "seed-signers.d/vendor.pem"])
def test_a_folder_in_the_place_of_keys_is_told_and_leaves_no_descriptor(key: Path, signers: Path, name: str) -> None:
    place = signers.parent / name
    place.unlink(missing_ok=True)
    place.mkdir(parents=True)
    before = len(os.listdir("/proc/self/fd"))
    fault = enrolled_in(str(signers)).fault
    assert len(os.listdir("/proc/self/fd")) == before
    assert fault == f"{place} is no regular file; put a file of keys in its place"


@pytest.mark.parametrize("content", [b"nonsense\n", b"SSHKRL\n\0 cut", b"ssh-ed25519 AAAA\n"])
def test_a_revocation_file_that_is_malformed_refuses_every_bundle(
    models: Path, sync: Syncing, key: Path, signers: Path, content: bytes
) -> None:
    sign(write_bundle(models / "tiny", FILES), key)
    signers.with_name("seed-signers.revoked").write_bytes(content)
    assert "seed-signers.revoked is no list of revoked keys" in refusal(sync)


def test_who_is_not_revoked_still_signs(models: Path, sync: Syncing, key: Path, signers: Path, tmp_path: Path) -> None:
    sign(write_bundle(models / "tiny", FILES), key)
    signers.with_name("seed-signers.revoked").write_text(f"# lost\n{make_key(tmp_path / 'lost')}\n")
    assert offer(sync).signer == "ops@example.org"


# ssh-keygen itself


def program(folder: Path, script: str) -> None:
    folder.mkdir()
    (folder / "ssh-keygen").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "ssh-keygen").chmod(0o755)


def test_without_ssh_keygen_every_bundle_is_refused_and_told_what_to_install(
    models: Path, sync: Syncing, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign(write_bundle(models / "tiny", FILES), key)
    monkeypatch.setenv("PATH", str(tmp_path / "absent"))
    assert "ssh-keygen is not installed; install it: apt-get install openssh-client" in refusal(sync)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exec sleep 1000", "did not end within"),
        ("echo ops@example.org; exit 1", "cannot verify signatures here"),
        ("yes y; exit 1", "cannot verify signatures here"),
        ("kill -9 $$", "cannot verify signatures here"),
    ],
    ids=["hangs", "too old", "talks without end", "crashes"],
)
def test_an_ssh_keygen_that_does_not_work_refuses_every_bundle(
    models: Path, sync: Syncing, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    sign(write_bundle(models / "tiny", FILES), key)
    program(tmp_path / "bin", script)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setattr(openssh, "LIMIT_SECONDS", 1.0)
    assert reason in refusal(sync)


def test_ssh_keygen_gets_nothing_of_the_seed_but_by_descriptor(
    models: Path, sync: Syncing, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in its arguments nor in its environment; what it is told there is the same for every seed."""
    real = openssh.shutil.which("ssh-keygen")
    program(tmp_path / "bin", f'{{ printf "%s\\n" "$*"; env; }} >>"{tmp_path}/told"\nexec {real} "$@"')
    sign(write_bundle(models / "tiny", FILES), key)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    assert offer(sync).signer == "ops@example.org"
    told = re.sub(r"fd/\d+", "fd/N", (tmp_path / "told").read_text()).splitlines()
    assert [line for line in told if line.startswith("-Y") and "probe" not in line][1:] == [
        "-Y find-principals -s /proc/self/fd/N -f /proc/self/fd/N",
        "-Y verify -n dubnium-seed -I ops@example.org -s /proc/self/fd/N -f /proc/self/fd/N",
    ]
    assert {line.partition("=")[0] for line in told if not line.startswith("-Y")} <= {"LC_ALL", "PWD", "_", "SHLVL"}


def test_a_policy_demands_nothing_where_nobody_is_enrolled() -> None:
    assert not Policy(pickle_allowed=False).enrolment.demands_signatures
