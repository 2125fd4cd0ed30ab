"""What `rnnlab status --watch` shows: the status, and the history of the best run. It only reads."""

from dataclasses import dataclass

from rnnlab.actions.status import BestRun, ExperimentStatus, WorkerStatus, best_run, experiment_status, worker_statuses
from rnnlab.analysis.words.names import curve_series
from rnnlab.plans.plan import config_of, stored_plan
from rnnlab.queue.job import Status
from rnnlab.queue.reader import Improvement, Reader
from rnnlab.queue.store import Store
from rnnlab.spec.experiment import Experiment
from rnnlab.spec.settings import Scalar

MOST_FAILURES = 50  # listed by name; more do not fit on a screen


@dataclass(frozen=True)
class BestStory:
    """The best run, and the runs that were the best before it."""

    settings: dict[str, Scalar]  # of the best run; only those that the experiment varies
    curve: list[float]  # its training curve in nats; empty if it has none
    improvements: list[Improvement]  # runs that were the best when they finished
    finished: int  # jobs of the experiment that are done


@dataclass(frozen=True)
class ExperimentView:
    """One experiment."""

    status: ExperimentStatus
    story: BestStory | None  # None if no run is finished


@dataclass(frozen=True)
class Snapshot:
    """The state of all experiments at one time."""

    at: float  # seconds since 1970
    experiments: list[ExperimentView]
    workers: list[WorkerStatus]  # of all experiments


@dataclass(frozen=True)
class _Known:
    """What changes only when a job finishes."""

    finished: int  # jobs of the experiment that were done at that time
    best: BestRun | None
    story: BestStory | None


class Watch:
    """Takes snapshots. What changes only when a job finishes is read again only after a job has finished."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, _Known] = {}

    def look(self, experiment: str | None = None) -> Snapshot:
        """A snapshot of one experiment, or of all. Raises UsageError if no experiment has this name."""
        names = self._store.experiment_names() if experiment is None else [experiment]
        views = []
        for name in names:
            status = experiment_status(self._store, name, most_failures=MOST_FAILURES, best=self._best)
            views.append(ExperimentView(status, self._known[name].story))
        return Snapshot(self._store.clock(), views, worker_statuses(self._store))

    def _best(self, store: Reader, name: str, metric: str) -> BestRun | None:
        done = sum(jobs for (_, _, status), jobs in store.counts(name).items() if status is Status.DONE)
        known = self._known.get(name)
        if known is None or known.finished != done:
            improvements = store.improvements(name, metric, unless="diverged_at_step")
            best = None if known is None else known.best
            # Most jobs that finish are not the best: the table is searched only if the best value has changed.
            if improvements and (best is None or best.value != improvements[-1].value):
                best = best_run(store, name, metric)
            story = None if best is None else _story(store, name, best, improvements, done)
            known = self._known[name] = _Known(done, best, story)
        return known.best


def _story(store: Reader, name: str, best: BestRun, improvements: list[Improvement], finished: int) -> BestStory:
    job, curve = store.job(best.job_id), store.curve(best.job_id)
    assert job is not None
    series = {} if curve is None else curve.series
    shown = series.get(curve_series(best.metric) or "", next(iter(series.values()), []))
    varied = _varied(stored_plan(store, name).experiment)
    settings = {key: value for key, value in config_of(job).settings.items() if key in varied}
    return BestStory(settings, shown, improvements, finished)


def _varied(experiment: Experiment) -> set[str]:
    """The settings that the experiment file varies, without the seed."""
    later = {key for rule in experiment.rounds for variant in rule.vary for key in variant.set}
    return (set(experiment.grid) | later) - {"seed"}
