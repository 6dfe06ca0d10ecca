"""The configuration: defaults, overriding, and one line for whatever is not allowed."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from dubseedd.core.config import OPTIONS, AfterSync, Automatic, Config, ConfigError, build
from dubseedd.engine.configfile import load

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
        ("seed", "filesystems", []),
        ("seed", "filesystems", "ext4"),
        ("seed", "bundles", [1]),
        ("store", "path", "relative"),
        ("store", "reserve", "1 gig"),
        ("store", "reserve", -1),
        ("store", "reserve", True),
        ("store", "keep_previous", "yes"),
        ("sync", "automatic", "on"),
        ("sync", "after", "explode"),
        ("trust", "allowed_signers", "x"),
        ("trust", "pickle", "maybe"),
        ("scrub", "interval", "30"),
        ("scrub", "interval", "soon"),
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
    with pytest.raises(ConfigError, match=r"unknown table \[sede\]; did you mean seed\?"):
        one("sede")
    with pytest.raises(ConfigError, match="has to be a table"):
        build([("x.toml", {"seed": 1})])


class TestFiles:
    def test_drop_ins_come_after_the_main_file_in_the_order_of_their_names(self, tmp_path: Path) -> None:
        (tmp_path / "main.toml").write_text('[sync]\nafter = "keep"\nread_back = false\n')
        folder = tmp_path / "main.d"
        folder.mkdir()
        (folder / "20.toml").write_text('sync.after = "power-off"\n')
        (folder / "10.toml").write_text('sync.after = "unmount"\n')
        (folder / "notes.txt").write_text("not toml")
        config = load(file=str(tmp_path / "main.toml"), folder=str(folder))
        assert config.sync.after is AfterSync.POWER_OFF
        assert config.sync.read_back is False

    def test_an_explicit_file_is_taken_alone(self, tmp_path: Path) -> None:
        (tmp_path / "main.toml").write_text('sync.after = "keep"\n')
        (tmp_path / "own.toml").write_text("sync.read_back = false\n")
        config = load(str(tmp_path / "own.toml"), file=str(tmp_path / "main.toml"))
        assert config.sync.after is AfterSync.UNMOUNT
        assert config.sync.read_back is False

    def test_no_file_at_all_is_the_defaults(self, tmp_path: Path) -> None:
        assert load(file=str(tmp_path / "absent"), folder=str(tmp_path / "absent.d")) == Config()

    @pytest.mark.parametrize("content", [b"[seed\n", b"\xff\xfe"])
    def test_what_is_no_toml_is_refused_in_one_line(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "bad.toml").write_bytes(content)
        with pytest.raises(ConfigError) as error:
            load(str(tmp_path / "bad.toml"))
        assert str(error.value).startswith(str(tmp_path / "bad.toml"))
        assert "\n" not in str(error.value)

    def test_an_explicit_file_that_is_not_there_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="cannot be read"):
            load(str(tmp_path / "absent.toml"))
