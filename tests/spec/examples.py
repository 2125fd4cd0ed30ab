"""Experiments and run configs for the tests of the spec."""

import tomllib

from rnnlab.spec.experiment import Experiment, parse_experiment
from rnnlab.spec.grid import enumerate_configs
from rnnlab.spec.run_config import RunConfig, parse_run_config
from rnnlab.spec.settings import CorpusSettings, Scalar

CORPUS = CorpusSettings(name="somewhere", sha256="0123456789abcdef" * 4)


def parse(text: str) -> Experiment:
    """The experiment of a TOML text, as if read from x.toml."""
    return parse_experiment(tomllib.loads(text), "x.toml")


def configs_of(text: str) -> list[RunConfig]:
    return enumerate_configs(parse(text), CORPUS)


def config(**settings: Scalar) -> RunConfig:
    """A run config with these settings, small ones elsewhere."""
    small = parse_run_config(
        {
            "corpus": CORPUS.model_dump(),
            "tokenizer": {},
            "split": {},
            "evaluation": {},
            "model": {"n_layers": 1, "state_size": 8},
            "training": {"batch_size": 2, "window_length": 11, "windows": 1, "learning_rate": 0.001},
            "seed": 0,
        }
    )
    return small.with_settings(settings)
