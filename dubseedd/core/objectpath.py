"""Names in object paths, escaped as sd_bus_path_encode(3) does it."""

import string

_PLAIN = frozenset((string.ascii_letters + string.digits).encode())
_DIGITS = frozenset(string.digits.encode())


def encode_path(name: str) -> str:
    """One component of an object path: every byte but A-Z a-z 0-9 becomes _xx, a leading digit too; "" becomes _."""
    raw = name.encode("utf-8", "surrogateescape")
    if not raw:
        return "_"
    return "".join(
        chr(byte) if byte in _PLAIN and not (position == 0 and byte in _DIGITS) else f"_{byte:02x}"
        for position, byte in enumerate(raw)
    )
