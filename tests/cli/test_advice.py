"""What comes next, of a stick and of the model server: what the runbook's acceptance looks at."""

from dataclasses import replace

import pytest

from dubseedd.cli import advice, show
from dubseedd.cli.views import NO_ERROR, BundleView, ManagerView, SeedView, State
from dubseedd.core.serving import Server

MANAGER = ManagerView("0.1.0", "idle", "all is well", NO_ERROR, True, "/store", "integrity")
LLAMA = BundleView("llama", "/store/llama", 1, 9, "m", "safetensors", "installed", 100, 1, "u", "", "", False, NO_ERROR)
SEED = SeedView("/s", "u", "DUB-SEED", "/dev/sdb1", "exfat", 1, "", "", "done", False, (), NO_ERROR)
STATE = State(MANAGER, (), (), (LLAMA,))
SERVER = Server("vllm.service", active=True, started_at=200, model="/store/llama", bundle="llama")


@pytest.mark.parametrize(
    ("server", "step"),
    [
        (None, "nothing to do"),
        (SERVER, "nothing to do"),
        (replace(SERVER, model="", bundle=""), "nothing to do"),
        (replace(SERVER, model="/srv/x", bundle=""), "nothing to do"),
        (
            replace(SERVER, started_at=50),
            "restart vllm.service to use the new version of llama: sudo systemctl restart vllm.service",
        ),
        (
            replace(SERVER, active=False, started_at=0),
            "start the server: sudo mode request compute; then systemctl status vllm, journalctl -u vllm -b",
        ),
        (replace(SERVER, bundle="qwen"), "plug in a stick that has qwen, which vllm.service serves"),
        (
            replace(SERVER, model="meta/llama", bundle=""),
            "give vllm.service a path in the store: it would fetch meta/llama from the network",
        ),
    ],
)
def test_the_next_step_minds_the_server(server: Server | None, step: str) -> None:
    assert advice.next_step(STATE, server) == step


@pytest.mark.parametrize(
    ("server", "line"),
    [
        (SERVER, "Server vllm.service (running): serves llama (installed)"),
        (replace(SERVER, active=False), "Server vllm.service (not running): serves llama (installed)"),
        (replace(SERVER, bundle="qwen"), "Server vllm.service (running): serves qwen (not there)"),
        (replace(SERVER, model="a/b", bundle=""), "Server vllm.service (running): its model a/b is no path in /store"),
        (replace(SERVER, model="", bundle=""), "Server vllm.service (running): its command line names no model"),
    ],
)
def test_the_status_has_a_line_on_the_server(server: Server, line: str) -> None:
    assert line in show.status(STATE, server).splitlines()


@pytest.mark.parametrize(
    ("seed", "sentence"),
    [
        (replace(SEED, safe_to_remove=True), "DUB-SEED (/dev/sdb1) may be pulled out"),
        (replace(SEED, mount_point="/media/x"), "unmount DUB-SEED (/dev/sdb1) before you pull it out: umount /media/x"),
        (SEED, "leave DUB-SEED (/dev/sdb1) in, it is in use"),
    ],
)
def test_of_a_stick_it_is_said_whether_it_may_be_pulled(seed: SeedView, sentence: str) -> None:
    assert advice.pulling(seed) == sentence
