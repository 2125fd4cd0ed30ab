"""The rules of the later rounds: from the results of one round to the run configs of the next."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rnnlab.errors import SpecError
from rnnlab.spec.experiment import NextRound, Selection
from rnnlab.spec.grid import matches
from rnnlab.spec.pareto import pareto_front
from rnnlab.spec.run_config import RunConfig
from rnnlab.spec.toml_format import spelled_condition, spelled_settings


@dataclass(frozen=True)
class FinishedRun:
    """A run of the round before and the result it is selected by; or all seeds of a config: the first, with means."""

    config: RunConfig
    value: float  # lower is better; NaN or infinite if the run diverged
    cost: float = 0.0  # what a Pareto selection weighs against it: the number of parameters, or seconds of training


@dataclass(frozen=True)
class RoundPlan:
    """The run configs of a round and how they came about."""

    rule: NextRound
    parents: list[FinishedRun]  # the selected configs, best first
    considered: int  # configs with finished runs that could have been selected
    variants: int  # configs before duplicates were merged
    configs: list[RunConfig]  # what the round consists of, each once

    @property
    def seeds(self) -> int:
        """Repetitions of each config with a seed of its own (1: the parent's seed)."""
        return self.rule.seeds or 1

    def explain(self) -> str:
        """How many jobs and why, in one sentence."""
        chosen = self.rule.select.in_words((len(self.parents), self.considered))
        repeated = self.variants - len(self.configs) // self.seeds
        merged = f", {repeated:,} of them repeated" if repeated else ""
        seeds = f", {self.seeds} seeds each" if self.seeds > 1 else ""
        jobs, variants = _counted(len(self.configs), "job"), _counted(self.variants, "variant")
        return f"round {self.rule.name}: {jobs} from {chosen}: {variants}{merged}{seeds}"

    def changes(self) -> list[str]:
        """What becomes of a selected run, one line for each part of the rule that says something."""
        rule, lines = self.rule, []
        if rule.set:
            lines.append(f"all with {spelled_settings(rule.set)}")
        ways = [
            (f"with {spelled_settings(way.set)}" if way.set else "otherwise as it is" if rule.set else "as it is")
            + (f" where {spelled_condition(way.when)}" if way.when else "")
            for way in rule.vary
        ]
        if len(ways) > 1 or rule.vary[0].set or rule.vary[0].when:
            lines += [f"each {way}" for way in ways]
        if rule.keep:
            lines.append(f"kept where {spelled_condition(rule.keep)}")
        return lines


def plan_round(rule: NextRound, finished: Sequence[FinishedRun]) -> RoundPlan:
    """Select, set, vary, keep, merge duplicates, repeat over seeds.

    Seeds of one config compete as one, by the means of their values and costs: the luckiest of many is no better than
    the others. A config of which a seed diverged is never selected. Of equal configs the one with the lower cost comes
    first, then the one with the lower hash, so the plan does not depend on the order in which jobs finished. What is
    selected goes on with its lowest seed. Raises SpecError if a change gives an illegal config.
    """
    able = sorted(_over_seeds(finished), key=lambda run: (run.value, run.cost, run.config.hash))
    parents = _selected(rule.select, able)

    try:
        variants = [
            parent.config.with_settings({**rule.set, **variant.set})
            for parent in parents
            for variant in rule.vary
            if matches(variant.when, parent.config.settings)
        ]
    except SpecError as error:
        raise SpecError(
            f"round {rule.name}: {error}: change the rule, or add `when` to say for which runs it is"
        ) from error
    kept = [config for config in variants if matches(rule.keep, config.settings)]
    if rule.seeds is None:
        distinct = list({config.hash: config for config in kept}.values())
        return RoundPlan(rule, parents, len(able), len(kept), distinct)
    # Fresh seeds only: those that took part in the selection are why the config was selected, and would flatter it.
    used = max((run.config.seed for run in finished), default=0)
    repeated = [
        config.with_settings({"seed": max(used, config.seed) + repeat})
        for config in {_recipe(config): config for config in kept}.values()
        for repeat in range(1, rule.seeds + 1)
    ]
    return RoundPlan(rule, parents, len(able), len(kept), repeated)


def _over_seeds(finished: Sequence[FinishedRun]) -> list[FinishedRun]:
    """One run for each config of which no seed diverged: its lowest seed, with the means of value and cost."""
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
    """The same whatever the order; no overflow on the way."""
    return math.fsum(value / len(values) for value in values)


def _selected(select: Selection, ranked: list[FinishedRun]) -> list[FinishedRun]:
    """Those of the configs, best first, that go on."""
    if select.below is not None:
        return [run for run in ranked if run.value < select.below]
    if select.pareto is not None:
        return [ranked[place] for place in sorted(pareto_front((run.cost, run.value) for run in ranked))]
    return ranked[: select.count(len(ranked))]


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _recipe(config: RunConfig) -> str:
    """Equal for configs that differ in their seed only."""
    return config.with_settings({"seed": 0}).hash
