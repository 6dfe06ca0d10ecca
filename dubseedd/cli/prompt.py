"""A question to the person at the terminal, on standard error: standard output may belong to a program."""

import sys


def answer_to(question: str) -> str | None:
    """The line that a person types; None where there is nobody to ask."""
    if not (sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    print(f"dubseedctl: {question} ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline()
