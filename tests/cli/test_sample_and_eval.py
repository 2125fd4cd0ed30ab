"""`sample` and `eval` with every tokenizer: from finished jobs and running ones, with and without the corpus."""

import json
import shutil
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rnnlab.plans.plan import config_of
from rnnlab.queue.job import Job
from rnnlab.spec.experiment import parse_experiment
from rnnlab.spec.metrics import result_metrics
from rnnlab.spec.run_config import RunConfig
from rnnlab.training import checkpoint
from rnnlab.training.checkpoint import Checkpoint
from rnnlab.training.run_state import fresh_state
from tests.support.commands import TOKENIZERS, Cli, init_with_tokenizer, jobs, running_job


def train(cli: Cli) -> list[Job]:
    assert cli("worker", "--device", "cpu").code == 0
    return jobs(cli.folder / "results" / "rnnlab.db")


def evaluated(cli: Cli, *arguments: str) -> dict[str, Any]:
    outcome = cli("eval", *arguments, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    return dict(json.loads(outcome.out))


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_eval_agrees_with_the_table_and_sample_needs_no_corpus(
    cli: Cli, small_toml: str, tokenizer: str, tmp_path: Path
) -> None:
    init_with_tokenizer(cli, small_toml, tokenizer)
    job = train(cli)[0]
    assert job.result is not None
    for split in ("validation", "test"):
        found = evaluated(cli, str(job.id), "--split", split)
        assert (found["context"], found["windows"], found["step"]) == (10, 64, 20)
        for name in ("loss", "bits_per_character", "bits_per_byte"):
            assert found[name] == pytest.approx(job.result[f"{split}_{name}"], rel=1e-6)
    ratio = job.result["test_bits_per_byte"] / job.result["test_bits_per_character"]
    assert ratio == pytest.approx(1.0)  # the generated text is ASCII
    per_symbol = job.result["test_loss"] / torch.log(torch.tensor(2.0, dtype=torch.float64)).item()
    if tokenizer == "bpe":
        assert job.result["test_bits_per_byte"] < 0.8 * per_symbol
    else:
        assert job.result["test_bits_per_byte"] == pytest.approx(per_symbol)

    asked = (str(job.id), "--length", "40", "--prime", "bad", "--seed", "3")
    with_corpus = cli("sample", *asked)
    assert with_corpus.out.startswith("bad")
    shutil.rmtree(tmp_path / "data")
    assert cli("sample", *asked) == with_corpus
    assert cli("sample", *asked[:-1], "4") != with_corpus
    assert not (tmp_path / "data").exists()

    for path in (cli.folder / "results").rglob("*.rnn"):
        path.write_bytes(b"")
    assert "it is done, so its final checkpoint was deleted, damaged or moved" in cli("sample", *asked).err


@pytest.mark.parametrize("own", ['loss_at = "last"', "embedding_size = 3"])
def test_eval_of_windows_that_are_drawn_agrees_with_the_table(cli: Cli, own: str) -> None:
    """Random windows, and losses at the last position: the same windows and positions as the result's."""
    model, training = ("", own) if "loss_at" in own else (own, "")
    cli.file(
        "drawn.toml",
        f"""
name = "small"
corpus = "generated"
tokenizer = {{ kind = "letters" }}
split = {{ train = 0.8, validation = 0.1, test = 0.1 }}
evaluation = {{ windows = 24 }}
[model]
cell = "rnn"
n_layers = 1
state_size = 4
{model}
[training]
regime = "bptt"
batch_size = 4
block_size = 5
sampling = "random"
iterations = 6
learning_rate = 1e-2
{training}
[grid]
seed = [3]
""",
    )
    assert cli("init", "drawn.toml").code == 0
    job = train(cli)[0]
    assert job.result is not None
    for split, name in (("train", "training"), ("validation", "validation"), ("test", "test")):
        found = evaluated(cli, str(job.id), "--split", split)
        assert (found["context"], found["windows"]) == (5, 24)
        assert found["loss"] == pytest.approx(job.result[f"{name}_loss"], rel=1e-9)
        assert found["perplexity"] == pytest.approx(job.result[f"{name}_perplexity"], rel=1e-6)


def test_bytes_of_a_text_beyond_ascii(cli: Cli, small_toml: str, tmp_path: Path) -> None:
    cli.file("umlauts.txt", "äöü " * 500)
    init_with_tokenizer(cli, small_toml.replace('"generated"', '"umlauts.txt"'), "characters")
    job = train(cli)[0]
    assert job.result is not None
    per_byte = job.result["test_bits_per_character"] / job.result["test_bits_per_byte"]
    assert per_byte == pytest.approx(7 / 4)
    shutil.rmtree(tmp_path / "data")
    without = cli("eval", "1")
    assert (without.code, without.out) == (2, "")
    assert without.err.startswith("rnnlab: the text of corpus 'umlauts' (sha256 ")


def test_eval_at_other_contexts(cli: Cli, small_toml: str) -> None:
    init_with_tokenizer(cli, small_toml, "letters")
    train(cli)
    short = evaluated(cli, "1", "--context", "2", "--windows", "500", "--split", "train")
    assert (short["context"], short["windows"], short["split"]) == (2, 500, "train")
    assert short["perplexity"] == pytest.approx(torch.tensor(short["loss"]).double().exp().item())
    # The whole validation split in one window: one less prediction than it has symbols.
    complaint = cli("eval", "1", "--context", "100000")
    symbols = int(complaint.err.split(" split has ")[1].split()[0].replace(",", ""))
    assert evaluated(cli, "1", "--context", str(symbols - 1))["windows"] == 1
    assert cli("eval", "1", "--context", str(symbols)).code == 2
    lines = cli("eval", "1", "--context", "2").out.splitlines()
    assert [line.split()[0] for line in lines] == list(short)


def test_a_worker_takes_the_vocabulary_from_the_table(
    cli: Cli, small_toml: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    init_with_tokenizer(cli, small_toml, "bpe")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    assert [job.status.value for job in train(cli)] == ["done"] * 4
    assert cli("sample", "1", "--length", "5").code == 0
    cli.file("other.toml", (cli.folder / "small.toml").read_text().replace("small", "other"))
    outcome = cli("init", "other.toml")
    assert outcome.code == 2
    assert outcome.err == (
        'rnnlab: tokenizer.kind = "bpe" needs the package tokenizers to learn its vocabulary: run '
        "`pip install 'rnnlab[bpe]'`, or name another tokenizer\n"
    )


def test_dry_run_with_a_learned_vocabulary(cli: Cli, small_toml: str) -> None:
    cli.file("small.toml", f"tokenizer = {TOKENIZERS['bpe']}\n{small_toml}")
    before = cli.tree()
    outcome = cli("init", "small.toml", "--dry-run", "--device", "cpu")
    assert outcome.code == 0, outcome.err
    assert cli.tree() == before


def test_best_with_a_learned_vocabulary_is_that_very_run(cli: Cli, small_toml: str) -> None:
    init_with_tokenizer(cli, small_toml, "characters")
    hashes = {job.config_hash for job in train(cli)}
    cli.file("best.toml", cli("best").out)
    assert cli("init", "best.toml", "--db", "best.db").code == 0
    assert jobs(cli.folder / "best.db")[0].config_hash in hashes


@pytest.mark.parametrize("tokenizer", ["characters", "bytes"])
def test_a_running_job(cli: Cli, small_toml: str, tokenizer: str) -> None:
    init_with_tokenizer(cli, small_toml, tokenizer)
    job, run_dir = running_job(cli)
    assert cli("sample", str(job.id), "--length", "5", "--prime", "a").code == 0
    assert evaluated(cli, str(job.id))["step"] == 0
    # A worker that has not finished to write: the one before is used, and said so.
    (path,) = run_dir.glob("*.rnn")
    path.with_name("checkpoint-e000001-s000000010.rnn").write_bytes(path.read_bytes()[:-10])
    torn = cli("sample", str(job.id), "--length", "5", "--prime", "a")
    assert (torn.code, len(torn.out)) == (0, 7)
    assert "is truncated" in torn.err


def test_a_checkpoint_that_a_worker_replaces_while_it_is_read(
    cli: Cli, small_toml: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    init_with_tokenizer(cli, small_toml, "bytes")
    job, _ = running_job(cli)
    looks: list[Path] = []

    def first_look_fails(run_dir: Path, config: RunConfig, complain: Callable[[str], None]) -> Checkpoint | None:
        looks.append(run_dir)
        if len(looks) > 1:
            return checkpoint.newest(run_dir, config, complain)
        complain("checkpoint x cannot be read: No such file or directory; falling back to the one before")
        return None

    monkeypatch.setattr("rnnlab.actions.load_model.newest", first_look_fails)
    outcome = cli("sample", str(job.id), "--length", "5", "--prime", "a")
    assert (outcome.code, outcome.err, len(looks)) == (0, "", 2)


def test_a_checkpoint_says_nothing_of_vocabularies_where_nothing_is_learned(cli: Cli, small_toml: str) -> None:
    """Version 1 as it ever was: the same bytes for the same run."""
    init_with_tokenizer(cli, small_toml, "bytes")
    job, run_dir = running_job(cli)
    (path,) = run_dir.glob("*.rnn")
    assert b"vocabulary" not in path.read_bytes()
    config = config_of(job)
    assert path.read_bytes() == checkpoint.encode(config, fresh_state(config, 256))


def test_a_vocabulary_that_does_not_fit_the_checkpoint(cli: Cli, small_toml: str) -> None:
    init_with_tokenizer(cli, small_toml, "characters")
    job, run_dir = running_job(cli)
    config = config_of(job)
    for vocabulary in ('["a","b"]', None):
        checkpoint.write(run_dir, config, fresh_state(config, 2), job.epoch, vocabulary)
        for command in ("sample", "eval"):
            outcome = cli(command, str(job.id))
            assert (outcome.code, outcome.out) == (2, "")
            assert outcome.err.startswith(f"rnnlab: the checkpoint of job {job.id} in {run_dir} cannot be used: ")
            assert outcome.err.count("\n") == 1


def test_bad_flags(cli: Cli, small_toml: str) -> None:
    init_with_tokenizer(cli, small_toml, "characters")

    def complaint(*arguments: str) -> str:
        outcome = cli(*arguments)
        assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
        return outcome.err

    assert complaint("eval", "1", "--context", "0") == "rnnlab: --context 0: give a number of at least 1\n"
    assert complaint("eval", "1", "--windows", "-1") == "rnnlab: --windows -1: give a number of at least 1\n"
    assert "job 1 has no intact checkpoint in" in complaint("eval", "1")
    assert "it has not been trained here: run `rnnlab worker` to train it" in complaint("eval", "1")
    assert "no job '99'" in complaint("eval", "99")
    assert cli("eval", "1", "--split", "all").code == 2
    running_job(cli)
    assert "--prime '€': the character '€' (U+20AC) is not in the vocabulary" in complaint(
        "sample", "1", "--prime", "€"
    )
    assert "the text is not UTF-8" in complaint("sample", "1", "--prime", "\udcff")


TRAINED = {
    "online": "batch_size = 2\nwindow_length = 11\nwindows = 1\nlearning_rate = 1e-3",
    "random": 'regime = "bptt"\nbatch_size = 4\nblock_size = 5\niterations = 2\nlearning_rate = 1e-3',
    "epochs": 'regime = "bptt"\nbatch_size = 4\nblock_size = 5\nepochs = 1\nlearning_rate = 1e-3\n'
    'sampling = "stride-1"\nepoch_windows = 40\nheld_out_share = 0.2',
}


@pytest.mark.parametrize("test_share", [0.1, 0])
@pytest.mark.parametrize("training", TRAINED)
def test_the_numbers_of_a_result_are_known_before(cli: Cli, training: str, test_share: float) -> None:
    text = f"""
name = "known"
corpus = "generated"
split = {{ train = 0.8, validation = {0.2 - test_share}, test = {test_share} }}
[model]
cell = "{"gated" if training == "online" else "rnn"}"
n_layers = 1
state_size = 4
[training]
record_every = 1
{TRAINED[training]}
[grid]
seed = [0]
"""
    known = result_metrics(parse_experiment(tomllib.loads(text), "known.toml"))
    cli.file("known.toml", text)
    assert cli("init", "known.toml").code == 0
    (job,) = train(cli)
    assert job.result is not None
    numbers = [key for key, value in job.result.items() if type(value) in (int, float)]
    assert sorted(known) == sorted(numbers)
