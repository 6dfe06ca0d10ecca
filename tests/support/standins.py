"""Programs in front of the machine's own: what a script would do to the machine is only noted."""

import os
from pathlib import Path


def stand_in(folder: Path, name: str, script: str = "") -> None:
    """Write a program that notes how it is called, and then runs this script of the shell."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f'#!/bin/sh\necho "{name} $*" >>"{folder}/called"\n{script}\n')
    program.chmod(0o755)


def search_path(folder: Path) -> str:
    """A PATH on which these programs come first."""
    return f"{folder}:{os.environ['PATH']}"


def calls(folder: Path, name: str) -> list[str]:
    """What this program was asked for, call by call."""
    lines = (folder / "called").read_text().splitlines() if (folder / "called").exists() else []
    return [words for called, _, words in (line.partition(" ") for line in lines) if called == name]
