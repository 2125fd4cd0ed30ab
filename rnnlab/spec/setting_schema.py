"""The settings that exist for given cells and regimes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from pydantic.fields import FieldInfo

from rnnlab.spec.cell_settings import CELL_SETTINGS, is_own, settings_table, short_name
from rnnlab.spec.regime_settings import REGIME_SETTINGS
from rnnlab.spec.settings import Scalar, Seed
from rnnlab.spec.toml_format import abbreviated

DEFAULT_CELL = "gated"
DEFAULT_REGIME = "online"


@dataclass(frozen=True)
class SettingSchema:
    """The cells and regimes of one run, or of all runs of an experiment, which determine the existing settings."""

    cells: tuple[Scalar, ...]
    regimes: tuple[Scalar, ...]

    def __str__(self) -> str:
        return f"cell{'s' if len(self.cells) > 1 else ''} {', '.join(repr(short_name(cell)) for cell in self.cells)}"

    @cached_property
    def model_fields(self) -> dict[str, FieldInfo]:
        """The settings of any of the cells, with their allowed values."""
        tables = [table.model_fields for cell in self.cells if (table := settings_table(cell)) is not None]
        return _merged(tables, "cell", [*CELL_SETTINGS, *(str(cell) for cell in self.cells if is_own(cell))])

    @cached_property
    def training_fields(self) -> dict[str, FieldInfo]:
        """The settings of any of the regimes, with their allowed values."""
        return _merged(
            [REGIME_SETTINGS[str(one)].model_fields for one in self.regimes], "regime", list(REGIME_SETTINGS)
        )

    @cached_property
    def fields(self) -> dict[str, FieldInfo]:
        """All settings that a grid, a rule or a round may contain."""
        seed = FieldInfo.from_annotation(Seed)
        return {**self.model_fields, **self.training_fields, "seed": seed}


def unknown_cell_or_regime(schema: SettingSchema) -> str | None:
    """An error message for the first unknown cell or regime; None if all are known."""
    for cell in schema.cells:
        if settings_table(cell) is None:
            return (
                f"model.cell = {abbreviated(cell)}: known cells are {', '.join(CELL_SETTINGS)}; an experiment file can "
                'also name a class of your own as "FILE.py:CLASS"'
            )
    for regime in schema.regimes:
        if regime not in REGIME_SETTINGS:
            return f"training.regime = {abbreviated(regime)}: known regimes are {', '.join(REGIME_SETTINGS)}"
    return None


def regime_mismatch(cell: Scalar, regime: Scalar) -> str | None:
    """An error message if the cell cannot be trained in the regime; otherwise None.

    The gated layer detaches its state at every symbol; the other cells do not support steps without autograd yet.
    """
    required = _required_regime(cell)
    return (
        None if regime == required else f'cell "{short_name(cell)}" needs regime = "{required}": set it in [training]'
    )


def no_common_regime(cells: Sequence[Scalar]) -> str | None:
    """An error message if no single regime can train all of the cells; otherwise None."""
    one = cells[0]
    other = next((cell for cell in cells if _required_regime(cell) != _required_regime(one)), None)
    if other is None:
        return None
    return (
        f'cell "{short_name(one)}" needs regime = "{_required_regime(one)}", cell "{short_name(other)}" needs '
        f'"{_required_regime(other)}": define two experiments: one job table holds both, and `rnnlab compare` compares '
        "them"
    )


def _required_regime(cell: Scalar) -> str:
    return "online" if cell == "gated" else "bptt"


def _merged(tables: list[dict[str, FieldInfo]], kind: str, known: list[str]) -> dict[str, FieldInfo]:
    merged = {name: field for table in tables for name, field in table.items()}
    if len(tables) > 1:  # an axis of the grid: each single table allows only its own name
        names: Any = Literal[tuple(known)]
        merged[kind] = FieldInfo.from_annotation(names)
    return merged
