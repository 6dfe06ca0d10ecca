"""Sentences: names from outside made fit for one, and what several of them have in common."""

SHOWN_CHARACTERS = 256
"""A sentence goes to the journal and the bus: of a longer name it shows the beginning."""


def shown(name: str) -> str:
    """A name fit for a sentence: what is not printable is escaped, the end of a very long one left out."""
    start = _start(name)
    return start if start.isprintable() and start else ascii(start)


def quoted(name: str) -> str:
    """The same in quotation marks, where a space would make it two words."""
    start = _start(name)
    return f"'{start}'" if start.isprintable() else ascii(start)


def _start(name: str) -> str:
    return name if len(name) <= SHOWN_CHARACTERS else f"{name[:SHOWN_CHARACTERS]}…"


def signed_by(signer: str) -> str:
    """How a sentence goes on where somebody has signed."""
    return f", signed by {signer}" if signer else ""
