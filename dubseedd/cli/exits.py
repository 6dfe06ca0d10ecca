"""The exit statuses of dubseedctl."""

DONE = 0
FAILED = 1
USAGE = 2
UNREACHABLE = 3
NOT_AUTHORISED = 4
INTERRUPTED = 130
