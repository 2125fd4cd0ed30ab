"""CSV, JSON and Parquet, read back by pandas and compared with the job table."""

import io
import json
import math
from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest

from rnnlab.actions.export.data_frames import curve_table, run_table, to_csv, to_json, to_parquet
from rnnlab.actions.export.exported_runs import ExportedRuns
from rnnlab.queue.job import Job
from tests.actions.export.conftest import CURVE, Stand
from tests.support.published_runs import make_job


def from_csv(runs: ExportedRuns) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(to_csv(run_table(runs))))


def from_json(runs: ExportedRuns) -> pd.DataFrame:
    return pd.DataFrame(json.loads(to_json(runs)))


def from_parquet(runs: ExportedRuns) -> pd.DataFrame:
    pytest.importorskip("pyarrow")
    return pd.read_parquet(io.BytesIO(to_parquet(run_table(runs))))


READERS: list[Callable[[ExportedRuns], pd.DataFrame]] = [from_csv, from_json, from_parquet]


def runs_of(jobs: list[Job]) -> ExportedRuns:
    return ExportedRuns("dynamics", "", "min_loss", {"explore": jobs}, {})


@pytest.mark.parametrize("read", READERS)
def test_every_job_with_what_the_table_has_of_it(stand: Stand, read: Callable[[ExportedRuns], pd.DataFrame]) -> None:
    rows = read(stand.runs).set_index("id")
    jobs = stand.store.jobs("small")
    assert rows.index.tolist() == [job.id for job in jobs]
    for job in jobs:
        row = rows.loc[job.id].to_dict()
        config = json.loads(job.payload)
        assert (row["experiment"], row["round"], row["status"]) == ("small", job.round, job.status.value)
        assert (row["config_hash"], row["seed"], row["seconds"]) == (job.config_hash, config["seed"], job.seconds)
        assert (row["corpus_name"], row["corpus_sha256"]) == ("text", "a" * 64)
        assert (row["step"], row["target_steps"]) == (job.step, job.target_steps)
        settings = {**config["model"], **config["training"]}
        assert {name: row[name] for name in settings} == settings
        for name in ("created_at", "started_at", "finished_at"):
            seconds = getattr(job, name)
            found = pd.Timestamp(row[name])
            assert pd.isna(found) if seconds is None else abs(found.timestamp() - seconds) < 1e-5
        for name, value in (job.result or {}).items():
            if name != "code":
                assert pd.isna(row[name]) if value is None else row[name] == value
    assert rows.loc[stand.jobs["failed"].id, "error"] == 'ValueError: no, "never"'
    assert rows["diverged"].tolist() == [job.id == stand.jobs["diverged"].id for job in jobs]


@pytest.mark.parametrize("read", READERS)
def test_a_column_has_one_kind(stand: Stand, read: Callable[[ExportedRuns], pd.DataFrame]) -> None:
    runs = stand.runs
    table = run_table(runs)
    assert {str(table[name].dtype) for name in ("parameters", "diverged_at_step")} == {"Int64"}
    assert str(table["git_dirty"].dtype) == "boolean"
    # A number in one result and a text in another: a text.
    assert read(runs)["code"].dropna().tolist() == ["7", "7f"]


def test_whole_numbers_stay_whole_where_some_jobs_lack_them() -> None:
    jobs = [make_job(1, {"size": 256}, {"min_loss": 1.5}), make_job(2, {"gate": True}, {"min_loss": 1})]
    header, *rows = to_csv(run_table(runs_of(jobs))).decode().splitlines()
    cells = [dict(zip(header.split(","), row.split(","), strict=True)) for row in rows]
    assert [(cell["size"], cell["gate"], cell["min_loss"]) for cell in cells] == [
        ("256", "", "1.5"),
        ("", "True", "1.0"),
    ]


def test_names_that_stand_for_two_things() -> None:
    result = {"min_loss": 1.0, "id": "ab12", "status": 3, "step": 4, "experiment": "x", "seconds": 9}
    jobs = [replace(make_job(1, {"step": 5}, result), step=6)]
    row = run_table(runs_of(jobs)).iloc[0]
    assert (row["id"], row["status"], row["experiment"], row["seconds"]) == (1, "done", "dynamics", 1.0)
    assert (row["result_id"], row["result_status"], row["result_experiment"], row["result_seconds"]) == (
        "ab12",
        3,
        "x",
        9,
    )
    assert (row["model.step"], row["step"], row["job_step"]) == (5, 4, 6)


def test_curves_stand_in_json_and_in_a_table_of_their_own(stand: Stand) -> None:
    jobs, runs = stand.jobs, stand.runs
    rows = {row["id"]: row for row in json.loads(to_json(runs))}
    assert rows[jobs["done"].id]["curve"] == {"step": CURVE.steps, **CURVE.series}
    assert rows[jobs["diverged"].id]["curve"] == {"step": [5, 10], "ema_loss": [3.1, None]}
    assert rows[jobs["pending"].id]["curve"] is None
    points = pd.read_csv(io.BytesIO(to_csv(curve_table(runs))))
    assert list(points) == ["id", "round", "step", "ema_loss"]
    own = points[points["id"] == jobs["done"].id]
    assert (own["step"].tolist(), own["ema_loss"].tolist()) == (CURVE.steps, CURVE.series["ema_loss"])
    assert math.isnan(points[points["id"] == jobs["diverged"].id]["ema_loss"].iloc[1])
    assert len(points) == 4 + 2 + 2


def test_curves_in_parquet(stand: Stand) -> None:
    pytest.importorskip("pyarrow")
    table = curve_table(stand.runs)
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(to_parquet(table))), table)


def test_an_experiment_without_runs() -> None:
    nothing = ExportedRuns("dynamics", "", "min_loss", {}, {})
    assert json.loads(to_json(nothing)) == []
    assert to_csv(run_table(nothing)).decode().startswith("experiment,id,round,status,config_hash")
    assert to_csv(curve_table(nothing)).decode() == "id,round,step\n"
