"""The rules of the later rounds: from the results of one round to the run configs of the next."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rnnlab.errors import SpecError
from rnnlab.spec.experiment import NextRound
from rnnlab.spec.grid import matches
from rnnlab.spec.run_config import RunConfig


@dataclass(frozen=True)
class FinishedRun:
    """A run of the round before and the result it is selected by."""

    config: RunConfig
    value: float  # lower is better; NaN or infinite if the run diverged


@dataclass(frozen=True)
class RoundPlan:
    """The run configs of a round and how they came about."""

    name: str
    parents: list[FinishedRun]  # the selected runs, best first
    considered: int  # finished runs that could have been selected
    variants: int  # configs before duplicates were merged
    configs: list[RunConfig]  # what the round consists of, each once
    seeds: int  # repetitions of each config with a seed of its own (1: the parent's seed)

    def explain(self) -> str:
        """How many jobs and why, in one sentence."""
        parts = [f"best {len(self.parents)} of {self.considered} runs"]
        distinct = len(self.configs) // self.seeds
        parts.append(
            f"{self.variants} variants, {distinct} distinct" if self.variants > distinct else f"{distinct} configs"
        )
        if self.seeds > 1:
            parts.append(f"{self.seeds} seeds each")
        return f"round {self.name}: {len(self.configs)} jobs ({'; '.join(parts)})"


def plan_round(rule: NextRound, finished: Sequence[FinishedRun]) -> RoundPlan:
    """Select, set, vary, keep, merge duplicates, repeat over seeds.

    Diverged runs are never selected. Ties are broken by the config's hash, so the plan does not depend on the order in
    which jobs finished. Raises SpecError if a change gives an illegal config.
    """
    able = [run for run in finished if math.isfinite(run.value)]
    # Seeds of one config compete as one: otherwise a lucky config would fill the selection with its own repeats.
    best: dict[str, FinishedRun] = {}
    for run in sorted(able, key=lambda run: (run.value, run.config.hash)):
        best.setdefault(_recipe(run.config), run)
    parents = list(best.values())[: rule.select.count(len(best))]

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
        return RoundPlan(rule.name, parents, len(best), len(kept), distinct, 1)
    # Fresh seeds only: those that took part in the selection are why the config was selected, and would flatter it.
    used = max((run.config.seed for run in finished), default=0)
    repeated = [
        config.with_settings({"seed": max(used, config.seed) + repeat})
        for config in {_recipe(config): config for config in kept}.values()
        for repeat in range(1, rule.seeds + 1)
    ]
    return RoundPlan(rule.name, parents, len(best), len(kept), repeated, rule.seeds)


def _recipe(config: RunConfig) -> str:
    """Equal for configs that differ in their seed only."""
    return config.with_settings({"seed": 0}).hash
