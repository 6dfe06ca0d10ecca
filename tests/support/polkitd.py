"""The real polkitd on a private bus, with our actions, rules of a test, and people who have logged in.

polkitd learns who sits at the machine from libsystemd, which reads the files that logind writes to /run/systemd and the
control groups that it puts processes into. Both are here as logind makes them; nothing else is made up. polkitd sees
the files in a mount namespace of its own, so that nothing of the machine's /etc, /run and /usr changes.
"""

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dubseedd.adapters.bus import Connection
from dubseedd.adapters.messages import CallFailed, IncomingCall, Reply, Variant
from dubseedd.adapters.polkit import AUTHORITY, AUTHORITY_PATH, POLKIT
from tests.machine import Machine
from tools.machine import POLKITD, program_of

ROOT = Path(__file__).resolve().parents[2]
POLICY = ROOT / "packaging" / "polkit" / "org.dubnium.seed1.policy"
AGENT = f"{POLKIT}.AuthenticationAgent"
AGENT_PATH = "/org/dubnium/Test/Agent"

NAMESPACE = """
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/systemd
mount --bind "$1/logind" /run/systemd
mount --bind "$1/actions" /usr/share/polkit-1/actions
mount --bind "$1/rules" /usr/share/polkit-1/rules.d
[ ! -d /etc/polkit-1/rules.d ] || mount --bind "$1/none" /etc/polkit-1/rules.d
exec "$2" --no-debug
"""
ROOT_IS_ADMIN = 'polkit.addAdminRule(function() { return ["unix-user:0"]; });\n'


@dataclass(frozen=True)
class Session:
    """One that has logged in; processes whose control group is `group` belong to it."""

    uid: int
    group: Path


@dataclass
class Polkitd:
    """polkitd as often as it is started; `folder` holds what it sees."""

    machine: Machine
    folder: Path
    undo: ExitStack
    _sessions: int = 900
    _groups: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("actions", "rules", "none", "logind/sessions", "logind/users", "logind/seats", "logind/machines"):
            (self.folder / name).mkdir(parents=True)
        shutil.copy(POLICY, self.folder / "actions")
        self._write("logind/seats/seat0", "IS_SEAT0=1\n")

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o644)

    def start(self, rules: str = "") -> None:
        """Start it, with these rules before all others."""
        self._write("rules/00-test.rules", ROOT_IS_ADMIN + rules)
        argv = ("unshare", "--mount", "sh", "-ec", NAMESPACE, "sh", str(self.folder), program_of("polkitd", *POLKITD))
        self.machine._start_named("polkitd", POLKIT, *argv)

    def stop(self) -> None:
        self.machine._stop("polkitd")

    def kill(self) -> None:
        process = self.machine._running.pop("polkitd")
        process.kill()
        process.wait()

    def log_in(self, uid: int, *, active: bool = True) -> Session:
        """Somebody logs in at this machine, and sits before it or has switched away."""
        self._sessions += 1
        name = f"{os.getpid()}n{self._sessions}"  # its control group is the kernel's: another run has one, too
        state = "active" if active else "online"
        session = f"UID={uid}\nACTIVE={int(active)}\nSTATE={state}\nREMOTE=0\nTYPE=x11\nCLASS=user\nSEAT=seat0\n"
        self._write(f"logind/sessions/{name}", session)
        self._write(f"logind/users/{uid}", f"STATE={state}\nDISPLAY={name}\n")
        group = controlled() / "user.slice" / f"user-{uid}.slice" / f"session-{name}.scope"
        for folder in reversed((group, *group.parents)):
            if not folder.exists():
                folder.mkdir()
                self.undo.callback(_remove, folder)
        return Session(uid, group)


def _remove(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def controlled() -> Path:
    """The control groups that libsystemd looks at."""
    home = Path("/sys/fs/cgroup")
    places = (home / "unified", home, home / "systemd")
    return next(place for place in places if (place / "cgroup.procs").exists())


@contextmanager
def private_polkit(folder: Path) -> Iterator[Polkitd]:
    """A bus of its own, and polkitd as soon as it is started."""
    folder.mkdir(exist_ok=True)
    machine = Machine(folder)
    with ExitStack() as undo:
        undo.callback(machine.stop)
        machine.start_bus()
        yield Polkitd(machine, folder, undo)


@dataclass(frozen=True)
class Question:
    """What polkit wants a person to be asked."""

    action: str
    message: str
    cookie: str


class Agent:
    """An authentication agent, as a desktop has one: the dialog, and the person before it.

    The person types the right password where `password` is set; with `holds` the dialog stays open.
    """

    def __init__(self, connection: Connection, *, password: bool = True, holds: bool = False) -> None:
        self._connection = connection
        self._password = password
        self._holds = holds
        self.asked: asyncio.Queue[Question] = asyncio.Queue()
        self.withdrawn: asyncio.Queue[str] = asyncio.Queue()
        connection.answer(self._answer)

    async def register(self, pid: int) -> None:
        """Be the one to ask for what this process wants."""
        started = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        subject = ["unix-process", {"pid": Variant("u", pid), "start-time": Variant("t", started)}]
        body = [subject, "C", AGENT_PATH]
        await self._connection.call(
            POLKIT, AUTHORITY_PATH, AUTHORITY, "RegisterAuthenticationAgent", "(sa{sv})ss", body
        )

    async def _answer(self, call: IncomingCall) -> Reply:
        if call.member == "CancelAuthentication":
            self.withdrawn.put_nowait(call.body[0])
            return Reply()
        action, message, _, _, cookie, identities = call.body
        self.asked.put_nowait(Question(action, message, cookie))
        if self._holds:
            await asyncio.Event().wait()
        if not self._password:
            raise CallFailed(f"{POLKIT}.Error.Cancelled", "the dialog was closed")
        (kind, who) = identities[0]
        body: list[Any] = [os.getuid(), cookie, [kind, {name: Variant("u", value) for name, value in who.items()}]]
        await self._connection.call(
            POLKIT, AUTHORITY_PATH, AUTHORITY, "AuthenticationAgentResponse2", "us(sa{sv})", body
        )
        return Reply()
