"""A run config: everything that decides the result of one training run, frozen and identified by its hash."""

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from rnnlab.errors import SpecError
from rnnlab.files import sha256_hex
from rnnlab.spec.complaint import first_complaint
from rnnlab.spec.settings import (
    CELL_SETTINGS,
    DEFAULT_CELL,
    CorpusSettings,
    EvaluationSettings,
    GatedSettings,
    Scalar,
    Seed,
    Settings,
    SplitSettings,
    TokenizerSettings,
    TrainingSettings,
)
from rnnlab.spec.spelling import shown


class RunConfig(Settings):
    """One point of an experiment. Two configs are the same run exactly if their canonical JSON is equal."""

    corpus: CorpusSettings
    tokenizer: TokenizerSettings
    split: SplitSettings
    model: GatedSettings
    training: TrainingSettings
    evaluation: EvaluationSettings
    seed: Seed

    @cached_property
    def canonical_json(self) -> str:
        """Sorted keys, no spaces, every field: the same text for the same run on every machine."""
        return _canonical(self.model_dump(mode="json"))

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON, 64 hexadecimal digits."""
        return sha256_hex(self.canonical_json.encode())

    @cached_property
    def group_key(self) -> str:
        """Configs with equal keys have equal shapes and read the same text: they can be trained in one cohort."""
        shared = self.model_dump(mode="json", exclude={"seed"})
        for table in (self.model, self.training):
            part = shared["model" if table is self.model else "training"]
            for name in table.free_in_cohort:
                del part[name]
        digest = sha256_hex(_canonical(shared).encode())[:8]
        return f"{self.model.cell}-L{self.model.n_layers}-S{self.model.state_size}-{digest}"

    @property
    def steps_per_window(self) -> int:
        """Optimiser steps made on one window: one a prediction."""
        return self.training.window_length - 1

    @property
    def target_steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.training.windows * self.steps_per_window

    @cached_property
    def settings(self) -> dict[str, Scalar]:
        """The settings of model and training and the seed under their own names, as a grid writes them."""
        return {**self.model.model_dump(), **self.training.model_dump(), "seed": self.seed}

    def is_beginning_of(self, other: "RunConfig") -> bool:
        """Whether a run of this config is, bit for bit, the first part of a run of `other`: it has fewer windows."""
        fewer = self.training.windows <= other.training.windows
        return fewer and self.with_settings({"windows": other.training.windows}) == other

    def with_settings(self, changes: Mapping[str, Scalar]) -> "RunConfig":
        """This config with some settings changed.

        Raises SpecError for an unknown setting or an illegal value.
        """
        document = self.model_dump()
        for name, value in changes.items():
            place_setting(document, name, value)
        return parse_run_config(document)


# Made once: a large grid spends most of its time on this.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _canonical(document: Mapping[str, Any]) -> str:
    return _CANONICAL.encode(document)


def setting_fields(cell: str) -> dict[str, FieldInfo]:
    """The settings that a grid, a rule or a round may name, for models of this cell, with what they may be."""
    return {
        **CELL_SETTINGS[cell].model_fields,
        **TrainingSettings.model_fields,
        "seed": RunConfig.model_fields["seed"],
    }


def cell_of(document: Mapping[str, Any]) -> str:
    """The cell that a run document names. Raises SpecError for one that there is not."""
    cell = document.get("model", {}).get("cell", DEFAULT_CELL)
    if cell not in CELL_SETTINGS:
        raise SpecError(unknown_cell(cell))
    return str(cell)


def unknown_cell(cell: Scalar) -> str:
    """The message."""
    return f"model.cell = {shown(cell)}: known cells are {', '.join(CELL_SETTINGS)}"


def place_setting(document: dict[str, Any], name: str, value: Scalar) -> None:
    """Write one setting into the table of a run document that it belongs to.

    Raises SpecError for a name that no table has.
    """
    cell = cell_of(document)
    if name == "seed":
        document["seed"] = value
    elif name in TrainingSettings.model_fields:
        document["training"][name] = value
    elif name in CELL_SETTINGS[cell].model_fields:
        document["model"][name] = value
    else:
        raise SpecError(f"unknown setting {name!r}: cell {cell!r} knows {', '.join(setting_fields(cell))}")


def run_config_from_json(text: str) -> RunConfig:
    """A run config from its JSON, such as a job's payload. Raises SpecError if this rnnlab does not know a setting."""
    return parse_run_config(json.loads(text))


def parse_run_config(document: Mapping[str, Any]) -> RunConfig:
    """A run config from a document of its tables.

    Raises SpecError, in one line, naming the key, the value and what is allowed.
    """
    cell_of(document)
    try:
        return RunConfig.model_validate(document)
    except ValidationError as error:
        raise SpecError(first_complaint(error, RunConfig)) from error
