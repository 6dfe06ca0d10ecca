"""The history: a line for each event, that stays, is rotated, and survives a torn line."""

import json
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from dubseedd.core.events import Event
from dubseedd.engine import history
from dubseedd.engine.history import LIMIT_BYTES, History
from dubseedd.names import EventName


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def event(number: int, name: EventName = EventName.BUNDLE_FOUND) -> Event:
    return Event(name, f"number {number}", number)


def test_the_newest_come_first_and_at_most_so_many(folder: int) -> None:
    kept = History(folder)
    for number in range(5):
        kept.append(event(number))
    assert [record["time"] for record in kept.newest(3)] == [4, 3, 2]
    assert len(kept.newest(100)) == 5


def test_progress_is_no_history(folder: int) -> None:
    kept = History(folder)
    kept.append(event(1, EventName.JOB_PROGRESS))
    assert kept.newest(10) == []


def test_it_is_rotated_at_its_limit_and_goes_on_into_the_old_file(folder: int, tmp_path: Path) -> None:
    kept = History(folder)
    filler = json.dumps({"time": 0, "message": "x" * 1000}).encode() + b"\n"
    (tmp_path / history.FILE).write_bytes(filler * (LIMIT_BYTES // len(filler)))
    kept.append(event(1))
    kept.append(event(2))
    assert (tmp_path / history.ROTATED).stat().st_size >= LIMIT_BYTES
    assert [record["time"] for record in kept.newest(3)] == [2, 1, 0]


def test_a_torn_line_is_passed_over_and_the_next_one_stands_alone(folder: int, tmp_path: Path) -> None:
    kept = History(folder)
    kept.append(event(1))
    with (tmp_path / history.FILE).open("ab") as stream:
        stream.write(b'{"time": 2, "mess')
    kept.append(event(3))
    assert [record["time"] for record in kept.newest(10)] == [3, 1]


def test_lines_of_any_length_are_read_from_the_end_and_no_more_than_is_asked_for(folder: int, tmp_path: Path) -> None:
    kept = History(folder)
    lengths = [1, history.PIECE_BYTES - 30, history.PIECE_BYTES, 3 * history.PIECE_BYTES, *range(200)]
    lines = [json.dumps({"time": number, "x": "é" * length}) for number, length in enumerate(lengths)]
    (tmp_path / history.FILE).write_text("\n".join(lines) + "\n")
    assert kept.newest(1000) == [json.loads(line) for line in reversed(lines)]
    (tmp_path / history.FILE).write_text("\n" * LIMIT_BYTES + "\n".join(lines))
    tracemalloc.start()
    try:
        assert kept.newest(1) == [json.loads(lines[-1])]
        assert tracemalloc.get_traced_memory()[1] < 8 * history.PIECE_BYTES
    finally:
        tracemalloc.stop()
