"""What is kept: figures of one machine side by side, and nothing that tells where it stands."""

import json
import platform
from pathlib import Path

from tools.bench.chart import Series
from tools.bench.costs import Cost
from tools.bench.report import CHART, FIGURES, Curve, Part, keep, machine
from tools.bench.targets import Finding, Target

WHERE = {"cpu": "a", "cores": 2}


def part(name: str, value: float) -> Part:
    finding = Finding("ours", value, "ratio", Target(0.4))
    return Part(name, {"runs": 1}, [finding], [{"ours": Cost(value, 1.0, 2)}])


def kept(folder: Path) -> dict[str, dict[str, list[dict[str, float]]]]:
    found: dict[str, dict[str, list[dict[str, float]]]] = json.loads((folder / FIGURES).read_text())["parts"]
    return found


def test_a_part_that_is_measured_alone_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    keep(tmp_path, WHERE, [part("small", 0.5), part("idle", 0.6)])
    keep(tmp_path, WHERE, [part("idle", 0.3)])
    assert {name: record["findings"][0]["value"] for name, record in kept(tmp_path).items()} == {
        "small": 0.5,
        "idle": 0.3,
    }
    assert kept(tmp_path)["idle"]["findings"][0]["met"] is True
    assert kept(tmp_path)["small"]["findings"][0]["met"] is False


def test_figures_of_another_machine_are_not_mixed_in(tmp_path: Path) -> None:
    keep(tmp_path, WHERE, [part("small", 0.5)])
    keep(tmp_path, {**WHERE, "cores": 64}, [part("idle", 0.3)])
    assert list(kept(tmp_path)) == ["idle"]


def test_growth_is_drawn(tmp_path: Path) -> None:
    series = [Series(name, [(1 << 20, 1.0), (1 << 31, 9.0)]) for name in ("dubseedctl", "runbook", "cp")]
    keep(tmp_path, WHERE, [Part("growth", {}, [], curves=[Curve("bytes", series), Curve("files", series)])])
    picture = (tmp_path / CHART).read_text()
    assert ">1 MiB<" in picture
    assert ">2 GiB<" in picture


def test_the_machine_is_described_without_its_name() -> None:
    described = machine(direct_io=True)
    assert described["cores"] > 0
    assert platform.node() not in json.dumps(described)
