"""`make fuzz`: each target for some seconds, guided by the code that it reaches. What ends one is kept and told.

    python -m tests.fuzz --seconds 3600 --target manifest

atheris has no wheels for every Python; where it is missing, a sentence says so.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.targets import TARGETS, seeds

ROOT = Path(__file__).resolve().parents[2]
LIMITS = ("-rss_limit_mb=1024", "-timeout=10", "-max_len=65536", "-print_final_stats=1")
ONE = """
import sys, atheris
with atheris.instrument_imports(include=["dubseedd.core"]):
    from tests.fuzz.targets import TARGETS
atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
atheris.Fuzz()
"""


def fuzz(target: str, seconds: int) -> bool:
    """Fuzz one target in a process of its own; False where something was found."""
    with TemporaryDirectory() as corpus:
        for number, data in enumerate(seeds(target)):
            (Path(corpus) / f"seed-{number}").write_bytes(data)
        found = ROOT / f"fuzz-{target}-"
        argv = [sys.executable, "-c", ONE, target, *LIMITS, f"-max_total_time={seconds}", f"-artifact_prefix={found}"]
        ended = subprocess.run([*argv, corpus], cwd=ROOT, capture_output=True, text=True, check=False)
    runs = next((line.split()[-1] for line in ended.stderr.splitlines() if "number_of_executed_units" in line), "?")
    print(
        f"{target}: {runs} inputs in {seconds} s{'' if ended.returncode == 0 else ', and one that is a bug:'}",
        flush=True,
    )
    if ended.returncode:
        print(ended.stderr[-4000:], flush=True)
    return ended.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--target", choices=["", *TARGETS], default="")
    options = parser.parse_args()
    try:
        import atheris  # noqa: F401, PLC0415
    except ImportError:
        print("make fuzz: atheris is not to be had for this Python; nothing was fuzzed")
        return 0
    held = [fuzz(target, options.seconds) for target in ([options.target] if options.target else TARGETS)]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
