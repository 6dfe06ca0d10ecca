"""Names that somebody may give to a bundle or a file on a stick, as the bytes that a directory has."""

import unicodedata
from collections.abc import Mapping

BELOW_SPACE = [bytes([code]) for code in (*range(1, 32), 127)]
C1 = [chr(code).encode() for code in range(0x80, 0xA0)]
INVISIBLE = [
    chr(code).encode()
    for code in (
        *(0xAD, 0x61C, 0x115F, 0x180E, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2028, 0x2029, 0x202A, 0x202B, 0x202C),
        *(0x202D, 0x202E, 0x2060, 0x2066, 0x2067, 0x2068, 0x2069, 0x3164, 0xFEFF, 0xFFA0, 0xFFFE, 0xE0001, 0x10FFFF),
    )
]
NO_TEXT = [
    b"\xff",
    b"\xfe\xff",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xed\xa0\x80",
    b"\xf5\x80\x80\x80",
    b"\x80",
    b"\xe2\x82",
]
SHELL = [
    *(
        b"$(reboot)",
        b"`reboot`",
        b"${IFS}",
        b"$HOME",
        b"a;b",
        b"a|b",
        b"a&b",
        b"a&&b",
        b">x",
        b"<x",
        b"*",
        b"?",
        b"[a-z]",
    ),
    *(
        b"{a,b}",
        b"~",
        b"~root",
        b"!x",
        b"#x",
        b"a b",
        b" a",
        b"a ",
        b"'",
        b'"',
        b"a'b",
        b'a"b',
        b"\\",
        b"a\\nb",
        b"(",
        b")",
    ),
]
OPTIONS = [b"-", b"--", b"-rf", b"--help", b"-o", b"--from=x", b"@file", b"=", b"a=b"]
FORMATS = [b"%s", b"%n", b"%n%n%n%n", b"%00", b"{0}", b"{x.__class__}", b"%(name)s", b"$name", b"\\x1b[2J", b"\\0"]
PATHS = [
    b"...",
    b"....",
    b". .",
    b".. ",
    b" ..",
    b".git",
    b".ssh",
    b".dubseed",
    b".cache",
    b"a.",
    b"a..",
    b"CON",
    b"nul.txt",
    b"COM1",
]
DRIVES = [b"C:", b"a:b", b"\\\\host", b"file:", b"~1", b"PROGRA~1"]
TERMINAL = [
    b"\x1b[31mred",
    b"\x1b]0;title\x07",
    b"\x9b31m",
    b"\x1bc",
    b"a\rb",
    b"a\nb",
    b"a\r\nb",
    b"\x08\x08\x08",
    b"\x0e",
]
LOOKALIKES = [
    text.encode()
    for text in ("t\u0456ny", "\uff54\uff49\uff4e\uff59", "\u217cama", "tiny\u200b", "ti\u00ad-ny", "\u202eynit")
]
NORMAL_FORMS = [
    *(unicodedata.normalize(form, "caf\u00e9").encode() for form in ("NFC", "NFD")),
    *(text.encode() for text in ("\ufb01ne", "\u212aelvin", "\u017ft", "\u0130I", "stra\u00dfe", "\u1e9e")),
]
MARKUP = [b'"}', b"<script>", b"&lt;", b"]]>", b"%3Cb%3E", b"\\u0000", b"null", b"a,b", b"a\tb"]
LONG = [b"x" * 255, "\u00e9".encode() * 127, "\U0001f600".encode() * 63, b"a" * 247]

HOSTILE: Mapping[str, list[bytes]] = {
    "control characters": BELOW_SPACE,
    "C1 control characters": C1,
    "invisible characters": INVISIBLE,
    "no UTF-8": NO_TEXT,
    "words of a shell": SHELL,
    "words of a command line": OPTIONS,
    "words of a format": FORMATS,
    "words of a path": PATHS,
    "words of other systems": DRIVES,
    "words of a terminal": TERMINAL,
    "lookalikes": LOOKALIKES,
    "normal forms": NORMAL_FORMS,
    "markup": MARKUP,
    "long": LONG,
}
