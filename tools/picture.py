"""`make picture`: what a person sees in the middle of a real sync.

    docs/watch.svg          dubseedctl watch
    docs/notify.png         dubseed-notify, on a desktop that shows nothing else

Two sticks are plugged in, one with a bundle that is refused; the pictures are taken when a job is half done.
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
from tools.machine import CannotRun, first_line, run, start, start_display
from tools.tryout import Try

SCREEN = Path("docs/watch.svg")
DESKTOP = Path("docs/notify.png")
DESKTOP_SIZE = "420x300"
DUNSTRC = """[global]
    width = 398
    height = 100
    origin = top-left
    offset = 10x10
    font = DejaVu Sans 10
    frame_width = 1
    frame_color = "#888888"
    separator_height = 1
    show_indicators = no
    format = "<b>%s</b>\\n%b"
[low]
    background = "#222222"
    foreground = "#dddddd"
    highlight = "#4e9a06"
"""
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
        display = start_desktop(undo, folder)
        for image in sticks:
            undo.enter_context(attached(image))
        drawing = asyncio.run(half_way())
        run("scrot", "--overwrite", str(DESKTOP), environment={**os.environ, "DISPLAY": display})
        console = Console(width=COLUMNS, record=True, file=io.StringIO())
        console.print(drawing)
        console.save_svg(str(SCREEN), title="dubseedctl watch", clear=False)
    print(f"{SCREEN} and {DESKTOP} are drawn")
    return 0


def start_desktop(undo: ExitStack, folder: Path) -> str:
    """A session with a notification server and dubseed-notify; the name of its display."""
    display = start_display(undo, folder, DESKTOP_SIZE)
    address = first_line(undo, folder, "dbus-daemon", "--session", "--nofork", "--print-address")
    session = {**os.environ, "DISPLAY": display, "DBUS_SESSION_BUS_ADDRESS": address}
    (folder / "dunstrc").write_text(DUNSTRC)
    start(undo, folder, "dunst", "-config", str(folder / "dunstrc"), environment=session)
    start(undo, folder, sys.executable, "-m", "dubseedd.desktop.main", environment=session)
    return display


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
