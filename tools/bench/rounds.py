"""Rounds: every entrant once in each, one after the other, in changing order."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tools.bench.candidates import Candidate
from tools.bench.costs import Cost, Round, turns
from tools.bench.disk import Stage
from tools.bench.throttle import throttled


@dataclass(frozen=True, slots=True)
class Entrant:
    """Something that is measured on a stage, whose store it finds empty."""

    name: str
    run: Callable[[Stage], Cost]


def on_disks(candidate: Candidate, read_bytes_per_second: int = 0) -> Entrant:
    """A candidate between the two mounted disks. 0 reads the seed without a limit."""

    def run(stage: Stage) -> Cost:
        with stage.mounted() as scene:
            if not read_bytes_per_second:
                return candidate.run(scene)
            with throttled(scene.seed_node, read_bytes_per_second) as group:
                return candidate.run(scene, group)

    return Entrant(candidate.name, run)


def play(what: str, stage: Stage, entrants: Sequence[Entrant], runs: int) -> list[Round]:
    """So many rounds; says how it goes."""
    rounds: list[Round] = []
    for number in range(runs):
        costs = {}
        for entrant in turns(entrants, number):
            costs[entrant.name] = entrant.run(stage)
            say(f"{what}, round {number + 1} of {runs}: {entrant.name} {costs[entrant.name].wall_seconds:.2f} s")
        rounds.append(costs)
    return rounds


def say(sentence: str) -> None:
    """Tell whoever waits."""
    print(sentence, file=sys.stderr, flush=True)
