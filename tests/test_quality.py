"""The gates that a reader expects: format, style, types, layers, nothing only its author understands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
UNFINISHED = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")))
PRIVATE_PATH = re.compile(r"(?<![\w.$}])/(?:work|root|home/(?!USER\b|\$)\w+|Users)/")


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "format", "--check", "--diff"),
        ("ruff", "check", "--output-format=concise"),
        ("mypy",),
        ("mypy", "-p", "tools"),
        ("lint-imports", "--no-cache"),
    ],
    ids=" ".join,
)
def test_the_code_passes(command: tuple[str, ...]) -> None:
    """The tool's own words are the failure."""
    program, *arguments = command
    done = subprocess.run([BIN / program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{' '.join(command)}\n{done.stdout}{done.stderr}", pytrace=False)


def tracked_texts() -> list[tuple[str, str]]:
    """(name, text) of every tracked text file."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone, so nothing tells which files are tracked")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [ROOT / name for name in listing.stdout.split("\0") if name]
    return [(str(file.relative_to(ROOT)), file.read_text(errors="replace")) for file in files if file.is_file()]


@pytest.mark.parametrize("pattern", [UNFINISHED, PRIVATE_PATH], ids=["unfinished", "private-path"])
def test_no_tracked_file_holds_what_only_its_author_understands(pattern: re.Pattern[str]) -> None:
    found = [
        f"{name}:{number}: {line.strip()}"
        for name, text in tracked_texts()
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (UNFINISHED, ("TO", "DO")),
        (PRIVATE_PATH, ("see /", "work/notes")),
        (PRIVATE_PATH, ("/", "home/jane/x")),
    ],
    ids=["unfinished", "workplace", "home"],
)
def test_what_is_searched_for_would_be_found(pattern: re.Pattern[str], words: tuple[str, ...]) -> None:
    """The words are put together here, so that this file does not hold them."""
    assert pattern.search("".join(words))
