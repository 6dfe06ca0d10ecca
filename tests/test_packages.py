"""What others build from this repository: the archive, the wheel, the versions that they carry."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from dubseedd import __version__
from tests.support.bundles import model_files, write_bundle
from tests.support.standins import calls, search_path, stand_in

ROOT = Path(__file__).parent.parent


def run(*argv: str | Path, **environment: str) -> str:
    done = subprocess.run(
        argv, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == 0, f"{argv}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_the_archive_of_a_commit_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone, so there is no commit to make an archive of")
    made = []
    for name in ("one", "two"):
        run("git", "clone", "--quiet", "--no-hardlinks", ROOT, tmp_path / name)
        subprocess.run([tmp_path / name / "tools/dist"], check=True, capture_output=True)
        made.append((tmp_path / name / f"build/dubseedd-{__version__}.tar.gz").read_bytes())
    assert made[0] == made[1]
    with tarfile.open(tmp_path / f"one/build/dubseedd-{__version__}.tar.gz") as archive:
        assert f"dubseedd-{__version__}/Makefile" in archive.getnames()


def test_every_package_is_of_the_version_of_the_code() -> None:
    told = {
        "packaging/debian/changelog": rf"dubseedd \({re.escape(__version__)}-",
        "packaging/rpm/dubseedd.spec": rf"(?m)^Version: +{re.escape(__version__)}$",
        "packaging/arch/PKGBUILD": rf"(?m)^pkgver={re.escape(__version__)}$",
        "CHANGELOG.md": rf"(?m)^## {re.escape(__version__)} ",
    }
    assert [file for file, pattern in told.items() if not re.search(pattern, (ROOT / file).read_text())] == []


@pytest.mark.parametrize(
    ("tool", "made"),
    [
        ("rpm", "build/rpm/SOURCES/vendor.tar.gz"),
        pytest.param(
            "deb",
            f"build/deb/dubseedd_{__version__}.orig-vendor.tar.gz",
            marks=pytest.mark.skipif(not shutil.which("dpkg-parsechangelog"), reason="this is no Debian"),
        ),
    ],
)
def test_the_archive_of_wheels_is_the_same_bytes_every_time(tool: str, made: str, tmp_path: Path) -> None:
    """Whatever the umask, the clock and the order in which they came; pip and the package's own build stand in."""
    found = []
    for name, umask, wheels in (("one", 0o022, "a b"), ("two", 0o077, "b a")):
        clone = tmp_path / name
        for part in ("tools", "packaging"):
            shutil.copytree(ROOT / part, clone / part, ignore=shutil.ignore_patterns("__pycache__"))
        (clone / "dubseedd").mkdir()
        shutil.copy(ROOT / "dubseedd/__init__.py", clone / "dubseedd")
        (clone / "build").mkdir()
        with tarfile.open(clone / f"build/dubseedd-{__version__}.tar.gz", "w:gz") as archive:
            archive.add(ROOT / "packaging/debian", f"dubseedd-{__version__}/packaging/debian")
        programs = tmp_path / f"{name}-programs"
        download = f"""while [ "$1" != --dest ]; do shift; done
            mkdir -p "$2"
            for wheel in {wheels}; do echo wheel >"$2/$wheel.whl"; touch --date=@{umask} "$2/$wheel.whl"; done"""
        stand_in(programs, "pip3", download)
        for builder in ("rpmbuild", "dpkg-checkbuilddeps", "dpkg-buildpackage"):
            stand_in(programs, builder)
        told = {**os.environ, "PATH": search_path(programs)}
        subprocess.run([clone / "tools" / tool], check=True, capture_output=True, env=told, umask=umask)
        found.append((clone / made).read_bytes())
    assert found[0] == found[1]


