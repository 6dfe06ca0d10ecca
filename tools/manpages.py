"""`make derived`: the manual pages that follow from the code, into packaging/man.

    dubseedctl(1)         from the rows of dubseedd/cli/arguments.py
    dubseedd.toml(5)      from packaging/config/dubseedd.toml, which tests hold to dubseedd/core/config.py
    org.dubnium.Seed1(5)  from the interface file and its comments

dubseedd(8) and dubnium-seed(7) are written by hand beside them.
"""

import argparse
import re
import sys
import textwrap
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from pathlib import Path

from dubseedd.bus.interface import source
from dubseedd.cli.arguments import COMMANDS, parser
from dubseedd.names import BUS_NAME, CONFIG_FILE, CONFIG_FOLDER

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "packaging" / "man"
SECTION = re.compile(r"^\[(\w+)\]$")
OPTION = re.compile(r"^# (\w+) = (.+?)(?:\s{2,}# (.*))?$")
FURTHER = re.compile(r"^#\s{6,}# (.*)$")

STATUSES = """\
.TP
.B 0
Done.
.TP
.B 1
The work was refused or has failed; standard error says why and what to do.
.TP
.B 2
The command line or the configuration is wrong.
.TP
.B 3
The daemon or the bus cannot be reached.
.TP
.B 4
Not authorised.
.TP
.B 130
Interrupted.
.PP
.B guard
has statuses of its own: 0 installed, whole and verified; 10 absent; 11 damaged; 12 foreign or unverified; 20 nobody can
tell.
"""


