"""What the daemon's configuration takes: packaging/nix/options.json, of which the NixOS module makes its options, and
the table of docs/nixos.md. `make derived` writes both; a test compares them with the schema.
"""

import enum
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dubseedd.core.config import OPTIONS, Option, Text

ROOT = Path(__file__).parent.parent
DEFAULTS = ROOT / "packaging/config/dubseedd.toml"
OUTPUT = ROOT / "packaging/nix/options.json"
PAGE = ROOT / "docs/nixos.md"
HEAD = "| option of `services.dubseedd.settings` | default | takes |"


def defaults() -> Mapping[str, Mapping[str, Any]]:
    """The values that stand as comments in the file that is installed."""
    return tomllib.loads(re.sub(r"(?m)^# (\w+ = )", r"\1", DEFAULTS.read_text()))


def kind(option: Option) -> str:
    """How Nix is to type it: words, texts, flag, size, text."""
    if isinstance(option.read, enum.EnumType) or not re.sub(r'"[^"]+"|, | or ', "", option.allowed):
        return "words"
    for name, sample in (("flag", True), ("texts", ["x"]), ("size", 1)):
        try:
            option.read(sample)
        except (ValueError, TypeError):
            continue
        return name
    return "text"


def pattern(option: Option) -> str:
    """What a text has to match as a whole, as POSIX writes it; empty for what is no text."""
    return option.read.pattern.replace(r"\x00-\x1f\x7f", "[:cntrl:]") if isinstance(option.read, Text) else ""


def rows() -> list[dict[str, Any]]:
    values = defaults()
    return [
        {
            "table": option.table,
            "key": option.key,
            "kind": kind(option),
            "words": re.findall('"([^"]+)"', option.allowed) if kind(option) == "words" else [],
            "pattern": pattern(option),
            "default": values[option.table][option.key],
            "allowed": option.allowed,
        }
        for option in OPTIONS
    ]


def as_json() -> str:
    return json.dumps(rows(), indent=2) + "\n"


def as_table() -> str:
    cells = ((f"{row['table']}.{row['key']}", json.dumps(row["default"]), row["allowed"]) for row in rows())
    lines = (f"| `{name}` | `{default}` | {allowed} |\n" for name, default, allowed in cells)
    return f"{HEAD}\n|---|---|---|\n{''.join(lines)}"


def main() -> None:
    OUTPUT.write_text(as_json())
    text = PAGE.read_text()
    PAGE.write_text(text[: text.index(HEAD)] + as_table())


if __name__ == "__main__":
    main()
