"""Text sampled from the best run of an experiment, kept in the folder of its report.

    results/<experiment>/sample.json

Analysis must not load torch, so a separate process samples (`rnnlab sample`). It runs only when the best run changes.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnlab.files import Workspace, atomic_write_text
from rnnlab.queue.job import Job
from rnnlab.queue.reader import Reader

PRIME = "The "
LENGTH = 600  # symbols
TEMPERATURE = 0.8
SEED = 0
TIMEOUT_SECONDS = 60.0  # of the process that samples; most of its time is spent loading torch
_COMMAND = [
    *(sys.executable, "-m", "rnnlab", "sample"),
    *("--prime", PRIME, "--length", str(LENGTH), "--temperature", str(TEMPERATURE), "--seed", str(SEED)),
]


@dataclass(frozen=True)
class Sample:
    """The text of the best run, or the reason why there is none."""

    job_id: int
    round: str
    text: str = ""  # begins with PRIME
    missing: str = ""  # why there is no text; empty if there is one

    @property
    def run(self) -> str:
        """The run, as a text that can start a sentence."""
        return f"Job {self.job_id} of round {self.round}"

    @property
    def how(self) -> str:
        """How the text was sampled."""
        return f"the start “{PRIME.strip()}” is given, temperature {TEMPERATURE:g}, seed {SEED}"


def best_sample(store: Reader, workspace: Workspace, experiment: str, metric: str) -> Sample | None:
    """Text of the run with the lowest metric, the same run as `rnnlab best`; None if no run is finished.

    Failures do not raise: `missing` gives the reason, for example an imported run or a prime that the vocabulary lacks.
    """
    found = store.lowest(experiment, metric, unless="diverged_at_step")
    if found is None:
        return None
    job = found[0]
    checkpoint = (job.result or {}).get("checkpoint")
    if not isinstance(checkpoint, str) or not (workspace.results_dir / checkpoint).is_file():
        return Sample(job.id, job.round, missing="its checkpoint is not in the results folder")
    kept = workspace.experiment_dir(experiment) / "sample.json"
    asked = {"checkpoint": checkpoint, "prime": PRIME, "length": LENGTH, "temperature": TEMPERATURE, "seed": SEED}
    text = _kept_text(kept, asked)
    if text is None:
        sample = _draw(store, workspace, job)
        if not sample.missing:
            atomic_write_text(kept, json.dumps({**asked, "text": sample.text}, indent=2, ensure_ascii=False) + "\n")
        return sample
    return Sample(job.id, job.round, text)


def _kept_text(path: Path, asked: dict[str, Any]) -> str | None:
    """The text in the file, if it was sampled with the same settings."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(kept, dict) or {key: kept.get(key) for key in asked} != asked:
        return None
    text = kept.get("text")
    return text if isinstance(text, str) else None


def _draw(store: Reader, workspace: Workspace, job: Job) -> Sample:
    # The URL may contain a password, which must not appear in the list of processes: it is passed in the environment.
    environment = {
        **os.environ,
        "RNNLAB_DB": store.engine.url.render_as_string(hide_password=False),
        "RNNLAB_RESULTS": str(workspace.results_dir),
    }
    command = [*_COMMAND, str(job.id)]
    try:
        done = subprocess.run(command, capture_output=True, env=environment, timeout=TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Sample(job.id, job.round, missing=f"`rnnlab sample {job.id}` took longer than {TIMEOUT_SECONDS:g} s")
    except OSError as error:
        return Sample(job.id, job.round, missing=f"`rnnlab sample {job.id}` did not start ({error})")
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        return Sample(job.id, job.round, missing=said[-1] if said else f"exit code {done.returncode}")
    return Sample(job.id, job.round, done.stdout.decode(errors="replace").rstrip("\n"))
