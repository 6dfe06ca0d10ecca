"""Reading the configuration: the main file, then the drop-ins in the order of their names."""

import os
import tomllib
from typing import Any

from dubseedd.core.config import Config, ConfigError, build
from dubseedd.names import CONFIG_FILE, CONFIG_FOLDER


def load(explicit: str | None = None, *, file: str = CONFIG_FILE, folder: str = CONFIG_FOLDER) -> Config:
    """The configuration: just the file `explicit`, or else the main file and its drop-ins, as far as they are there.

    Raises ConfigError with one line.
    """
    if explicit is not None:
        return build([(explicit, _read(explicit))])
    paths = [file] if os.path.lexists(file) else []
    return build([(path, _read(path)) for path in (*paths, *_drop_ins(folder))])


def _drop_ins(folder: str) -> list[str]:
    try:
        return [f"{folder}/{name}" for name in sorted(os.listdir(folder)) if name.endswith(".toml")]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be read ({error.strerror}); it takes a folder of *.toml files") from error


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); create it or name another: --config FILE"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}; mend that line") from error
