"""Checks that a changed experiment file keeps the settings that make its runs comparable."""

from collections.abc import Mapping, Sequence
from typing import Any

from rnnlab.errors import SpecError
from rnnlab.spec.experiment_tables import RoundRule
from rnnlab.spec.toml_format import abbreviated


def check_values(
    where: str, before: Mapping[str, Sequence[Any]], after: Mapping[str, Sequence[Any]], advice: str
) -> None:
    """Compare the values of settings before and after a change.

    A fixed value may become an axis, and an axis a fixed value, as long as they have a value in common. Raises
    SpecError at the first setting that violates this. `where` begins the message, `advice` ends it.
    """
    for key, was in before.items():
        now = after.get(key, [])
        if (len(was) == 1 or len(now) == 1) and not any(value in now for value in was):
            raise SpecError(f"{where} was started with {key} = {_either(was)}, now it has {_either(now)}: {advice}")


def check_round(old: RoundRule, new: RoundRule) -> None:
    """Raises SpecError if a later round that has jobs would get new jobs that are not comparable with them."""
    settings = sorted(_changed_by(old) | _changed_by(new))
    was, now = ({key: _values(rule, key) for key in settings} for rule in (old, new))
    advice = f"rename the round, use another database (--db), or restore the settings of {old.name}"
    check_values(f"round {old.name}", was, now, advice)


def _changed_by(rule: RoundRule) -> set[str]:
    return {*rule.set, *(key for variant in rule.vary for key in variant.set)}


def _values(rule: RoundRule, key: str) -> list[Any]:
    """The values that a round gives to a setting; None: the value of the selected run."""
    return list(dict.fromkeys({**rule.set, **variant.set}.get(key) for variant in rule.vary))


def _either(values: Sequence[Any]) -> str:
    named = ("the value of the selected run" if value is None else abbreviated(value) for value in values)
    return " or ".join(named) or "no such setting"
