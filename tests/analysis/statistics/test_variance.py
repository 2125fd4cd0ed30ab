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

from rnnlab.analysis.results_frame import results_frame
from rnnlab.analysis.runs import Rows
from rnnlab.analysis.statistics.outliers import limits
from rnnlab.analysis.statistics.variance import Decomposition
from rnnlab.analysis.words.markdown import shares_table
from rnnlab.analysis.words.sentences import method_of_shares
from rnnlab.queue.job import Job
from tests.support.published_runs import make_job
from tests.support.round_statistics import statistics_of


def decompose(frame: pd.DataFrame) -> Decomposition:
    return statistics_of(frame).variance


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
    names = Rows(frame).factors
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
    assert "balanced" in method_of_shares(found)


def test_an_incomplete_grid_against_statsmodels() -> None:
    frame = grid(AXES, uneven, noise=0.1, drop=5, seeds=2)
    compare(frame)
    assert not decompose(frame).exact
    assert "type II" in method_of_shares(decompose(frame))


def test_a_published_round_with_gaps_against_statsmodels(replicate: pd.DataFrame) -> None:
    """Unbalanced, in parts without a run, and with interactions that nothing can be said of."""
    found = decompose(replicate)
    mains = Rows(replicate).factors
    total = ((replicate["min_loss"] - replicate["min_loss"].mean()) ** 2).sum()
    pairs = list(itertools.combinations(mains, 2))
    data = replicate[[*mains, "min_loss"]].astype(dict.fromkeys(mains, str))

    def fitted(terms: list[tuple[str, ...]]) -> Any:
        warnings.simplefilter("ignore", SingularMatrixWarning)  # that is what this round is about
        formula = " + ".join(":".join(f"C({name})" for name in term) for term in terms) or "1"
        return ols(f"min_loss ~ {formula}", data).fit()

    every: list[tuple[str, ...]] = [*((name,) for name in mains), *pairs]
    for term in every:
        rest = [other for other in every if not set(term) <= set(other)]
        without, whole = fitted(rest), fitted([*rest, term])
        share = (without.ssr - whole.ssr) / total if whole.df_model > without.df_model else np.nan
        ours = found.main[term[0]] if len(term) == 1 else found.interactions[(term[0], term[1])]
        assert ours == pytest.approx(share, abs=1e-9, nan_ok=True), term
    known = [share for share in [*found.main.values(), *found.interactions.values()] if share == share]
    assert 0 < len(known) < len(every)
    assert list(found.interactions.values())[-1] != list(found.interactions.values())[-1]  # NaN comes last
    assert found.common == pytest.approx(1 - fitted(every).ssr / total - sum(known))


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


def test_settings_that_vary_together_hold_their_share_in_common() -> None:
    """b follows from a: neither can be given a share, nor can what they do with c."""
    frame = grid({"a": [0, 1, 2], "c": [0, 1]}, lambda s: 1.0 * s["a"] + 2.0 * s["c"], seeds=4)
    frame.insert(list(frame.columns).index("a"), "b", 10 * frame["a"])
    found = decompose(frame)
    assert np.isnan([found.main["a"], found.main["b"]]).all()
    # The variance of 0, 1, 2 is 2/3, that of 0, 2 is 1.
    assert found.main["c"] == pytest.approx(1 / (1 + 2 / 3))
    assert found.common == pytest.approx(1 - found.main["c"])
    text = shares_table(found)
    assert "| a | – (cannot be separated) |" in text
    assert "| in common, of settings that vary together | 40.0% |" in text


def test_shares_that_are_shown_alike_are_ordered_by_name() -> None:
    """A difference that is not shown, for example of rounding, must not decide."""
    found = decompose(grid({"a": [0, 1], "b": [0, 1], "c": [0, 1]}, lambda s: s["a"] + (1 + 1e-9) * s["b"] + s["c"]))
    assert list(found.main) == ["a", "b", "c"]
    assert found.main["b"] > found.main["a"]


def test_one_run_does_not_decide_the_shares() -> None:
    frame = grid({"a": [0, 1], "b": [0, 1], "c": [0, 1, 2]}, lambda s: 1.0 + 0.1 * s["a"], noise=0.01, seeds=2)
    plain = decompose(frame)
    assert plain.clipping is None
    worst = 3
    outlying = frame.assign(min_loss=frame["min_loss"].where(frame.index != worst, 5.0))
    found = decompose(outlying)
    highest = frame["min_loss"].drop(index=worst).max()
    expected = decompose(frame.assign(min_loss=frame["min_loss"].where(frame.index != worst, highest)))
    assert found.main == expected.main
    assert found.main["a"] > 0.7
    assert (
        f"the run at 5 counts as {highest:.4g}, because it contributes 95% of the sum of squares"
        in method_of_shares(found)
    )


def test_the_only_run_that_differs_is_no_outlier() -> None:
    found = decompose(grid({"a": [0, 1], "b": [0, 1, 2, 3]}, lambda s: 1.0 + (s["a"] == 1 and s["b"] == 3), seeds=2))
    assert (found.varies, found.clipping) == (True, None)
    assert found.main["b"] > 0.1


def test_the_published_outlier(refine: pd.DataFrame) -> None:
    """A run at 3.434 holds most of the sum of squares of its round."""
    assert refine["min_loss"].max() == pytest.approx(3.434, abs=1e-3)
    method = method_of_shares(decompose(refine))
    high = limits(refine["min_loss"]).high
    above = (refine["min_loss"] > high).sum()
    assert (
        f"{above} runs above {high:.4g} count as {high:.4g}, because one of them, 3.434, contributes 72% of the sum"
        in method
    )


def test_a_loss_that_has_no_finite_square_counts_as_diverged() -> None:
    frame = grid({"a": [0, 1], "b": [0, 1, 2]}, lambda s: 1.0 + s["a"], seeds=2)
    huge = frame.assign(min_loss=frame["min_loss"].where(frame.index > 0, 1e200))
    assert decompose(huge) == decompose(frame.iloc[1:])


def test_too_few_runs_for_interactions_and_too_many_levels() -> None:
    few = decompose(grid({"a": [0, 1], "b": [0, 1, 2]}, lambda s: s["a"] + 0.5 * s["b"], drop=1))
    assert few.interactions == {}
    assert not few.exact
    assert "main effects only" in method_of_shares(few)
    names = [f"text {i}" for i in range(40)]
    jobs = [make_job(i, {"name": name, "gate": i % 2 == 0}, {"min_loss": i % 2}) for i, name in enumerate(names)]
    found = decompose(results_frame(jobs))
    assert list(found.main) == ["gate"]
    assert method_of_shares(found) == "eta squared over 40 runs; left out, for too many values: name"


def test_a_continuous_setting_explains_by_its_ranges() -> None:
    random = np.random.default_rng(6)
    rates = (10 ** random.uniform(-5, -1, 100)).tolist()
    jobs = [
        make_job(i, {"rate": rate, "gate": i % 2 == 0}, {"min_loss": abs(np.log10(rate) + 3) + 0.1 * (i % 2)})
        for i, rate in enumerate(rates)
    ]
    frame = results_frame(jobs)
    fifths = frame.assign(rate=pd.qcut(frame["rate"], 5, labels=list("abcde")).astype(str))
    found, expected = decompose(frame), decompose(fifths)
    assert found.main["rate"] > 0.5
    assert (found.main, found.interactions) == (expected.main, expected.interactions)
    assert "; in 5 ranges: rate" in method_of_shares(found)
