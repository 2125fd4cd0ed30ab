"""Moderated variances, against R's limma."""

from dataclasses import replace

import numpy as np
import pytest

from rnnlab.analysis.statistics.variances import single_variance, squeezed, variance_posterior

# R 4.2.2, limma 3.54.1, 2 degrees of freedom, from a prior with d0 = 6 and s0^2 = 0.04:
#   set.seed(1); v <- 6*0.04/rchisq(60, 6); s2 <- v*rchisq(60,2)/2
VARIANCES = np.array(
    [
        *(0.03136615627, 0.01317700110, 0.00414988058, 0.06677766667, 0.02129986653, 0.01125729671, 0.03463262864),
        *(0.04488091903, 0.13186120785, 0.02289962609, 0.06217679572, 0.09092424510, 0.00681254994, 0.05012759174),
        *(0.03802543303, 0.06488426314, 0.03001500053, 0.03845174499, 0.42066220187, 0.00362825564, 0.00168438948),
        *(0.00158282081, 0.16859279516, 0.06362060578, 0.06926285045, 0.06146606161, 0.36100223761, 0.00421355211),
        *(0.03330108144, 0.01372889895, 0.13375456741, 0.01720511941, 0.03938559409, 0.01456011912, 0.14910861841),
        *(0.06758588331, 0.00070106273, 0.05835620100, 0.01834952164, 0.20801468669, 0.03701336449, 0.01983962731),
        *(0.00163472088, 0.00369506226, 0.01252936191, 0.05789063602, 0.02273620647, 0.01394052094, 0.00243264439),
        *(0.00741330500, 0.02215332435, 0.13452521550, 0.00774319780, 0.10453307448, 0.02029193766, 0.04104186224),
        *(0.01514920850, 0.28609294468, 0.35815705149, 0.00258511739),
    ]
)
# q <- squeezeVar(s2, df=2)
DF_PRIOR, VAR_PRIOR = 4.677755, 0.03762738
VAR_POST = [0.03575213364, 0.03030444756, 0.02760080804, 0.04635794741, 0.03273726099, 0.02972949250]
# s2o <- s2; s2o[7] <- 25; r <- squeezeVar(s2o, df=2, robust=TRUE)
ROBUST_DF_PRIOR_OF_OTHERS, ROBUST_POST_OF_OUTLIER = 2.623383, 22.49977
OUTLIER = 6  # its place, from 0

FREEDOMS = np.full(len(VARIANCES), 2.0)


def test_variances_squeezed_by_a_known_prior_against_limma() -> None:
    found = squeezed(FREEDOMS * VARIANCES, FREEDOMS, VAR_PRIOR, DF_PRIOR)
    assert found[: len(VAR_POST)] == pytest.approx(VAR_POST, abs=1e-7)


def test_the_prior_is_near_that_of_limma() -> None:
    found = variance_posterior(FREEDOMS * VARIANCES, FREEDOMS)
    assert found is not None
    assert DF_PRIOR / 2 <= found.prior_freedom <= DF_PRIOR * 2
    assert found.typical_variance == pytest.approx(VAR_PRIOR, rel=0.25)
    _, moderated = found.draw(4000, np.random.default_rng(0))
    assert moderated[: len(VAR_POST)] == pytest.approx(VAR_POST, rel=0.35)


def test_an_outlier_keeps_its_variance_and_does_not_raise_that_of_the_others() -> None:
    variances = VARIANCES.copy()
    variances[OUTLIER] = 25.0
    plain, found = (variance_posterior(FREEDOMS * x, FREEDOMS) for x in (VARIANCES, variances))
    assert plain is not None and found is not None
    assert found.typical_variance == pytest.approx(plain.typical_variance, rel=0.10)
    assert found.prior_freedom >= ROBUST_DF_PRIOR_OF_OTHERS / 2
    _, moderated = found.draw(4000, np.random.default_rng(0))
    assert 10 < moderated[OUTLIER] < 2 * ROBUST_POST_OF_OUTLIER
    _, before = plain.draw(4000, np.random.default_rng(0))
    others = np.delete(np.arange(len(variances)), OUTLIER)
    assert np.median(moderated[others] / before[others]) == pytest.approx(1.0, abs=0.10)


def test_configurations_of_one_run_have_the_variance_of_the_prior() -> None:
    found = variance_posterior(FREEDOMS * VARIANCES, FREEDOMS)
    assert found is not None
    drawn, moderated = replace(found, sums_G=np.zeros(3), freedoms_G=np.zeros(3)).draw(4000, np.random.default_rng(0))
    assert drawn.shape == (4000, 3)
    assert moderated == pytest.approx(found.typical_variance, rel=0.2)


def test_without_a_degree_of_freedom_nothing_is_known() -> None:
    assert variance_posterior(np.zeros(4), np.zeros(4)) is None


def test_variances_of_zero_are_no_trouble() -> None:
    found = variance_posterior(np.zeros(3), np.full(3, 2.0))
    assert found is not None
    drawn, moderated = found.draw(100, np.random.default_rng(0))
    assert np.isfinite(drawn).all()
    assert (moderated < 1e-6).all()


def test_one_variance_for_all() -> None:
    """Draws are the sum of squares over chi-squared numbers, apart from the flat prior on the logarithm."""
    found = single_variance(sum_of_squares=8.0, freedom=20, n_configurations=2)
    drawn, moderated = found.draw(8000, np.random.default_rng(0))
    assert moderated == pytest.approx(0.4, rel=0.03)
    assert drawn.mean() == pytest.approx(8.0 / 18, rel=0.03)
    assert drawn[:, 0] == pytest.approx(drawn[:, 1], rel=0.02)
    assert found.prior_freedom == np.inf
