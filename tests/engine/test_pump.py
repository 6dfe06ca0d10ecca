"""Every block to every sink, in order, whatever the size; errors and stops end it cleanly."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dubseedd.engine.pump import BLOCK_BYTES, BLOCKS, Block, Pump, ReadError
from dubseedd.engine.stop import StopFlag
from dubseedd.errors import Cancelled

SIZES = [0, 1, 4095, 4096, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, BLOCK_BYTES * (BLOCKS + 2) + 17]


@pytest.fixture
def stop() -> StopFlag:
    return StopFlag()


@pytest.fixture
def pump(stop: StopFlag) -> Iterator[Pump]:
    with Pump(stop) as opened:
        yield opened


def source(folder: Path, size: int) -> tuple[int, bytes]:
    data = os.urandom(size)
    path = folder / "source"
    path.write_bytes(data)
    return os.open(path, os.O_RDONLY), data


@pytest.mark.parametrize("size", SIZES)
def test_every_sink_gets_every_byte_in_order(tmp_path: Path, pump: Pump, size: int) -> None:
    descriptor, data = source(tmp_path, size)
    first, second = bytearray(), bytearray()
    pump.run(
        descriptor,
        size,
        [
            lambda block: first.extend(block.view[: block.length]),
            lambda block: second.extend(block.view[: block.length]),
        ],
    )
    os.close(descriptor)
    assert first == second == data


@pytest.mark.parametrize("size", [1000, BLOCK_BYTES * 3])
def test_a_file_that_ends_early_is_a_read_error_with_its_offset(tmp_path: Path, pump: Pump, size: int) -> None:
    descriptor, _ = source(tmp_path, size)
    with pytest.raises(ReadError) as error:
        pump.run(descriptor, size + 10, [lambda _: None])
    os.close(descriptor)
    assert error.value.offset == size


def test_the_failure_of_a_sink_is_raised_and_no_thread_stays(tmp_path: Path, pump: Pump) -> None:
    descriptor, _ = source(tmp_path, BLOCK_BYTES * 20)
    before = threading.active_count()

    def fail_at_the_second(block: Block) -> None:
        if block.offset:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        pump.run(descriptor, BLOCK_BYTES * 20, [fail_at_the_second, lambda _: None])
    os.close(descriptor)
    assert threading.active_count() == before


def test_a_stop_in_the_middle_raises_its_reason(tmp_path: Path, pump: Pump, stop: StopFlag) -> None:
    descriptor, _ = source(tmp_path, BLOCK_BYTES * 20)
    seen = []

    def stop_at_the_third(block: Block) -> None:
        seen.append(block.offset)
        if len(seen) == 3:
            stop.set(Cancelled())

    with pytest.raises(Cancelled):
        pump.run(descriptor, BLOCK_BYTES * 20, [stop_at_the_third])
    os.close(descriptor)
    assert len(seen) == 3


def test_a_pump_serves_one_file_after_another(tmp_path: Path, pump: Pump) -> None:
    for size in (BLOCK_BYTES * 9, 5, BLOCK_BYTES * 2):
        descriptor, data = source(tmp_path, size)
        found = bytearray()
        pump.run(descriptor, size, [lambda block, found=found: found.extend(block.view[: block.length])])  # type: ignore[misc]
        os.close(descriptor)
        assert found == data
