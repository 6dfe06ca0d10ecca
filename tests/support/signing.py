"""Keys of OpenSSH for tests, and what they sign."""

import subprocess
from pathlib import Path

NAMESPACE = "dubnium-seed"


def make_key(path: Path, *kind: str) -> str:
    """A key pair at `path`; the line of its public half."""
    kind = kind or ("-t", "ed25519")
    subprocess.run(["ssh-keygen", "-q", *kind, "-N", "", "-C", path.name, "-f", path], check=True)
    return public(path)


def public(key: Path) -> str:
    return key.with_name(f"{key.name}.pub").read_text().strip()


def sign(folder: Path, key: Path, *, namespace: str = NAMESPACE) -> Path:
    """Sign the manifest of a bundle, as its message says how; the signature beside it."""
    signature = folder / "SHA256SUMS.sig"
    signature.unlink(missing_ok=True)
    argv = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", key, "SHA256SUMS"]
    subprocess.run(argv, cwd=folder, check=True, capture_output=True)
    return signature
