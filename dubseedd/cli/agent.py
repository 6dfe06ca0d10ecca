"""Whom polkit asks for a password: the desktop's dialog, else pkttyagent in this terminal, as systemctl has it."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from dubseedd.cli.terminal import somebody_is_there

PROGRAM = "pkttyagent"


@contextmanager
def password_agent() -> Iterator[None]:
    """Have an agent for this terminal as long as the block lasts, behind the one that a desktop has.

    Root is never asked; with no terminal or no such program there is none, and what takes a password is refused.
    """
    program = shutil.which(PROGRAM) if somebody_is_there() and os.geteuid() != 0 else None
    if program is None:
        yield
        return
    ready, ours = os.pipe()
    argv = (program, "--notify-fd", str(ours), "--fallback")
    quiet = subprocess.DEVNULL  # it writes to the terminal itself; what else it says is that there is no polkit
    agent = subprocess.Popen(argv, pass_fds=(ours,), stdin=quiet, stdout=quiet, stderr=quiet)
    os.close(ours)
    try:
        os.read(ready, 1)  # the end of the pipe: it is registered, or has given up
        yield
    finally:
        os.close(ready)
        agent.terminate()
        agent.wait()
