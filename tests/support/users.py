"""The users of the tests, beside root, which every Linux has: dbus-daemon lets in nobody else."""

import os

import pytest

SOMEBODY = 1
"""Sits at the machine."""
SOMEBODY_ELSE = 2
"""Has logged in, and switched away: what is true of one session of a user is true of all."""
NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may be anybody else")
needs_roots_work = pytest.mark.skipif(os.geteuid() != 0, reason="only root's work is adopted")
