"""What keeps within the limits costs little time and memory, however bad it is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.costs import WORST

ROOT = Path(__file__).resolve().parents[2]
MOST_SECONDS = 30
"""Of the processor. It takes a tenth of that; a square of what is there would take hours."""
MOST_MIB = 170


@pytest.mark.parametrize("name", WORST)
def test_the_worst_that_there_may_be_is_read_in_seconds_and_little_memory(name: str) -> None:
    argv = [sys.executable, "-m", "tests.hostile.costs", name]
    told = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    print(f"{name}: {told}")
    taken = json.loads(told)
    assert taken["seconds"] < MOST_SECONDS
    assert taken["MiB"] < MOST_MIB
