"""Whether the settings that an experiment file names exist, and may have the values that it gives them.

A wrong value in the rule of the last round is found when the file is read, not days later.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from rnnlab.spec.complaint import first_complaint
from rnnlab.spec.run_config import setting_fields
from rnnlab.spec.settings import Scalar, Settings
from rnnlab.spec.spelling import shown


@dataclass(frozen=True)
class Use:
    """One place of the file that gives values to a setting."""

    where: str  # as the user would look for it: grid.n_layers
    name: str  # of the setting
    values: list[Scalar]


def check_uses(cell: str, uses: Iterable[Use]) -> None:
    """Raises ValueError, in one line, at the first setting that `cell` does not know and the first illegal value."""
    known = setting_fields(cell)
    for use in uses:
        if use.name not in known:
            raise ValueError(f"{use.where}: unknown setting {use.name!r}: cell {cell!r} knows {', '.join(known)}")
        if not use.values:
            raise ValueError(f"{use.where} is empty: give at least one value")
        for _ in legal_values(cell, use):
            pass


def legal_values(cell: str, use: Use) -> Iterator[Any]:
    """The values as a run config has them: 1 becomes 1.0 where the setting is a number with a fraction.

    Raises ValueError for an illegal one.
    """
    for value in use.values:
        try:
            yield _adapter(cell, use.name).validate_python(value)
        except ValidationError as error:
            raise ValueError(f"{use.where} = {shown(value)}: {first_complaint(error)}") from error


@cache
def _adapter(cell: str, name: str) -> TypeAdapter[Any]:
    field = setting_fields(cell)[name]
    kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    config = Settings.model_config
    return TypeAdapter(kind, config={"strict": config["strict"], "allow_inf_nan": config["allow_inf_nan"]})
