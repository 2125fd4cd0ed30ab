"""The rules of the later rounds: derive the run configs of a round from the results of the previous round."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rnnlab.errors import SpecError
from rnnlab.spec.experiment_tables import RoundRule, Selection
from rnnlab.spec.grid import matches
from rnnlab.spec.pareto import pareto_front
from rnnlab.spec.run_config import RunConfig
from rnnlab.spec.toml_format import condition_text, settings_to_toml


@dataclass(frozen=True)
class FinishedRun:
    """A run of the previous round and the result that selects it; or all seeds of a config: the first, with means."""

    config: RunConfig
    value: float  # lower is better; NaN or infinite if the run diverged
    cost: float = 0.0  # second objective of a Pareto selection: number of parameters, or seconds of training


@dataclass(frozen=True)
class RoundPlan:
    """The run configs of a round and how they were derived."""

    rule: RoundRule
    parents: list[FinishedRun]  # the selected configs, best first
    considered: int  # configs with finished runs that were candidates
    variants: int  # configs before duplicates were merged
    configs: list[RunConfig]  # the runs of the round, without duplicates

    @property
    def seeds(self) -> int:
        """Runs per config, each with its own seed (1: the parent's seed)."""
        return self.rule.seeds or 1

    def explain(self) -> str:
        """One sentence: the number of jobs and how they were derived."""
        chosen = self.rule.select.describe((len(self.parents), self.considered))
        repeated = self.variants - len(self.configs) // self.seeds
        merged = f", {repeated:,} of them repeated" if repeated else ""
        seeds = f", {self.seeds} seeds each" if self.seeds > 1 else ""
        jobs, variants = _counted(len(self.configs), "job"), _counted(self.variants, "variant")
        return f"round {self.rule.name}: {jobs} from {chosen}: {variants}{merged}{seeds}"

    def changes(self) -> list[str]:
        """The changes to a selected run: one line for each part of the rule that is set."""
        rule, lines = self.rule, []
        if rule.set:
            lines.append(f"all with {settings_to_toml(rule.set)}")
        ways = [
            (f"with {settings_to_toml(way.set)}" if way.set else "otherwise unchanged" if rule.set else "unchanged")
            + (f" where {condition_text(way.when)}" if way.when else "")
            for way in rule.vary
        ]
        if len(ways) > 1 or rule.vary[0].set or rule.vary[0].when:
            lines += [f"each {way}" for way in ways]
        if rule.keep:
            lines.append(f"kept where {condition_text(rule.keep)}")
        return lines


def plan_round(rule: RoundRule, finished: Sequence[FinishedRun]) -> RoundPlan:
    """Select, set, vary, keep, merge duplicates, repeat over seeds.

    Seeds of one config compete as one config, by the means of their values and costs, so that many seeds are no
    advantage. A config with a diverged seed is never selected. Ties are broken by lower cost, then by lower hash, so
    the plan does not depend on the order in which jobs finished. A selected config continues with its lowest seed.
    Raises SpecError if a change gives an illegal config.
    """
    candidates = sorted(_over_seeds(finished), key=lambda run: (run.value, run.cost, run.config.hash))
    parents = _selected(rule.select, candidates)

    try:
        variants = [
            parent.config.with_settings({**rule.set, **variant.set})
            for parent in parents
            for variant in rule.vary
            if matches(variant.when, parent.config.settings)
        ]
    except SpecError as error:
        raise SpecError(
            f"round {rule.name}: {error}: change the rule, or restrict it to some runs with `when`"
        ) from error
    kept = [config for config in variants if matches(rule.keep, config.settings)]
    if rule.seeds is None:
        distinct = list({config.hash: config for config in kept}.values())
        return RoundPlan(rule, parents, len(candidates), len(kept), distinct)
    # Only new seeds: results with the seeds of the selection are biased, because they caused the selection.
    used = max((run.config.seed for run in finished), default=0)
    repeated = [
        config.with_settings({"seed": max(used, config.seed) + repeat})
        for config in {_recipe(config): config for config in kept}.values()
        for repeat in range(1, rule.seeds + 1)
    ]
    return RoundPlan(rule, parents, len(candidates), len(kept), repeated)


def _over_seeds(finished: Sequence[FinishedRun]) -> list[FinishedRun]:
    """One run for each config without a diverged seed: its lowest seed, with the means of value and cost."""
    groups: dict[str, list[FinishedRun]] = {}
    for run in finished:
        groups.setdefault(_recipe(run.config), []).append(run)
    return [
        FinishedRun(
            min((run.config for run in runs), key=lambda config: config.seed),
            _mean([run.value for run in runs]),
            _mean([run.cost for run in runs]),
        )
        for runs in groups.values()
        if all(math.isfinite(run.value) for run in runs)
    ]


def _mean(values: Sequence[float]) -> float:
    """The mean, independent of the order of the values and without intermediate overflow."""
    return math.fsum(value / len(values) for value in values)


def _selected(select: Selection, ranked: list[FinishedRun]) -> list[FinishedRun]:
    """The selected configs. ranked: best first."""
    if select.below is not None:
        return [run for run in ranked if run.value < select.below]
    if select.pareto is not None:
        return [ranked[place] for place in sorted(pareto_front((run.cost, run.value) for run in ranked))]
    return ranked[: select.count(len(ranked))]


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _recipe(config: RunConfig) -> str:
    """A hash that is equal for configs that differ only in their seed."""
    return config.with_settings({"seed": 0}).hash
