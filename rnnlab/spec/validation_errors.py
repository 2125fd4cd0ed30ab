"""Converts pydantic's first validation error to one line: key, value, allowed values."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from rnnlab.spec.cell_settings import CELL_SETTINGS, OWN_CELL, OwnSettings
from rnnlab.spec.regime_settings import REGIME_SETTINGS
from rnnlab.spec.settings import TOKENIZER_SETTINGS
from rnnlab.spec.toml_format import abbreviated, did_you_mean

# pydantic adds the name of the union member that it tried to the location of an error.
_UNION_TAGS = frozenset({"built-in cell", "bool", "int", "float", "str", "list[union[bool,int,float,str]]"})
# The tables of settings of cells, regimes and tokenizers are unions, too.
_KINDS: dict[Any, type[BaseModel]] = {
    name: table
    for tables in (CELL_SETTINGS, REGIME_SETTINGS, TOKENIZER_SETTINGS)
    for name, table in dict[str, Any](tables).items()
} | {"own cell": OwnSettings}

_PATTERNS = {
    r"^[a-z0-9][a-z0-9_-]{0,63}$": "lower-case letters, digits, - and _, at most 64, a letter or a digit first",
    r"^[0-9a-f]{64}$": "64 hexadecimal digits in lower case",
    OWN_CELL: 'CLASS@HASH of an own cell, into which rnnlab converts "FILE.py:CLASS"',
}

_ALLOWED: dict[str, Callable[[dict[str, Any]], str]] = {
    "greater_than": lambda context: f"greater than {_number(context['gt'])}",
    "greater_than_equal": lambda context: f"at least {_number(context['ge'])}",
    "less_than": lambda context: f"less than {_number(context['lt'])}",
    "less_than_equal": lambda context: f"at most {_number(context['le'])}",
    "finite_number": lambda context: "a finite number",
    "int_type": lambda context: "a whole number",
    "int_from_float": lambda context: "a whole number",
    "float_type": lambda context: "a number",
    "bool_type": lambda context: "true or false",
    "string_type": lambda context: "a string in quotes",
    "string_too_short": lambda context: "a non-empty string",
    "list_type": lambda context: "a list: [...], or [[double brackets]] for tables",
    "dict_type": lambda context: "a table: { key = value }",
    "model_type": lambda context: "a table: { key = value }",
    "union_tag_not_found": lambda context: "a table: { key = value }",
    "literal_error": lambda context: str(context["expected"]).replace("'", '"'),
    "string_pattern_mismatch": lambda context: _PATTERNS[context["pattern"]],
    "too_short": lambda context: "a non-empty list or table",
}


def validation_message(error: ValidationError, root: type[BaseModel] | None = None) -> str:
    """The message. root: the validated model, whose keys are listed after an unknown key; None: no keys are listed."""
    errors = error.errors(include_url=False)
    details = errors[0]
    if details["type"] == "missing":  # a misspelled key is reported twice: as missing and as unknown
        details = next((one for one in errors if one["type"] == "extra_forbidden"), details)
    key = _key(details)
    given = details["input"]
    if details["type"] == "extra_forbidden":
        known = [] if root is None else _fields_at(root, details["loc"][:-1])
        line = f"unknown key {key}" + (f": known keys are {', '.join(known)}" if known else "")
        line += did_you_mean(str(details["loc"][-1]), known)
    elif details["type"] == "missing":
        line = f"{key} is missing: it is required"
    elif details["type"] == "value_error":
        line = f"{key}: {details['ctx']['error']}" if key else str(details["ctx"]["error"])
    elif details["type"] == "union_tag_invalid":
        kinds = _either(details["ctx"]["expected_tags"])
        line = f"{key}.kind = {abbreviated(details['ctx']['tag'])}: must be {kinds}"
    else:
        line = f"{key} = {abbreviated(given)}: must be {_allowed(details)}" if key else f"must be {_allowed(details)}"
    more = len({_key(other) for other in errors}) - 1
    return line + (f" (and {more} more)" if more else "")


def _number(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


def _either(tags: str) -> str:
    """`"a", "b" or "c"`, in the format of pydantic's message for literals."""
    *others, last = tags.replace("'", '"').split(", ")
    return f"{', '.join(others)} or {last}" if others else last


def _key(details: Mapping[str, Any]) -> str:
    """The location of an error, for example `rounds entry 1: select.top`. Entries count from 1."""
    key = ""
    for part in details["loc"]:
        if part == "[key]":  # the error is about the key itself, which precedes this part
            continue
        if isinstance(part, int):
            key += f" entry {part + 1}:"
        elif part not in _UNION_TAGS and part not in _KINDS:
            key += f" {part}" if key.endswith(":") else f".{part}" if key else part
    return key.removesuffix(":")


def _allowed(details: Mapping[str, Any]) -> str:
    if details["loc"] and details["loc"][-1] in _UNION_TAGS:
        infinite = isinstance(details["input"], float) and not math.isfinite(details["input"])
        return "a finite number" if infinite else "a number, a string in quotes, true or false"
    allowed = _ALLOWED.get(details["type"])
    return allowed(details.get("ctx", {})) if allowed else f"another value: {details['msg']}"


def _fields_at(root: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """The keys of the table at this location."""
    model: type[BaseModel] | None = root
    for part in location:
        if part in _KINDS:
            model = _KINDS[part]
        elif model is not None and isinstance(part, str) and part not in _UNION_TAGS:
            model = _model_in(model.model_fields[part].annotation)
    return list(model.model_fields) if model is not None else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)
