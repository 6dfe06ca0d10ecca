"""Files that arrive in a folder."""

import asyncio
import os
from pathlib import Path

from dubseedd.adapters.inotify import Inotify

LIMIT_SECONDS = 10.0


async def test_a_file_that_is_written_or_moved_in_arrives(tmp_path: Path) -> None:
    arrived = asyncio.Event()
    undo = Inotify().watch(str(tmp_path), "SHA256SUMS", arrived.set)
    for arrive in (
        lambda: (tmp_path / "SHA256SUMS").write_text("x"),
        lambda: os.rename(tmp_path / "SHA256SUMS", tmp_path / "other"),
        lambda: os.rename(tmp_path / "other", tmp_path / "SHA256SUMS"),
    ):
        arrive()
        if (tmp_path / "SHA256SUMS").exists():
            await asyncio.wait_for(arrived.wait(), LIMIT_SECONDS)
            arrived.clear()
    undo()
    undo()


async def test_another_name_and_a_file_that_is_still_open_do_not(tmp_path: Path) -> None:
    names: list[str] = []
    last = asyncio.Event()
    inotify = Inotify()
    undo = [inotify.watch(str(tmp_path), "SHA256SUMS", lambda: names.append("SHA256SUMS"))]
    undo.append(inotify.watch(str(tmp_path), "last", last.set))
    with (tmp_path / "SHA256SUMS").open("w") as half:
        half.write("x")
        half.flush()
        (tmp_path / "last").write_text("x")
        await asyncio.wait_for(last.wait(), LIMIT_SECONDS)
        assert names == []
    for each in undo:
        each()


async def test_a_folder_that_is_not_there_or_goes_is_no_error(tmp_path: Path) -> None:
    inotify, gone = Inotify(), asyncio.Event()
    inotify.watch(str(tmp_path / "absent"), "x", lambda: None)()
    (tmp_path / "folder").mkdir()
    undo = inotify.watch(str(tmp_path / "folder"), "x", lambda: None)
    (tmp_path / "folder").rmdir()
    last = inotify.watch(str(tmp_path), "last", gone.set)
    (tmp_path / "last").touch()
    await asyncio.wait_for(gone.wait(), LIMIT_SECONDS)
    undo()
    last()
