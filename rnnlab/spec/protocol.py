"""What runs that are compared have in common, and that it stays when an experiment file is changed."""

from collections.abc import Mapping, Sequence
from typing import Any

from rnnlab.errors import SpecError
from rnnlab.spec.experiment import NextRound
from rnnlab.spec.toml_format import shown


def check_values(
    where: str, before: Mapping[str, Sequence[Any]], after: Mapping[str, Sequence[Any]], advice: str
) -> None:
    """Compare the values that settings take with those that they took.

    A fixed value may become an axis, and an axis a fixed value, as long as they have a value in common. Raises
    SpecError at the first setting for which that is not so; `where` and `advice` begin and end the line.
    """
    for key, was in before.items():
        now = after.get(key, [])
        if (len(was) == 1 or len(now) == 1) and not any(value in now for value in was):
            raise SpecError(f"{where} was started with {key} = {_either(was)}, now it has {_either(now)}: {advice}")


def check_round(old: NextRound, new: NextRound) -> None:
    """Raises SpecError if a later round that has jobs would get others that cannot be compared with them."""
    settings = sorted(_changed_by(old) | _changed_by(new))
    was, now = ({key: _values(rule, key) for key in settings} for rule in (old, new))
    advice = f"give the round another name, or use another database (--db), or go back to what {old.name} had"
    check_values(f"round {old.name}", was, now, advice)


def _changed_by(rule: NextRound) -> set[str]:
    return {*rule.set, *(key for variant in rule.vary for key in variant.set)}


def _values(rule: NextRound, key: str) -> list[Any]:
    """The values that a round gives to a setting; None where it leaves it as the selected run has it."""
    return list(dict.fromkeys({**rule.set, **variant.set}.get(key) for variant in rule.vary))


def _either(values: Sequence[Any]) -> str:
    named = ("that of the selected run" if value is None else shown(value) for value in values)
    return " or ".join(named) or "no such setting"
