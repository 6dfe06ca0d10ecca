"""OpenSSH's ssh-keygen, which verifies signatures, and makes them. Blocks; to verify never longer than LIMIT_SECONDS.

It gets everything by descriptor: inputs are files in memory, so that there is no scratch folder and no path of the seed
in its argv, and its output goes into one that cannot grow. Its environment is empty but for the locale; only to sign it
has the caller's, for an agent and a passphrase.
"""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from dubseedd.core.sentence import shown

PROGRAM = "ssh-keygen"
LIMIT_SECONDS = 10.0
MAX_OUTPUT_BYTES = 64 << 10
MAX_PRINCIPALS = 32
"""A key enrolled under more names than these is tried under the first ones."""

_FAULT = re.compile(r"^/proc/self/fd/\d+:(\d+): (.+)$", re.MULTILINE)


class Unavailable(Exception):
    """ssh-keygen cannot be run here; a sentence says why and what to do."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a run has said. `faults` are the lines of a file that it could not read, as (number, reason)."""

    accepted: bool
    output: bytes
    complaint: str
    faults: tuple[tuple[int, str], ...]


def principals(signature: bytes, signers: bytes) -> tuple[list[str], Answer]:
    """Under which names the key of a signature is enrolled; the signature itself is not verified."""
    with _in_memory(signature) as about, _in_memory(signers) as allowed:
        answer = _run(["-Y", "find-principals", "-s", _path(about), "-f", _path(allowed)], b"", about, allowed)
    names = answer.output.split(b"\n")[:MAX_PRINCIPALS] if answer.accepted else []
    return [os.fsdecode(name) for name in names if name], answer


def verify(
    message: bytes, signature: bytes, *, principal: str, namespace: str, signers: bytes, revoked: bytes | None = None
) -> Answer:
    """Is this the principal's signature of the message, for the namespace, valid now and not revoked?"""
    with ExitStack() as undo:
        about, allowed, *refused = (
            undo.enter_context(_in_memory(content)) for content in (signature, signers, revoked) if content is not None
        )
        argv = ["-Y", "verify", "-n", namespace, "-I", principal, "-s", _path(about), "-f", _path(allowed)]
        for descriptor in refused:
            argv += ["-r", _path(descriptor)]
        return _run(argv, message, about, allowed, *refused)


def sign(message: bytes, *, key: str, namespace: str) -> bytes:
    """The signature of a message by a key file, or by an agent for the key whose public half that file is.

    A passphrase is asked for at the terminal. Unavailable where it cannot be signed.
    """
    argv = [_program(), "-q", "-Y", "sign", "-n", namespace, "-f", key]
    environment = {**os.environ, "LC_ALL": "C"}
    with _in_memory(message) as source:
        try:
            done = subprocess.run(argv, stdin=source, capture_output=True, env=environment, check=False)
        except OSError as error:
            raise Unavailable(f"{PROGRAM} cannot be run ({error.strerror}); mend it, or install it anew") from error
    if done.returncode != 0:
        reason = _first_line(done.stderr.decode(errors="replace"))
        raise Unavailable(f"{shown(key)} cannot sign ({reason}); name a private key, or a public one of your agent's")
    return done.stdout


@contextmanager
def _in_memory(content: bytes = b"", *, room: int = 0) -> Iterator[int]:
    """A file in memory with this content, or with room for so many bytes and no more."""
    descriptor = os.memfd_create("dubseedd", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(descriptor, "wb", closefd=False) as stream:
            stream.write(content)
        if room:
            os.ftruncate(descriptor, room)
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _path(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"


def _run(arguments: list[str], message: bytes, *inputs: int) -> Answer:
    program = _program()
    with (
        _in_memory(message) as source,
        _in_memory(room=MAX_OUTPUT_BYTES) as output,
        _in_memory(room=MAX_OUTPUT_BYTES) as complaints,
    ):
        try:
            done = subprocess.run(
                [program, *arguments],
                stdin=source,
                stdout=output,
                stderr=complaints,
                pass_fds=inputs,
                env={"LC_ALL": "C"},
                timeout=LIMIT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"{program} did not end within {LIMIT_SECONDS:.0f} s; look what holds it up") from error
        except OSError as error:
            raise Unavailable(f"{program} cannot be run ({error.strerror}); mend it, or install it anew") from error
        told = _content(complaints).decode(errors="replace")
        faults = tuple((int(number), shown(reason.strip())) for number, reason in _FAULT.findall(told))
        return Answer(done.returncode == 0, _content(output), _first_line(told), faults)


def _program() -> str:
    program = shutil.which(PROGRAM)
    if program is None:
        raise Unavailable(f"{PROGRAM} is not installed; install it: apt-get install openssh-client")
    return program


def _content(descriptor: int) -> bytes:
    """What has been written into a file with room for more."""
    return os.pread(descriptor, MAX_OUTPUT_BYTES, 0).partition(b"\0")[0]


def _first_line(told: str) -> str:
    line = _FAULT.sub(r"\2", told).strip().partition("\n")[0]
    return shown(line.strip()) if line else "no reason given"
