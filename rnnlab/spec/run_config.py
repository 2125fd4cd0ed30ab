"""A run config: everything that determines the result of one training run, frozen and identified by its hash."""

import json
from collections.abc import Mapping
from functools import cache, cached_property
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from rnnlab.errors import SpecError
from rnnlab.files import sha256_hex
from rnnlab.spec.cell_settings import AnyModel, short_name
from rnnlab.spec.regime_settings import TrainingSettings
from rnnlab.spec.setting_schema import (
    DEFAULT_CELL,
    DEFAULT_REGIME,
    SettingSchema,
    regime_mismatch,
    unknown_cell_or_regime,
)
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
from rnnlab.spec.validation_errors import validation_message


class RunConfig(Settings):
    """One point of an experiment. Two configs describe the same run if and only if their canonical JSON is equal."""

    corpus: CorpusSettings
    tokenizer: TokenizerSettings
    split: SplitSettings
    model: AnyModel
    training: Annotated[TrainingSettings, Field(discriminator="regime")]
    evaluation: EvaluationSettings
    seed: Seed

    @model_validator(mode="after")
    def _regime_fits_cell(self) -> "RunConfig":
        if message := regime_mismatch(self.model.cell, self.training.regime):
            raise ValueError(message)
        return self

    @cached_property
    def canonical_json(self) -> str:
        """JSON of all fields with sorted keys and no spaces: the same text for the same run on every machine.

        Settings of `omitted_from_hash` are left out where they have the value given there.
        """
        return _canonical(self._document())

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON, 64 hexadecimal digits."""
        return sha256_hex(self.canonical_json.encode())

    @cached_property
    def group_key(self) -> str:
        """Configs with equal keys have equal shapes and read the same text, so they can be trained in one cohort."""
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
        for name, before in self.training.omitted_from_hash.items():
            if document["training"][name] == before:
                del document["training"][name]
        return document

    @property
    def target_steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.training.target_steps

    @cached_property
    def settings(self) -> dict[str, Scalar]:
        """The settings of model and training, and the seed, under the names used in a grid."""
        return {**self.model.model_dump(), **self.training.model_dump(), "seed": self.seed}

    def is_beginning_of(self, other: "RunConfig") -> bool:
        """Whether a run of this config is, bit for bit, the first part of a run of `other`, which is only longer.

        Runs with a schedule cannot be prolonged: they are a beginning only of themselves.
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
        # Drop settings that a changed cell or regime does not have.
        known = schema_of(document).fields
        for table in ("model", "training"):
            document[table] = {name: value for name, value in document[table].items() if name in known}
        return parse_run_config(document)


# Created once: a large grid spends most of its time on encoding.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _canonical(document: Mapping[str, Any]) -> str:
    return _CANONICAL.encode(document)


def schema_of(document: Mapping[str, Any]) -> SettingSchema:
    """The schema for the cell and regime of a run document. Raises SpecError if one of them is unknown."""
    cell = document.get("model", {}).get("cell", DEFAULT_CELL)
    regime = document.get("training", {}).get("regime", DEFAULT_REGIME)
    hashable = isinstance(cell, str) and isinstance(regime, str)
    schema = _cached_schema(cell, regime) if hashable else SettingSchema((cell,), (regime,))
    if message := unknown_cell_or_regime(schema):
        raise SpecError(message)
    return schema


@cache
def _cached_schema(cell: str, regime: str) -> SettingSchema:
    """One object for all runs of a cell and regime: it caches their settings."""
    return SettingSchema((cell,), (regime,))


def place_settings(document: dict[str, Any], settings: Mapping[str, Scalar]) -> None:
    """Write settings into the tables of a run document to which they belong.

    Raises SpecError for a name that the document's cell and regime do not have.
    """
    # The cell and the regime come first: they determine which other settings exist.
    schema = schema_of(document)
    for name in sorted(settings, key=lambda name: name not in ("cell", "regime")):
        if name not in schema.fields:
            raise SpecError(
                f"unknown setting {name!r}: {schema} has {', '.join(schema.fields)}{did_you_mean(name, schema.fields)}"
            )
        if name == "seed":
            document["seed"] = settings[name]
        else:
            document["training" if name in schema.training_fields else "model"][name] = settings[name]
        if name in ("cell", "regime"):
            schema = schema_of(document)


def run_config_from_json(text: str) -> RunConfig:
    """A run config from its JSON, such as a job's payload. Raises SpecError for a setting unknown to this version."""
    return parse_run_config(json.loads(text))


def parse_run_config(document: Mapping[str, Any]) -> RunConfig:
    """A run config from a document of its tables.

    Raises SpecError, in one line, with the key, its value and the allowed values.
    """
    schema = schema_of(document)
    named = {
        **document,
        "model": {"cell": schema.cells[0], **document.get("model", {})},
        "training": {"regime": schema.regimes[0], **document.get("training", {})},
    }
    try:
        return RunConfig.model_validate(named)
    except ValidationError as error:
        raise SpecError(validation_message(error, RunConfig)) from error
