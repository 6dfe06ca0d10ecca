"""The configuration: defaults, overriding, and one line for whatever is not allowed."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from dubseedd.core.config import OPTIONS, AfterSync, Automatic, Config, ConfigError, build

ROOT = Path(__file__).parents[2]


def one(table: str, **values: Any) -> Config:
    return build([("x.toml", {table: values})])


def test_nothing_gives_the_defaults() -> None:
    assert build([]) == Config()


def test_the_commented_configuration_that_is_installed_is_the_defaults() -> None:
    shipped = (ROOT / "packaging/config/dubseedd.toml").read_text()
    told = "\n".join(line.removeprefix("#").removeprefix(" ") if "=" in line else line for line in shipped.splitlines())
    document = tomllib.loads("\n".join(line for line in told.splitlines() if "=" in line or line.startswith("[")))
    assert build([("shipped", document)]) == Config()
    assert {(table, key) for table, keys in document.items() for key in keys} == {(o.table, o.key) for o in OPTIONS}


def test_a_later_document_overrides_key_by_key() -> None:
    config = build([("a", {"sync": {"read_back": False, "after": "keep"}}), ("b", {"sync": {"after": "power-off"}})])
    assert config.sync.read_back is False
    assert config.sync.after is AfterSync.POWER_OFF


@pytest.mark.parametrize(
    ("value", "count"), [("1GiB", 1 << 30), ("512MiB", 512 << 20), ("2 GB", 2 * 10**9), (4096, 4096), ("0", 0), (0, 0)]
)
def test_sizes(value: object, count: int) -> None:
    assert one("store", reserve=value).store.reserve_bytes == count


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("30d", 2592000), ("12h", 43200), ("45m", 2700), ("10s", 10), ("2w", 1209600), ("0", 0), (0, 0)],
)
def test_intervals(value: object, seconds: int) -> None:
    assert one("scrub", interval=value).scrub.interval_seconds == seconds


def test_the_folder_of_bundles_may_be_nested() -> None:
    assert one("seed", models="ai/models").seed.models == "ai/models"


def test_words_become_values() -> None:
    assert one("trust", pickle="allow").trust.pickle_allowed is True
    assert one("sync", automatic="verify").sync.automatic is Automatic.VERIFY
    assert one("seed", bundles=["qwen*"]).seed.bundles == ("qwen*",)


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        ("seed", "label", "with space"),
        ("seed", "label", ""),
        ("seed", "label", "-x"),
        ("seed", "label", 5),
        ("seed", "models", "../x"),
        ("seed", "models", "/x"),
        ("seed", "models", ""),
        ("seed", "models", "a//b"),
        ("seed", "models", "a/./b"),
        ("seed", "models", "a\0b"),
        ("seed", "models", 5),
        ("seed", "filesystems", []),
        ("seed", "filesystems", "ext4"),
        ("seed", "bundles", [1]),
        ("store", "path", "relative"),
        ("store", "path", "/a\0b"),
        ("store", "path", "/a\nb"),
        ("store", "reserve", 1.5),
        ("store", "reserve", "1gib"),
        ("store", "reserve", "9" * 5000),
        ("store", "reserve", "1 gig"),
        ("store", "reserve", -1),
        ("store", "reserve", True),
        ("store", "keep_previous", "yes"),
        ("sync", "automatic", "on"),
        ("sync", "automatic", ["publish"]),
        ("sync", "after", "explode"),
        ("trust", "allowed_signers", "x"),
        ("trust", "pickle", "maybe"),
        ("scrub", "interval", "30"),
        ("scrub", "interval", "soon"),
        ("scrub", "interval", 30),
        ("scrub", "interval", 0.0),
        ("scrub", "interval", False),
    ],
)
def test_a_bad_value_is_refused_in_one_line_with_file_key_and_what_is_allowed(
    table: str, key: str, value: object
) -> None:
    allowed = next(option.allowed for option in OPTIONS if (option.table, option.key) == (table, key))
    with pytest.raises(ConfigError) as error:
        one(table, **{key: value})
    assert str(error.value).startswith(f"x.toml: [{table}] {key} = ")
    assert str(error.value).endswith(allowed)
    assert "\n" not in str(error.value)


def test_an_unknown_key_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(ConfigError, match=r"x.toml: unknown key 'lable' in \[seed\]; did you mean label\?"):
        one("seed", lable="x")
    with pytest.raises(ConfigError, match=r"unknown key 'zzz' in \[seed\]; known are label, models"):
        one("seed", zzz="x")


def test_an_unknown_table_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"x.toml: unknown table 'sede'; did you mean seed\?"):
        one("sede")
    with pytest.raises(ConfigError, match=r"x.toml: unknown table 'a\\nb'; known are seed, store"):
        one("a\nb")
    with pytest.raises(ConfigError, match="has to be a table"):
        build([("x.toml", {"seed": 1})])
