"""A round of finished jobs -> tables, pictures, and its section of the experiment's report.

    results/<experiment>/<round>.csv             every job, best first, all settings and numbers
    results/<experiment>/<round>-effects.csv     paired effects
    results/<experiment>/<round>-by-<factor>.csv only this factor varies: a column for each of its levels
    results/<experiment>/<round>-best.json       run config of the best run, as it was trained
    results/<experiment>/report.md               one section a round, in the order in which they were first written
    plots/<experiment>/<round>-<picture>.png, .svg   the pictures (plots/pictures.py), each in both formats

`rnnlab.actions.analyze` combines the sections of all rounds in results/<experiment>/report.html.
A section is replaced when its round is analyzed again; files that a round does not have (yet) are not written.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from rnnlab.analysis.html.round_section import Section
from rnnlab.analysis.plots.pictures import round_pictures
from rnnlab.analysis.results_frame import INTERNAL
from rnnlab.analysis.statistics.round_statistics import RoundStatistics
from rnnlab.analysis.words.markdown import picture, where_text
from rnnlab.analysis.words.section import key_sentence, section
from rnnlab.files import Workspace, atomic_write
from rnnlab.queue.job import Curve

_MARK = "<!-- round: {} -->"


@dataclass(frozen=True)
class RoundReport:
    """The finding of a round, and the files that were written."""

    sentence: str  # the key finding
    report: Path
    tables: list[Path]
    pictures: list[Path]  # the PNG files; each has an SVG next to it
    section: Section  # of the page of all rounds

    @property
    def page(self) -> Path:
        """The page of all rounds, in the folder of the report."""
        return self.report.with_suffix(".html")


def write_round(
    workspace: Workspace,
    experiment: str,
    round_name: str,
    statistics: RoundStatistics,
    curves: Mapping[int, Curve],
) -> RoundReport:
    """Write everything about one round.

    curves: by job id; jobs without one may be missing.
    """
    folder, plot_folder = workspace.experiment_dir(experiment), workspace.plot_dir(experiment)
    tables = {f"{round_name}{ending}": data for ending, data in _tables(statistics).items()}
    drawn = round_pictures(statistics, curves)
    pictures = {plot_folder / f"{round_name}-{name}.png": one for name, one in drawn.items()}
    links = {Path(os.path.relpath(path, folder)).as_posix(): one for path, one in pictures.items()}
    shown = [picture(one.title, one.caption, link) for link, one in links.items()]
    report = folder / "report.md"
    text = section(statistics, round_name, shown, list(tables))
    sentence = key_sentence(statistics)

    for name, data in tables.items():
        atomic_write(folder / name, data)
    for path, one in pictures.items():
        atomic_write(path, one.png)
        atomic_write(path.with_suffix(".svg"), one.svg.encode())
    atomic_write(report, _with_section(report, experiment, round_name, text).encode())
    page = Section(round_name, f"{sentence}.", text, links)
    return RoundReport(sentence, report, [folder / name for name in tables], list(pictures), page)


def _tables(statistics: RoundStatistics) -> dict[str, bytes]:
    """The files of numbers, by what follows the name of the round in their name."""
    runs, focus = statistics.runs, statistics.question.focus
    tables = {".csv": _csv(runs.ranked.drop(columns=INTERNAL))}
    if runs.best_payload is None:
        return tables
    effects = statistics.effects.table.assign(runs="all")
    if focus:
        effects = pd.concat([effects, statistics.focused_effects.table.assign(runs=where_text(focus))])
    tables["-effects.csv"] = _csv(effects)
    for name, varied in statistics.one_factor.items():
        if len(rows := varied.table()):
            tables[f"-by-{name}.csv"] = _csv(rows)
    tables["-best.json"] = (json.dumps(runs.best_payload, indent=2, sort_keys=True) + "\n").encode()
    return tables


def _csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, lineterminator="\n").encode()


def _with_section(report: Path, experiment: str, round_name: str, text: str) -> str:
    """The report with this round's section replaced or added at the end; text before the first section is replaced."""
    old = report.read_text(encoding="utf-8") if report.exists() else ""
    parts = re.split(r"^<!-- round: (.+) -->\n", old, flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))
    sections[round_name] = text.strip()
    head = f"# {experiment}\n\nWritten by `rnnlab analyze`; a section is replaced when its round is analyzed again."
    return "\n\n".join([head, *(f"{_MARK.format(name)}\n{part}" for name, part in sections.items())]) + "\n"
