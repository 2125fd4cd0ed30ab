"""Runs as Optuna studies in one journal file, for optuna-dashboard and for Optuna's own plots.

Each round is a study of its own, `<experiment>/<round>`: rounds train for different lengths, and only runs of one round
can be compared. Each job is a trial:

    done, metric finite                 COMPLETE, its value is the metric that ranks the runs
    done, diverged or without metric    PRUNED: Optuna still draws its curve
    failed, cancelled                   FAIL
    running                             RUNNING
    pending, paused                     WAITING

Parameters are the settings that vary within the round, without the seed: it is nothing to sample or to rank
by. A setting that a job does not have is not a parameter of its trial, as in conditional search spaces.
"""

import json
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from rnnlab.actions.export.exported_runs import ExportedRuns, began_at, diverged
from rnnlab.analysis.levels import levels
from rnnlab.analysis.results_frame import results_frame, setting_columns
from rnnlab.analysis.words.names import curve_series
from rnnlab.errors import UsageError
from rnnlab.queue.job import Curve, Job, Status

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import JournalStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial, TrialState

EXPERIMENT_ATTRIBUTE = "rnnlab_experiment"  # user attribute of every study that is exported
_LOG_RATIO = 8  # a numeric axis is logarithmic if its largest level is at least this many times the smallest


def journal(runs: ExportedRuns) -> bytes:
    """The contents of a journal file with a study for each round.

    Raises UsageError if Optuna is not installed.
    """
    with _optuna(), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.log"
        storage = _open(path)
        for round_name, jobs in runs.rounds.items():
            _add_study(storage, runs, round_name, jobs)
        return path.read_bytes()


def check_replaceable(path: Path) -> None:
    """Raises UsageError if the file exists and is not an earlier export: it may be a study in progress."""
    if not path.is_file() or path.stat().st_size == 0:
        return
    with _optuna():
        try:
            studies = _open(path).get_all_studies()
        except Exception:  # Optuna raises many types of errors for a file of another format
            studies = []
    if not studies:
        raise UsageError(f"--out {path} is not an Optuna journal: name another file")
    foreign = [study.study_name for study in studies if EXPERIMENT_ATTRIBUTE not in study.user_attrs]
    if foreign:
        raise UsageError(f"--out {path} has the study {foreign[0]!r}, which is not an export: name another file")


def _open(path: Path) -> "JournalStorage":
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(path)))


@contextmanager
def _optuna() -> Iterator[None]:
    """Optuna without its messages about each study."""
    try:
        import optuna
    except ImportError as error:
        raise UsageError("--to optuna needs the package optuna: run `pip install 'rnnlab[optuna]'`") from error
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _add_study(storage: "JournalStorage", runs: ExportedRuns, round_name: str, jobs: Sequence[Job]) -> None:
    import optuna

    study = optuna.create_study(storage=storage, study_name=f"{runs.experiment}/{round_name}", direction="minimize")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([runs.metric])  # the label of plots
    frame = results_frame(jobs)
    axes = {name: levels(frame[name]) for name in setting_columns(frame)}
    distributions = {name: _distribution(values) for name, values in axes.items() if len(values) > 1}
    _describe(study, runs, round_name, {name: values[0] for name, values in axes.items() if len(values) == 1})
    rows = frame[list(distributions)].to_dict("records")
    study.add_trials(_trial(runs, job, row, distributions) for job, row in zip(jobs, rows, strict=True))


def _describe(study: "Study", runs: ExportedRuns, round_name: str, fixed: Mapping[str, Any]) -> None:
    attributes = {EXPERIMENT_ATTRIBUTE: runs.experiment, "round": round_name, "title": runs.title, **fixed}
    for name, value in attributes.items():
        study.set_user_attr(name, value)


def _distribution(values: Sequence[Any]) -> "BaseDistribution":
    """The axis with these levels: numbers stay numbers, which plots need for order and distance."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    present = [value for value in values if value is not None]
    if any(isinstance(value, bool | str) for value in present):
        return CategoricalDistribution(present)
    low, high = min(present), max(present)
    log = low > 0 and high >= _LOG_RATIO * low
    if all(isinstance(value, int) for value in present):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(low, high, log=log)


def _trial(
    runs: ExportedRuns, job: Job, row: Mapping[Any, Any], distributions: "Mapping[str, BaseDistribution]"
) -> "FrozenTrial":
    from optuna.trial import FrozenTrial, TrialState

    numbers = runs.numbers(job)
    state = _state(job, has_metric=runs.metric in numbers)
    value = numbers.pop(runs.metric) if state is TrialState.COMPLETE else None
    present = [name for name in distributions if not pd.isna(row[name])]
    begun = job.status not in (Status.PENDING, Status.PAUSED)
    attributes: dict[str, Any] = {
        "job": job.id,
        "status": job.status.value,
        "seed": json.loads(job.payload).get("seed"),
        "config_hash": job.config_hash,
        "seconds": job.seconds,
    }
    return FrozenTrial(
        number=-1,  # the study numbers its trials, in the order of adding
        trial_id=-1,
        state=state,
        value=value,
        datetime_start=datetime.fromtimestamp(began_at(job)) if begun else None,
        datetime_complete=datetime.fromtimestamp(job.finished_at or began_at(job)) if state.is_finished() else None,
        params={name: row[name] for name in present},
        distributions={name: distributions[name] for name in present},
        user_attrs={**numbers, **attributes},
        system_attrs={},
        intermediate_values=_intermediate_values(runs.curves.get(job.id), runs.metric),
    )


def _state(job: Job, *, has_metric: bool) -> "TrialState":
    from optuna.trial import TrialState

    if job.status is Status.DONE:
        return TrialState.COMPLETE if has_metric and not diverged(job) else TrialState.PRUNED
    return {
        Status.FAILED: TrialState.FAIL,
        Status.CANCELLED: TrialState.FAIL,
        Status.RUNNING: TrialState.RUNNING,
    }.get(job.status, TrialState.WAITING)


def _intermediate_values(curve: Curve | None, metric: str) -> dict[int, float]:
    """Step -> the series that the metric is read from, or the first one if there is none."""
    if curve is None or not curve.series:
        return {}
    name = curve_series(metric) or ""
    series = curve.series.get(name) or next(iter(curve.series.values()))
    return dict(zip(curve.steps, series, strict=True))
