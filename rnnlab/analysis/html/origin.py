"""The origin of the numbers of a page: program, corpora, machines, seeds, time. Read from the jobs only."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from rnnlab.queue.job import Job, Status

_MOST_SEEDS = 12  # with more, only their number and range is shown


def origin(jobs: Sequence[Job]) -> list[tuple[str, str]]:
    """Name and value of each line; lines without a value are left out."""
    payloads = [json.loads(job.payload) for job in jobs]
    results = [job.result or {} for job in jobs]
    done = [job for job in jobs if job.status is Status.DONE]
    imported = sum(job.epoch == 0 for job in done)  # no worker ever claimed them
    corpora = {
        f"{corpus.get('name')} (SHA-256 {corpus.get('sha256') or 'unknown'})"
        for corpus in (payload.get("corpus", {}) for payload in payloads)
    }
    lines = {
        "Jobs": _jobs(jobs) + (f"; {imported:,} of them imported, trained elsewhere" if imported else ""),
        "Corpus": _listed(corpora),
        "Seeds": _seeds({payload["seed"] for payload in payloads if payload.get("seed") is not None}),
        "Training": _hours(sum(job.seconds for job in jobs)),
        "Trained": _dates(jobs),
        "Device": _listed(_texts(results, "device")),
        "Kernels": _listed(_texts(results, "kernels")),
        "rnnlab": _listed(_programs(results)),
        "torch": _listed(_texts(results, "torch_version")),
        "Python": _listed(_texts(results, "python_version")),
    }
    return [(name, text) for name, text in lines.items() if text]


def _jobs(jobs: Sequence[Job]) -> str:
    counts = Counter(job.status for job in jobs)
    return ", ".join(f"{counts[status]:,} {status.value}" for status in Status if counts[status])


def _texts(results: Iterable[Any], key: str) -> set[str]:
    return {str(result[key]) for result in results if result.get(key)}


def _programs(results: Iterable[Any]) -> set[str]:
    """Version and commit of each rnnlab that trained a job."""
    programs = set()
    for result in results:
        if result.get("rnnlab_version"):
            commit = result.get("git_commit")
            changed = " with uncommitted changes" if result.get("git_dirty") else ""
            programs.add(result["rnnlab_version"] + (f" (commit {commit[:12]}{changed})" if commit else ""))
    return programs


def _seeds(seeds: set[int]) -> str:
    ordered = sorted(seeds)
    if len(ordered) <= _MOST_SEEDS:
        return ", ".join(map(str, ordered))
    return f"{len(ordered):,} between {ordered[0]} and {ordered[-1]}"


def _hours(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s, all runs together"
    return f"{seconds / 3600:,.2f} h, all runs together" if seconds >= 3600 else f"{seconds / 60:.1f} min, all together"


def _dates(jobs: Sequence[Job]) -> str:
    """From the first claim to the last end of a job, in UTC to the minute."""
    started = [job.started_at for job in jobs if job.started_at is not None]
    ended = [job.finished_at for job in jobs if job.started_at is not None and job.finished_at is not None]
    if not started:
        return ""
    first = _minute(min(started))
    if not ended:
        return f"since {first} UTC"
    last = _minute(max(ended))
    day, _, minute = last.partition(" ")
    return f"{first} to {minute if first.startswith(day) else last} UTC"


def _minute(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(sorted(texts))
