"""The Python interface: what its functions give is what the commands print and write."""

import io
import json
import os
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

import rnnlab
from rnnlab.data.batches import evaluation_positions, load_splits, windows
from rnnlab.data.corpus import find
from rnnlab.data.splits import Fractions
from rnnlab.errors import CheckpointError, DatabaseError, SpecError, UsageError
from tests.support.commands import Cli, init_with_tokenizer, running_job


def test_a_sweep_from_python_is_the_sweep_of_the_commands(cli: Cli) -> None:
    outcome = rnnlab.init(Path("small.toml"))
    assert (outcome.experiment, outcome.added, outcome.total, outcome.left_over) == ("small", 4, 4, 0)
    assert cli("init", "small.toml").out == "small: added 0 jobs, 4 in the grid\n"

    waiting = rnnlab.results()
    assert waiting["status"].tolist() == ["pending"] * 4
    assert waiting["rank"].isna().all()
    assert rnnlab.curves().columns.tolist() == ["id", "round", "step"]
    assert rnnlab.curves().empty
    assert rnnlab.results(round_name="refine").empty

    assert cli("worker", "--device", "cpu").code == 0
    analysis = rnnlab.analyze()
    report = analysis.reports["explore"]
    assert report.sentence.startswith("Best: ")
    assert all(path.is_file() for path in [*report.pictures, *report.tables, report.report])
    assert analysis.progression.n_added == 4
    assert len(rnnlab.results()) == 8

    frame = rnnlab.results("small", "explore")
    exported = pd.read_csv(io.StringIO(cli("export", "--to", "csv").out)).query("round == 'explore'")
    assert frame.columns.tolist() == ["rank", *exported.columns]
    assert frame.sort_values("id")["min_loss"].tolist() == exported["min_loss"].tolist()
    ranked = pd.read_csv(cli.folder / "results" / "small" / "explore.csv")
    assert frame[["rank", "id", "n_layers", "min_loss"]].values.tolist() == (
        ranked[["rank", "id", "n_layers", "min_loss"]].values.tolist()
    )
    assert frame["rank"].tolist() == [1, 2, 3, 4]
    assert frame["min_loss"].is_monotonic_increasing

    curves = rnnlab.curves("small", "explore")
    assert curves.dtypes.astype(str).tolist() == ["int64", "string", "int64", "float64"]
    assert curves.groupby("id")["step"].apply(list).tolist() == [[5, 10, 15, 20]] * 4
    lowest = curves.groupby("id")["ema_loss"].min()
    assert lowest.to_dict() == pytest.approx(frame.set_index("id")["min_loss"].to_dict())
    assert len(curves.merge(frame[["id", "n_layers"]], on="id")) == 16


def test_the_best_model_predicts_as_eval_says_and_writes_as_sample_does(cli: Cli, small_toml: str) -> None:
    init_with_tokenizer(cli, small_toml, "characters")
    assert cli("worker", "--device", "cpu").code == 0
    model = rnnlab.load_model()
    assert isinstance(model, nn.Module)
    best = rnnlab.results().iloc[0]
    assert model.config.hash == best["config_hash"]
    assert sum(p.numel() for p in model.parameters()) == best["parameters"]
    for same in (rnnlab.load_model(int(best["id"])), rnnlab.load_model(best["config_hash"][:12], experiment="small")):
        assert same.config == model.config
        assert all(torch.equal(a, b) for a, b in zip(same.parameters(), model.parameters(), strict=True))

    asked = json.loads(cli("eval", "--json", "--split", "test", "--context", "7", "--windows", "20").out)
    config = model.config
    corpus = find(config.corpus.sha256, config.corpus.name)
    tokens = load_splits(corpus, model.tokenizer, Fractions(**config.split.model_dump()), need=1).test
    windows_BT = windows(tokens, evaluation_positions(len(tokens), 8, 20), 8).long()
    with torch.no_grad():
        logits_BTV, _ = model(windows_BT[:, :-1])
    loss = nn.functional.cross_entropy(logits_BTV.flatten(0, 1), windows_BT[:, 1:].flatten())
    assert loss.item() == pytest.approx(asked["loss"], rel=1e-6)
    assert best["test_loss"] == pytest.approx(json.loads(cli("eval", "--json", "--split", "test").out)["loss"])

    written = cli("sample", "--prime", "bad", "--length", "60", "--temperature", "0.9", "--seed", "3").out
    assert written == model.generate("bad", length=60, temperature=0.9, seed=3) + "\n"


