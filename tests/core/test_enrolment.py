"""Whether a file of keys holds one, and what of it ssh-keygen is given."""

import pytest

from dubseedd.core.enrolment import NOBODY, Enrolment, keys_in


@pytest.mark.parametrize("raw", [b"", b"\n", b"# a\n#b", b" \t\r\n  # indented\n"])
def test_a_file_without_a_key_demands_nothing(raw: bytes) -> None:
    assert keys_in(raw) == b""
    assert not Enrolment("/signers", keys_in(raw)).demands_signatures


@pytest.mark.parametrize("raw", [b"a KEY", b"# a\na KEY\n", b"\0", b"\xff"])
def test_whatever_else_is_in_it_counts_as_a_key(raw: bytes) -> None:
    assert Enrolment("/signers", keys_in(raw)).demands_signatures


def test_blank_lines_become_comments_and_keep_the_numbers_of_the_others() -> None:
    assert keys_in(b"\n \t\na KEY\n\r\n") == b"#\n#\na KEY\n#\n#"


def test_a_fault_demands_signatures_that_nobody_can_give() -> None:
    assert Enrolment("/signers", fault="it cannot be read").demands_signatures
    assert not NOBODY.demands_signatures
