"""The runs of a round, with what tables, sentences and pictures need of them. Everything is computed once.

`Runs` is the root of the analysis: statistics are computed from it, and words, pictures and pages from the statistics.
No function below filters the table of jobs again.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from rnnlab.analysis.guessing import guessing_metric
from rnnlab.analysis.levels import at_level, levels
from rnnlab.analysis.question import Question
from rnnlab.analysis.ranges import in_ranges
from rnnlab.analysis.results_frame import result_columns, setting_columns
from rnnlab.errors import UsageError
from rnnlab.queue.job import Status

_LARGEST = 1e150  # of a metric: sums of squares of larger ones are not finite
_LEAST_GROUP = (
    4  # configurations for each pair of values, to conclude that a setting follows from the cell and another setting
)
_LEAST_GROUP_OF_CELL = 2  # configurations for each cell, to conclude that a setting follows from the cell alone


@dataclass(frozen=True, eq=False)
class Rows:
    """Some of the runs of a round, with the settings that vary among them."""

    frame: pd.DataFrame  # one row per run, the columns of `results_frame`
    _levels: dict[str, list[Any]] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.frame)

    @cached_property
    def settings(self) -> list[str]:
        """All settings in payload order, without the seed."""
        return setting_columns(self.frame)

    @cached_property
    def factors(self) -> list[str]:
        """The settings that take more than one value among these runs, in payload order, without the seed.

        Settings that follow from the cell, alone or together with one other setting, are left out: they come and go
        with the cell, or an [[adjust]] of the experiment file sets them. Otherwise no two cells could be compared.
        """
        varying = [name for name in self.settings if len(self.levels(name)) > 1]
        if "cell" not in varying:
            return varying
        # Configurations count, not their seeds. Levels as integers; a setting that a job does not have is a level too.
        configs = self.frame.drop_duplicates("recipe")
        codes = {name: pd.Series(pd.factorize(configs[name])[0], index=configs.index) for name in varying}
        return [name for name in varying if name == "cell" or not _follows_from_the_cell(codes, name)]

    @cached_property
    def shared(self) -> dict[str, Any]:
        """The settings that have the same value in all of these runs, with that value."""
        return {name: self.levels(name)[0] for name in self.settings if len(self.levels(name)) == 1}

    @cached_property
    def tokenizer_kind(self) -> str | None:
        """The kind of tokenizer of all runs; None if they differ or have none."""
        kinds = self.levels("tokenizer_kind") if "tokenizer_kind" in self.frame.columns else []
        return str(kinds[0]) if len(kinds) == 1 else None

    def levels(self, name: str) -> list[Any]:
        """The distinct values of a column in order (`rnnlab.analysis.levels.levels`)."""
        if name not in self._levels:
            self._levels[name] = levels(self.frame[name])
        return self._levels[name]

    def at(self, name: str, level: Any) -> "pd.Series[bool]":
        """Which of the rows have this value of a setting; None: those that do not have the setting."""
        return at_level(self.frame[name], level)


@dataclass(frozen=True, eq=False)
class Runs:
    """All runs of a round, and the question that is asked of them.

    Raises UsageError for a metric that no result has, and for a focus on a setting that these runs do not have.
    """

    frame: pd.DataFrame  # one row per job, finished or not (`results_frame`)
    question: Question = field(default_factory=Question)
    _ranged_frame: pd.DataFrame | None = None  # the same rows with ranges of a larger table; None: ranges of their own

    def __post_init__(self) -> None:
        if self.metric not in self.frame.columns:
            known = ", ".join(result_columns(self.frame))
            raise UsageError(f"metric {self.metric!r} is not in any result: choose one of {known}")
        self._check_settings(self.question.focus)

    @property
    def metric(self) -> str:
        """The number of the result that ranks the runs; lower is better."""
        return self.question.metric

    @cached_property
    def all(self) -> Rows:
        """Every run, finished or not."""
        return Rows(self.frame)

    @cached_property
    def finished(self) -> Rows:
        """The runs of jobs that are done."""
        return Rows(self.frame.loc[self.frame["status"] == Status.DONE.value])

    @cached_property
    def comparable(self) -> Rows:
        """The runs whose metric can be compared: finished, not diverged, not worse than guessing, the metric finite.

        A number of 1e150 or more counts as infinite.
        """
        return Rows(self._measured.loc[~self._is_worse_than_guessing])

    @cached_property
    def worse_than_guessing(self) -> Rows:
        """The finished runs that predict worse than a uniform guess among all symbols: best first.

        They say nothing about settings: their metric has no upper bound, and which of two is larger is an accident.
        """
        found = self._measured.loc[self._is_worse_than_guessing]
        return Rows(found.sort_values([self.metric, "config_hash"], kind="stable"))

    @cached_property
    def guess(self) -> float | None:
        """The metric of a uniform guess; None if it is unknown, or differs between runs."""
        found = guessing_metric(self.frame, self.metric).unique()
        return float(found[0]) if len(found) == 1 and found[0] == found[0] else None

    @cached_property
    def incomparable(self) -> Rows:
        """The finished runs that are not compared: diverged, without the metric, or worse than guessing."""
        done = self.finished.frame
        return Rows(done.loc[~done.index.isin(self.comparable.frame.index)])

    @cached_property
    def _measured(self) -> pd.DataFrame:
        """The finished runs that did not diverge, with a finite metric."""
        done = self.finished.frame
        return done.loc[~done["diverged"] & (done[self.metric].abs() < _LARGEST)]

    @cached_property
    def _is_worse_than_guessing(self) -> "pd.Series[bool]":
        return self._measured[self.metric] > guessing_metric(self._measured, self.metric)

    @cached_property
    def losses(self) -> "pd.Series[float]":
        """The metric of the runs that can be compared."""
        return self.comparable.frame[self.metric]

    @cached_property
    def best_first(self) -> Rows:
        """The runs that can be compared, best first, with their `rank` (1 = best) as the first column.

        Ties are sorted by config hash, so the order does not depend on the order of the jobs.
        """
        ordered = self.comparable.frame.sort_values([self.metric, "config_hash"], kind="stable")
        return Rows(_with_ranks(ordered, len(ordered)))

    @cached_property
    def ranked(self) -> pd.DataFrame:
        """Every run, those of `best_first` first.

        Runs that are worse than guessing follow, then those that diverged, then unfinished ones; none of these has a
        rank.
        """
        ordered = self.comparable.frame.sort_values([self.metric, "config_hash"], kind="stable")
        guessing = self.worse_than_guessing.frame
        measured = self._measured.index
        lost = self.incomparable.frame
        diverged = lost[~lost.index.isin(measured)].sort_values("config_hash", kind="stable")
        unfinished = self.frame[~self.frame.index.isin(self.finished.frame.index)]
        return _with_ranks(pd.concat([ordered, guessing, diverged, unfinished]), len(ordered))

    @cached_property
    def best(self) -> dict[str, Any] | None:
        """The best run, column -> value; None if no run can be compared."""
        first = self.best_first.frame.head(1).to_dict("records")
        return {str(name): value for name, value in first[0].items()} if first else None

    @property
    def best_payload(self) -> dict[str, Any] | None:
        """The run config of the best run, which can be run as it is; None if no run can be compared."""
        return None if self.best is None else dict(json.loads(self.best["payload"]))

    @cached_property
    def diverged_counts(self) -> "pd.Series[int]":
        """How many finished runs of each configuration cannot be compared, by recipe.

        A configuration with at least one such run counts as diverged, however good its other seeds are.
        """
        done = self.finished.frame
        lost = ~done.index.isin(self.comparable.frame.index)
        return pd.Series(lost, index=done["recipe"], dtype=int).groupby(level=0).sum()

    @cached_property
    def in_ranges(self) -> "Runs":
        """The same runs; settings with many numbers have a few ranges of them as levels (`rnnlab.analysis.ranges`)."""
        frame = in_ranges(self.frame) if self._ranged_frame is None else self._ranged_frame
        return Runs(frame, self.question, _ranged_frame=frame)

    @cached_property
    def by_round(self) -> "dict[str, Runs]":
        """The runs of each round, in the order of the table."""
        return {str(name): Runs(rows, self.question) for name, rows in self.frame.groupby("round", sort=False)}

    @cached_property
    def focused(self) -> "Runs":
        """The runs that the question focuses on; all of them without a focus."""
        return self.restrict(self.question.focus)

    def restrict(self, where: Mapping[str, Any]) -> "Runs":
        """The runs whose settings have these values; ranges are those of all runs.

        Raises UsageError for a name that is not a setting of these runs.
        """
        self._check_settings(where)
        kept = pd.Series(True, index=self.frame.index)
        for name, value in where.items():
            kept &= self.all.at(name, value)
        return Runs(self.frame.loc[kept], self.question, _ranged_frame=self.in_ranges.frame.loc[kept])

    def of_jobs(self, job_ids: Collection[int]) -> "Runs":
        """The runs of these jobs."""
        return Runs(self.frame[self.frame["id"].isin(list(job_ids))], self.question)

    def _check_settings(self, names: Collection[str]) -> None:
        for name in names:
            if name not in self.all.settings:
                raise UsageError(f"no setting {name!r} to restrict by: choose from {', '.join(self.all.settings)}")


def _with_ranks(frame: pd.DataFrame, n_ranked: int) -> pd.DataFrame:
    """The rows with the places of the first `n_ranked` as a new first column."""
    ranked = frame.copy()
    places = [*range(1, n_ranked + 1), *[None] * (len(frame) - n_ranked)]
    ranked.insert(0, "rank", pd.Series(places, index=ranked.index, dtype="Int64"))
    return ranked.reset_index(drop=True)


def _follows_from_the_cell(codes: Mapping[str, "pd.Series[int]"], name: str) -> bool:
    for other in codes:
        if other == name:
            continue
        groups = codes[name].groupby([codes["cell"], codes[other]])
        # In smaller groups the values would agree by chance.
        least = _LEAST_GROUP_OF_CELL if other == "cell" else _LEAST_GROUP
        if groups.ngroups * least <= len(codes[name]) and bool((groups.nunique() == 1).all()):
            return True
    return False
