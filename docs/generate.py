"""Write docs/commands.md from the command line itself: `python docs/generate.py`. A test sees that it is up to date."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import typer

from rnnlab.cli.main import app

PAGE = Path(__file__).with_name("commands.md")
_PLACEHOLDERS = {"str": "TEXT", "int": "N", "float": "X", "Path": "PATH"}
_HEAD = """# Commands

Every command with its arguments and options, as `rnnlab COMMAND --help` shows them. Written by
`python docs/generate.py`.

Exit codes: 0 done, 1 failure, 2 wrong usage, 130 interrupted. Data goes to stdout, messages to stderr.
A flag goes before its environment variable, that before `rnnlab.toml` of the working directory, that before the
default.
"""


def commands_page() -> str:
    """The whole page."""
    sections = [_section(path, command) for path, command in _commands(typer.main.get_command(app)) if path]
    return "\n".join([_HEAD, *sections])


def _commands(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The commands below a node, groups before what is in them."""
    yield path, node
    for name, command in getattr(node, "commands", {}).items():
        yield from _commands(command, (*path, name))


def _section(path: tuple[str, ...], command: Any) -> str:
    parameters = [one for one in command.params if one.name != "help" and not getattr(one, "hidden", False)]
    arguments = [one for one in parameters if one.param_type_name == "argument"]
    options = [one for one in parameters if one.param_type_name == "option"]
    usage = " ".join(["rnnlab", *path, *(["[OPTIONS]"] if options else []), *map(_usage, arguments)])
    if getattr(command, "commands", None):
        usage += " COMMAND"
    text = " ".join(command.help.split())
    rows = [(_name(one), " ".join(one.help.split()), _default(one)) for one in (*arguments, *options)]
    lines = [f"## rnnlab {' '.join(path)}", "", text, "", f"    {usage}", ""]
    if rows:
        cells = [(name, " ".join(told.split()).replace("|", r"\|"), default) for name, told, default in rows]
        lines += ["| | | default |", "| --- | --- | --- |", *(f"| {' | '.join(row)} |" for row in cells), ""]
    return "\n".join(lines)


def _usage(argument: Any) -> str:
    name = argument.name.upper() + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.name.upper()}`"
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    return f"`{names}`" if parameter.is_flag else f"`{names} {_placeholder(parameter)}`"


def _placeholder(parameter: Any) -> str:
    annotation = parameter.type_descriptor.annotation
    inner = get_args(annotation)
    if inner and all(isinstance(value, str) for value in inner):  # Literal: the choices themselves
        return "|".join(inner)
    return _PLACEHOLDERS[(inner[0] if inner else annotation).__name__]  # list[str]: may be repeated


def _default(parameter: Any) -> str:
    default, shown = parameter.default, parameter.show_default
    if parameter.required:
        told = "required"
    elif isinstance(shown, str):
        told = shown
    elif default is None or callable(default) or getattr(parameter, "is_flag", False):
        told = ""
    else:
        told = f"`{default}`"
    variable = getattr(parameter, "envvar", None)
    return ", ".join(filter(None, [told, f"`{variable}`" if variable else ""]))


if __name__ == "__main__":
    PAGE.write_text(commands_page(), encoding="utf-8")
