"""From finished jobs to reports, through the job table."""

import tomllib
from pathlib import Path

import pytest

import rnnlab.analysis.report as report_module
from rnnlab.actions.analyze import analyze
from rnnlab.files import Workspace
from rnnlab.plans.enqueue import initialize
from rnnlab.plans.plan import Plan, config_of
from rnnlab.queue.job import Curve, Job
from rnnlab.queue.store import Store
from rnnlab.spec.experiment import parse_experiment
from rnnlab.spec.settings import CorpusSettings
from tests.support.store import register

TWO_CELLS = """
name = "cells"
corpus = "generated"

[model]
state_size = 4

[training]
regime = "bptt"
batch_size = 2
block_size = 8
iterations = 2
record_every = 1
learning_rate = 1e-3

[grid]
cell = ["rnn", "gru-reset-before"]
n_layers = [1, 2]

[analysis]
focus = { linear = "split" }

[[rounds]]
name = "next"
select = { top = 2 }

[[rounds.vary]]

[[rounds.vary]]
when = { linear = "split" }
set = { linear = "joint" }
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Two empty folders; no pictures, which take seconds a round."""
    monkeypatch.setattr(report_module, "round_pictures", lambda *_: {})
    return Workspace(tmp_path / "results", tmp_path / "plots")


def finish_all(store: Store) -> None:
    """Finish what is pending; the GRUs are the better ones."""

    def loss_of(job: Job) -> float:
        model = config_of(job).settings
        return 1.0 + (model["cell"] == "rnn") + float(model["n_layers"]) / 10

    worker = register(store, f"worker-{len(store.workers())}")
    while jobs := store.claim(worker, 10):
        for job in jobs:
            store.finish(job.claim, {"min_loss": loss_of(job), "final_loss": 2.0}, 1.0, Curve())


def test_a_setting_that_some_cells_lack_matches_none_of_their_runs(store: Store, workspace: Workspace) -> None:
    """In a `when`, and in a focus on a round that has none of the cells with that setting."""
    experiment = parse_experiment(tomllib.loads(TWO_CELLS), "cells.toml")
    initialize(store, Plan(experiment, CorpusSettings(name="text", sha256="a" * 64)))
    finish_all(store)
    found = analyze(str(store.engine.url.database), workspace, "cells", enqueue=True)
    assert found.progression.n_added == 2
    assert {config_of(job).settings["cell"] for job in store.jobs("cells", "next")} == {"gru-reset-before"}
    finish_all(store)
    reports = analyze(str(store.engine.url.database), workspace, "cells", enqueue=True).reports
    told = {name: report.section.markdown for name, report in reports.items()}
    assert "Only runs with linear split" in told["explore"]
    assert "Only runs with" not in told["next"]
