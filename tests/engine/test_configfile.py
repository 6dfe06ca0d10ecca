"""Reading the configuration: which files, in which order, and one line for what cannot be read."""

from pathlib import Path

import pytest

from dubseedd.core.config import AfterSync, Config, ConfigError
from dubseedd.engine.configfile import load


def test_drop_ins_come_after_the_main_file_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "main.toml").write_text('[sync]\nafter = "keep"\nread_back = false\n')
    folder = tmp_path / "main.d"
    folder.mkdir()
    (folder / "20.toml").write_text('sync.after = "power-off"\n')
    (folder / "10.toml").write_text('sync.after = "unmount"\n')
    (folder / "notes.txt").write_text("not toml")
    config = load(file=str(tmp_path / "main.toml"), folder=str(folder))
    assert config.sync.after is AfterSync.POWER_OFF
    assert config.sync.read_back is False


def test_an_explicit_file_is_taken_alone(tmp_path: Path) -> None:
    (tmp_path / "main.toml").write_text('sync.after = "keep"\n')
    (tmp_path / "own.toml").write_text("sync.read_back = false\n")
    config = load(str(tmp_path / "own.toml"), file=str(tmp_path / "main.toml"))
    assert config.sync.after is AfterSync.UNMOUNT
    assert config.sync.read_back is False


def test_no_file_at_all_is_the_defaults(tmp_path: Path) -> None:
    assert load(file=str(tmp_path / "absent"), folder=str(tmp_path / "absent.d")) == Config()


@pytest.mark.parametrize("content", [b"[seed\n", b"\xff\xfe", b"a = " + b"[" * 10_000])
def test_what_is_no_toml_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.toml").write_bytes(content)
    with pytest.raises(ConfigError) as error:
        load(str(tmp_path / "bad.toml"))
    assert str(error.value).startswith(str(tmp_path / "bad.toml"))
    assert "\n" not in str(error.value)


def test_an_explicit_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(str(tmp_path / "absent.toml"))


def test_a_link_that_leads_nowhere_is_no_missing_file(tmp_path: Path) -> None:
    (tmp_path / "main.toml").symlink_to("absent")
    with pytest.raises(ConfigError, match=r"main\.toml: cannot be read"):
        load(file=str(tmp_path / "main.toml"), folder=str(tmp_path / "absent.d"))


def test_drop_ins_that_are_no_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "main.d").write_text("")
    with pytest.raises(ConfigError, match=r"main\.d: cannot be read \(Not a directory\)"):
        load(file=str(tmp_path / "absent"), folder=str(tmp_path / "main.d"))
