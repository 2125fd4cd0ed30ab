"""Write the pages that repeat what the code says: `python docs/generate.py`. A test sees that they are up to date.

commands.md comes from the command line itself, settings.md from the models that check an experiment file.
"""

import types
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from rnnlab.cli.main import app
from rnnlab.spec import cell_settings, experiment, experiment_tables, published_runs, regime_settings, settings

_PLACEHOLDERS = {"str": "TEXT", "int": "N", "float": "X", "Path": "PATH"}
_COMMANDS_HEAD = """# Commands

Every command with its arguments and options, as `rnnlab COMMAND --help` shows them. Written by
`python docs/generate.py`.

Exit codes: 0 done, 1 failure, 2 wrong usage, 130 interrupted. Data goes to stdout, messages to stderr.
A flag goes before its environment variable, that before `rnnlab.toml` of the working directory, that before the
default.
"""


_SETTINGS_HEAD = """# Settings of an experiment file

Every table and key, with its type, legal range and default. Written by `python docs/generate.py` from the models that
check a file; [the experiment file](experiment-file.md) says how they work together.

A setting has one name, in `[model]`, `[training]`, `[grid]`, rules and rounds alike; `seed` may be an axis too.
"""

Section = tuple[str, type[settings.Settings], str]  # heading, model, what to say beside its docstring

_SECTIONS: Sequence[Section] = [
    ("The file", experiment.Experiment, ""),
    ("`corpus`", experiment_tables.CorpusChoice, 'A name or a file alone is enough: `corpus = "enwik8"`.'),
    ("`split`", settings.SplitSettings, ""),
    ("`evaluation`", settings.EvaluationSettings, ""),
    ('`tokenizer` with `kind = "characters"`', settings.CharacterSettings, ""),
    ('`tokenizer` with `kind = "bpe"`', settings.BpeSettings, ""),
    ('`[model]` with `cell = "gated"`', cell_settings.GatedSettings, ""),
    ("`[model]`, all other cells", cell_settings.StackSettings, ""),
    ("`[model]` with `cell` `rnn`, `lstm`", cell_settings.LinearSettings, ""),
    (
        "`[model]` with `cell` `gru-reset-before`, `gru-reset-after`, `gru-update-only`",
        cell_settings.UpdateGateSettings,
        "`gru-reset-after` is torch.nn.GRU.",
    ),
    ('`[training]` with `regime = "online"`', regime_settings.OnlineSettings, "For cell `gated`."),
    ('`[training]` with `regime = "bptt"`', regime_settings.BpttSettings, "For all other cells."),
    ("`[[skip]]`", experiment_tables.SkipRule, ""),
    ("`[[adjust]]`", experiment_tables.Adjustment, ""),
    ("`[[rounds]]`", experiment_tables.RoundRule, ""),
    ("`select` of a round", experiment_tables.Selection, ""),
    ("`[[rounds.vary]]`", experiment_tables.Variant, ""),
    ("`[analysis]`", experiment_tables.AnalysisSettings, ""),
    ("`[reproduction]`", published_runs.Reproduction, ""),
    ("`[[reproduction.runs]]`", published_runs.PublishedRun, ""),
]


def commands_page() -> str:
    """The whole page."""
    sections = [_section(path, command) for path, command in _commands(typer.main.get_command(app)) if path]
    return "\n".join([_COMMANDS_HEAD, *sections])


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
        cells = [tuple(text.replace("|", r"\|") for text in row) for row in rows]
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
    kind = inner[0] if inner else annotation  # list[str]: may be repeated
    return "|".join(kind) if issubclass(kind, Enum) else _PLACEHOLDERS[kind.__name__]


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


def settings_page() -> str:
    """The whole page."""
    return "\n".join([_SETTINGS_HEAD, *(_settings_section(*one) for one in _SECTIONS)])


def _settings_section(heading: str, model: type[settings.Settings], beside: str) -> str:
    base = model.__mro__[1]
    inherited = (
        base.model_fields if issubclass(base, cell_settings.StackSettings) else {}
    )  # they have a table of their own
    told = " ".join(" ".join((model.__doc__ or "").split()).split() + beside.split())
    rows = [
        (f"`{name}`", _legal(field.annotation, field), _initially(field), " ".join((field.description or "").split()))
        for name, field in model.model_fields.items()
        if name not in inherited
    ]
    cells_ = [tuple(text.replace("|", r"\|") for text in row) for row in rows]
    table = ["| key | type | default | |", "| --- | --- | --- | --- |", *(f"| {' | '.join(row)} |" for row in cells_)]
    return "\n".join([f"## {heading}", "", told, "", *table, ""])


_BOUNDS = {"ge": "at least {:,}", "gt": "above {:,}", "le": "at most {:,}", "lt": "below {:,}"}
_TYPES = {bool: "true, false", int: "integer", float: "number", str: "string"}


def _legal(annotation: Any, field: FieldInfo | None = None) -> str:
    """A type in words, with its bounds."""
    arguments, origin = get_args(annotation), get_origin(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_legal(one) for one in arguments if one is not type(None)))
    if origin is list:
        return f"list of {_legal(arguments[0])}"
    if origin is dict:
        return "table"
    if hasattr(annotation, "__metadata__"):
        return _bounded(_legal(arguments[0]), annotation.__metadata__)
    name = _TYPES.get(annotation, "table")
    return name if field is None else _bounded(name, field.metadata)


def _bounded(name: str, metadata: Sequence[Any]) -> str:
    found = {}
    for one in metadata:
        for part in (one, *getattr(one, "metadata", ())):
            found.update({key: getattr(part, key) for key in _BOUNDS if getattr(part, key, None) is not None})
    return ", ".join([name, *(_BOUNDS[key].format(value) for key, value in found.items())])


def _initially(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=False)
    if default is None or default is PydanticUndefined or default in ({}, [], ""):
        return ""
    if isinstance(default, settings.Settings):
        return ", ".join(f"{name} {value}" for name, value in default.model_dump().items() if value)
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


PAGES = {"commands.md": commands_page, "settings.md": settings_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        Path(__file__).with_name(name).write_text(page(), encoding="utf-8")
