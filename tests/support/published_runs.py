"""The published runs as jobs, and jobs made up for a test."""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from rnnlab.files import sha256_hex
from rnnlab.queue.job import Job, Status
from tests.support.paths import REFERENCE

ROUNDS = {1: "explore", 2: "refine", 3: "replicate"}
_PARTS = ["input_gate", "forget_gate", "output_gate", "state_gate", "new_state", "old_state", "residual"]
SWITCHES = [f"use_{part}" for part in _PARTS]


def published_csv(number: int) -> pd.DataFrame:
    """One published round as it was published."""
    path = REFERENCE / f"dynamics_round{number}.csv"
    return pd.read_csv(path)


def published_jobs(number: int) -> list[Job]:
    """One published round as `rnnlab import` stores it: the n-th run of a configuration has seed n."""
    jobs: list[Job] = []
    seen: dict[str, int] = {}
    for row in published_csv(number).to_dict("records"):
        switches = {name: bool(row[name]) for name in SWITCHES}
        model = {"cell": "gated", "n_layers": int(row["n_layers"]), "state_size": int(row["state_size"]), **switches}
        seed = seen[json.dumps(model)] = seen.get(json.dumps(model), -1) + 1
        result = {"min_loss": row["min_loss"], "final_loss": row["final_loss"], "imported_from": f"{number}.csv"}
        jobs.append(
            make_job(len(jobs) + 1, model, result, seed=seed, round_name=ROUNDS[number], seconds=row["seconds"])
        )
    return jobs


def make_job(
    job_id: int,
    model: Mapping[str, Any],
    result: Mapping[str, Any] | None,
    seed: int = 0,
    round_name: str = "explore",
    status: Status | None = None,
    seconds: float = 1.0,
    training: Mapping[str, Any] | None = None,
) -> Job:
    """A job with these settings and this result; done if it has one, else pending."""
    document = {
        "corpus": {"name": "enwik8", "sha256": "0" * 64},
        "tokenizer": {"kind": "bytes"},
        "model": dict(model),
        "training": {"batch_size": 256, "learning_rate": 0.001, **(training or {})},
        "seed": seed,
    }
    payload = json.dumps(document, sort_keys=True)
    return Job(
        id=job_id,
        experiment="dynamics",
        round=round_name,
        config_hash=sha256_hex(payload.encode()),
        payload=payload,
        group_key="",
        target_steps=10_989,
        priority=0,
        status=status or (Status.PENDING if result is None else Status.DONE),
        epoch=1,
        worker_id=None,
        step=0,
        deaths=0,
        seconds=seconds,
        result=result,
        error=None,
        created_at=0.0,
        started_at=None,
        finished_at=None,
    )
