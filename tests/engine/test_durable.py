"""Files that are whole or not there at all."""

import errno
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from dubseedd.engine.durable import FOLDER, opened, write_file
from tests.support.users import needs_root
from tools.machine import run


@needs_root
def test_a_draft_that_fills_the_disk_goes_and_the_file_there_stays(tmp_path: Path) -> None:
    with ExitStack() as undo:
        run("mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", str(tmp_path))
        undo.callback(run, "umount", "--lazy", str(tmp_path))
        folder = undo.enter_context(opened(str(tmp_path), FOLDER))
        write_file(folder, "receipt", b"whole")
        with pytest.raises(OSError) as caught:
            write_file(folder, "receipt", (bytes(1 << 16) for _ in range(32)))
        assert caught.value.errno == errno.ENOSPC
        assert os.listdir(folder) == ["receipt"]
        assert (tmp_path / "receipt").read_bytes() == b"whole"
