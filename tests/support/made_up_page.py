"""A page about made-up rounds, with names and texts that try to inject markup."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from rnnlab.actions.report_sample import Sample
from rnnlab.analysis.html.origin import origin
from rnnlab.analysis.html.page import Page, page_html
from rnnlab.analysis.html.runs_table import runs_data
from rnnlab.analysis.report import write_round
from rnnlab.analysis.results_frame import results_frame
from rnnlab.files import Workspace, sha256_hex
from rnnlab.queue.job import Job
from tests.support.made_up_rounds import made_up_round
from tests.support.round_statistics import runs_of, statistics_of

EVIL = "</script><b>evil</b><!--"
EVIL_SETTING = f"x{EVIL}"
SCHEDULES = ("1@1e-3,1@1e-4", "1@1e-3", "1@1e-4")
PICTURE_FROM_ELSEWHERE = "![p](https://example.org/p.png)"


@dataclass(frozen=True)
class MadeUpPage:
    """The page and the data that it shows."""

    html: str
    jobs: list[Job]
    frame: pd.DataFrame
    folder: Path  # of its report.md and the tables


def made_up_page(folder: Path) -> MadeUpPage:
    """Two rounds: 60 runs with curves, of which three diverged and five are unfinished; ten runs without curves."""
    first = made_up_round(60, diverged=3, unfinished=5, points=50)
    second = made_up_round(10)
    jobs = [_hostile(job) for job in first.jobs]
    jobs += [replace(_hostile(job), id=job.id + 60, round="refine") for job in second.jobs]
    workspace = Workspace(folder / "results", folder / "plots")
    sections = []
    for name in ("explore", "refine"):
        statistics = statistics_of(results_frame([job for job in jobs if job.round == name]), threshold=1.8)
        curves = first.curves if name == "explore" else {}
        sections.append(write_round(workspace, "made-up", name, statistics, curves).section)
    page = Page(
        name="made-up",
        title=f"Is it {EVIL}?",
        sections=sections,
        runs=runs_data(runs_of(results_frame(jobs))),
        n_runs=len(jobs),
        origin=origin(jobs),
        sample=Sample(1, "explore", f"The {EVIL}\x00\x1b \N{GREEK SMALL LETTER ALPHA} & 'all' \"that\"\n  is."),
    )
    return MadeUpPage(page_html(page), jobs, results_frame(jobs), workspace.experiment_dir("made-up"))


def _hostile(job: Job) -> Job:
    """The job with a setting whose name and values are markup, which a third of the runs lack, and one with commas."""
    payload = json.loads(job.payload)
    if job.id % 3:
        payload["model"][EVIL_SETTING] = [EVIL, PICTURE_FROM_ELSEWHERE][job.id % 2]
    payload["training"]["schedule"] = SCHEDULES[job.id // 5 % 3]
    text = json.dumps(payload, sort_keys=True)
    return replace(job, payload=text, config_hash=sha256_hex(text.encode()))
