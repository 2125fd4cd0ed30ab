"""An independent check of a sweep: it reads tables and files, and shares no code with the worker or the queue."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

Row = Mapping[str, Any]

# The status of a job before and after an event of each kind. Requests do not change the status.
_ARROWS: dict[str, tuple[set[str], str | None]] = {
    "added": ({"nothing"}, "pending"),
    "claimed": ({"pending"}, "running"),
    "resumed": ({"pending"}, "running"),
    "released": ({"running"}, "pending"),
    "rescued": ({"running"}, "pending"),
    "excepted": ({"running"}, "pending"),
    "finished": ({"running"}, "done"),
    "failed": ({"running"}, "failed"),
    "paused": ({"running", "pending"}, "paused"),
    "unpaused": ({"paused"}, "pending"),
    "retried": ({"failed"}, "pending"),
    "asked": ({"running"}, None),
    "unasked": ({"running"}, None),
}
_CLAIMS = ("claimed", "resumed")
_BY_HOLDER = ("released", "rescued", "excepted", "finished", "failed")
_CHECKPOINT = re.compile(r"checkpoint-e(\d+)-s(\d+)\.rnn")
_CLAIM_LINE = re.compile(r"^\S+ claim (\d+) by worker (\w+) on ", re.MULTILINE)
_FORBIDDEN = ("database is locked", "Traceback (most recent call last)")


@dataclass
class Evidence:
    """The tables and files of a sweep."""

    jobs: list[dict[str, Any]]
    events: list[dict[str, Any]]
    workers: list[dict[str, Any]]
    curves: dict[int, str]  # as in the table, by job
    files: dict[int, dict[str, bytes]]  # run folders, by job
    final: dict[int, bytes | None]  # final checkpoints, by job
    messages: list[str] = field(default_factory=list)  # of each worker


def gather(url: str, results: Path, messages: Iterable[str] = ()) -> Evidence:
    """Read tables and files. `url`: in the notation of SQLAlchemy."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            tables = {
                name: [dict(row) for row in connection.execute(text(f"SELECT * FROM {name} ORDER BY 1")).mappings()]
                for name in ("jobs", "events", "workers", "curves")
            }
    finally:
        engine.dispose()
    files: dict[int, dict[str, bytes]] = {}
    final: dict[int, bytes | None] = {}
    for job in tables["jobs"]:
        folder = results / job["experiment"] / job["round"] / job["config_hash"][:16]
        files[job["id"]] = {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}
        named = json.loads(job["result"] or "{}").get("checkpoint")
        path = results / named if named else None
        final[job["id"]] = path.read_bytes() if path is not None and path.exists() else None
    curves = {row["job_id"]: row["points"] for row in tables["curves"]}
    return Evidence(tables["jobs"], tables["events"], tables["workers"], curves, files, final, list(messages))


def faults(found: Evidence, reference: Evidence) -> list[str]:
    """All errors in a sweep that should be complete. `reference`: the same sweep without disturbances."""
    wrong = _faults_of_jobs(found, reference)
    by_job: dict[int, list[Row]] = defaultdict(list)
    for event in found.events:
        by_job[event["job_id"]].append(event)
    known = {worker["id"] for worker in found.workers}
    for job in found.jobs:
        holders, told = _faults_of_history(job, by_job[job["id"]], known)
        wrong += told + _faults_of_files(job, found.files[job["id"]], holders)
    for number, messages in enumerate(found.messages):
        wrong += [f"worker process {number} said: {bad}" for bad in _FORBIDDEN if bad in messages]
    return wrong


def _faults_of_jobs(found: Evidence, reference: Evidence) -> list[str]:
    def identity(job: Row) -> tuple[Any, ...]:
        return job["experiment"], job["round"], job["config_hash"]

    wrong = []
    if Counter(map(identity, found.jobs)) != Counter(map(identity, reference.jobs)):
        wrong.append("the jobs are not those of the undisturbed sweep, each once")
    expected = {identity(job): job for job in reference.jobs}
    alive = {worker["id"] for worker in found.workers if worker["stopped_at"] is None}
    for job in found.jobs:
        name, twin = f"job {job['id']}", expected.get(identity(job))
        if job["status"] == "running" and job["worker_id"] not in alive:
            wrong.append(f"{name} runs without a live owner")
        if job["status"] != "done":
            wrong.append(f"{name} is {job['status']}: {job['error']}")
            continue
        if twin is None:
            continue
        if job["step"] != twin["step"]:
            wrong.append(f"{name} ended at step {job['step']}, not {twin['step']}")
        if _finding(job) != _finding(twin):
            wrong.append(f"{name} has another result: {_finding(job)}, not {_finding(twin)}")
        if found.final[job["id"]] is None or found.final[job["id"]] != reference.final[twin["id"]]:
            wrong.append(f"{name} has a missing or another final checkpoint")
        if found.curves.get(job["id"]) != reference.curves[twin["id"]]:
            wrong.append(f"{name} has another curve")
    return wrong


