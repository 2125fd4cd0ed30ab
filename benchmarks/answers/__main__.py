"""How often the report is right: `python -m benchmarks.answers`.

Simulates runs whose truth is known, and prints two tables in Markdown:

- the set that contains the best configuration. Coverage: all configurations are equally good, and the first counts as
  the truly best: how often it is in the set. Power: all others are worse by 5 standard deviations: how often a given
  one of them is not in the set. The former rule (Welch's test against the best mean, Holm over all pairs) is next to
  each.
- verdicts about effects. A grid of a switch, a moderator with three values and further settings; nothing has an effect
  (error: how often the interval of the mean effect misses 0), or the switch has one at one value of the moderator alone
  (power: how often the tree finds the moderator and each branch gets the right sign).
"""

import argparse

import numpy as np

from benchmarks.answers.effects import effect_rates
from benchmarks.answers.former_rule import not_separable
from benchmarks.answers.scenarios import SCENARIOS, Floats, Scenario
from rnnlab.analysis.statistics.best_set import best_set
from rnnlab.analysis.statistics.noise_model import NO_SEED, noise_model

_DIFFERENCE = 5.0  # standard deviations


def members(runs_GR: Floats) -> np.ndarray:
    """The set of the best for runs whose seeds have nothing in common."""
    n_configurations, n_seeds = runs_GR.shape
    configurations = np.repeat(np.arange(n_configurations), n_seeds)
    model = noise_model(runs_GR.ravel(), configurations, np.full(runs_GR.size, NO_SEED))
    assert model is not None
    return best_set(model).members_G


def rates(scenario: Scenario, n_configurations: int, n_seeds: int, repetitions: int, seed: int) -> list[float]:
    """Coverage and power, each by the set of the best and by the rule before."""
    generator = np.random.default_rng([seed, n_configurations, n_seeds])
    hits = np.zeros(4)
    for _ in range(repetitions):
        equal = scenario.noise(n_configurations, n_seeds, generator)
        worse = scenario.noise(n_configurations, n_seeds, generator)
        worse[1:] += _DIFFERENCE
        hits += [members(equal)[0], not_separable(equal)[0], not members(worse)[1], not not_separable(worse)[1]]
    return [float(x) for x in hits / repetitions]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--repetitions", type=int, default=400, help="of each cell; the standard error is 1.1 %% at 95 %%"
    )
    parser.add_argument("--configurations", type=int, nargs="+", default=[3, 9, 50])
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3, 5, 10])
    options = parser.parse_args()
    print("| variances | configurations | seeds | coverage | before | power at 5 SD | before |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for place, scenario in enumerate(SCENARIOS):
        for n_configurations in options.configurations:
            for n_seeds in options.seeds:
                found = rates(scenario, n_configurations, n_seeds, options.repetitions, place)
                cells = " | ".join(f"{100 * x:.1f} %" for x in found)
                print(f"| {scenario.name} | {n_configurations} | {n_seeds} | {cells} |", flush=True)
    print()
    print("| variances | seeds | misses 0 without an effect | finds the moderator | all signs right |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for place, scenario in enumerate(one for one in SCENARIOS if not one.changes_means):
        for n_seeds in options.seeds:
            found = effect_rates(scenario, n_seeds, options.repetitions, place)
            print(f"| {scenario.name} | {n_seeds} | {' | '.join(f'{100 * x:.1f} %' for x in found)} |", flush=True)


if __name__ == "__main__":
    main()
