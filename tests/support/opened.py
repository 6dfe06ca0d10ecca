"""What a sync opens and runs, by the system calls that it makes."""

import os
import re
import subprocess
import sys
from pathlib import Path


def opened_by_a_sync(seed: Path, tmp_path: Path) -> list[str]:
    """What `dubseedctl sync --from` runs and opens for reading: `run PROGRAM`, or the name of a file, in order."""
    config = tmp_path / "dubseedd.toml"
    config.write_text(f'store.reserve = 0\ntrust.allowed_signers = "{tmp_path}/seed-signers"\n')
    command = [sys.executable, "-c", "import sys; from dubseedd.cli.main import main; sys.exit(main())"]
    command += ["sync", "--from", str(seed), "--store", str(tmp_path / "store"), "--config", str(config)]
    trace = tmp_path / "trace"
    calls = "execve,execveat,open,openat,openat2,creat"
    subprocess.run(["strace", "-f", "-qq", "-s", "4096", "-e", f"trace={calls}", "-o", trace, *command], check=False)
    opened = []
    for line in trace.read_text(errors="replace").splitlines():
        call = re.search(r"(\w+)\((?:AT_FDCWD, |\d+, )?\"([^\"]*)\"", line)
        if call and call[1].startswith("exec"):
            opened.append(f"run {os.path.basename(call[2])}")
        elif call:
            opened.append(os.path.basename(call[2]))
    return opened
