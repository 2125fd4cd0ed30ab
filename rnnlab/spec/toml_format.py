"""Values as TOML writes them: in experiment files that rnnlab makes, and in messages about those of the user."""

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from rnnlab.spec.settings import Scalar


def spelled(value: Scalar) -> str:
    """The value in TOML: reading it gives back the same value of the same type."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # Every escape of JSON is one of TOML, which wants the delete character escaped too.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def spelled_list(values: list[Scalar]) -> str:
    """The values in TOML, separated by commas."""
    return ", ".join(spelled(value) for value in values)


def spelled_settings(settings: Mapping[str, Scalar]) -> str:
    """Settings with their values: `n_layers = 3, use_residual = true`."""
    return ", ".join(f"{name} = {spelled(value)}" for name, value in settings.items())


def spelled_condition(condition: Mapping[str, Scalar | list[Scalar]]) -> str:
    """A condition on settings: `n_layers = 1 or 2, use_residual = true`."""
    return ", ".join(
        f"{name} = {' or '.join(map(spelled, allowed)) if isinstance(allowed, list) else spelled(allowed)}"
        for name, allowed in condition.items()
    )


def shown(value: Any, most: int = 60) -> str:
    """What somebody wrote, in one line of a message and not more than `most` characters of it."""
    text = " ".join(_loosely(value).split())
    return text if len(text) <= most else f"{text[: most - 3]}..."


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """`; did you mean NAME?` for the known name that is nearest to what somebody wrote; empty where none is near."""
    near = difflib.get_close_matches(given, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _loosely(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_loosely(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_loosely(entry) for entry in value) + "]"
    return spelled(value) if isinstance(value, Scalar) else str(value)
