"""The unit's system call filter, held against what a whole sync really calls, helpers and all."""

import re
import shutil
from pathlib import Path

import pytest

from tests.integration.conftest import MakeStick, PlugIn, StartDaemon
from tests.support.bundles import model_files
from tests.support.daemon import Client
from tests.support.signing import make_key, sign
from tests.support.sticks import mounted
from tools.machine import run

UNIT = Path(__file__).parents[2] / "systemd" / "dubseedd.service"
FILES = model_files(shard_bytes=5_000_000)


def expanded(group: str) -> set[str]:
    """The system calls of a group of systemd's, groups within it included."""
    calls: set[str] = set()
    for line in run("systemd-analyze", "syscall-filter", group).splitlines():
        word = line.strip()
        if word.startswith("@") and word != group:
            calls |= expanded(word)
        elif re.fullmatch(r"\w+", word):
            calls.add(word)
    return calls


def allowed() -> set[str]:
    """What the unit lets through; a later line overrides an earlier one, a ~ takes away."""
    calls: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", UNIT.read_text(), re.MULTILINE):
        words = line.removeprefix("~").split()
        named = set().union(*(expanded(word) if word.startswith("@") else {word} for word in words))
        calls = calls - named if line.startswith("~") else calls | named
    return calls


@pytest.mark.skipif(not shutil.which("strace"), reason="there is no strace to see the system calls with")
async def test_a_sync_a_verification_and_a_scrub_call_nothing_that_the_filter_denies(
    make_stick: MakeStick, daemon: StartDaemon, plug: PlugIn, client: Client, tmp_path: Path
) -> None:
    """The bundle is signed, so ssh-keygen is among them."""
    trace, key = tmp_path / "trace", tmp_path / "ops"
    (tmp_path / "seed-signers").write_text(f"ops@example.org {make_key(key)}\n")
    image = make_stick({"tiny": FILES})
    with mounted(image) as folder:
        sign(folder / "models/tiny", key)
    process = daemon(
        f'scrub.interval = "1s"\ntrust.allowed_signers = "{tmp_path}/seed-signers"',
        within=("strace", "--daemonize=grandchild", "-f", "-qq", "-o", str(trace)),
    )
    plug(image)
    await client.until_bundle("tiny")
    await client.until_safe()
    installed = (await client.bundles())["tiny"]["VerifiedAt"]

    async def scrubbed() -> bool:
        return bool((await client.bundles())["tiny"]["VerifiedAt"] > installed)

    await client.until("the bundle is scrubbed", scrubbed)
    process.terminate()
    called = set(re.findall(r"^\d+ +(?:<\.\.\. )?(\w+)(?:\(| resumed)", trace.read_text(), re.MULTILINE))
    assert {"renameat2", "ioprio_set", "setpriority", "fallocate"} <= called
    assert called - allowed() == set()
