"""`make picture`: what `dubseedctl watch` shows in the middle of a real sync, drawn into docs/watch.svg.

Two sticks are plugged in, one with a bundle that is refused; the picture is taken when a job is half done.
"""

import asyncio
import io
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console, Group

from dubseedd.cli.client import Client
from dubseedd.cli.screen import Screen
from dubseedd.names import DEFAULT_LABEL
from tools.bundle import make_bundle
from tools.image import attached, empty_image
from tools.machine import CannotRun
from tools.tryout import Try

OUTPUT = Path("docs/watch.svg")
COLUMNS = 88
SIZE_BYTES = 1 << 30
HALF = 55


async def half_way() -> Group:
    """The screen as it is when the first job is half done."""
    screen = Screen()
    async with Client.open() as client:
        async for state in client.states():
            running = [job for job in state.jobs if not job.ended and job.state != "queued"]
            parts = screen.draw(running, state)
            if any(job.progress.percentage >= HALF for job in running):
                return Group(*parts)
            if state.jobs and all(job.ended for job in state.jobs):
                raise CannotRun("this machine is too fast for a picture")
    raise AssertionError("the states end only when the caller has seen enough")


def main() -> int:
    with ExitStack() as undo:
        folder = Path(tempfile.mkdtemp(prefix="dubseedd-picture-", dir="/var/tmp"))
        undo.callback(shutil.rmtree, folder)
        sticks = [stick(folder, "one", SIZE_BYTES, "llama-3-8b"), stick(folder, "two", SIZE_BYTES // 4, "qwen-2.5")]
        this = Try(undo, folder)
        os.environ.update(this.machine.environment)
        this.start_daemon()
        for image in sticks:
            undo.enter_context(attached(image))
        drawing = asyncio.run(half_way())
        console = Console(width=COLUMNS, record=True, file=io.StringIO())
        console.print(drawing)
        console.save_svg(str(OUTPUT), title="dubseedctl watch", clear=False)
    print(f"{OUTPUT} is drawn")
    return 0


def stick(folder: Path, name: str, size_bytes: int, bundle: str) -> Path:
    """An image with a bundle, and one beside it that lacks its manifest."""
    tree = folder / name
    make_bundle(tree / "models" / bundle, size_bytes=size_bytes)
    (tree / "models" / "half-copied").mkdir()
    (tree / "models" / "half-copied" / "config.json").write_text("{}")
    room = size_bytes + size_bytes // 8 + (64 << 20)
    return empty_image(folder / f"{name}.img", room, "ext4", "-L", DEFAULT_LABEL, "-d", str(tree))


if __name__ == "__main__":
    sys.exit(main())
