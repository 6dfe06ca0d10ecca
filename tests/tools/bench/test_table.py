"""Findings as a person reads them."""

import pytest

from tools.bench.table import shown, table
from tools.bench.targets import Finding, Sense, Target


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.1234, "ratio", "0.123"),
        (1.234, "seconds", "1.23 s"),
        (123.4, "seconds", "123 s"),
        (0.5, "seconds per GiB", "0.50 s/GiB"),
        (150 << 20, "bytes", "150.0 MiB"),
        (3 << 29, "bytes", "1.50 GiB"),
        (200_000_000, "bytes per second", "200 MB/s"),
    ],
)
def test_every_unit_is_written_in_its_way(value: float, unit: str, text: str) -> None:
    assert shown(value, unit) == text


def test_columns_stand_below_each_other() -> None:
    findings = [
        Finding("runbook", 12.0, "seconds"),
        Finding("ours: time to that of runbook", 0.36, "ratio", Target(0.4)),
        Finding("rate", 0.8, "ratio", Target(0.9, Sense.AT_LEAST)),
    ]
    assert table("throughput", findings).splitlines() == [
        "throughput                      median   target",
        "─" * 76,
        "runbook                        12.00 s",
        "ours: time to that of runbook    0.360  ≤ 0.400  met, 0.90 of the target",
        "rate                             0.800  ≥ 0.900  NOT MET, 0.89 of the target",
    ]
