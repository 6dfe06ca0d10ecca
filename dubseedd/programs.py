"""The programs: where each of them begins, and one sentence where a library is missing that it needs."""

import importlib
import sys

BEGIN = {
    "dubseedd": "dubseedd.daemon",
    "dubseedctl": "dubseedd.cli.main",
    "dubctl-seed": "dubseedd.cli.dubctl",
    "dubseed-notify": "dubseedd.desktop.main",
}


def start(program: str) -> int:
    """Run a program of this name; returns its exit status."""
    try:
        main = importlib.import_module(BEGIN[program]).main
    except ModuleNotFoundError as error:
        said = (
            f"the Python module {error.name} is missing; install it, or all of them: pip install 'dubseedd[cli,daemon]'"
        )
        print(f"{program}: {said}", file=sys.stderr)
        return 1
    return int(main())


def dubseedd() -> int:
    return start("dubseedd")


def dubseedctl() -> int:
    return start("dubseedctl")


def dubctl_seed() -> int:
    return start("dubctl-seed")


def dubseed_notify() -> int:
    return start("dubseed-notify")
