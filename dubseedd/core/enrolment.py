"""Enrolment: whose signatures the owner of the machine accepts, as it was read at one moment.

What is judged has to be what was read, so the bytes themselves are kept and no path is opened a second time.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelKey:
    """A PEM file of OpenSSF Model Signing, at `where`; `name` is what its owner is called by."""

    name: str
    where: str
    pem: bytes


@dataclass(frozen=True, slots=True)
class Enrolment:
    """`signers` is an allowed_signers file of OpenSSH, b"" where no key is in it; `revoked` its revocation file.

    `where` is what the file is called in sentences. `model_keys` are those of model.sig. With a `fault` nothing can be
    trusted; it says why, and what to do.
    """

    where: str = ""
    signers: bytes = b""
    revoked: bytes | None = None
    model_keys: tuple[ModelKey, ...] = ()
    fault: str = ""

    @property
    def demands_signatures(self) -> bool:
        return bool(self.signers or self.model_keys or self.fault)


NOBODY = Enrolment()
"""Digests alone decide."""


def keys_in(raw: bytes) -> bytes:
    """An allowed_signers file fit for ssh-keygen, which takes an empty line for a broken one; b"" without a key."""
    lines = [line if line.strip() else b"#" for line in raw.split(b"\n")]
    return b"\n".join(lines) if any(not line.lstrip().startswith(b"#") for line in lines) else b""
