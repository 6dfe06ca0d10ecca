"""How dubseedctl ends: its exit statuses, and what it complains of on standard error."""

import sys

DONE = 0
FAILED = 1
USAGE = 2
UNREACHABLE = 3
NOT_AUTHORISED = 4
INTERRUPTED = 130


class Complaint(Exception):
    """What is said on standard error, and the exit status that goes with it."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


def bus_unreachable(error: Exception) -> Complaint:
    return Complaint(f"the system bus cannot be reached ({error}); see systemctl status dbus", UNREACHABLE)


def complain(sentence: str) -> None:
    """Say on standard error what is wrong and what to do next."""
    print(f"dubseedctl: {sentence}", file=sys.stderr, flush=True)
