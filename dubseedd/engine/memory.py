"""Memory: large blocks go back to the system when they are freed.

The C library gets them from the system one by one at first. With each that is freed it learns to keep larger ones for
later; after a manifest of 10 MiB it holds on to tens of them, in pieces.
"""

import ctypes

LARGE_BYTES = 1 << 20
_M_MMAP_THRESHOLD = -3


def return_large_blocks() -> None:
    """Keep the C library (glibc) from learning; another one is left as it is."""
    try:
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
    except AttributeError:
        return
