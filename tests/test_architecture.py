"""docs/architecture.md: its map is the tree, and what its story names is there."""

import re
from pathlib import Path
from pkgutil import resolve_name

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
LAYER = re.compile(r"    (\w+)/$")
OUTSIDE = re.compile(r"    (\w+(?:, \w+)*)  ")
INSIDE = re.compile(r"      (\w+(?:, \w+)*)  ")
NAMED = re.compile(r"`(adapters|bus|cli|core|desktop|engine|service)/(\w+)((?:\.\w+)*)`")


def mapped() -> list[str]:
    """Every module on the map, as LAYER/MODULE."""
    found, layer = [], ""
    for line in PAGE.partition("## Where things are")[2].partition("\n## ")[0].splitlines():
        if head := LAYER.match(line):
            layer = f"{head[1]}/"
        elif names := INSIDE.match(line):
            found += [f"{layer}{name}" for name in names[1].split(", ")]
        elif names := OUTSIDE.match(line):
            found += names[1].split(", ")
    return found


def test_the_map_has_every_module_once_and_no_other() -> None:
    modules = (ROOT / "dubseedd").rglob("*.py")
    there = [file.relative_to(ROOT / "dubseedd").with_suffix("") for file in modules if file.name != "__init__.py"]
    assert sorted(mapped()) == sorted(map(str, there))


@pytest.mark.parametrize("named", sorted(set(NAMED.findall(PAGE))), ids="/".join)
def test_what_is_named_is_there(named: tuple[str, str, str]) -> None:
    layer, module, within = named
    assert resolve_name(f"dubseedd.{layer}.{module}:{within.removeprefix('.')}")
