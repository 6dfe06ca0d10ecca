"""Partitions on loop devices, whatever the kernel knows of them.

A kernel built without GPT forgets every partition as soon as somebody has it read the table again (BLKRRPART), which
UDisks2 does, and udev after each writer. So udev is told not to watch, and util-linux reads the table for UDisks2.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.machine import Machine
from tools.machine import run

RULE = Path("/run/udev/rules.d/00-unwatched.rules")
REREAD = r"""
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int ioctl(int descriptor, unsigned long request, ...)
{
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (request != BLKRRPART)
        return syscall(SYS_ioctl, descriptor, request, argument);
    char link[64], node[128] = "", command[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    if (readlink(link, node, sizeof node - 1) < 0)
        return -1;
    snprintf(command, sizeof command, "partx --update %s || partx --delete %s", node, node);
    return system(command) == -1 ? -1 : 0;
}
"""


@contextmanager
def partitions(machine: Machine) -> Iterator[None]:
    """Let UDisks2 make partitions for the length of a block."""
    source, library = machine.folder / "reread.c", machine.folder / "reread.so"
    source.write_text(REREAD)
    run("gcc", "-shared", "-fPIC", "-o", str(library), str(source))
    RULE.parent.mkdir(parents=True, exist_ok=True)
    RULE.write_text('SUBSYSTEM=="block", KERNEL=="loop*", OPTIONS:="nowatch"\n')
    run("udevadm", "control", "--reload")
    machine.stop_udisksd()
    machine.start_udisksd(preload=str(library))
    try:
        yield
    finally:
        machine.restart_udisksd()
        RULE.unlink()
        run("udevadm", "control", "--reload")
