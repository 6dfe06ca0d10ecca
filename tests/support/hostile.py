"""A stranger on the bus: the user nobody, who speaks D-Bus as the specification allows it and nobody means it.

    python -m tests.support.hostile ADDRESS calls SEED COUNT PATH…   says all that can be said, COUNT times
    python -m tests.support.hostile ADDRESS deaf CONNECTIONS COUNT   asks COUNT times each and reads no answer
    python -m tests.support.hostile ADDRESS flood COUNT              asks COUNT times and wants no answer
    python -m tests.support.hostile ADDRESS weight COUNT             sends what takes long to read, COUNT times
    python -m tests.support.hostile ADDRESS crowd CONNECTIONS        is many, who ask and read at once

It writes messages itself, since no library lets it: of unknown types, with any flag, spoofed signals, replies that
nobody asked for, bodies of every type and size. What the bus itself refuses would end the connection and is left out.
At the end it prints what it was answered, as JSON.
"""

import json
import os
import random
import socket
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

from dubseedd.bus.interface import load
from dubseedd.names import BUS_NAME, ROOT_PATH
from tests.support.users import NOBODY

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
PATH, INTERFACE, MEMBER, ERROR_NAME, REPLY_SERIAL, DESTINATION, SIGNATURE = 1, 2, 3, 4, 5, 6, 8
TYPES = {
    PATH: "o",
    INTERFACE: "s",
    MEMBER: "s",
    ERROR_NAME: "s",
    REPLY_SERIAL: "u",
    DESTINATION: "s",
    SIGNATURE: "g",
}
NO_REPLY = 1
AT_A_TIME = 50
"""Calls that wait for their answers; the bus allows 128 of one connection."""
ALIGN = {"y": 1, "g": 1, "v": 1, "n": 2, "q": 2, "b": 4, "i": 4, "u": 4, "h": 4, "a": 4, "s": 4, "o": 4}
"""What is not here is aligned to 8."""
FORMATS = {"y": "B", "n": "h", "q": "H", "b": "I", "i": "i", "u": "I", "h": "I", "x": "q", "t": "Q", "d": "d"}
OBJECT_MANAGER, PEER = "org.freedesktop.DBus.ObjectManager", "org.freedesktop.DBus.Peer"
INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"
STANDARD = {
    "org.freedesktop.DBus.Properties": {"Get": "ss", "GetAll": "s", "Set": "ssv"},
    OBJECT_MANAGER: {"GetManagedObjects": ""},
    INTROSPECTABLE: {"Introspect": ""},
    PEER: {"Ping": "", "GetMachineId": ""},
}
METHODS = STANDARD | {name: {m: one.takes for m, one in face.methods.items()} for name, face in load().items()}
PROPERTIES = sorted({name for face in load().values() for name in face.properties})
WORDS = [
    *(
        "",
        "/",
        "..",
        "../../etc",
        "%n%s%x",
        "-rf",
        "a" * 255,
        "b" * 256,
        "\x1b[2J",
        "\u202etxt",
        "\uffff",
        "\U0010ffff",
    ),
    *(
        "dry-run",
        "replace-foreign",
        "require-manifest-sha256",
        "power-off",
        "tiny",
        "/dev/loop0",
        *PROPERTIES,
        *METHODS,
    ),
]
PATHS = ["/", "/org", "/org/dubnium/Seed1/jobs", "/org/dubnium/Seed1/jobs/999999", "/a" * 400, "/" + "_" * 3000]
SPOOFS = [
    ("/org/freedesktop/UDisks2", "org.freedesktop.DBus.ObjectManager", "InterfacesRemoved"),
    ("/org/freedesktop/UDisks2/block_devices/loop0", "org.freedesktop.DBus.Properties", "PropertiesChanged"),
    ("/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged"),
    ("/org/freedesktop/DBus", "org.freedesktop.DBus", "NameLost"),
]


def first_type(signature: str) -> str:
    """The first complete type of a signature."""
    if signature[0] == "a":
        return "a" + first_type(signature[1:])
    if signature[0] not in "({":
        return signature[0]
    depth = 0
    for end, letter in enumerate(signature):
        depth += (letter in "({") - (letter in ")}")
        if depth == 0:
            return signature[: end + 1]
    raise AssertionError(signature)


