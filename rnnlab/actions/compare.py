"""The work of `rnnlab compare`: two experiments of a job table, as tables, pictures and a page in Markdown.

results/<experiment>/compare-<other>.md             where they agree and where they differ
results/<experiment>/compare-<other>.csv            every configuration that ran in both
results/<experiment>/compare-<other>-effects.csv    paired effects of both
plots/<experiment>/compare-<other>-<picture>.png, .svg
"""

import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from rnnlab.analysis.plots import style
from rnnlab.analysis.plots.agreement import agreement_figure
from rnnlab.analysis.plots.forest import forest_figure
from rnnlab.analysis.question import Question
from rnnlab.analysis.results_frame import results_frame
from rnnlab.analysis.runs import Runs
from rnnlab.analysis.statistics.comparison import Comparison, compare
from rnnlab.analysis.statistics.variance import decompose
from rnnlab.analysis.words.comparison_text import Names, comparison_text, finding
from rnnlab.analysis.words.markdown import picture
from rnnlab.analysis.words.names import metric_label, metric_title
from rnnlab.errors import UsageError
from rnnlab.files import Workspace, atomic_write
from rnnlab.plans.plan import stored_plan
from rnnlab.queue.job import Status
from rnnlab.queue.reader import Reader


@dataclass(frozen=True)
class Compared:
    """The finding, and the files that were written."""

    sentence: str
    page: Path
    pictures: list[Path]  # the PNG files; each has an SVG next to it


def compare_experiments(store: Reader, workspace: Workspace, name: str, other: str, round_name: str) -> Compared:
    """Write the comparison of a round of two experiments, by the metric of the first.

    Raises UsageError if one of them has no finished job in the round, if no result of the other has the metric, or if
    they have too few configurations in common; nothing is written then.
    """
    if name == other:
        raise UsageError(f"{name} cannot be compared with itself: name two experiments")
    question = Question(stored_plan(store, name).experiment.analysis.metric)
    frames = _finished(store, name, round_name), _finished(store, other, round_name)
    comparison = compare(*(Runs(frame, question) for frame in frames))
    folder, plot_folder = workspace.experiment_dir(name), workspace.plot_dir(name)
    stem = f"compare-{other}"
    tables = {f"{stem}.csv": comparison.configurations, f"{stem}-effects.csv": comparison.effects_table()}
    drawn = {plot_folder / f"{stem}-{ending}.png": one for ending, one in _figures(comparison, (name, other)).items()}
    shown = []
    for path, (title, figure) in drawn.items():
        png, svg = style.png_and_svg(figure, path.stem)
        atomic_write(path, png)
        atomic_write(path.with_suffix(".svg"), svg.encode())
        shown.append(picture(title, f"{finding(comparison)}.", Path(os.path.relpath(path, folder)).as_posix()))
    for file_name, table in tables.items():
        atomic_write(folder / file_name, table.to_csv(index=False, lineterminator="\n").encode())
    page = folder / f"{stem}.md"
    atomic_write(page, comparison_text(comparison, (name, other), round_name, shown, list(tables)).encode())
    return Compared(finding(comparison), page, list(drawn))


def _finished(store: Reader, name: str, round_name: str) -> pd.DataFrame:
    """Finished jobs of a round. Raises UsageError if there are none."""
    jobs = store.jobs(name, round_name, Status.DONE)
    if not jobs:
        rounds = sorted({found for _, found, status in store.counts(name) if status is Status.DONE})
        raise UsageError(
            f"round {round_name!r} of {name} has no finished job: give --round a round that is finished in both "
            f"experiments; {name} has {', '.join(rounds) or 'none yet'}"
        )
    return results_frame(jobs)


def _figures(comparison: Comparison, names: Names) -> dict[str, tuple[str, Figure]]:
    metric, headline = comparison.metric, finding(comparison)
    shares = decompose(comparison.runs).main
    label = metric_label(metric, comparison.runs.all.tokenizer_kind)
    agreement = agreement_figure(comparison, shares, names, label, headline)
    found = {"losses": ("Every configuration in both", agreement)}
    if comparison.effects:
        groups = dict(zip(names, comparison.effects_by_side, strict=True))
        figure = forest_figure(groups, f"difference of {metric_title(metric)}", headline)
        found["effects"] = ("What each setting does, in both", figure)
    return found
