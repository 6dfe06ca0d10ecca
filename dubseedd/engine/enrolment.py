"""Reading who is enrolled: `[trust] allowed_signers`, beside it the revocation file, `….revoked`, and `….d/*.pem`, the
keys and authorities of OpenSSF Model Signing. Blocks.

Whatever is wrong with them, or with ssh-keygen, is a fault with which no bundle is taken: that a key cannot be read
must never mean that none is needed. ssh-keygen itself passes over a line that it cannot read, so it is asked first.
"""

import os
import stat
from dataclasses import replace

from dubseedd.core.enrolment import Enrolment, ModelKey, keys_in
from dubseedd.engine import openssh
from dubseedd.engine.durable import opened

REVOKED_SUFFIX = ".revoked"
MODEL_KEYS_SUFFIX = ".d"
PEM_SUFFIX = ".pem"
MAX_BYTES = 1 << 20

_PROBE_KEY = b"probe ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICJ9hP1pb474CCvhB6ZDc2EFOLcw2BwifZ+KhsLehfte\n"
_PROBE_SIGNATURE = b"""-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgIn2E/WlvjvgIK+EHpkNzYQU4tz
DYHCJ9n4qGwt6F+14AAAAFcHJvYmUAAAAAAAAABnNoYTUxMgAAAFMAAAALc3NoLWVkMjU1
MTkAAABA4BUpUC1jY1sra4T181IDqaGFCjMZlTYUj9xReiUqH+W5LMH8fmBzsB0ygep2v0
2ko5BOvyxUxgmdzCi0BsvYDw==
-----END SSH SIGNATURE-----
"""
"""A signature of "probe" by a key that was thrown away: whatever reads files for it has to read them to their ends."""


def enrolled_in(path: str) -> Enrolment:
    """What is in these files now. Never raises: what is wrong comes as the fault."""
    try:
        signers = keys_in(_read(path) or b"")
        revoked = _read(path + REVOKED_SUFFIX) if signers else None
        return Enrolment(path, signers, revoked, _model_keys(path + MODEL_KEYS_SUFFIX))
    except _Unreadable as error:
        return Enrolment(path, fault=str(error))


def proven(enrolment: Enrolment) -> Enrolment:
    """The same, with a fault where ssh-keygen cannot use it. Never raises."""
    if enrolment.fault:
        return enrolment
    try:
        return replace(enrolment, fault=_fault_of_signers(enrolment) or _fault_of_model_keys(enrolment))
    except openssh.Unavailable as error:
        return replace(enrolment, fault=f"keys are enrolled in {enrolment.where}, and {error}")


class _Unreadable(Exception):
    pass


def _read(path: str) -> bytes | None:
    """The bytes of a file of the configuration, None where there is none."""
    try:
        with opened(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC) as descriptor:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise _Unreadable(f"{path} is no regular file; put a file of keys in its place")
            with open(descriptor, "rb", closefd=False) as stream:
                raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        if os.path.islink(path):
            raise _Unreadable(f"{path} is a link to nothing; mend it, or take it away") from None
        return None
    except OSError as error:
        raise _Unreadable(f"{path} cannot be read ({error.strerror}); mend that first") from error
    if len(raw) > MAX_BYTES:
        raise _Unreadable(f"{path} is larger than {MAX_BYTES >> 20} MiB; keep in it the keys that are needed")
    return raw


def _model_keys(folder: str) -> tuple[ModelKey, ...]:
    """The *.pem of a folder by their names, none where there is no folder."""
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(PEM_SUFFIX))
    except FileNotFoundError:
        if os.path.islink(folder):
            raise _Unreadable(f"{folder} is a link to nothing; mend it, or take it away") from None
        return ()
    except OSError as error:
        raise _Unreadable(f"{folder} cannot be read ({error.strerror}); it takes a folder of *.pem files") from error
    keys = []
    for name in names:
        pem = _read(where := f"{folder}/{name}")
        if pem is None:
            raise _Unreadable(f"{where} went away while it was read; look again")
        keys.append(ModelKey(name.removesuffix(PEM_SUFFIX), where, pem))
    return tuple(keys)


def _fault_of_model_keys(enrolment: Enrolment) -> str:
    if not enrolment.model_keys:
        return ""
    try:
        from dubseedd.engine import oms  # noqa: PLC0415 - cryptography is large, and few machines enrol such a key
    except ImportError:
        return f"{enrolment.where}{MODEL_KEYS_SUFFIX} needs Python's cryptography; install it: python3-cryptography"
    return oms.fault_of(enrolment.model_keys)


def _fault_of_signers(enrolment: Enrolment) -> str:
    """What ssh-keygen finds wrong with the files, or nothing."""
    path, signers, revoked = enrolment.where, enrolment.signers, enrolment.revoked
    if not signers:
        return ""
    _, answer = openssh.principals(_PROBE_SIGNATURE, signers)
    for number, reason in answer.faults:
        return f"{path}, line {number}, is no line of allowed_signers ({reason}); mend that line"
    answer = openssh.verify(
        b"probe", _PROBE_SIGNATURE, principal="probe", namespace="probe", signers=_PROBE_KEY, revoked=revoked
    )
    if answer.accepted:
        return ""
    if revoked is None:
        return f"ssh-keygen cannot verify signatures here ({answer.complaint}); OpenSSH 8.2 or newer is needed"
    return (
        f"{path}{REVOKED_SUFFIX} is no list of revoked keys: it takes public keys, one a line, or a list that "
        "ssh-keygen -k has made; mend it"
    )
