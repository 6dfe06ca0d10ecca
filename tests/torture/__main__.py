"""`make torture`: every row in its full amount, or in that which the environment asks for; prints the figures.

    R1=200 R4=1000 TORTURE_SEED=17 python -m tests.torture [arguments of pytest]

Where all amounts were the full ones and all was survived, the figures go into docs/reliability.md.
"""

import os
import platform
import random
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "reliability.md"
HEADING = "## Figures\n"


def main(arguments: list[str]) -> int:
    if not os.environ.get("TORTURE_SEED"):
        os.environ["TORTURE_SEED"] = str(random.randrange(1, 1_000_000))
    from tests.torture import amounts, figures  # noqa: PLC0415 - they look at the environment

    for row, full in amounts.FULL.items():
        os.environ[row] = os.environ.get(row) or str(full)
    print(f"TORTURE_SEED={amounts.SEED}", *(f"{row}={amounts.amount(row)}" for row in amounts.FULL), flush=True)
    status = pytest.main(["-o", "timeout=0", *(arguments or [str(ROOT / "tests" / "torture")])])
    if status == 0 and amounts.is_full() and not arguments:
        write_down(figures.table(figures.ROWS), amounts.SEED)
    return int(status)


def write_down(table: str, seed: int) -> None:
    """Put the figures into the document, in the place of those before."""
    head, _, _ = DOCUMENT.read_text().partition(HEADING)
    when = datetime.now(UTC).date().isoformat()
    where = f"Linux {platform.release().split('-')[0]}, {os.cpu_count()} cores"
    DOCUMENT.write_text(f"{head}{HEADING}\n{when}, {where}, TORTURE_SEED={seed}:\n\n{table}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