def types_of(signature: str) -> Iterator[str]:
    while signature:
        yield (first := first_type(signature))
        signature = signature[len(first) :]


class Writer:
    """Bytes of D-Bus, with values made up on the way."""

    def __init__(self, dice: random.Random, endian: str) -> None:
        self.dice = dice
        self.endian = endian
        self.out = bytearray()

    def align(self, size: int) -> None:
        self.out += bytes(-len(self.out) % size)

    def number(self, kind: str, value: float) -> None:
        self.align(ALIGN.get(kind, 8))
        self.out += struct.pack(self.endian + FORMATS[kind], value)

    def text(self, value: str) -> None:
        raw = value.replace("\0", "").encode()
        self.number("u", len(raw))
        self.out += raw + b"\0"

    def signature(self, value: str) -> None:
        self.out += bytes([len(value)]) + value.encode() + b"\0"

    def anything(self, kind: str, depth: int = 0) -> None:
        """A value of this complete type."""
        match kind[0]:
            case "s":
                self.text(self.words())
            case "o":
                self.text(self.dice.choice(PATHS))
            case "g":
                self.signature(self.dice.choice(("", "s", "a{sv}", "a" * 32 + "s")))
            case "v":
                inner = self.type(depth + 1)
                self.signature(inner)
                self.anything(inner, depth + 1)
            case "a":
                self.array(kind[1:], depth)
            case "(" | "{":
                self.align(8)
                for member in types_of(kind[1:-1]):
                    self.anything(member, depth + 1)
            case "b":
                self.number("b", self.dice.randrange(2))
            case "d":
                self.number("d", self.dice.choice((0.0, -1.5, 1e308, float("inf"), float("nan"))))
            case _:
                bits = 8 * struct.calcsize("=" + FORMATS[kind])
                low = -(1 << bits - 1) if FORMATS[kind].islower() else 0
                self.number(kind, self.dice.choice((0, 1, low, low + (1 << bits) - 1)))

    def array(self, kind: str, depth: int) -> None:
        self.number("u", 0)
        place = len(self.out) - 4
        self.align(ALIGN.get(kind[0], 8))
        start = len(self.out)
        most = {0: 40, 1: 6}.get(depth, 2)
        if kind == "y":
            self.out += self.dice.randbytes(self.dice.choice((0, 1, 1000, 100_000)))
        else:
            for _ in range(self.dice.randrange(most)):
                self.anything(kind, depth + 1)
        struct.pack_into(self.endian + "I", self.out, place, len(self.out) - start)

    def words(self) -> str:
        if self.dice.random() < 0.01:
            return "x" * self.dice.choice((4095, 65_536, 1_000_000))
        return self.dice.choice(WORDS)

    def type(self, depth: int) -> str:
        """A complete type; deep ones are rare, and within what the bus allows."""
        kind = self.dice.choice("ybnqiuxtdsogh" if depth > 25 else "ybnqiuxtdsoghva({v")
        if kind == "a":
            return "a" + ("{s" + self.type(depth + 2) + "}" if self.dice.random() < 0.4 else self.type(depth + 1))
        if kind in "({":
            return "(" + "".join(self.type(depth + 8) for _ in range(self.dice.randint(1, 3))) + ")"
        return kind


def message(
    dice: random.Random,
    kind: int,
    flags: int,
    serial: int,
    fields: dict[int, str | int],
    signature: str,
    values: bytes | None = None,
) -> bytes:
    """A message with these header fields and a body of this signature: these values, little endian, or made up ones."""
    endian = dice.choice("<>") if values is None else "<"
    body, head = Writer(dice, endian), Writer(dice, endian)
    for one in types_of(signature) if values is None else ():
        body.anything(one)
    body.out += values or b""
    head.out += bytes([ord("l" if endian == "<" else "B"), kind, flags, 1])
    head.number("u", len(body.out))
    head.number("u", serial)
    head.number("u", 0)
    for code, value in (fields | ({SIGNATURE: signature} if signature else {})).items():
        head.align(8)
        head.out.append(code)
        head.signature(TYPES[code])
        if isinstance(value, int):
            head.number("u", value)
        elif TYPES[code] == "g":
            head.signature(value)
        else:
            head.text(value)
    struct.pack_into(endian + "I", head.out, 12, len(head.out) - 16)
    head.align(8)
    return bytes(head.out + body.out)


