"""Shares of variance against statsmodels, sums by hand and grids whose effects are known."""

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
from statsmodels.tools.sm_exceptions import SingularMatrixWarning

from rnnlab.analysis.results import factors, results_frame
from rnnlab.analysis.variance import decompose
from rnnlab.queue.job import Job

from .published_runs import make_job


def grid(
    axes: dict[str, Sequence[Any]], effect: Any, noise: float = 0.0, drop: int = 0, seeds: int = 1
) -> pd.DataFrame:
    """All combinations, some of them dropped at random, with min_loss = effect(settings) + noise."""
    random = np.random.default_rng(5)
    jobs: list[Job] = []
    combinations = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    dropped = set(random.choice(len(combinations), drop, replace=False).tolist())
    for place, settings in enumerate(combinations):
        if place not in dropped:
            for seed in range(seeds):
                loss = effect(settings) + noise * float(random.standard_normal())
                jobs.append(make_job(len(jobs) + 1, settings, {"min_loss": loss}, seed=seed))
    return results_frame(jobs)


def of_statsmodels(frame: pd.DataFrame) -> dict[str, float]:
    """Type II sums of squares of the same model, over the total."""
    names = factors(frame)
    data = pd.DataFrame({name: frame[name].astype(str) for name in names}).assign(loss=frame["min_loss"])
    terms = " + ".join(f"C({name}, Sum)" for name in names)
    table = anova_lm(ols(f"loss ~ ({terms})**2", data).fit(), typ=2)
    total = ((frame["min_loss"] - frame["min_loss"].mean()) ** 2).sum()
    return {str(term): value / total for term, value in table["sum_sq"].items()}


def compare(frame: pd.DataFrame) -> None:
    ours, theirs = decompose(frame), of_statsmodels(frame)
    for name, share in ours.main.items():
        assert share == pytest.approx(theirs[f"C({name}, Sum)"], abs=1e-9), name
    for (a, b), share in ours.interactions.items():
        assert share == pytest.approx(theirs[f"C({a}, Sum):C({b}, Sum)"], abs=1e-9), (a, b)
    assert ours.residual == pytest.approx(theirs["Residual"], abs=1e-9)
    assert len(ours.main) + len(ours.interactions) + 1 == len(theirs)


AXES: dict[str, Sequence[Any]] = {"a": [1, 2, 3], "b": [False, True], "c": ["x", "y", "z", "w"]}


def uneven(settings: dict[str, Any]) -> float:
    return float(0.3 * settings["a"] + 0.2 * settings["b"] * settings["a"] + 0.1 * ("xyzw".index(settings["c"]) == 2))


def test_a_balanced_grid_against_statsmodels() -> None:
    frame = grid(AXES, uneven, noise=0.1, seeds=2)
    compare(frame)
    found = decompose(frame)
    assert found.exact
    assert sum(found.main.values()) + sum(found.interactions.values()) + found.residual == pytest.approx(1)
    assert "balanced" in found.method


def test_an_incomplete_grid_against_statsmodels() -> None:
    frame = grid(AXES, uneven, noise=0.1, drop=5, seeds=2)
    compare(frame)
    assert not decompose(frame).exact
    assert "type II" in decompose(frame).method


def test_a_published_round_with_gaps_against_statsmodels(replicate: pd.DataFrame) -> None:
    """Unbalanced, in parts without a run, and with interactions that nothing can be said of."""
    found = decompose(replicate)
    mains = factors(replicate)
    total = ((replicate["min_loss"] - replicate["min_loss"].mean()) ** 2).sum()
    pairs = list(itertools.combinations(mains, 2))
    data = replicate[[*mains, "min_loss"]].astype(dict.fromkeys(mains, str))

    def lost(terms: list[tuple[str, ...]]) -> float:
        warnings.simplefilter("ignore", SingularMatrixWarning)  # that is what this round is about
        formula = " + ".join(":".join(f"C({name})" for name in term) for term in terms) or "1"
        return float(ols(f"min_loss ~ {formula}", data).fit().ssr)

    every: list[tuple[str, ...]] = [*((name,) for name in mains), *pairs]
    for term in every:
        rest = [other for other in every if not set(term) <= set(other)]
        share = max(0.0, lost(rest) - lost([*rest, term])) / total
        ours = found.main[term[0]] if len(term) == 1 else found.interactions[(term[0], term[1])]
        assert ours == pytest.approx(share, abs=1e-9), term


def test_shares_add_up_on_an_additive_grid() -> None:
    frame = grid({"a": [0, 1, 2], "b": [0, 1, 2, 3]}, lambda s: 2.0 + 0.3 * s["a"] + 0.1 * s["b"])
    found = decompose(frame)
    assert list(found.main) == ["a", "b"]
    # The variance of 0, 1, 2 is 2/3, that of 0, 1, 2, 3 is 5/4: 0.09 * 2/3 and 0.01 * 5/4 of their sum.
    assert list(found.main.values()) == pytest.approx([0.06 / 0.0725, 0.0125 / 0.0725])


def test_a_pure_interaction_is_one() -> None:
    frame = grid({"a": [0, 1], "b": [0, 1], "c": [0, 1]}, lambda s: float(s["a"] ^ s["b"]))
    found = decompose(frame)
    assert list(found.interactions) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert found.interactions["a", "b"] == pytest.approx(1)
    assert max(found.main.values()) == pytest.approx(0)


def test_nothing_to_explain() -> None:
    equal = decompose(grid({"a": [0, 1], "b": [0, 1]}, lambda _: 2.0))
    assert (equal.main, equal.interactions, equal.residual) == ({"a": 0.0, "b": 0.0}, {}, 0.0)
    assert decompose(results_frame([make_job(1, {"a": 1}, None)])).main == {}
    one = decompose(results_frame([make_job(1, {"a": 1}, {"min_loss": 1.0})]))
    assert (one.main, one.runs) == ({}, 1)


def test_too_few_runs_for_interactions_and_too_many_levels() -> None:
    few = decompose(grid({"a": [0, 1], "b": [0, 1, 2]}, lambda s: s["a"] + 0.5 * s["b"], drop=1))
    assert few.interactions == {}
    assert not few.exact
    assert "main effects only" in few.method
    random = [make_job(i, {"rate": i / 7, "gate": i % 2 == 0}, {"min_loss": i % 2 + i / 1000}) for i in range(40)]
    assert list(decompose(results_frame(random)).main) == ["gate"]
