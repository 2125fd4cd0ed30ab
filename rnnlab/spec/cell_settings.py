"""The settings of each cell. The equations are documented with the cells, in rnnlab/models."""

import re
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from rnnlab.spec.settings import Settings

Layers = Annotated[int, Field(ge=1, le=64)]
Width = Annotated[int, Field(ge=1, le=16_384)]


class GatedSettings(Settings):
    """The gated layer of the dynamics experiment (equations in rnnlab/models/gated/gated_cohort.py)."""

    free_in_cohort: ClassVar[frozenset[str]] = frozenset(
        {
            "use_input_gate",
            "use_forget_gate",
            "use_output_gate",
            "use_state_gate",
            "use_new_state",
            "use_old_state",
            "use_residual",
        }
    )

    cell: Literal["gated"] = "gated"
    n_layers: Layers
    """Layers L."""
    state_size: Width
    """Hidden units of each layer S."""
    use_input_gate: bool = False
    """Multiply x and h each by a gate of [x, h], before anything else."""
    use_forget_gate: bool = False
    """Multiply the new state by a gate of [x, h, new state]."""
    use_output_gate: bool = False
    """Multiply the output by a gate; otherwise by its own logistic function (swish)."""
    use_state_gate: bool = False
    """Mix the old and the new state by a gate of [x, h, new state]."""
    use_new_state: bool = True
    """Connect the new state to the layer's output. At least one of the three connections is required."""
    use_old_state: bool = False
    """Connect the old state to the layer's output."""
    use_residual: bool = True
    """Connect the layer's input to its output."""

    @model_validator(mode="after")
    def _has_an_output(self) -> "GatedSettings":
        if not (self.use_new_state or self.use_old_state or self.use_residual):
            raise ValueError("one of use_new_state, use_old_state, use_residual must be true: the layer has no output")
        return self


# At least two: in a cohort of one model, a product with a single column takes another code path with other bits.
StackWidth = Annotated[int, Field(ge=2, le=16_384)]


def _check_not_single_column(size: int) -> int:
    if size == 1:
        raise ValueError("1 is too small: give 0 for one-hot input, or at least 2")
    return size


EmbeddingWidth = Annotated[int, Field(ge=0, le=16_384), AfterValidator(_check_not_single_column)]


class StackSettings(Settings):
    """Settings that all other cells share (equations in rnnlab/models/cells.py, stacking in recurrent.py)."""

    free_in_cohort: ClassVar[frozenset[str]] = frozenset({"weight_init", "recurrent_init"})

    n_layers: Layers = 1
    """Layers L."""
    state_size: StackWidth
    """Hidden units of each layer S."""
    embedding_size: EmbeddingWidth = 0
    """Width of the embedding, at least 2. 0: no embedding, the input is the one-hot symbol."""
    skip: Literal["none", "add", "concat"] = "none"
    """Output of the layers after the first: the layer's output alone, input + output, or [output, input]."""
    start_state: Literal["zero", "learned"] = "zero"
    """Initial state. `learned`: a parameter, initialized to zero."""
    weight_init: Literal["torch", "normal"] = "torch"
    """Initialization. `torch`: the defaults of torch.nn; `normal`: N(0, 0.01), biases zero."""
    recurrent_init: Literal["default", "identity", "orthogonal"] = "default"
    """Initialization of the state-to-state weights. `default`: as `weight_init`."""


class PlainSettings(StackSettings):
    """Cells without settings of their own."""

    cell: Literal["gru-reset-only", "loop-add", "loop-concat"]


class LinearSettings(StackSettings):
    """Cells with either one linear map of [x, h], or two linear maps, of x and of h, as in torch.nn."""

    cell: Literal["rnn", "lstm"]
    linear: Literal["joint", "split"] = "split"
    """`split`: two maps with two biases, as in torch.nn; `joint`: one map of [x, h] with one bias."""


class UpdateGateSettings(StackSettings):
    """Cells with an update gate z: the share of the old state that is kept, or the share that is replaced."""

    cell: Literal["gru-reset-before", "gru-reset-after", "gru-update-only"]
    update_gate: Literal["keeps", "replaces"] = "keeps"
    """`keeps`: h' = z h + (1 - z) c; `replaces`: h' = (1 - z) h + z c."""


OWN_CELL = r"^[A-Za-z_][A-Za-z0-9_]*@[0-9a-f]{64}$"


class OwnSettings(StackSettings):
    """A user's own cell: its class, and the SHA-256 of its file (docs/own-cell.md)."""

    cell: Annotated[str, Field(pattern=OWN_CELL)]
    """In an experiment file: "FILE.py:CLASS"."""


RecurrentSettings = LinearSettings | UpdateGateSettings | PlainSettings | OwnSettings
ModelSettings = GatedSettings | RecurrentSettings


def _cell_names(table: type[Settings]) -> tuple[Any, ...]:
    return get_args(table.model_fields["cell"].annotation)


# Value of `cell` -> table of settings. Own cells are not listed: they have no fixed names.
CELL_SETTINGS: dict[str, type[ModelSettings]] = {
    name: table for table in get_args(ModelSettings) for name in _cell_names(table)
}


def is_own(cell: object) -> bool:
    """Whether `cell` is the name of a user's own cell, CLASS@HASH."""
    return isinstance(cell, str) and re.match(OWN_CELL, cell) is not None


def short_name(cell: object) -> str:
    """The name of the cell as messages show it: the hash of an own cell is shortened to 12 digits."""
    text = str(cell)
    return text[: text.index("@") + 13] if is_own(cell) else text


def settings_table(cell: object) -> type[ModelSettings] | None:
    """The table of settings of a cell; None for an unknown cell."""
    return OwnSettings if is_own(cell) else CELL_SETTINGS.get(str(cell))


def _cell_tag(value: Any) -> str:
    cell = value.get("cell") if isinstance(value, dict) else getattr(value, "cell", None)
    return "own cell" if is_own(cell) else "built-in cell"


# The model of a run config; `cell` selects the table.
AnyModel = Annotated[
    Annotated[
        Annotated[
            GatedSettings | LinearSettings | UpdateGateSettings | PlainSettings,
            Field(discriminator="cell"),
        ],
        Tag("built-in cell"),
    ]
    | Annotated[OwnSettings, Tag("own cell")],
    Discriminator(_cell_tag),
]