class Line:
    """A connection to the bus, by hand."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30.0)
        self.socket.connect("\0" + address.removeprefix("unix:abstract=").partition(",")[0])
        self.socket.sendall(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
        assert self.socket.recv(1000).startswith(b"OK")
        self.socket.sendall(b"BEGIN\r\n")
        self.serial = 0
        self._buffer = bytearray()
        bus = {PATH: "/org/freedesktop/DBus", INTERFACE: "org.freedesktop.DBus", DESTINATION: "org.freedesktop.DBus"}
        self.socket.sendall(message(random.Random(0), CALL, 0, self.next(), {**bus, MEMBER: "Hello"}, ""))

    def next(self) -> int:
        self.serial += 1
        return self.serial

    def received(self) -> tuple[int, int, bytes]:
        """(type, serial that it answers, everything) of the next message."""
        while True:
            if len(self._buffer) >= 16:
                body, _, fields = struct.unpack_from("<III" if self._buffer[0] == ord("l") else ">III", self._buffer, 4)
                whole = 16 + fields + -fields % 8 + body
                if len(self._buffer) >= whole:
                    data = bytes(self._buffer[:whole])
                    del self._buffer[:whole]
                    return data[1], _reply_serial(data, fields), data
            if not (more := self.socket.recv(1 << 20)):
                raise EOFError("the bus has hung up")
            self._buffer += more


def _reply_serial(data: bytes, length: int) -> int:
    order = "<I" if data[0] == ord("l") else ">I"
    place = data.find(b"\x05\x01u\0", 16, 16 + length)
    return int(struct.unpack_from(order, data, place + 4)[0]) if place >= 0 else 0


def say(dice: random.Random, serial: int, paths: list[str]) -> tuple[bytes, bool]:
    """Something to the daemon, and whether it has to answer."""
    interface = dice.choice(list(METHODS))
    member = dice.choice(list(METHODS[interface]))
    signature = METHODS[interface][member]
    path = dice.choice(paths) if dice.random() < 0.8 else dice.choice(PATHS)
    kind, flags = CALL, 0
    fields: dict[int, str | int] = {DESTINATION: BUS_NAME}
    luck = dice.random()
    if luck < 0.35:
        signature = _some(dice)
    elif luck < 0.40:
        interface, member = dice.choice(("com.example.Any", "a." + "b" * 250, "org.dubnium.Seed1")), "m" * 255
    elif luck < 0.43:
        member = "No" + member
    elif luck < 0.46:
        interface = ""
    elif luck < 0.50:
        flags = dice.choice((NO_REPLY, 0x04, 0xFE, 0xFF))
    elif luck < 0.53:
        path, interface, member = dice.choice(SPOOFS)
        kind, signature = SIGNAL, dice.choice((_some(dice), "sss", "oas", "sa{sv}as", ""))
    elif luck < 0.55:
        kind = dice.choice((5, 77, 255))
    elif luck < 0.58:
        kind = dice.choice((RETURN, ERROR))
        fields |= {REPLY_SERIAL: dice.randint(1, 5000)} | ({ERROR_NAME: "com.example.Error"} if kind == ERROR else {})
        return message(dice, kind, flags, serial, fields, _some(dice)), False
    fields |= {PATH: path, MEMBER: member} | ({INTERFACE: interface} if interface else {})
    return message(dice, kind, flags, serial, fields, signature), kind == CALL and not flags & NO_REPLY


def _some(dice: random.Random) -> str:
    """A signature, of at most 255 bytes."""
    signature = ""
    for _ in range(dice.randrange(4)):
        if len(signature + (one := Writer(dice, "<").type(0))) < 256:
            signature += one
    return signature


def calls(address: str, seed: str, count: str, *paths: str) -> None:
    dice = random.Random(int(seed))
    line = Line(address)
    waiting: set[int] = set()
    told: Counter[str] = Counter()
    for number in range(int(count)):
        data, answered = say(dice, line.next(), list(paths))
        if answered:
            waiting.add(line.serial)
        try:
            line.socket.sendall(data)
            while len(waiting) >= AT_A_TIME or (waiting and number == int(count) - 1):
                take(line, waiting, told)
        except (EOFError, ConnectionError):  # the bus does not take everything that the specification allows
            told["the bus has hung up"] += 1
            waiting.clear()
            line = Line(address)
    print(json.dumps(told))


def take(line: Line, waiting: set[int], told: Counter[str]) -> None:
    kind, serial, data = line.received()
    waiting.discard(serial)
    told[{CALL: "called", RETURN: "answered", ERROR: "refused", SIGNAL: "signalled"}[kind]] += 1
    if kind == ERROR and b"Error.Internal" in data:
        told["internal"] += 1
    if b"Traceback" in data or b'File "' in data:
        told["traceback"] += 1


def ask(line: Line, interface: str, member: str, flags: int = 0, signature: str = "", values: bytes = b"") -> bytes:
    """A call with just these arguments."""
    where: dict[int, str | int] = {DESTINATION: BUS_NAME, PATH: ROOT_PATH, INTERFACE: interface, MEMBER: member}
    return message(random.Random(0), CALL, flags, line.next(), where, signature, values)


def deaf(address: str, connections: str, count: str) -> None:
    """Ask for everything on many connections, and read nothing of it."""
    lines = [Line(address) for _ in range(int(connections))]
    asked = 0
    for line in lines:
        line.socket.settimeout(0.5)
        with suppress(TimeoutError, ConnectionError):
            for _ in range(int(count)):
                line.socket.sendall(ask(line, INTROSPECTABLE, "Introspect"))
                asked += 1
    print(json.dumps({"asked": asked}), flush=True)
    sys.stdin.read()


def flood(address: str, count: str) -> None:
    """Ask for everything and want no answer, so that nothing bounds how much is asked."""
    line = Line(address)
    for _ in range(int(count)):
        line.socket.sendall(ask(line, OBJECT_MANAGER, "GetManagedObjects", NO_REPLY))
    print(json.dumps({"asked": int(count)}))


def weight(address: str, count: str) -> None:
    """Millions of variants in one call; then signatures that nobody has seen before."""
    line, dice = Line(address), random.Random(1)
    values = b"\x01y\0\x07" * (6 << 20)
    line.socket.sendall(ask(line, PEER, "Ping", 0, "av", struct.pack("<I", len(values)) + values))
    for _ in range(int(count)):
        body = bytearray()
        while len(body) < 8_000:
            signature = "a(" + "".join(dice.choice("ybnqiuxtdsog") for _ in range(30)) + ")"
            body += bytes([len(signature)]) + signature.encode() + b"\0"
            body += bytes(-(4 + len(body)) % 4 + 4)
            body += bytes(-(4 + len(body)) % 8)
        line.socket.sendall(ask(line, PEER, "Ping", 0, "av", struct.pack("<I", len(body)) + bytes(body)))
    told: Counter[str] = Counter()
    waiting = set(range(2, line.serial + 1))
    while waiting:
        take(line, waiting, told)
    print(json.dumps(told))


def crowd(address: str, connections: str) -> None:
    """Many at once, and each of them reads all there is."""
    lines = [Line(address) for _ in range(int(connections))]
    told: Counter[str] = Counter()
    for line in lines:
        for _ in range(5):
            line.socket.sendall(ask(line, OBJECT_MANAGER, "GetManagedObjects"))
    for line in lines:
        waiting = set(range(2, line.serial + 1))
        while waiting:
            take(line, waiting, told)
    print(json.dumps(told))


if __name__ == "__main__":
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    _, bus, what, *rest = sys.argv
    {"calls": calls, "deaf": deaf, "flood": flood, "weight": weight, "crowd": crowd}[what](bus, *rest)
