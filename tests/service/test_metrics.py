"""Metrics: a file that Prometheus' own parser reads, always whole, written as things change."""

import logging
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dubseedd import __version__
from dubseedd.adapters.inotify import Inotify
from dubseedd.core.config import MetricsConfig
from dubseedd.core.exposition import Family, Kind, exposition
from dubseedd.service.conductor import Conductor
from dubseedd.service.metrics import FILE, Metrics
from tests.support.bundles import model_files
from tests.support.news import News
from tests.support.world import World, conducted, config_of, served


def figures(text: str) -> dict[tuple[str, ...], float]:
    """Every sample, by its name and the values of its labels."""
    families = text_string_to_metric_families(text)
    return {(one.name, *one.labels.values()): one.value for found in families for one in found.samples}


@asynccontextmanager
async def measured(world: World, folder: Path) -> AsyncIterator[Conductor]:
    """A conductor whose metrics go into a folder, without a pause."""
    config = replace(config_of(world), metrics=MetricsConfig(str(folder)))
    async with conducted(world, config) as conductor:
        conductor.board.listeners.append(Metrics(conductor, pause_seconds=0.0))
        conductor.board.overall()
        yield conductor


async def until(folder: Path, wanted: dict[tuple[str, ...], float]) -> None:
    """Wait until the file says this."""
    news = News()
    undo = Inotify().watch(str(folder), FILE, news.set)
    file = folder / FILE
    await news.until(lambda: file.exists() and figures(file.read_text()).items() >= wanted.items())
    undo()


async def test_what_was_synced_is_in_the_file(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "collector"
    folder.mkdir()
    async with measured(world, folder) as conductor:
        await until(folder, {("dubseedd_info", __version__): 1, ("dubseedd_seeds",): 0})
        world.plug(world.stick({"tiny": model_files()}))
        await served(world, conductor)
        size = conductor.shelf.bundles["tiny"].size
        await until(folder, {
            ("dubseedd_state", "idle"): 1,
            ("dubseedd_seeds",): 1,
            ("dubseedd_jobs",): 0,
            ("dubseedd_jobs_ended_total", "sync", "done"): 1,
            ("dubseedd_moved_bytes_total",): size,
            ("dubseedd_bundle_state", "tiny", "installed"): 1,
            ("dubseedd_bundle_size_bytes", "tiny"): size,
        })  # fmt: skip
    assert stat.S_IMODE((folder / FILE).stat().st_mode) == 0o644
    assert os.listdir(folder) == [FILE]


async def test_another_folder_gets_the_file_even_if_nothing_else_has_changed(world: World, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    async with measured(world, folders[0]) as conductor:
        await until(folders[0], {("dubseedd_seeds",): 0})
        conductor.reconfigure(replace(conductor.config, metrics=MetricsConfig(str(folders[1]))))
        await until(folders[1], {("dubseedd_seeds",): 0})


async def test_a_folder_that_cannot_be_written_to_is_told_once_with_the_way_out(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    missing, there = tmp_path / "missing", tmp_path / "there"
    there.mkdir()
    async with measured(world, missing) as conductor:
        world.plug(world.stick({"tiny": model_files()}))
        await served(world, conductor)
        conductor.reconfigure(replace(conductor.config, metrics=MetricsConfig(str(there))))
        await until(there, {("dubseedd_seeds",): 1})
    (told,) = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert told.startswith(f"the metrics cannot be written to {missing} (No such file or directory); ")
    assert told.endswith(f"make it: install -d {missing}; then systemctl restart dubseedd")


def test_words_of_others_stay_in_their_quotes() -> None:
    odd = 'a\\"b\nc'
    text = exposition([Family("x", Kind.GAUGE, "Odd.", [({"name": odd}, 1.5)]), Family("y", Kind.COUNTER, "None.", [])])
    assert figures(text) == {("x", odd): 1.5}
