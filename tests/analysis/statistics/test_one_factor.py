"""Tables in which only one factor varies."""

import itertools

import numpy as np
import pandas as pd
import pytest

from rnnlab.analysis.results_frame import results_frame
from rnnlab.analysis.statistics.contrasts import round_contrasts
from rnnlab.analysis.statistics.effects import Effects, paired_effects
from rnnlab.analysis.statistics.one_factor import one_factor_tables
from rnnlab.analysis.words import sentences
from rnnlab.analysis.words.markdown import effects_table
from rnnlab.queue.job import Job
from tests.support.published_runs import SWITCHES, make_job, published_csv
from tests.support.round_statistics import runs_of


def grid() -> list[Job]:
    """Larger blocks are better but for one row; a width of 8 diverges at the highest rate."""
    jobs: list[Job] = []
    for block, width, rate in itertools.product([8, 16, 32], [4, 8], [0.1, 1.0]):
        loss = 2.0 - 0.01 * block + 0.3 * (block == 32 and width == 4 and rate == 1.0)
        lost = 5 if (width, rate) == (8, 1.0) and block == 32 else None
        model = {"block_size": block, "width": width, "rate": rate}
        jobs.append(make_job(len(jobs) + 1, model, {"min_loss": loss, "diverged_at_step": lost}))
    return jobs


def test_rows_and_columns() -> None:
    table = one_factor_tables(runs_of(results_frame(grid())))["block_size"]
    assert table.levels == [8, 16, 32]
    assert table.others.to_dict("records") == [{"rate": r, "width": w} for r in (0.1, 1.0) for w in (4, 8)]
    assert table.losses[0].tolist() == pytest.approx([1.92, 1.84, 1.68])
    assert np.isinf(table.losses[3, 2])
    assert len(table.complete) == 3
    assert table.best_counts == {8: 0, 16: 1, 32: 2}
    assert (table.falling, table.rising) == (2, 0)
    assert table.table().columns.tolist() == ["rate", "width", "8", "16", "32"]


def test_equals_are_best_at_no_level() -> None:
    """A bound that is never reached: the first row has a tie."""
    losses = [(1, 4, 2.0), (2, 4, 2.0), (1, 8, 2.5), (2, 8, 2.4)]
    jobs = [make_job(i, {"bound": b, "width": w}, {"min_loss": loss}) for i, (b, w, loss) in enumerate(losses)]
    runs = runs_of(results_frame(jobs))
    tables = one_factor_tables(runs)
    table = tables["bound"]
    assert table.best_counts == {1: 0, 2: 1}
    (effect,) = [
        row for row in paired_effects(tables, round_contrasts(runs, tables, None)).rows if row["factor"] == "bound"
    ]
    assert "| bound | 1 | 2 | 2 | 1 (1 equal) | -0.050 |" in effects_table(Effects(pd.DataFrame([effect])))


def test_settings_that_were_not_run_at_every_level() -> None:
    table = one_factor_tables(runs_of(results_frame(grid()[:-1])))["block_size"]
    assert len(table.others) == 4
    assert np.isnan(table.losses[3, 2])
    lonely = one_factor_tables(runs_of(results_frame([grid()[0], grid()[7]])))["block_size"]
    assert lonely.table().empty  # nothing was run at two levels


def test_seeds_are_averaged() -> None:
    jobs = [
        make_job(i, {"size": size}, {"min_loss": x}, seed=i) for i, (size, x) in enumerate([(1, 1), (1, 3), (2, 5)])
    ]
    table = one_factor_tables(runs_of(results_frame(jobs)))["size"]
    assert table.losses.tolist() == [[2.0, 5.0]]


def test_the_published_layers_against_a_pivot_table(explore: pd.DataFrame) -> None:
    published = published_csv(1)
    pivot = published.pivot_table(index=[*SWITCHES, "state_size"], columns="n_layers", values="min_loss")
    best = pivot.idxmin(axis=1).value_counts().to_dict()
    table = one_factor_tables(runs_of(explore))["n_layers"]
    assert table.best_counts == {level: best[level] for level in (1, 2, 3)}
    assert sorted(table.complete.ravel()) == pytest.approx(sorted(pivot.to_numpy().ravel()))


def test_in_words() -> None:
    jobs = [
        make_job(
            10 * i + place, {"block_size": block, "depth": i}, {"min_loss": 3.0 - 0.1 * place + 0.5 * (i == block)}
        )
        for i in range(1, 9)
        for place, block in enumerate([8, 16, 32])
    ]
    tables = one_factor_tables(runs_of(results_frame(jobs)))
    said = sentences.series(tables["block_size"], "min_loss")
    assert said == ("block size 32 is the best of 3 in 8 of 8 rows; min_loss falls with every step up in 8")
    two = one_factor_tables(runs_of(results_frame(jobs[:2])))
    assert sentences.series(two["block_size"], "min_loss") == ""
