"""`rnnlab best` prints an experiment file that is that very run."""

import tomllib

from hypothesis import example, given
from hypothesis import strategies as st

from rnnlab.spec.experiment_toml import experiment_toml
from rnnlab.spec.grid import enumerate_configs
from rnnlab.spec.run_config import RunConfig, parse_run_config
from rnnlab.spec.toml_format import abbreviated, to_toml
from tests.spec.examples import parse

_texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
_switches = st.booleans()

TOKENIZERS = [
    {"kind": "bytes"},
    {"kind": "letters"},
    {"kind": "characters", "padding": True, "vocabulary": "a" * 64},
    {"kind": "bpe", "vocab_size": 512, "vocabulary": "b" * 64},
]


@st.composite
def _run_configs(draw: st.DrawFn) -> RunConfig:
    train = draw(st.floats(0.01, 0.97))
    validation = draw(st.floats(0.01, 0.98 - train))
    switches = ["input_gate", "forget_gate", "output_gate", "state_gate", "new_state", "old_state"]
    return parse_run_config(
        {
            "corpus": {"name": draw(_texts), "sha256": draw(st.text("0123456789abcdef", min_size=64, max_size=64))},
            "tokenizer": draw(st.sampled_from(TOKENIZERS)),
            "split": {"train": train, "validation": validation, "test": 1 - train - validation},
            "model": {
                "cell": "gated",
                "n_layers": draw(st.integers(1, 64)),
                "state_size": draw(st.integers(1, 16_384)),
                **{f"use_{name}": draw(_switches) for name in switches},
                "use_residual": True,
            },
            "training": {
                "regime": "online",
                "batch_size": draw(st.integers(1, 1_048_576)),
                "window_length": draw(st.integers(2, 100_000_000)),
                "windows": draw(st.integers(1, 10**9)),
                "optimizer": "adam",
                "learning_rate": draw(st.floats(0, 10, exclude_min=True)),
                "record_every": draw(st.integers(1, 10**9)),
            },
            "evaluation": {"windows": draw(st.integers(1, 10**9))},
            "seed": draw(st.integers(0, 2**63 - 1)),
        }
    )


@given(_run_configs(), _texts)
def test_an_exported_run_is_the_same_run(original: RunConfig, title: str) -> None:
    experiment = parse(experiment_toml(original, "again", title))
    (again,) = enumerate_configs(experiment, original.corpus)
    assert again.hash == original.hash
    assert experiment.title == title
    assert (experiment.corpus.name, experiment.corpus.sha256) == (original.corpus.name, original.corpus.sha256)


@given(st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.booleans(), st.integers(), st.floats()))
@example('"\\\x00\x1f\x7f\n')
def test_toml_reads_back_what_was_spelled(value: str | bool | int | float) -> None:
    again = tomllib.loads(f"value = {to_toml(value)}")["value"]
    assert type(again) is type(value)
    assert again == value or (again != again and value != value)


def test_shown_is_short_and_one_line() -> None:
    assert abbreviated({"a": [True, 1.0, "x"], "b": {}}) == '{a = [true, 1.0, "x"], b = {}}'
    assert abbreviated("two\nlines") == '"two\\nlines"'
    assert len(abbreviated("x" * 1000)) == 60
