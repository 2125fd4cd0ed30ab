"""A job, its status and the claims on it.

The payload of a job is opaque JSON to the queue. Jobs with equal group keys may be claimed together.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

IMPORTED_FROM = "imported_from"  # key of results that were trained elsewhere: the name of their file
SEED_SOURCE = "seed_source"  # key of the same results: one of the two texts below
SEED_COLUMN, SEED_COUNT = "column", "count"  # the file has the seeds, or they number rows with equal settings


class Status(StrEnum):
    """The status of a job. These are all the transitions; each one is a guarded statement of the store.

    pending   -> running      claim
    running   -> pending      release (graceful stop); rescue (its worker died), fail (an exception), within the budget
    running   -> done         finish, even if a request is pending
    running   -> failed       fail or rescue, if the budget is used up and there is no request
    running   -> paused       apply_request, release, rescue or fail, if a pause is requested
    running   -> cancelled    the same, if a cancellation is requested
    pending   -> paused       pause
    paused    -> pending      resume
    pending, paused, failed -> cancelled    cancel
    failed    -> pending      retry
    cancelled -> pending      retry, if the job is named
    """

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Request(StrEnum):
    """What an operator requests for a running job. Its worker applies the request after the next checkpoint."""

    PAUSE = "pause"
    CANCEL = "cancel"


@dataclass(frozen=True)
class NewJob:
    """A job to add. (experiment, round, config_hash) is its identity: adding it again changes nothing."""

    config_hash: str  # SHA-256 of the payload, 64 hexadecimal digits
    payload: str  # canonical JSON of the run config
    group_key: str  # jobs with equal keys can be trained in one cohort
    target_steps: int  # optimizer steps until done, >= 1
    priority: int = 0  # higher is claimed first


@dataclass(frozen=True)
class Claim:
    """The fencing token: every write about a running job is refused unless all three still match the table."""

    job_id: int
    worker_id: str
    epoch: int  # incremented by every claim, never decremented


@dataclass(frozen=True)
class Job:
    """One row of the job table."""

    id: int
    experiment: str
    round: str
    config_hash: str
    payload: str
    group_key: str
    target_steps: int
    priority: int
    status: Status
    epoch: int  # number of claims so far; > 0: a worker has started it
    worker_id: str | None  # owner while running, last owner afterwards
    step: int  # optimizer steps committed so far, 0..target_steps
    deaths: int  # deaths of its worker since the last progress
    seconds: float  # time in training, summed over claims; a cohort's time is divided among its members
    result: Mapping[str, Any] | None  # as given to finish()
    error: str | None  # traceback of its last exception, or why it was quarantined; retry clears it
    created_at: float  # seconds since 1970, like all times in this module
    started_at: float | None  # first claim
    finished_at: float | None  # when it became done, failed or cancelled
    failures: int = 0  # exceptions since the last retry
    preemptions: int = 0  # releases so far; they cost nothing
    request: Request | None = None  # of an operator; the column `wish` holds it; None unless running

    @property
    def claim(self) -> Claim:
        """The token of the current owner; only meaningful while the job is running."""
        assert self.worker_id is not None
        return Claim(self.id, self.worker_id, self.epoch)

    @property
    def is_imported(self) -> bool:
        """Whether it was trained elsewhere. It then has a result but no model."""
        return self.result is not None and IMPORTED_FROM in self.result

    @property
    def is_seed_known(self) -> bool:
        """Whether the seed is the one that it was trained with. An import without seeds counts equal rows instead."""
        return not self.is_imported or (self.result or {}).get(SEED_SOURCE) == SEED_COLUMN


@dataclass(frozen=True)
class Curve:
    """The recorded points of one job's training curve; `steps` and each series have the same length."""

    steps: list[int] = field(default_factory=list)  # optimizer steps, ascending
    series: dict[str, list[float]] = field(default_factory=dict)  # for example {"ema_loss": [...]}, nats


@dataclass(frozen=True)
class Finish:
    """How a job ended: the arguments of `Store.finish`."""

    claim: Claim
    result: Mapping[str, Any]  # a JSON object of finite numbers
    seconds: float  # time in training, summed over claims
    curve: Curve  # the whole curve
    step: int | None = None  # where a diverged job ended; None: at its target


@dataclass(frozen=True)
class Event:
    """One line of the append-only history of a job."""

    id: int
    job_id: int
    at: float
    kind: str  # see the list at the top of tables.py
    worker_id: str | None
    epoch: int
    detail: str


@dataclass(frozen=True)
class WorkerRecord:
    """One worker process, alive or not."""

    id: str
    host: str
    boot_id: str  # changes when the host restarts; a lock file is trusted on the same host and boot only
    pid: int
    device: str  # torch's name: cpu, cuda:0
    lock_path: str
    started_at: float
    heartbeat_at: float
    lease_until: float  # heartbeat_at plus the lease; a host that sees no renewal for this long rescues its jobs
    stopped_at: float | None  # set when it stops, or by the worker that found it dead
    lock_folder: str = ""  # not used; it is a required column, which keeps out workers of an older schema
