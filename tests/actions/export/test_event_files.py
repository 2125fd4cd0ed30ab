"""The event files, read back by TensorBoard's own readers and compared with the job table."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnlab.actions.export.event_files import FILE_NAME, fill_folder, shown_jobs
from rnnlab.actions.export.exported_runs import ExportedRuns
from tests.actions.export.conftest import CURVE, RESULT, Stand
from tests.support.published_runs import make_job

pytest.importorskip("tensorboard")


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()


def plugin_data(folder: Path, tag: str) -> Any:
    """What the table of hyper-parameters finds under a tag of a run."""
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    content = read(folder).summary_metadata[tag].plugin_data.content
    data = plugin_data_pb2.HParamsPluginData.FromString(content)
    field = {
        metadata.EXPERIMENT_TAG: "experiment",
        metadata.SESSION_START_INFO_TAG: "session_start_info",
        metadata.SESSION_END_INFO_TAG: "session_end_info",
    }[tag]
    return getattr(data, field)


@pytest.fixture
def folders(stand: Stand, tmp_path: Path) -> dict[str, Path]:
    """The folder of each run that is shown, by its name."""
    out = tmp_path / "out"
    out.mkdir()
    fill_folder(stand.runs, out)
    return {str(path.parent.relative_to(out)): path.parent for path in out.rglob(FILE_NAME)}


def test_runs_are_named_for_people(folders: dict[str, Path]) -> None:
    assert sorted(folders) == [
        ".",
        "explore/1-no_forget_gate,L=1,learning_rate_0.001",
        "explore/2-forget_gate,L=1,learning_rate_0.001",
        "explore/3-no_forget_gate,L=2,learning_rate_0.001",
        "explore/5-no_forget_gate,L=1,learning_rate_0.01",
        "refine/9",
    ]


def test_curves_and_numbers_are_scalars(stand: Stand, folders: dict[str, Path]) -> None:
    job = stand.jobs["done"]
    (folder,) = (path for name, path in folders.items() if name.startswith(f"explore/{job.id}-"))
    events = read(folder)
    points = events.Scalars("ema_loss")
    assert [point.step for point in points] == CURVE.steps
    assert [point.value for point in points] == np.array(CURVE.series["ema_loss"], np.float32).tolist()
    assert job.started_at is not None
    assert [point.wall_time - job.started_at for point in points] == pytest.approx([1.0, 2.0, 3.0, 4.0])
    numbers = {"min_loss": RESULT["min_loss"], "parameters": 1234, "seconds": 4.0}
    assert set(events.Tags()["scalars"]) == {"ema_loss", *(f"result/{name}" for name in numbers)}
    for name, value in numbers.items():
        (point,) = events.Scalars(f"result/{name}")
        assert (point.step, point.value) == (20, np.float32(value))


def test_settings_are_hyper_parameters(stand: Stand, folders: dict[str, Path]) -> None:
    from tensorboard.plugins.hparams import api_pb2

    experiment = plugin_data(folders["."], "_hparams_/experiment")
    assert [info.name for info in experiment.hparam_infos] == [
        "round",
        "n_layers",
        "use_forget_gate",
        "learning_rate",
        "windows",
    ]
    assert [metric.display_name for metric in experiment.metric_infos] == [
        "min_loss",
        "parameters",
        "diverged_at_step",
        "seconds",
    ]
    ends = {}
    for name, folder in folders.items():
        if name == ".":
            continue
        start = plugin_data(folder, "_hparams_/session_start_info")
        job = stand.store.job(int(start.group_name))
        assert job is not None
        assert start.hparams["round"].string_value == job.round
        assert start.hparams["windows"].number_value == (2 if job.round == "explore" else 3)
        tags = read(folder).summary_metadata
        ended = "_hparams_/session_end_info" in tags
        ends[job.status.value] = plugin_data(folder, "_hparams_/session_end_info").status if ended else None
    assert ends == {"done": api_pb2.STATUS_SUCCESS, "running": None}


def test_jobs_of_which_nothing_is_recorded_are_left_out(stand: Stand) -> None:
    wanted = [stand.jobs[name].id for name in ("done", "diverged", "unmeasured", "running")]
    assert [job.id for job in shown_jobs(stand.runs)] == [*wanted, 9]


def test_levels_of_different_kinds_and_many_levels(tmp_path: Path) -> None:
    jobs = [
        make_job(i + 1, {"size": i, "rate": 1 if i else 0.5, "what": "x" if i else 3}, {"min_loss": 1.0}, seed=i)
        for i in range(12)
    ]
    jobs.append(replace(make_job(13, {}, {"min_loss": 2.0}), step=0))
    fill_folder(ExportedRuns("dynamics", "", "min_loss", {"explore": jobs}, {}), tmp_path)
    infos = {info.name: info for info in plugin_data(tmp_path, "_hparams_/experiment").hparam_infos}
    assert (infos["size"].domain_interval.min_value, infos["size"].domain_interval.max_value) == (0, 11)
    assert [value.number_value for value in infos["rate"].domain_discrete.values] == [0.5, 1.0]
    assert [value.string_value for value in infos["what"].domain_discrete.values] == ["3", "x"]
    (last,) = (tmp_path / "explore").glob("13*")
    assert set(plugin_data(last, "_hparams_/session_start_info").hparams) == {"seed"}


def test_no_runs_at_all(tmp_path: Path) -> None:
    fill_folder(ExportedRuns("dynamics", "", "min_loss", {}, {}), tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == [FILE_NAME]
