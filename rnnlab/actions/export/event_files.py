"""Runs as a folder of event files for TensorBoard: curves, final numbers, and the table of hyperparameters.

<out>/events.out.tfevents.0.rnnlab                       lists the hyperparameters and metrics
<out>/<round>/<job>-<settings>/events.out.tfevents.0.rnnlab

A run has its curve as scalars under the names of the series, each number of its result and its seconds as one point
under `result/`, and as hyperparameters the settings that vary within the experiment, with round and seed.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from rnnlab.actions.export.exported_runs import ExportedRuns, began_at
from rnnlab.analysis.levels import levels
from rnnlab.analysis.results_frame import results_frame, setting_columns
from rnnlab.analysis.words.names import describe
from rnnlab.errors import UsageError
from rnnlab.queue.job import Curve, Job, Status

if TYPE_CHECKING:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams.summary_v2 import Domain

FILE_NAME = "events.out.tfevents.0.rnnlab"  # TensorBoard looks for `tfevents` in the name; the number is a time
_MANY_LEVELS = 10  # with more, TensorBoard offers a range instead of checkboxes
_NAME_LENGTH = 120  # characters of a run's name, well below what file systems allow


@dataclass(frozen=True)
class _Axis:
    """One hyperparameter."""

    kind: type  # bool, int, float or str: a type that all levels can have
    levels: Sequence[Any]  # without the missing value of runs that do not have the setting


@dataclass(frozen=True)
class _Columns:
    """What TensorBoard's table of runs shows."""

    axes: Mapping[str, _Axis]
    metrics: Sequence[str]  # numbers of the results; the one that ranks the runs is first


def shown_jobs(runs: ExportedRuns) -> list[Job]:
    """The jobs that TensorBoard can show: those with a curve or a result."""
    return [job for job in runs.jobs if job.id in runs.curves or job.result]


def fill_folder(runs: ExportedRuns, folder: Path) -> None:
    """Write the event files of the runs into an empty folder.

    Raises UsageError if tensorboard is not installed.
    """
    _check_installed()
    jobs = shown_jobs(runs)
    frame = results_frame(jobs)
    columns = _columns(runs, frame)
    _write(folder, [_event(began_at(jobs[0]), 0, _overview(columns))] if jobs else [])
    width = len(str(jobs[-1].id)) if jobs else 0
    for round_name, members in frame.groupby("round", sort=False):
        varying = [name for name in setting_columns(frame) if len(levels(members[name])) > 1]
        seeds = levels(members["seed"])
        for place, row in zip(members.index, members.to_dict("records"), strict=True):
            job = jobs[place]
            number = f"{job.id:0{width}d}"  # TensorBoard sorts names as texts
            described = [describe(row, varying), f"seed = {row['seed']}" if len(seeds) > 1 else ""]
            run_folder = folder / str(round_name) / _run_name(number, ", ".join(filter(None, described)))
            run_folder.mkdir(parents=True)
            _write(run_folder, _events(runs, job, number, row, columns))


def _check_installed() -> None:
    try:
        import tensorboard.summary  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "--to tensorboard needs the package tensorboard: run `pip install 'rnnlab[tensorboard]'`"
        ) from error


def _columns(runs: ExportedRuns, frame: pd.DataFrame) -> _Columns:
    axes = {}
    for name in ["round", *setting_columns(frame), "seed"]:
        found = levels(frame[name])
        present = [value for value in found if value is not None]
        if len(found) > 1:
            axes[name] = _Axis(_common_kind(present), present)
    return _Columns(axes, [runs.metric, *(name for name in runs.number_names if name != runs.metric), "seconds"])


def _common_kind(values: Sequence[Any]) -> type:
    kinds = {type(value) for value in values}
    if len(kinds) == 1:
        return kinds.pop()
    return str if str in kinds else float


def _run_name(number: str, description: str) -> str:
    """Number and description as a folder: 12, "forget + state gate, L = 2" -> "12-forget+state_gate,L=2"."""
    compact = re.sub(r" ?([=+]) ?", r"\1", description).replace(", ", ",")
    name = f"{number}-{compact}" if compact else number
    return re.sub(r"[^\w.,=+-]+", "_", name)[:_NAME_LENGTH]


def _overview(columns: _Columns) -> "Summary":
    from tensorboard.plugins.hparams.summary_v2 import HParam, Metric, hparams_config_pb

    hparams = [HParam(name, _domain(axis)) for name, axis in columns.axes.items()]
    metrics = [Metric(f"result/{name}", display_name=name) for name in columns.metrics]
    return hparams_config_pb(hparams, metrics)


def _domain(axis: _Axis) -> "Domain":
    from tensorboard.plugins.hparams.summary_v2 import Discrete, IntInterval, RealInterval

    values = [axis.kind(value) for value in axis.levels]
    if len(values) > _MANY_LEVELS and axis.kind in (int, float):
        interval = IntInterval if axis.kind is int else RealInterval
        return interval(min(values), max(values))
    return Discrete(values)


def _events(runs: ExportedRuns, job: Job, number: str, row: Mapping[Any, Any], columns: _Columns) -> "Iterator[Event]":
    """The events of one run, in chronological order. Points of the curve are spread evenly over its seconds."""
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb

    begin, end = began_at(job), began_at(job) + job.seconds
    settings = {name: axis.kind(row[name]) for name, axis in columns.axes.items() if not pd.isna(row[name])}
    yield _event(begin, 0, hparams_pb(settings, trial_id=number, start_time_secs=begin))
    curve = runs.curves.get(job.id, Curve())
    for position, step in enumerate(curve.steps):
        point = {name: series[position] for name, series in curve.series.items()}
        yield _event(begin + job.seconds * step / max(1, job.step), step, _scalars(point))
    if job.result is not None:
        numbers = {**runs.numbers(job), "seconds": job.seconds}
        yield _event(end, job.step, _scalars({f"result/{name}": value for name, value in numbers.items()}))
    if job.status in (Status.DONE, Status.FAILED, Status.CANCELLED):
        yield _event(end, job.step, _session_end(end, success=job.status is Status.DONE))


def _session_end(at: float, *, success: bool) -> "Summary":
    # The function of the package for this needs TensorFlow.
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    status = api_pb2.STATUS_SUCCESS if success else api_pb2.STATUS_FAILURE
    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=at)
    about = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_end_info=end))
    value = Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=about, tensor=metadata.NULL_TENSOR)
    return Summary(value=[value])


def _scalars(scalars: Mapping[str, float]) -> "Summary":
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()])


def _event(at: float, step: int, summary: "Summary") -> "Event":
    from tensorboard.compat.proto.event_pb2 import Event

    return Event(wall_time=at, step=step, summary=summary)


def _write(folder: Path, events: "Iterable[Event]") -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    with (folder / FILE_NAME).open("wb") as stream:
        writer = RecordWriter(stream)
        writer.write(Event(file_version="brain.Event:2").SerializeToString())
        for event in events:
            writer.write(event.SerializeToString())
