"""Whether the settings that an experiment file names exist, and may have the values that it gives them.

A wrong value in the rule of the last round is found when the file is read, not days later.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from rnnlab.spec.setting_schema import Kinds
from rnnlab.spec.settings import Scalar, Settings
from rnnlab.spec.toml_format import did_you_mean, shown
from rnnlab.spec.validation_errors import first_complaint


@dataclass(frozen=True)
class Use:
    """One place of the file that gives values to a setting."""

    where: str  # as the user would look for it: grid.n_layers
    name: str  # of the setting
    values: list[Scalar]


def check_uses(kinds: Kinds, uses: Iterable[Use]) -> None:
    """Raises ValueError, in one line, at the first setting that `kinds` do not know and the first illegal value."""
    for use in uses:
        if use.name not in kinds.fields:
            raise ValueError(
                f"{use.where}: unknown setting {use.name!r}: {kinds} knows {', '.join(kinds.fields)}"
                f"{did_you_mean(use.name, kinds.fields)}"
            )
        if not use.values:
            raise ValueError(f"{use.where} is empty: give at least one value")
        for _ in legal_values(kinds, use):
            pass


def legal_values(kinds: Kinds, use: Use) -> Iterator[Any]:
    """The values as a run config has them: 1 becomes 1.0 where the setting is a number with a fraction.

    Raises ValueError for an illegal one.
    """
    adapter = _adapter(kinds.fields[use.name])
    for value in use.values:
        try:
            yield adapter.validate_python(value)
        except ValidationError as error:
            raise ValueError(f"{use.where} = {shown(value)}: {first_complaint(error)}") from error


def _adapter(field: FieldInfo) -> TypeAdapter[Any]:
    kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    config = Settings.model_config
    return TypeAdapter(kind, config={"strict": config["strict"], "allow_inf_nan": config["allow_inf_nan"]})
