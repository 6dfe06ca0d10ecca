"""The terminal: what it can show, and the person in front of it."""

import importlib.util
import os
import shutil
import signal
import sys


def is_there() -> bool:
    """Is the output a terminal that knows more than letters?"""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def has_colours() -> bool:
    """Does it have colours, and does its user want them?"""
    return is_there() and not os.environ.get("NO_COLOR")


def can_draw() -> bool:
    """Can it move its cursor, and is rich there?"""
    return is_there() and importlib.util.find_spec("rich") is not None


def width() -> int | None:
    """Its columns; None where the output is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def somebody_is_there() -> bool:
    """Can a person be asked?"""
    return sys.stdin is not None and sys.stdin.isatty()


def answer_to(question: str) -> str | None:
    """The line that a person types; None where there is nobody to ask. KeyboardInterrupt on Ctrl-C.

    It is asked on standard error: standard output may belong to a program.
    """
    if not (somebody_is_there() and sys.stderr.isatty()):
        return None
    former = signal.signal(signal.SIGINT, signal.default_int_handler)  # a loop's own waits for us to return to it
    try:
        print(f"dubseedctl: {question} ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline()
    finally:
        signal.signal(signal.SIGINT, former or signal.SIG_DFL)