def plain(text: str) -> str:
    """Text as roff shows it: no character of it is a request."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", escaped, flags=re.MULTILINE)


def bold(text: str) -> str:
    """A request would take quotes away."""
    return f"\\fB{plain(text)}\\fR"


def page(name: str, section: int, what: str, *parts: str) -> str:
    made = '.\\" Made by make derived; what it is made from is named in tools/manpages.py.'
    head = f'{made}\n.TH {name.upper()} {section} "" dubseedd\n'
    return f"{head}.SH NAME\n{plain(name)} \\- {plain(what)}\n" + "".join(parts)


def dubseedctl() -> str:
    sections = "".join(_command(row.name) for row in COMMANDS)
    return page(
        "dubseedctl",
        1,
        "ask dubseedd what it does, and tell it what to do",
        ".SH SYNOPSIS\n.B dubseedctl\n.I COMMAND\n[options]\n",
        ".SH DESCRIPTION\n",
        plain(
            "Every command that shows data takes --json. Errors go to standard error, as one sentence that says what "
            "to do. What asks the daemon for work has to be authorised by polkit, which at a terminal may ask for a "
            "password.\n"
        ),
        f".SH COMMANDS\n{sections}",
        f".SH EXIT STATUS\n{STATUSES}",
        ".SH ENVIRONMENT\n.TP\n.B NO_COLOR\nNo colours, even on a terminal.\n",
        '.TP\n.BR HF_HUB_CACHE ", " HF_HOME ", " XDG_CACHE_HOME\n',
        "Where create looks for the model that is named as OWNER/NAME, as Hugging Face's own programs do.\n",
        ".SH FILES\n.TP\n.I /usr/share/dubseedd/dubseedctl.schema.json\nWhat \\-\\-json prints, as a JSON Schema.\n",
        ".SH SEE ALSO\n.BR dubctl\\-seed (1),\n.BR dubseed\\-notify (1),\n.BR dubseedd (8),\n",
        ".BR dubseedd.toml (5),\n.BR dubnium\\-seed (7),\n",
        ".BR org.dubnium.Seed1 (5)\n",
    )


def _command(name: str) -> str:
    """A command with its options and examples, as argparse has them."""
    (choices,) = (action for action in parser()._actions if isinstance(action, argparse._SubParsersAction))
    row = next(row for row in COMMANDS if row.name == name)
    actions = [action for action in choices.choices[name]._actions if action.dest != "help"]
    usage = " ".join(_usage(action) for action in actions if action.dest != "json")
    lines = [f'.SS "{plain(f"{name} {usage}".strip())}"', plain(f"{row.does[0].upper()}{row.does[1:]}.")]
    for action in actions:
        if action.help and action.dest != "json":
            lines += [".TP", bold(_usage(action).strip("[]")), plain(_sentence(action.help))]
    examples = "".join(f"{plain(example)}\n" for example in row.examples)
    return "\n".join([*lines, ".PP", ".EX"]) + f"\n{examples}.EE\n"


def _usage(action: argparse.Action) -> str:
    value = str(action.metavar or action.dest.upper()) if action.nargs != 0 else ""
    words = " ".join(word for word in (action.option_strings[-1] if action.option_strings else "", value) if word)
    return words if action.required and action.nargs != "*" else f"[{words}{' …' if action.nargs == '*' else ''}]"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def dubseedd_toml() -> str:
    lines = (ROOT / "packaging" / "config" / "dubseedd.toml").read_text(encoding="utf-8").splitlines()
    return page(
        "dubseedd.toml",
        5,
        "configuration of dubseedd",
        f".SH SYNOPSIS\n.I {plain(CONFIG_FILE)}\n.br\n.I {plain(CONFIG_FOLDER)}/*.toml\n.SH DESCRIPTION\n",
        "TOML. The file is read first, then those of the folder in the order of their names; what none of them says\n",
        "has the default shown here. An unknown key or a bad value stops the start with one line (exit status 78).\n",
        ".SH OPTIONS\n" + "".join(_options(lines)),
        ".SH SEE ALSO\n.BR dubseedd (8)\n",
    )


def _options(lines: list[str]) -> Iterator[str]:
    for line in lines:
        if found := SECTION.match(line):
            yield f'.SS "[{found[1]}]"\n'
        elif found := OPTION.match(line):
            meaning = f"{plain(found[3])}\n" if found[3] else ""
            yield f".TP\n{bold(f'{found[1]} = {found[2]}')}\n{meaning}"
        elif found := FURTHER.match(line):
            yield f"{plain(found[1])}\n"


def interface() -> str:
    tree = ET.fromstring(source(), parser=ET.XMLParser(target=ET.TreeBuilder(insert_comments=True)))
    return page(
        BUS_NAME,
        5,
        "the D-Bus interface of dubseedd",
        ".SH DESCRIPTION\n",
        f".EX\n{plain(textwrap.dedent(_preamble()))}\n.EE\n",
        *(_interface(one) for one in tree.findall("interface")),
        ".SH SEE ALSO\n.BR busctl (1),\n.BR dubseedd (8)\n",
    )


def _preamble() -> str:
    """The comment before everything else, which the parser drops."""
    found = re.search(r"<!--\n(.*?)-->", source(), re.DOTALL)
    return found[1].rstrip() if found else ""


def _interface(node: ET.Element) -> str:
    lines, said = [f".SH {plain(node.attrib['name'])}"], ""
    for child in node:
        if child.tag is ET.Comment:  # type: ignore[comparison-overlap]  # how ElementTree marks a comment
            said = _comment(child.text or "")
            continue
        lines += [".TP", bold(_signature(child)), said or "\\&"]
        said = ""
    return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    """A comment of the interface file; a line that is indented in it, as options are, begins a new one."""
    first, *rest = text.strip().splitlines()
    least = min((len(line) - len(line.lstrip()) for line in rest), default=0)
    breaks = (".br\n" if line.startswith(" " * (least + 1)) else "" for line in rest)
    return "\n".join([plain(first), *(f"{br}{plain(line.strip())}" for br, line in zip(breaks, rest, strict=True))])


def _signature(member: ET.Element) -> str:
    name = member.attrib["name"]
    if member.tag == "property":
        return f"{name}: {member.attrib['type']}"
    args = [(arg.attrib["name"], arg.attrib["type"], arg.attrib.get("direction", "out")) for arg in member]
    takes, gives = (", ".join(f"{n} {t}" for n, t, d in args if d == way) for way in ("in", "out"))
    if member.tag == "signal":
        return f"signal {name}({gives})"
    return f"{name}({takes})" + (f" -> {gives}" if gives else "")


def pages() -> Mapping[str, str]:
    """Every page that is made, by the name of its file."""
    return {"dubseedctl.1": dubseedctl(), "dubseedd.toml.5": dubseedd_toml(), f"{BUS_NAME}.5": interface()}


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"packaging/man/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
