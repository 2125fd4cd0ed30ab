"""Run configs: what makes two of them the same run, and which of them can share a cohort."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlab.errors import SpecError
from rnnlab.files import sha256_hex
from rnnlab.spec.grid import enumerate_configs
from rnnlab.spec.library import find_experiment
from rnnlab.spec.run_config import parse_run_config
from rnnlab.spec.setting_schema import SettingSchema
from rnnlab.spec.settings import Scalar
from tests.spec.examples import CORPUS, config, configs_of


def test_hash_of_a_dynamics_config_never_changes() -> None:
    """Another hash would orphan every table and run folder that there is: a change here needs a migration."""
    first, *_, last = enumerate_configs(find_experiment("dynamics"), CORPUS)
    assert first.canonical_json == (
        '{"corpus":{"name":"somewhere","sha256":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},'
        '"evaluation":{"windows":64},"model":{"cell":"gated","n_layers":1,"state_size":32,"use_forget_gate":false,'
        '"use_input_gate":false,"use_new_state":false,"use_old_state":true,"use_output_gate":false,'
        '"use_residual":true,"use_state_gate":false},"seed":0,"split":{"test":0.05,"train":0.9,"validation":0.05},'
        '"tokenizer":{"kind":"bytes"},"training":{"batch_size":256,"learning_rate":0.001,"optimizer":"adam",'
        '"record_every":50,"regime":"online","window_length":1000,"windows":11}}'
    )
    assert first.hash == sha256_hex(first.canonical_json.encode())
    assert first.hash == "032ae3fd611d7dd09d88cf3ed825ae6bfcc8d4ae96a2ea1cb5d4aa2c06869f5f"
    assert last.hash == "a7df3d0efb32064024f3ea3ea09bdf6d75325ac32a45ea61c021d307b2afc6ba"


TOKENIZERS = [
    ({}, '"tokenizer":{"kind":"bytes"}'),
    ({"kind": "letters"}, '"tokenizer":{"kind":"letters"}'),
    (
        {"kind": "characters", "vocabulary": "c" * 64},
        f'"tokenizer":{{"kind":"characters","padding":false,"vocabulary":"{"c" * 64}"}}',
    ),
    (
        {"kind": "bpe", "vocab_size": 512, "vocabulary": "c" * 64},
        f'"tokenizer":{{"kind":"bpe","vocab_size":512,"vocabulary":"{"c" * 64}"}}',
    ),
]


@pytest.mark.parametrize(("settings", "canonical"), TOKENIZERS)
def test_the_tokenizer_in_the_canonical_json(settings: dict[str, Scalar], canonical: str) -> None:
    run = parse_run_config({**config().model_dump(), "tokenizer": settings})
    assert canonical in run.canonical_json
    assert parse_run_config(json.loads(run.canonical_json)) == run


def test_runs_with_other_vocabularies_are_other_runs_and_share_no_cohort() -> None:
    runs = [
        parse_run_config({**config().model_dump(), "tokenizer": {"kind": "characters", "vocabulary": letter * 64}})
        for letter in "ab"
    ]
    assert runs[0].hash != runs[1].hash
    assert runs[0].group_key != runs[1].group_key
    assert [run.tokenizer.vocabulary_sha256 for run in runs] == ["a" * 64, "b" * 64]


def test_formatting_and_order_of_keys_do_not_matter(small_toml: str) -> None:
    spread = small_toml.replace("corpus =", "# a comment\n\ncorpus   =").replace("1e-3", "0.001_0")
    dotted = small_toml.replace('[model]\ncell = "gated"\nstate_size = 4\n', "").replace(
        "seed = 0", 'seed = 0x0\nmodel.state_size = 4\nmodel.cell = "gated"'
    )
    reordered = small_toml.replace("batch_size = 2\nwindow_length = 11", "window_length = 11\nbatch_size = 2")
    assert len({small_toml, spread, dotted, reordered}) == 4
    wanted = [one.hash for one in configs_of(small_toml)]
    assert [one.hash for one in configs_of(spread)] == wanted
    assert [one.hash for one in configs_of(dotted)] == wanted
    assert [one.hash for one in configs_of(reordered)] == wanted


def test_order_of_axes_changes_the_order_of_runs_only(small_toml: str) -> None:
    first, second = "n_layers = [1, 2]\n", "use_forget_gate = [false, true]\n"
    swapped = small_toml.replace(first + second, second + first)
    assert swapped != small_toml
    given, other = configs_of(small_toml), configs_of(swapped)
    assert [one.hash for one in given] != [one.hash for one in other]
    assert {one.hash for one in given} == {one.hash for one in other}


def test_default_spelled_out_is_the_same_run(small_toml: str) -> None:
    spelled = small_toml.replace("state_size = 4", "state_size = 4\nuse_residual = true\nuse_old_state = false")
    assert [one.hash for one in configs_of(spelled)] == [one.hash for one in configs_of(small_toml)]


@pytest.mark.parametrize(("one", "other"), [("1", "1.0"), ("1e-3", "0.001"), ("1e-3", "0.0010"), ("5", "0.5e1")])
def test_spelling_of_a_number_does_not_matter(small_toml: str, one: str, other: str) -> None:
    hashes = [
        [run.hash for run in configs_of(small_toml.replace("learning_rate = 1e-3", f"learning_rate = {spelling}"))]
        for spelling in (one, other)
    ]
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize(
    ("name", "value"),
    [("n_layers", 2), ("use_state_gate", True), ("learning_rate", 0.002), ("windows", 2), ("seed", 1)],
)
def test_every_setting_is_in_the_hash(name: str, value: Scalar) -> None:
    changed = config(**{name: value})
    assert changed.hash != config().hash
    assert changed.settings == {**config().settings, name: value}


def test_canonical_json_gives_the_config_back() -> None:
    original = config(learning_rate=0.1 + 0.2, seed=2**62)
    again = parse_run_config(json.loads(original.canonical_json))
    assert again == original
    assert again.hash == original.hash


@pytest.mark.parametrize(
    ("name", "value"),
    [("use_residual", False), ("learning_rate", 0.5), ("windows", 7), ("record_every", 3), ("seed", 9)],
)
def test_settings_that_change_no_shape_share_a_cohort(name: str, value: Scalar) -> None:
    assert config(**{name: value}).group_key == config().group_key


@pytest.mark.parametrize(
    ("name", "value"), [("n_layers", 2), ("state_size", 9), ("batch_size", 3), ("window_length", 9)]
)
def test_settings_that_change_a_shape_do_not(name: str, value: Scalar) -> None:
    assert config(**{name: value}).group_key != config().group_key


def test_group_key_is_of_the_text_too() -> None:
    document = config().model_dump()
    document["corpus"]["sha256"] = "f" * 64
    assert parse_run_config(document).group_key != config().group_key


@given(windows=st.integers(1, 10**6), length=st.integers(2, 10**6))
def test_a_window_gives_one_step_less_than_its_length(windows: int, length: int) -> None:
    run = config(windows=windows, window_length=length)
    assert run.target_steps == windows * (length - 1)


def test_published_number_of_steps() -> None:
    assert {run.target_steps for run in enumerate_configs(find_experiment("dynamics"), CORPUS)} == {10_989}


def test_unknown_setting_and_illegal_value() -> None:
    with pytest.raises(SpecError, match=r"^unknown setting 'layers': cell 'gated' has cell, n_layers, "):
        config(layers=3)
    with pytest.raises(SpecError, match=r"^model\.n_layers = 0: must be at least 1$"):
        config(n_layers=0)
    with pytest.raises(SpecError, match=r'^model\.cell = "elman": known cells are gated, '):
        config(cell="elman", n_layers=2)
    with pytest.raises(SpecError, match=r"^unknown key training\.momentum: known keys are regime, batch_size, "):
        parse_run_config({**config().model_dump(), "training": {**config().training.model_dump(), "momentum": 1}})


def test_setting_names_are_unique() -> None:
    """One name, one place: a setting of the model is never one of the training."""
    tables = [set(config().model.model_dump()), set(config().training.model_dump()), {"seed"}]
    assert sum(map(len, tables)) == len(SettingSchema(("gated",), ("online",)).fields) == len(set.union(*tables))
