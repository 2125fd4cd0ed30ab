"""Simulated grids: a switch, a moderator with three values, and a size with four."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.answers.scenarios import Scenario
from rnnlab.analysis.statistics.branches import branches
from rnnlab.analysis.statistics.contrasts import Contrast, Side
from rnnlab.analysis.statistics.noise_model import NO_SEED, noise_model

_LEVELS: dict[str, Sequence[Any]] = {
    "use_residual": [False, True],
    "n_layers": [1, 2, 3],
    "state_size": [16, 32, 64, 96],
}
_EFFECT = -3.0  # of the switch at the largest value of the moderator, in standard deviations of a run


def effect_rates(scenario: Scenario, n_seeds: int, repetitions: int, seed: int) -> list[float]:
    """How often: an interval misses 0 without any effect; the moderator is found; the branches have the right signs."""
    generator = np.random.default_rng([seed, n_seeds, 7])
    grid = pd.DataFrame(list(itertools.product(*_LEVELS.values())), columns=list(_LEVELS))
    sizes = grid["state_size"].rank(method="dense").to_numpy(float)  # a main effect that all contexts share
    moved = _EFFECT * (grid["use_residual"] & (grid["n_layers"] == 3)).to_numpy(float)
    hits = np.zeros(3)
    for _ in range(repetitions):
        runs = scenario.noise(len(grid), n_seeds, generator) + sizes[:, None]
        low, high = _switch(grid, runs).interval()
        tree = branches(_switch(grid, scenario.noise(len(grid), n_seeds, generator) + (sizes + moved)[:, None]))
        signs = {leaf.where.get("n_layers"): (leaf.low, leaf.high) for leaf in tree.parts}
        found = tree.split_by == ("n_layers",)
        right = found and signs[3][1] < 0 and all(signs[n][0] <= 0 <= signs[n][1] for n in (1, 2))
        hits += [not low <= 0 <= high, found, right]
    return [float(x) for x in hits / repetitions]


def _switch(grid: pd.DataFrame, runs_GR: np.ndarray) -> Contrast:
    n_configurations, n_seeds = runs_GR.shape
    configurations = np.repeat(np.arange(n_configurations), n_seeds)
    model = noise_model(runs_GR.ravel(), configurations, np.full(runs_GR.size, NO_SEED))
    assert model is not None
    # The product of the levels has the switch first: its first half is off, its second half on, in the same order.
    half = n_configurations // 2
    places = np.arange(half)
    sides = [Side(places + start, places, np.ones(half, dtype=np.intp)) for start in (0, half)]
    contexts = grid.iloc[:half][["n_layers", "state_size"]].reset_index(drop=True)
    return Contrast("use_residual", False, True, contexts, sides[0], sides[1], model.means_G, model)
