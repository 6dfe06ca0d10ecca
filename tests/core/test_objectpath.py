"""Object paths as sd_bus_path_encode(3) escapes them."""

import pytest

from dubseedd.core.objectpath import encode_path


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("abcXYZ09", "abcXYZ09"),
        ("09abc", "_309abc"),
        ("a-b.c_d", "a_2db_2ec_5fd"),
        ("", "_"),
        ("é", "_c3_a9"),
        ("1234-5678", "_31234_2d5678"),
    ],
)
def test_every_byte_but_letters_and_digits_is_escaped_a_leading_digit_too(name: str, encoded: str) -> None:
    assert encode_path(name) == encoded
