"""What a bundle says of itself."""

import json
from dataclasses import replace

import pytest

from dubseedd.core.about import About, Origin, license_in, parse

ABOUT = About("tiny", Origin("owner/tiny", "ab" * 20, "apache-2.0"), 3, 99, "2026-01-31T12:00:00Z", "dubseedctl 1")


def test_what_was_written_is_read_again() -> None:
    assert parse(ABOUT.render()) == ABOUT
    assert json.loads(ABOUT.render())["bytes"] == 99


def test_when_and_by_what_it_was_made_makes_no_difference() -> None:
    assert ABOUT.says_the_same_as(replace(ABOUT, created="2027-01-01T00:00:00Z", created_by="dubseedctl 2"))
    assert not ABOUT.says_the_same_as(replace(ABOUT, size=98))


def with_size(size: bytes) -> bytes:
    return ABOUT.render().replace(b"99", size)


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{}", b'{"name": 1}', with_size(b'"x"'), with_size(b"1e999"), with_size(b"NaN")]
)
def test_what_is_none_of_ours_is_none(raw: bytes) -> None:
    assert parse(raw) is None


@pytest.mark.parametrize(
    ("card", "name"),
    [
        (b"---\nlicense: apache-2.0\n---\n", "apache-2.0"),
        (b"---\r\ntags:\r\n- x\r\nlicense: 'mit'\r\n---\r\n", "mit"),
        (b"---\nlicense: other\nlicense_name: tiny-license\n---\n", "tiny-license"),
        (b"---\nlicense: other\n---\n", "other"),
        (b"---\ntags: []\n---\nlicense: mit\n", ""),
        (b"# No front matter\nlicense: mit\n", ""),
        (b"", ""),
    ],
)
def test_the_licence_is_that_of_the_model_card(card: bytes, name: str) -> None:
    assert license_in(card) == name
