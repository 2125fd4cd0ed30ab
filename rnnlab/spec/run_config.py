"""A run config: everything that decides the result of one training run, frozen and identified by its hash."""

import json
from collections.abc import Mapping
from functools import cache, cached_property
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from rnnlab.errors import SpecError
from rnnlab.files import sha256_hex
from rnnlab.spec.cell_settings import AnyModel, short_name
from rnnlab.spec.regime_settings import TrainingSettings
from rnnlab.spec.setting_schema import DEFAULT_CELL, DEFAULT_REGIME, Kinds, unfit, unknown_kind
from rnnlab.spec.settings import (
    CorpusSettings,
    EvaluationSettings,
    Scalar,
    Seed,
    Settings,
    SplitSettings,
    TokenizerSettings,
)
from rnnlab.spec.toml_format import did_you_mean
from rnnlab.spec.validation_errors import first_complaint


class RunConfig(Settings):
    """One point of an experiment. Two configs are the same run exactly if their canonical JSON is equal."""

    corpus: CorpusSettings
    tokenizer: TokenizerSettings
    split: SplitSettings
    model: AnyModel
    training: Annotated[TrainingSettings, Field(discriminator="regime")]
    evaluation: EvaluationSettings
    seed: Seed

    @model_validator(mode="after")
    def _regime_fits_cell(self) -> "RunConfig":
        if complaint := unfit(self.model.cell, self.training.regime):
            raise ValueError(complaint)
        return self

    @cached_property
    def canonical_json(self) -> str:
        """Sorted keys, no spaces, every field: the same text for the same run on every machine.

        Settings that came later are left out where they have the value that was the only one before.
        """
        return _canonical(self._document())

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON, 64 hexadecimal digits."""
        return sha256_hex(self.canonical_json.encode())

    @cached_property
    def group_key(self) -> str:
        """Configs with equal keys have equal shapes and read the same text: they can be trained in one cohort."""
        shared = self._document()
        del shared["seed"]
        for table in (self.model, self.training):
            part = shared["model" if table is self.model else "training"]
            for name in table.free_in_cohort:
                del part[name]
        digest = sha256_hex(_canonical(shared).encode())[:8]
        return f"{short_name(self.model.cell)}-L{self.model.n_layers}-S{self.model.state_size}-{digest}"

    def _document(self) -> dict[str, Any]:
        document = self.model_dump(mode="json")
        for name, before in self.training.came_later.items():
            if document["training"][name] == before:
                del document["training"][name]
        return document

    @property
    def target_steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.training.target_steps

    @cached_property
    def settings(self) -> dict[str, Scalar]:
        """The settings of model and training and the seed under their own names, as a grid writes them."""
        return {**self.model.model_dump(), **self.training.model_dump(), "seed": self.seed}

    def is_beginning_of(self, other: "RunConfig") -> bool:
        """Whether a run of this config is, bit for bit, the first part of a run of `other`: it is only shorter.

        Nothing is said of runs with schedules, which end as they were planned.
        """
        name = self.training.duration_name
        if self == other or name == "schedule" or other.training.duration_name != name:
            return self == other
        wanted = getattr(other.training, name)
        return getattr(self.training, name) <= wanted and self.with_settings({name: wanted}) == other

    def with_settings(self, changes: Mapping[str, Scalar]) -> "RunConfig":
        """This config with some settings changed.

        Raises SpecError for an unknown setting or an illegal value.
        """
        document = self.model_dump()
        place_settings(document, changes)
        # Another cell or regime has other settings: those that it does not know are left behind.
        known = kinds_of(document).fields
        for table in ("model", "training"):
            document[table] = {name: value for name, value in document[table].items() if name in known}
        return parse_run_config(document)


# Made once: a large grid spends most of its time on this.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _canonical(document: Mapping[str, Any]) -> str:
    return _CANONICAL.encode(document)


def kinds_of(document: Mapping[str, Any]) -> Kinds:
    """The cell and the regime that a run document names. Raises SpecError for one that there is not."""
    cell = document.get("model", {}).get("cell", DEFAULT_CELL)
    regime = document.get("training", {}).get("regime", DEFAULT_REGIME)
    kinds = _kinds(cell, regime) if isinstance(cell, str) and isinstance(regime, str) else Kinds((cell,), (regime,))
    if complaint := unknown_kind(kinds):
        raise SpecError(complaint)
    return kinds


@cache
def _kinds(cell: str, regime: str) -> Kinds:
    """One for all runs of a kind: it keeps what settings they have."""
    return Kinds((cell,), (regime,))


def place_settings(document: dict[str, Any], settings: Mapping[str, Scalar]) -> None:
    """Write settings into the tables of a run document that they belong to.

    Raises SpecError for a name that no table of the document's cell and regime has.
    """
    # The cell and the regime come first: they decide what else there is.
    kinds = kinds_of(document)
    for name in sorted(settings, key=lambda name: name not in ("cell", "regime")):
        if name not in kinds.fields:
            raise SpecError(
                f"unknown setting {name!r}: {kinds} knows {', '.join(kinds.fields)}{did_you_mean(name, kinds.fields)}"
            )
        if name == "seed":
            document["seed"] = settings[name]
        else:
            document["training" if name in kinds.training_fields else "model"][name] = settings[name]
        if name in ("cell", "regime"):
            kinds = kinds_of(document)


def run_config_from_json(text: str) -> RunConfig:
    """A run config from its JSON, such as a job's payload. Raises SpecError if this rnnlab does not know a setting."""
    return parse_run_config(json.loads(text))


def parse_run_config(document: Mapping[str, Any]) -> RunConfig:
    """A run config from a document of its tables.

    Raises SpecError, in one line, naming the key, the value and what is allowed.
    """
    kinds = kinds_of(document)
    named = {
        **document,
        "model": {"cell": kinds.cells[0], **document.get("model", {})},
        "training": {"regime": kinds.regimes[0], **document.get("training", {})},
    }
    try:
        return RunConfig.model_validate(named)
    except ValidationError as error:
        raise SpecError(first_complaint(error, RunConfig)) from error
