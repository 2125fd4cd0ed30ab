"""The status of experiments: job counts, speed, time left, best result, workers. Read only."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rnnlab.cost.history import MeasuredSpeed, ratio
from rnnlab.plans.plan import stored_plan
from rnnlab.queue.heartbeat import dead_workers
from rnnlab.queue.job import Status, WorkerRecord
from rnnlab.queue.liveness import silence_by_the_clock, this_host
from rnnlab.queue.reader import Load, Progress, Reader
from rnnlab.queue.store import Store


@dataclass(frozen=True)
class RoundStatus:
    """One round of an experiment."""

    name: str
    pending: int
    running: int
    done: int
    failed: int
    percent: float  # optimizer steps done, including those of unfinished jobs, in percent
    paused: int = 0
    cancelled: int = 0


@dataclass(frozen=True)
class BestRun:
    """The finished job with the lowest metric."""

    job_id: int
    round: str
    metric: str
    value: float


@dataclass(frozen=True)
class Failure:
    """A failed job and the last line of its traceback."""

    job_id: int
    reason: str


@dataclass(frozen=True)
class ExperimentStatus:
    """One experiment."""

    experiment: str
    rounds: list[RoundStatus]  # those that have jobs
    rounds_to_come: list[str]  # those that `rnnlab analyze` will add
    workers_alive: int
    workers_dead: int  # dead, but their jobs have not been taken by a live worker yet
    steps_per_second: float | None  # model-steps per second of one worker; None if nothing was trained here yet
    seconds_left: float | None  # with the current live workers, or with one if there are none; None as above
    best: BestRun | None
    failures: list[Failure] = field(default_factory=list)
    own_cells: bool = False  # whether workers need --allow-code

    @property
    def open_jobs(self) -> int:
        """Number of pending and running jobs."""
        return sum(r.pending + r.running for r in self.rounds)

    def as_json(self) -> dict[str, Any]:
        """Plain values by field name, for `--json`."""
        return asdict(self)


def best_run(store: Reader, experiment: str, metric: str) -> BestRun | None:
    """The finished job with the lowest metric, without diverged jobs."""
    found = store.lowest(experiment, metric, unless="diverged_at_step")
    return None if found is None else BestRun(found[0].id, found[0].round, metric, found[1])


def experiment_status(
    store: Store,
    name: str,
    *,
    most_failures: int | None = None,
    best: Callable[[Reader, str, str], BestRun | None] = best_run,
) -> ExperimentStatus:
    """The status of one experiment in the table. Raises UsageError if it does not exist.

    most_failures: maximum number of failed jobs to list, in the order of adding; None: all. best: function that finds
    the best run, for callers that cache it.
    """
    plan = stored_plan(store, name)
    progress = store.progress(name)
    speed = MeasuredSpeed(progress)
    alive = store.workers(alive_only=True)
    dead = len(_found_dead(store, alive))
    live = len(alive) - dead
    work_seconds = speed.seconds_left(progress)
    started = {row.round for row in progress}
    return ExperimentStatus(
        experiment=name,
        rounds=_rounds(progress, plan.experiment.round_names),
        rounds_to_come=[round_name for round_name in plan.experiment.round_names if round_name not in started],
        workers_alive=live,
        workers_dead=dead,
        steps_per_second=speed.mean,
        seconds_left=None if work_seconds is None else work_seconds / max(1, live),
        best=best(store, name, plan.experiment.analysis.metric),
        failures=[
            Failure(job_id, (error or "").strip().rpartition("\n")[2] or "no reason given")
            for job_id, error in store.failures(name, most_failures)
        ],
        own_cells=bool(plan.experiment.code),
    )


@dataclass(frozen=True)
class WorkerStatus:
    """One worker that has not stopped regularly."""

    id: str
    host: str
    pid: int
    device: str  # as torch names it: cpu, cuda:0
    jobs: int  # number of jobs that it holds
    steps_per_second: float | None  # model-steps per second over all its jobs; None before its first commit
    heartbeat_age_seconds: float  # time since the last renewal of its lease
    dead: bool  # dead, but its jobs have not been taken by a live worker yet


def worker_statuses(store: Store) -> list[WorkerStatus]:
    """The workers of all experiments, in the order in which they started."""
    alive = store.workers(alive_only=True)
    loads, dead, now = store.loads(), _found_dead(store, alive), store.clock()
    return [
        WorkerStatus(
            id=record.id,
            host=record.host,
            pid=record.pid,
            device=record.device,
            jobs=load.running,
            steps_per_second=ratio(load.step, load.seconds),
            heartbeat_age_seconds=max(0.0, now - record.heartbeat_at),
            dead=record.id in dead,
        )
        for record in alive
        for load in [loads.get(record.id, Load())]
    ]


def live_workers(store: Store) -> int:
    """The number of live workers."""
    alive = store.workers(alive_only=True)
    return len(alive) - len(_found_dead(store, alive))


def _found_dead(store: Store, workers: Sequence[WorkerRecord]) -> set[str]:
    now = store.clock()
    dead = dead_workers(workers, this_host(), lambda record: silence_by_the_clock(record, now))
    return {record.id for record, _ in dead}


def summary_line(status: ExperimentStatus) -> str:
    """The current round in one line."""
    current = next((r for r in reversed(status.rounds) if r.pending + r.running), status.rounds[-1])
    jobs = current.pending + current.running + current.done + current.failed
    best = "" if status.best is None else f", best {status.best.metric} {status.best.value:.4f}"
    left = format_seconds(status.seconds_left)
    return f"{current.name}: {current.done} of {jobs} jobs done, {current.running} running, time left {left}{best}"


def _rounds(progress: Sequence[Progress], order: Sequence[str]) -> list[RoundStatus]:
    rounds = []
    others = sorted({row.round for row in progress} - set(order))  # for example, the round of extended jobs
    for name in [*order, *others]:
        rows = [row for row in progress if row.round == name]
        if rows:
            jobs = {status: sum(row.jobs for row in rows if row.status == status) for status in Status}
            target = sum(row.target_steps for row in rows)
            rounds.append(
                RoundStatus(
                    name=name,
                    pending=jobs[Status.PENDING],
                    running=jobs[Status.RUNNING],
                    done=jobs[Status.DONE],
                    failed=jobs[Status.FAILED],
                    paused=jobs[Status.PAUSED],
                    cancelled=jobs[Status.CANCELLED],
                    percent=100 * sum(row.step for row in rows) / target,
                )
            )
    return rounds


def format_seconds(seconds: float | None) -> str:
    """A duration as `1:02:03`, 'less than a second' or 'unknown'."""
    if seconds is None:
        return "unknown"
    if seconds < 1:
        return "less than a second"
    whole = round(seconds)
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
