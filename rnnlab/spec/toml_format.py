"""Formats values as TOML: for experiment files that rnnlab writes, and for messages about the user's files."""

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from rnnlab.spec.settings import Scalar


def to_toml(value: Scalar) -> str:
    """The value in TOML. Reading it gives the same value of the same type."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # Every JSON escape is a TOML escape. TOML also requires the delete character to be escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def values_to_toml(values: list[Scalar]) -> str:
    """The values in TOML, separated by commas."""
    return ", ".join(to_toml(value) for value in values)


def settings_to_toml(settings: Mapping[str, Scalar]) -> str:
    """Settings with their values, for example `n_layers = 3, use_residual = true`."""
    return ", ".join(f"{name} = {to_toml(value)}" for name, value in settings.items())


def condition_text(condition: Mapping[str, Scalar | list[Scalar]]) -> str:
    """A condition on settings, for example `n_layers = 1 or 2, use_residual = true`."""
    return ", ".join(
        f"{name} = {' or '.join(map(to_toml, allowed)) if isinstance(allowed, list) else to_toml(allowed)}"
        for name, allowed in condition.items()
    )


def abbreviated(value: Any, max_length: int = 60) -> str:
    """A value from a user's file, in one line of at most `max_length` characters."""
    text = " ".join(_to_text(value).split())
    return text if len(text) <= max_length else f"{text[: max_length - 3]}..."


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """`; did you mean NAME?` for the known name most similar to the given one; empty if no name is similar."""
    near = difflib.get_close_matches(given, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _to_text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_to_text(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_to_text(entry) for entry in value) + "]"
    return to_toml(value) if isinstance(value, Scalar) else str(value)
