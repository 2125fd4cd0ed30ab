"""Curves on common steps, their median and band; limits of an axis."""

import numpy as np
import pytest

from rnnlab.analysis.statistics.curve_lines import band_of, falls_early, lines_of
from rnnlab.analysis.statistics.outliers import limits
from rnnlab.queue.job import Curve


def curve(values: list[float], step: int = 10) -> Curve:
    """Values recorded at every `step` steps."""
    return Curve([step * (i + 1) for i in range(len(values))], {"ema_loss": values})


def test_lines_keep_the_order_and_leave_out_jobs_without_a_curve() -> None:
    curves = {1: curve([3.0, 2.0]), 2: curve([1.0]), 3: Curve([1, 2], {"other": [1.0, 2.0]}), 4: curve([5.0, 4.0])}
    assert [line.job_id for line in lines_of(curves, [4, 3, 2, 1, 9], "ema_loss")] == [4, 1]


def test_a_diverged_curve_ends_at_its_last_finite_point() -> None:
    (line,) = lines_of({1: curve([3.0, 9.0, float("nan"), float("inf")])}, [1], "ema_loss")
    assert line.values.tolist() == [3.0, 9.0]
    assert line.broke_off


def test_band_of_curves_on_equal_steps_is_numpy_quantiles() -> None:
    values = np.random.default_rng(1).uniform(1, 3, (7, 20))
    band = band_of(lines_of({i: curve(row.tolist()) for i, row in enumerate(values)}, list(range(7)), "ema_loss"))
    assert band.steps.tolist() == [10.0 * (i + 1) for i in range(20)]
    assert band.median == pytest.approx(np.median(values, axis=0))
    assert band.low == pytest.approx(np.quantile(values, 0.1, axis=0))
    assert band.high == pytest.approx(np.quantile(values, 0.9, axis=0))


def test_band_of_curves_on_other_steps_interpolates() -> None:
    curves = {1: curve([4.0, 2.0], step=20), 2: curve([4.0, 3.0, 2.0, 1.0]), 3: curve([4.0, 3.0, 2.0, 1.0])}
    band = band_of(lines_of(curves, [1, 2, 3], "ema_loss"))
    assert band.steps.tolist() == [20.0, 30.0, 40.0]  # at 10 there are only two
    assert band.median == pytest.approx([3.0, 2.0, 1.0])
    assert band.high[1] == pytest.approx(np.quantile([3.0, 2.0, 2.0], 0.9))


def test_band_ends_where_fewer_than_half_of_the_curves_go_on() -> None:
    curves = {i: curve([3.0, 2.0, 1.0][: 2 if i < 5 else 3]) for i in range(8)}
    assert band_of(lines_of(curves, list(range(8)), "ema_loss")).steps.tolist() == [10.0, 20.0]


def test_two_curves_have_no_band() -> None:
    assert len(band_of(lines_of({1: curve([2.0, 1.0]), 2: curve([2.0, 1.0])}, [1, 2], "ema_loss")).steps) == 0


def test_a_curve_that_broke_off_counts_as_worst() -> None:
    curves = {i: curve([3.0, 1.0, 1.0]) for i in range(4)} | {9: curve([3.0, 0.5, float("nan")])}
    band = band_of(lines_of(curves, [0, 1, 2, 3, 9], "ema_loss"))
    assert band.low[1] < 1.0
    assert band.low[2] == pytest.approx(1.0)
    assert band.high[2] > 3.0


def test_only_curves_that_fall_early_ask_for_a_logarithmic_axis() -> None:
    steps = np.arange(1, 101)
    early = lines_of({1: curve((1 + 2 / steps).tolist())}, [1], "ema_loss")
    straight = lines_of({1: curve((3 - steps / 100).tolist())}, [1], "ema_loss")
    assert falls_early(early)
    assert not falls_early(straight)


def test_limits_show_everything_unless_a_few_squeeze_the_rest() -> None:
    assert limits([1.0, 2.0, 3.0]).high == 3.0
    values = [*np.linspace(1.5, 2.0, 50), 400.0]
    assert (limits(values).low, limits(values).high) == (1.5, 2.0)
    assert limits([*np.linspace(1.5, 2.0, 50), 2.4]).high == 2.4
    assert limits([float("nan"), float("inf")]).span == 1.0
    assert limits([2.0, 2.0]).span > 0