def test_debians_rules_find_the_wheels_of_this_processor_without_dpkg_buildpackage(tmp_path: Path) -> None:
    if not shutil.which("dpkg-architecture") or not Path("/usr/share/dpkg/architecture.mk").exists():
        pytest.skip("this is no Debian")
    python = run("python3", "-c", 'import sys; print("cp%d%d" % sys.version_info[:2])').strip()
    cpu = run("dpkg-architecture", "--query", "DEB_HOST_GNU_CPU").strip()
    wheel = f"vendor/blake3-1.0-{python}-manylinux_{cpu}.whl"
    (tmp_path / "vendor").mkdir()
    (tmp_path / wheel).touch()
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("DEB_", "MAKE", "MFLAGS"))}
    argv = ("make", "--silent", "--file", ROOT / "packaging/debian/rules", "--eval=shown:; @echo $(wheels)", "shown")
    done = subprocess.run(argv, cwd=tmp_path, env=bare, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [wheel]


# The RPM


@pytest.mark.parametrize(
    ("installed", "told"),
    [
        (1, ["enable dubseedd.service", "daemon-reload", "start dubseedd.service"]),
        (2, ["daemon-reload", "try-restart dubseedd.service"]),
    ],
    ids=["first", "upgrade"],
)
def test_an_upgrade_of_the_rpm_starts_no_daemon_that_was_stopped(
    tmp_path: Path, installed: int, told: list[str]
) -> None:
    """Its script, run with the number of versions that rpm would give it."""
    _, _, rest = (ROOT / "packaging/rpm/dubseedd.spec").read_text().partition("\n%post\n")
    script, _, _ = rest.partition("\n%preun\n")
    for name in ("systemctl", "systemd-tmpfiles", "journalctl", "systemd-notify"):
        stand_in(tmp_path / "programs", name)
    run("sh", "-ec", script, "sh", str(installed), PATH=search_path(tmp_path / "programs"))
    assert calls(tmp_path / "programs", "systemctl") == told


# The wheel


@pytest.fixture(scope="module")
def wheel() -> Path:
    run(ROOT / "tools/wheel")
    (made,) = (ROOT / "build/dist").glob("*.whl")
    return made


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """dubseedctl of an environment that has the wheel and blake3, and nothing else."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False)
    install = (sys.executable, "-m", "pip", "--python", folder / "bin/python", "install", "--quiet")
    run(*install, "--no-deps", "--no-index", "--disable-pip-version-check", wheel)
    (packages,) = (folder / "lib").glob("python*/site-packages")
    blake3 = __import__("blake3").__path__[0]
    shutil.copytree(blake3, packages / "blake3")
    return folder / "bin/dubseedctl"


def test_the_offline_commands_of_the_wheel_need_blake3_alone(program: Path, tmp_path: Path) -> None:
    write_bundle(tmp_path / "seed/models/tiny", model_files())
    store = tmp_path / "store"
    run(program, "sync", "--from", tmp_path / "seed", "--store", store, PYTHONPATH="")
    assert "tiny is whole" in run(program, "verify", "--offline", "--store", store, PYTHONPATH="")


@pytest.mark.parametrize("name", ["dubseedd", "dubseed-notify"])
def test_a_program_without_its_libraries_says_which_one_it_misses(program: Path, name: str) -> None:
    bare = {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run(program.with_name(name), capture_output=True, text=True, check=False, env=bare)
    assert done.returncode == 1
    assert done.stderr == (
        f"{name}: the Python module dbus_next is missing; install your distribution's package of it, such as "
        "python3-dbus-next on Debian, or in a clone of dubseedd: pipx install '.[cli,daemon]'\n"
    )


def test_the_wheel_carries_the_interface_the_types_and_what_a_machine_needs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    data = f"dubseedd-{__version__}.data/data/share"
    assert {
        "dubseedd/py.typed",
        "dubseedd/bus/org.dubnium.Seed1.xml",
        f"{data}/dbus-1/interfaces/org.dubnium.Seed1.xml",
        f"{data}/dubseedd/dubseedd.service",
        f"{data}/dubseedd/80-dubseedd.rules",
    } <= set(names)
