"""Moving a file through memory: it is read once, and every sink gets every block.

    reader (the caller's thread) ──> ring of 4 MiB blocks ──┬──> sink, a thread of its own (SHA-256)
                                                            ├──> sink (BLAKE3)
                                                            └──> sink (the writer)

Reads, hashes and writes overlap; the interpreter lock is free in each. A block goes back to the ring when the last sink
is done with it. What fits into one block goes through without any thread. Memory: one ring for each Pump.
"""

import mmap
import os
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import NamedTuple, Self

from dubseedd.engine.stop import StopFlag

BLOCK_BYTES = 4 << 20
BLOCKS = 6


class Block(NamedTuple):
    """One block on its way: `view` is the whole page-aligned buffer, of which `length` bytes count."""

    slot: int
    view: memoryview
    offset: int
    length: int


Sink = Callable[[Block], None]


class ReadError(Exception):
    """The source could not be read at `offset`; `number` is the errno, 0 for a file shorter than it was."""

    def __init__(self, offset: int, number: int) -> None:
        super().__init__(f"{os.strerror(number) if number else 'the file ends early'} at byte {offset}")
        self.offset = offset
        self.number = number


class Pump:
    """A ring of blocks, used for one file after another."""

    def __init__(self, stop: StopFlag, *, blocks: int = BLOCKS) -> None:
        self._stop = stop
        self._memory = mmap.mmap(-1, BLOCK_BYTES * blocks)
        whole = memoryview(self._memory)
        self._views = [whole[at * BLOCK_BYTES : (at + 1) * BLOCK_BYTES] for at in range(blocks)]
        whole.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for view in self._views:
            view.release()
        self._memory.close()

    def run(
        self,
        source: int,
        size: int,
        sinks: Sequence[Sink],
        *,
        start: int = 0,
        passed: Sink = lambda _: None,
        keep_cached: bool = False,
    ) -> None:
        """Feed the bytes `start` to `size` of the descriptor `source` to every sink, in order; `start` is a multiple of
        a block. `passed` is told of each block that all sinks are done with, in order too.

        Raises ReadError, whatever a sink raised, or the reason of the stop flag. `keep_cached` leaves the page cache of
        the source alone; else what was read is dropped from it behind the reader.
        """
        if size - start <= BLOCK_BYTES:
            self._stop.check()
            block = self._read(source, Block(0, self._views[0], start, size - start), keep_cached=keep_cached)
            for sink in (*sinks, passed):
                sink(block)
            return
        with _Relay(sinks, passed, len(self._views), self._stop) as relay:
            for offset in range(start, size, BLOCK_BYTES):
                index = relay.free()
                if index is None:
                    break
                length = min(BLOCK_BYTES, size - offset)
                block = Block(index, self._views[index], offset, length)
                relay.pass_on(self._read(source, block, keep_cached=keep_cached))
        self._stop.check()

    @staticmethod
    def _read(source: int, block: Block, *, keep_cached: bool) -> Block:
        """Fill a block. The buffer is offered whole, so that a source opened with O_DIRECT gets aligned lengths."""
        done = 0
        while done < block.length:
            try:
                count = os.preadv(source, [block.view[done:]], block.offset + done)
            except OSError as error:
                raise ReadError(block.offset + done, error.errno or 0) from error
            if count == 0:
                raise ReadError(block.offset + done, 0)
            done += count
        if not keep_cached:
            os.posix_fadvise(source, block.offset, done, os.POSIX_FADV_DONTNEED)
        return block


class _Relay:
    """The threads of one file: hands blocks to all sinks and takes them back when the last one is done."""

    def __init__(self, sinks: Sequence[Sink], passed: Sink, blocks: int, stop: StopFlag) -> None:
        self._stop = stop
        self._passed = passed
        self._failure: BaseException | None = None
        self._free: SimpleQueue[int | None] = SimpleQueue()
        for index in range(blocks):
            self._free.put(index)
        self._users = [0] * blocks
        self._lock = threading.Lock()
        self._queues: list[SimpleQueue[Block | None]] = [SimpleQueue() for _ in sinks]
        self._threads = [
            threading.Thread(target=self._serve, args=pair, name="dubseedd-sink", daemon=True)
            for pair in zip(sinks, self._queues, strict=True)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for queue in self._queues:
            queue.put(None)
        for thread in self._threads:
            thread.join()
        if kind is None and self._failure is not None:
            raise self._failure

    def free(self) -> int | None:
        """The next free block; None after a sink has failed."""
        self._stop.check()
        return self._free.get() if self._failure is None else None

    def pass_on(self, block: Block) -> None:
        self._users[block.slot] = len(self._queues)
        for queue in self._queues:
            queue.put(block)

    def _serve(self, sink: Sink, queue: "SimpleQueue[Block | None]") -> None:
        while (block := queue.get()) is not None:
            self._guarded(sink, block)
            self._give_back(block)

    def _guarded(self, sink: Sink, block: Block) -> None:
        """Serve a block, unless the file is given up already."""
        if self._failure is None and self._stop.reason is None:
            try:
                sink(block)
            except BaseException as failure:  # noqa: BLE001 - it is raised again by the thread that waits for us
                self._failure = failure
                self._free.put(None)

    def _give_back(self, block: Block) -> None:
        with self._lock:
            self._users[block.slot] -= 1
            if self._users[block.slot] == 0:
                self._guarded(self._passed, block)
                self._free.put(block.slot)
