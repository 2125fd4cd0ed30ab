"""Checks that the settings named in an experiment file exist and that their values are allowed.

An invalid value in the rule of the last round is found when the file is read, not days later.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from rnnlab.spec.setting_schema import SettingSchema
from rnnlab.spec.settings import Scalar, Settings
from rnnlab.spec.toml_format import abbreviated, did_you_mean
from rnnlab.spec.validation_errors import validation_message


@dataclass(frozen=True)
class SettingUse:
    """One place of the file that gives values to a setting."""

    where: str  # the place as messages show it: grid.n_layers
    name: str  # the name of the setting
    values: list[Scalar]


def check_setting_uses(schema: SettingSchema, uses: Iterable[SettingUse]) -> None:
    """Check names and values. Raises ValueError, in one line, at the first unknown setting or illegal value."""
    for use in uses:
        if use.name not in schema.fields:
            raise ValueError(
                f"{use.where}: unknown setting {use.name!r}: {schema} has {', '.join(schema.fields)}"
                f"{did_you_mean(use.name, schema.fields)}"
            )
        if not use.values:
            raise ValueError(f"{use.where} is empty: give at least one value")
        for _ in allowed_values(schema, use):
            pass


def allowed_values(schema: SettingSchema, use: SettingUse) -> Iterator[Any]:
    """The validated values, as a run config stores them: 1 becomes 1.0 for a floating-point setting.

    Raises ValueError at the first illegal value.
    """
    adapter = _adapter(schema.fields[use.name])
    for value in use.values:
        try:
            yield adapter.validate_python(value)
        except ValidationError as error:
            raise ValueError(f"{use.where} = {abbreviated(value)}: {validation_message(error)}") from error


def _adapter(field: FieldInfo) -> TypeAdapter[Any]:
    kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    config = Settings.model_config
    return TypeAdapter(kind, config={"strict": config["strict"], "allow_inf_nan": config["allow_inf_nan"]})
