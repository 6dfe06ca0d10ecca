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
        module = (error.name or "").partition(".")[0]
        said = (
            f"the Python module {module} is missing; install your distribution's package of it, such as "
            f"python3-{module.replace('_', '-')} on Debian, or in a clone of dubseedd: pipx install '.[cli,daemon]'"
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
