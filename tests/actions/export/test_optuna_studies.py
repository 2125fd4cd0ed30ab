"""The journal, read back by Optuna and compared with the job table trial by trial."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from rnnlab.actions.export.exported_runs import ExportedRuns
from rnnlab.actions.export.optuna_studies import check_replaceable, journal
from rnnlab.errors import UsageError
from rnnlab.queue.job import Job
from tests.actions.export.conftest import CURVE, Stand
from tests.support.published_runs import make_job, published_jobs

optuna = pytest.importorskip("optuna")


def storage_of(path: Path) -> Any:
    return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))


def load(runs: ExportedRuns, folder: Path, round_name: str = "explore") -> Any:
    path = folder / "journal.log"
    path.write_bytes(journal(runs))
    return optuna.load_study(study_name=f"{runs.experiment}/{round_name}", storage=storage_of(path))


def runs_of(jobs: list[Job]) -> ExportedRuns:
    return ExportedRuns("dynamics", "", "min_loss", {"explore": jobs}, {})


STATES = {
    "done": "COMPLETE",
    "diverged": "PRUNED",
    "unmeasured": "PRUNED",
    "failed": "FAIL",
    "running": "RUNNING",
    "pending": "WAITING",
    "paused": "WAITING",
    "cancelled": "FAIL",
}


def test_each_job_is_a_trial(stand: Stand, tmp_path: Path) -> None:
    study = load(stand.runs, tmp_path)
    assert (study.direction.name, study.metric_names) == ("MINIMIZE", ["min_loss"])
    assert len(study.trials) == len(STATES)
    for trial, (stands, state) in zip(study.trials, STATES.items(), strict=True):
        job = stand.jobs[stands]
        config = json.loads(job.payload)
        wanted = {name: config["model"][name] for name in ("n_layers", "use_forget_gate")}
        assert trial.state.name == state
        assert trial.params == {**wanted, "learning_rate": config["training"]["learning_rate"]}
        about = {"job": job.id, "status": job.status.value, "seed": 0, "config_hash": job.config_hash}
        assert trial.user_attrs.items() >= {**about, "seconds": job.seconds}.items()
        begun = None if state == "WAITING" else job.started_at or job.finished_at
        for found, seconds in ((trial.datetime_start, begun), (trial.datetime_complete, job.finished_at)):
            assert (found is None) == (seconds is None)
            assert found is None or abs(found.timestamp() - seconds) < 1e-5
    assert study.trials[0].user_attrs["parameters"] == 1234
    assert study.trials[1].user_attrs["diverged_at_step"] == 9
    assert study.best_trial.number == 0
    assert study.best_value == 0.1 + 0.2


def test_curves_are_intermediate_values(stand: Stand, tmp_path: Path) -> None:
    done, diverged, *_ = load(stand.runs, tmp_path).trials
    assert done.intermediate_values == dict(zip(CURVE.steps, CURVE.series["ema_loss"], strict=True))
    assert diverged.intermediate_values[5] == 3.1
    assert math.isnan(diverged.intermediate_values[10])


def test_a_round_is_a_study_of_its_own(stand: Stand, tmp_path: Path) -> None:
    refine = load(stand.runs, tmp_path, "refine")
    assert sorted(optuna.get_all_study_names(storage_of(tmp_path / "journal.log"))) == ["small/explore", "small/refine"]
    assert refine.user_attrs.items() >= {"round": "refine", "windows": 3, "state_size": 4}.items()
    (trial,) = refine.trials
    assert (trial.params, trial.value) == ({}, 0.25)
    assert trial.duration.total_seconds() == pytest.approx(8.0)


def test_axes_are_of_the_kind_of_their_levels(tmp_path: Path) -> None:
    models = [{"cell": "rnn", "size": 32, "gate": False}, {"cell": "gru", "size": 256, "gate": True, "depth": 2}]
    rates = [0.001, 0.003]
    jobs = [
        make_job(i + 1, model, {"min_loss": 1.0}, training={"learning_rate": rate, "windows": 10 + i})
        for i, (model, rate) in enumerate(zip(models, rates, strict=True))
    ]
    first, second = load(runs_of(jobs), tmp_path).trials
    of = optuna.distributions
    assert second.distributions == {
        "cell": of.CategoricalDistribution(["gru", "rnn"]),
        "depth": of.IntDistribution(2, 2),
        "gate": of.CategoricalDistribution([False, True]),
        "size": of.IntDistribution(32, 256, log=True),
        "learning_rate": of.FloatDistribution(0.001, 0.003),
        "windows": of.IntDistribution(10, 11),
    }
    assert "depth" not in first.params
    assert second.params["depth"] == 2


def test_the_published_runs(tmp_path: Path) -> None:
    jobs = published_jobs(1)[:60]  # sorted by their loss
    study = load(runs_of(jobs), tmp_path)
    assert [trial.value for trial in study.trials] == [job.result["min_loss"] for job in jobs if job.result]
    assert study.best_value == 1.59276
    assert len(optuna.importance.get_param_importances(study)) > 5


def test_what_is_no_export_is_not_replaced(stand: Stand, tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    path.write_bytes(journal(stand.runs))
    check_replaceable(path)
    check_replaceable(tmp_path / "absent.log")
    optuna.create_study(storage=storage_of(path), study_name="mine")
    with pytest.raises(UsageError, match=r"has the study 'mine', which is not an export"):
        check_replaceable(path)
    other = tmp_path / "notes.txt"
    other.write_text("notes\n")
    with pytest.raises(UsageError, match=r"notes\.txt is not an Optuna journal"):
        check_replaceable(other)
    assert other.read_text() == "notes\n"
