"""The cells and regimes that there are, and the settings that they have."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from pydantic.fields import FieldInfo

from rnnlab.spec.cell_settings import CELL_SETTINGS, is_own, settings_table, short_name
from rnnlab.spec.regime_settings import REGIME_SETTINGS
from rnnlab.spec.settings import Scalar, Seed
from rnnlab.spec.toml_format import shown

DEFAULT_CELL = "gated"
DEFAULT_REGIME = "online"


@dataclass(frozen=True)
class Kinds:
    """The cells and the regimes of one run, or of all runs of an experiment; they decide which settings there are."""

    cells: tuple[Scalar, ...]
    regimes: tuple[Scalar, ...]

    def __str__(self) -> str:
        return f"cell{'s' if len(self.cells) > 1 else ''} {', '.join(repr(short_name(cell)) for cell in self.cells)}"

    @cached_property
    def model_fields(self) -> dict[str, FieldInfo]:
        """The settings of any of the cells, with what they may be."""
        tables = [table.model_fields for cell in self.cells if (table := settings_table(cell)) is not None]
        return _merged(tables, "cell", [*CELL_SETTINGS, *(str(cell) for cell in self.cells if is_own(cell))])

    @cached_property
    def training_fields(self) -> dict[str, FieldInfo]:
        """The settings of any of the regimes, with what they may be."""
        return _merged(
            [REGIME_SETTINGS[str(one)].model_fields for one in self.regimes], "regime", list(REGIME_SETTINGS)
        )

    @cached_property
    def fields(self) -> dict[str, FieldInfo]:
        """The settings that a grid, a rule or a round may name."""
        seed = FieldInfo.from_annotation(Seed)
        return {**self.model_fields, **self.training_fields, "seed": seed}


def unknown_kind(kinds: Kinds) -> str | None:
    """What is wrong with the first cell or regime that there is not; None where all are known."""
    for cell in kinds.cells:
        if settings_table(cell) is None:
            return (
                f"model.cell = {shown(cell)}: known cells are {', '.join(CELL_SETTINGS)}, and in an experiment file "
                'a class of your own: "FILE.py:CLASS"'
            )
    for regime in kinds.regimes:
        if regime not in REGIME_SETTINGS:
            return f"training.regime = {shown(regime)}: known regimes are {', '.join(REGIME_SETTINGS)}"
    return None


def unfit(cell: Scalar, regime: Scalar) -> str | None:
    """What is wrong with training a cell in a regime, None where it can be done.

    The gated layer detaches its state at every symbol; the other cells have no step without autograd yet.
    """
    wanted = _regime_of(cell)
    return (
        None
        if regime == wanted
        else f'cell "{short_name(cell)}" is trained with regime = "{wanted}": give that in [training]'
    )


def two_regimes(cells: Sequence[Scalar]) -> str | None:
    """What is wrong with cells that no single regime trains; None where one does."""
    one = cells[0]
    other = next((cell for cell in cells if _regime_of(cell) != _regime_of(one)), None)
    if other is None:
        return None
    return (
        f'cell "{short_name(one)}" is trained with regime = "{_regime_of(one)}", cell "{short_name(other)}" with '
        f'"{_regime_of(other)}": make two experiments of them: one job table takes both, and `rnnlab compare` sets '
        "them side by side"
    )


def _regime_of(cell: Scalar) -> str:
    return "online" if cell == "gated" else "bptt"


def _merged(tables: list[dict[str, FieldInfo]], kind: str, known: list[str]) -> dict[str, FieldInfo]:
    merged = {name: field for table in tables for name, field in table.items()}
    if len(tables) > 1:  # an axis of the grid: each table alone knows itself only
        names: Any = Literal[tuple(known)]
        merged[kind] = FieldInfo.from_annotation(names)
    return merged
