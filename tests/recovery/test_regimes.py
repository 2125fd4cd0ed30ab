"""Experiments of the BPTT regime from file to result: init, a stopped worker, a worker that resumes, extend."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from rnnlab.actions.extend import EXTENDED_ROUND, extend
from rnnlab.cost.estimate import estimate
from rnnlab.data.tokenizer import ByteTokenizer
from rnnlab.errors import CorpusError, UsageError
from rnnlab.plans.plan import config_of, make_plan
from rnnlab.queue.job import Status
from rnnlab.spec.library import load_experiment
from rnnlab.training import checkpoint
from rnnlab.training.language_model import LanguageModel
from tests.recovery.harness import EXPERIMENT, Site

_HEAD = """\
name = "recovery"
corpus = "generated"
evaluation = { windows = 20 }
"""
# A small version of each study's protocol.
_FILES: dict[str, str] = {
    "shakespeare": """
split = { train = 0.9, validation = 0.1, test = 0.0 }
[model]
embedding_size = 8
state_size = 12
start_state = "learned"
[training]
regime = "bptt"
batch_size = 8
block_size = 6
sampling = "random"
iterations = 40
optimizer = "adamw"
record_every = 10
[grid]
cell = ["rnn", "gru-reset-before"]
learning_rate = [1e-2, 1e-3]
""",
    "residual": """
[model]
cell = "gru-reset-after"
n_layers = 3
embedding_size = 6
[training]
regime = "bptt"
batch_size = 8
block_size = 6
sampling = "contiguous"
carry_state = true
epoch_windows = 80
epochs = 3
learning_rate = 2e-3
record_every = 10
[grid]
state_size = [8]
skip = ["none", "add"]
clip_norm = [0.0, 1.0]
""",
    "gates": """
[model]
state_size = 8
weight_init = "normal"
[training]
regime = "bptt"
batch_size = 32
block_size = 6
sampling = "stride-1"
epoch_windows = 200
held_out_next = 100
epochs = 5
optimizer = "sgd"
clip_norm = 1.0
record_every = 10
[grid]
cell = ["lstm", "gru-reset-only"]
learning_rate = [0.5, 1.0]
""",
    "unrolled": """
[model]
embedding_size = 6
state_size = 8
[training]
regime = "bptt"
batch_size = 16
block_size = 3
sampling = "stride-1"
epoch_windows = 250
held_out_share = 0.2
loss_at = "last"
record_every = 10
[grid]
cell = ["loop-add", "loop-concat"]
schedule = ["1@1e-2,1@1e-3", "2@1e-3,1@1e-4"]
""",
}


def _experiment(folder: Path, study: str) -> Path:
    path = folder / f"{study}.toml"
    path.write_text(_HEAD + _FILES[study])
    return path


@pytest.mark.parametrize("study", _FILES)
def test_a_study_from_its_file_to_its_results_with_a_stop_in_between(
    new_site: Callable[..., Site], tmp_path: Path, study: str
) -> None:
    text = _HEAD + _FILES[study]
    whole, cut = new_site().init(text), new_site().init(text)
    whole.train()
    cut.train(blocks=1, cohort_size=1)
    assert {job.status for job in cut.jobs()} <= {Status.PENDING, Status.DONE}
    cut.train()
    assert len(whole.jobs()) == 4
    assert whole.outcome() == cut.outcome()
    for job, other in zip(whole.jobs(), cut.jobs(), strict=True):
        assert job.status is Status.DONE
        assert job.result is not None and other.result is not None
        assert {**job.result, "checkpoint": ""} == {**other.result, "checkpoint": ""}
        _check_result(study, job.result)
    config = config_of(whole.jobs()[0])
    result = whole.jobs()[0].result
    assert result is not None
    path = whole.workspace.results_dir / result["checkpoint"]
    assert path.read_bytes().startswith(b"rnnlab-checkpoint 2 ")
    model = LanguageModel(config, ByteTokenizer(), checkpoint.read(path).state.parameters)
    assert len(list(model.continuation(b"the ", length=5, temperature=1.0, seed=0))) == 5


def _check_result(study: str, result: Mapping[str, Any]) -> None:
    uniform = math.log(256)
    has_epochs = study != "shakespeare"
    held_out = study in ("gates", "unrolled")
    for name, there in [("training", True), ("validation", True), ("test", study != "shakespeare")]:
        if there:
            assert 1 < result[f"{name}_loss"] < uniform + 0.1
            assert result[f"{name}_perplexity"] == pytest.approx(math.exp(result[f"{name}_loss"]))
        else:
            assert result[f"{name}_loss"] is None
    assert result["validation_bits_per_character"] == pytest.approx(result["validation_loss"] / math.log(2))
    assert ("epoch_loss" in result) == ("epoch_perplexity" in result) == has_epochs
    assert ("held_out_loss" in result) == ("held_out_perplexity" in result) == held_out
    assert result["min_loss"] is not None
    assert result["final_loss"] < uniform + 0.1
    assert result["diverged_at_step"] is None


@pytest.mark.parametrize(("study", "unit", "length"), [("shakespeare", "iterations", 50), ("residual", "epochs", 4)])
def test_a_job_is_extended_in_its_own_unit(new_site: Callable[..., Site], study: str, unit: str, length: int) -> None:
    text = _HEAD + _FILES[study]
    before = config_of(new_site().init(text).jobs()[0]).settings[unit]
    site, long = new_site().init(text), new_site().init(text.replace(f"{unit} = {before}", f"{unit} = {length}"))
    site.train()
    long.train()
    store = site.store()
    with pytest.raises(UsageError, match=f"--windows: the length of job 1 is given in {unit}: use --{unit}"):
        extend(store, site.workspace, site.jobs(), 9)
    assert extend(store, site.workspace, site.jobs(), length, unit).added == 4
    site.train()
    expected = long.outcome().checkpoints
    for job in site.reader.jobs(EXPERIMENT, EXTENDED_ROUND):
        assert job.result is not None
        final = site.workspace.results_dir / job.result["checkpoint"]
        assert final.read_bytes() == expected[job.config_hash]


def test_a_schedule_cannot_be_extended(new_site: Callable[..., Site]) -> None:
    site = new_site().init(_HEAD + _FILES["unrolled"])
    site.train(max_jobs=1)
    with pytest.raises(UsageError, match="has a schedule of learning rates with a fixed end"):
        extend(site.store(), site.workspace, site.jobs(Status.DONE), 9, "epochs")


def test_an_estimate_trains_the_beginning_of_each_group(tmp_path: Path) -> None:
    configs = make_plan(load_experiment(_experiment(tmp_path, "gates")), None).first_round
    cost = estimate(configs, torch.device("cpu"))
    assert 0 < cost.seconds < 60
    assert cost.disk_bytes == 4 * 2 * (cost.smallest_parameters + cost.largest_parameters)  # SGD has no moments


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("block_size = 6", "block_size = 1_000_000", "each split needs 1,000,001: use a text of at least"),
        (
            "epoch_windows = 200",
            "epoch_windows = 999_999_999",
            "the windows of an epoch need 1,000,000,105 tokens, but",
        ),
    ],
)
def test_windows_that_do_not_fit_into_the_corpus(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    path = tmp_path / "long.toml"
    assert old in _FILES["gates"]
    path.write_text(_HEAD + _FILES["gates"].replace(old, new))
    with pytest.raises(CorpusError) as caught:
        make_plan(load_experiment(path), None)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)