def _finding(job: Row) -> dict[str, Any]:
    """The result without the name of the checkpoint, which contains the epoch."""
    return {name: value for name, value in json.loads(job["result"]).items() if name != "checkpoint"}


def _faults_of_history(job: Row, history: list[Row], known: set[str]) -> tuple[dict[int, str], list[str]]:
    """The owner of each epoch, and the errors, found by following the events of the job."""
    name, wrong = f"job {job['id']}", []
    place, epoch = "nothing", 0
    holders: dict[int, str] = {}
    for event in history:
        kind, what = event["kind"], f"{name}, event {event['id']} ({event['kind']})"
        if kind not in _ARROWS:
            wrong.append(f"{what}: not expected in a storm")
            continue
        before, after = _ARROWS[kind]
        if place not in before:
            wrong.append(f"{what}: the job was {place}")
        place = after or place
        if kind in _CLAIMS:
            if event["epoch"] != epoch + 1 or (kind == "claimed") != (event["epoch"] == 1):
                wrong.append(f"{what}: epoch {event['epoch']} after {epoch}")
            if event["worker_id"] not in known:
                wrong.append(f"{what}: by unknown worker {event['worker_id']}")
            holders[event["epoch"]] = event["worker_id"]
        elif event["epoch"] != epoch:
            wrong.append(f"{what}: of stale epoch {event['epoch']}, at epoch {epoch}")
        if kind in _BY_HOLDER and event["worker_id"] != holders.get(event["epoch"]):
            wrong.append(f"{what}: by {event['worker_id']}, but {holders.get(event['epoch'])} held it")
        epoch = max(epoch, event["epoch"])
    kinds = Counter(event["kind"] for event in history)
    if kinds["finished"] != 1 or not history or history[-1]["kind"] != "finished":
        wrong.append(f"{name} finished {kinds['finished']} times, its last event is {history[-1:]}")
    if kinds["added"] != 1:
        wrong.append(f"{name} was added {kinds['added']} times")
    if not epoch == job["epoch"] == sum(kinds[kind] for kind in _CLAIMS) == len(holders):
        wrong.append(f"{name} is at epoch {job['epoch']}, its events at {epoch}")
    if job["worker_id"] != holders.get(epoch):
        wrong.append(f"{name} belongs to {job['worker_id']}, its last claim to {holders.get(epoch)}")
    return holders, wrong


def _faults_of_files(job: Row, files: Mapping[str, bytes], holders: Mapping[int, str]) -> list[str]:
    name, wrong = f"job {job['id']}", []
    for file in files:
        match = _CHECKPOINT.fullmatch(file)
        if match and (int(match[1]) not in holders or int(match[2]) > job["target_steps"]):
            wrong.append(f"{name} has a checkpoint of no known claim: {file}")
    log = files.get("log.txt", b"").decode()
    for number, worker in _CLAIM_LINE.findall(log):
        holder = holders.get(int(number))
        if holder != worker:
            wrong.append(f"{name}: the log tells of claim {number} by {worker}, the table of {holder}")
    if log.count(" finished: ") > 1:
        wrong.append(f"{name}: the log tells of more than one end")
    return wrong


class Watcher:
    """Compares repeated reads of the table: no value may decrease."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self._seen: dict[int, Row] = {}

    def look(self, jobs: Iterable[Row]) -> None:
        """The current jobs, each with id, epoch, step, status, worker_id."""
        for job in jobs:
            old = self._seen.get(job["id"], job)
            for what in ("epoch", "step"):
                if job[what] < old[what]:
                    self.faults.append(f"job {job['id']}: {what} {old[what]} became {job[what]}")
            if job["epoch"] == old["epoch"] and old["epoch"] > 0 and job["worker_id"] != old["worker_id"]:
                self.faults.append(f"job {job['id']}: another owner without another epoch")
            if old["status"] == "done" and dict(job) != dict(old):
                self.faults.append(f"job {job['id']} changed after it was done")
            self._seen[job["id"]] = job