def _table(cli: Cli, experiment: str, place: str) -> None:
    """A results folder `place` whose job table has only this experiment."""
    text = (cli.folder / "small.toml").read_text().replace('"small"', f'"{experiment}"', 1)
    rnnlab.init(cli.file(f"{experiment}.toml", text), results=place)


def test_argument_environment_file_default_in_this_order(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    places = {"a": "results", "b": "from-file", "c": "from-environment", "d": "from-argument"}
    for experiment, place in places.items():
        _table(cli, experiment, place)

    def found(**given: str) -> set[str]:
        with pytest.raises(UsageError) as raised:
            rnnlab.results("no such", **given)
        return set(str(raised.value).rpartition("it has ")[2].split(", "))

    assert found() == {"a"}
    cli.file("rnnlab.toml", 'results = "from-file"\n')
    assert found() == {"b"}
    monkeypatch.setenv("RNNLAB_RESULTS", "from-environment")
    assert found() == {"c"}
    assert found(results="from-argument") == {"d"}
    # The database likewise; it goes before the one of the results folder.
    cli.file("rnnlab.toml", 'db = "from-file/rnnlab.db"\nplots = "drawn"\ndata = "texts"\n')
    assert found(results="from-argument") == {"b"}
    monkeypatch.setenv("RNNLAB_DB", "from-argument/rnnlab.db")
    assert found() == {"d"}
    assert found(db="results/rnnlab.db") == {"a"}
    # The file holds for texts too, and looking at it changes no environment.
    monkeypatch.delenv("RNNLAB_DATA")
    cli.file("letters.txt", "some letters " * 400)
    before = dict(os.environ)
    rnnlab.init("small.toml", corpus=Path("letters.txt"))
    assert list((cli.folder / "texts" / "corpora").iterdir())
    assert dict(os.environ) == before
    cli.file("rnnlab.toml", "colour = 1\n")
    with pytest.raises(UsageError, match=r"rnnlab\.toml: unknown setting 'colour'"):
        rnnlab.curves()


def test_what_the_commands_say_is_raised(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    before = cli.tree()
    with pytest.raises(DatabaseError):
        rnnlab.results()
    with pytest.raises(SpecError, match="no experiment called 'nothing'"):
        rnnlab.init("nothing")
    assert cli.tree() == before
    rnnlab.init("small.toml")
    with pytest.raises(UsageError, match="experiment small has no round 'later': it has explore, refine, replicate"):
        rnnlab.curves(round_name="later")
    with pytest.raises(UsageError, match="no job '99'"):
        rnnlab.load_model(99)
    with pytest.raises(UsageError, match="has no finished job yet"):
        rnnlab.load_model()
    with pytest.raises(CheckpointError, match="job 1 has no intact checkpoint"):
        rnnlab.load_model(1)
    assert cli("show", "1").code == 0  # the exceptions left the database free


def test_imported_results_are_a_frame_too(with_results: Cli) -> None:
    frame = rnnlab.results()
    assert frame[["n_layers", "use_forget_gate", "min_loss"]].head(1).values.tolist() == [[2, True, 2.1]]
    assert pd.api.types.is_integer_dtype(frame["n_layers"])


def test_a_damaged_checkpoint_is_warned_of(cli: Cli, small_toml: str) -> None:
    init_with_tokenizer(cli, small_toml, "bytes")
    job, run_dir = running_job(cli)
    (path,) = run_dir.glob("*.rnn")
    path.with_name("checkpoint-e000001-s000000010.rnn").write_bytes(path.read_bytes()[:-10])
    with pytest.warns(RuntimeWarning, match="is truncated") as caught:
        assert rnnlab.load_model(job.id).generate("a", length=5).startswith("a")
    assert {warning.filename for warning in caught} == {__file__}
