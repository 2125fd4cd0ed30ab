"""All statistics of a round in one object; each is computed when it is first needed, and once.

Sentences, tables, pictures and the page of a round are derived from this object.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from rnnlab.analysis.question import Question
from rnnlab.analysis.runs import Runs
from rnnlab.analysis.statistics.below_threshold import BelowThreshold, below_threshold
from rnnlab.analysis.statistics.best_tenth import BestTenth, best_tenth
from rnnlab.analysis.statistics.contrasts import round_contrasts
from rnnlab.analysis.statistics.cost_points import CostPoints, cost_points
from rnnlab.analysis.statistics.dependence import Dependence, strongest_dependence
from rnnlab.analysis.statistics.effects import Effects, paired_effects
from rnnlab.analysis.statistics.one_factor import OneFactor, one_factor_tables
from rnnlab.analysis.statistics.parameters import parameters_of
from rnnlab.analysis.statistics.replicates import Replicates, replicates
from rnnlab.analysis.statistics.round_noise import RoundNoise, Source, noise_from_seeds, noise_from_settings
from rnnlab.analysis.statistics.summary import Summary, summarize
from rnnlab.analysis.statistics.variance import Decomposition, decompose


@dataclass(frozen=True, eq=False)
class RoundStatistics:
    """The statistics of one round."""

    runs: Runs
    other_rounds: Sequence[Runs] = ()  # of the experiment: their seeds tell the noise if this round's do not

    @property
    def question(self) -> Question:
        """What the analysis is about."""
        return self.runs.question

    @property
    def metric(self) -> str:
        """The number of the result that ranks the runs; lower is better."""
        return self.runs.metric

    @cached_property
    def summary(self) -> Summary:
        """How many runs there are, and how their metric is distributed."""
        return summarize(self.runs)

    @cached_property
    def one_factor(self) -> Mapping[str, OneFactor]:
        """For each setting that varies, the table in which only this setting varies."""
        return one_factor_tables(self.runs)

    @cached_property
    def effects(self) -> Effects:
        """The paired effect of each setting, over all runs."""
        return paired_effects(self.one_factor, round_contrasts(self.runs, self.one_factor, self.noise))

    @cached_property
    def focused_effects(self) -> Effects:
        """The paired effect of each setting, over the runs that the question focuses on; all runs without a focus."""
        if not self.question.focus:
            return self.effects
        focused, noise = self.runs.focused, self.noise
        tables = one_factor_tables(focused)
        if noise is not None and noise.source is Source.SETTINGS:  # a part of the grid has fewer interactions
            noise = noise_from_settings(focused, decompose(focused))
        return paired_effects(tables, round_contrasts(focused, tables, noise))

    @cached_property
    def variance(self) -> Decomposition:
        """The share of the variance that each setting and each pair explains."""
        return decompose(self.runs)

    @cached_property
    def dependence(self) -> Dependence | None:
        """The two settings that depend on each other most; None if none do so measurably."""
        return strongest_dependence(self.variance, self.one_factor)

    @cached_property
    def noise(self) -> RoundNoise | None:
        """The noise model of the configurations; None if too little is known of the noise."""
        return noise_from_seeds(self.runs, self.other_rounds) or noise_from_settings(self.runs, self.variance)

    @cached_property
    def replicates(self) -> Replicates:
        """The configurations with their seeds, best mean first."""
        return replicates(self.runs, self.noise)

    @cached_property
    def below_threshold(self) -> list[BelowThreshold]:
        """For each setting that varies, how many runs of each level are below the threshold; empty without one."""
        threshold = self.question.threshold
        return [] if threshold is None else below_threshold(self.runs, threshold)

    @cached_property
    def best_tenth(self) -> BestTenth:
        """What the best tenth of the runs have more often than all; at least one run must be comparable."""
        return best_tenth(self.runs, list(self.variance.main))

    @cached_property
    def parameter_points(self) -> CostPoints:
        """The loss of each configuration against its number of trainable parameters."""
        return cost_points(self.runs, parameters_of(self.runs))

    @cached_property
    def time_points(self) -> CostPoints:
        """The loss of each configuration against its seconds in training."""
        return cost_points(self.runs, self.runs.frame["seconds"])
