"""Order and summary, against the published figures."""

import json
import math

import pandas as pd

from rnnlab.analysis.results_frame import results_frame
from tests.support.published_runs import SWITCHES, make_job, published_csv
from tests.support.round_statistics import runs_of, statistics_of


def test_summary_of_the_published_round(explore: pd.DataFrame) -> None:
    summary = statistics_of(explore, threshold=1.9).summary
    assert (summary.jobs, summary.finished, summary.comparable, summary.below) == (432, 432, 432, 180)
    assert round(summary.best, 4) == 1.5928
    assert round(summary.median, 3) == 2.040
    assert round(summary.worst, 3) == 3.461


def test_best_run_of_the_published_rounds(explore: pd.DataFrame, refine: pd.DataFrame) -> None:
    first = runs_of(explore).best_payload
    assert first is not None
    on = {name for name in SWITCHES if first["model"][name]}
    assert on == {"use_forget_gate", "use_state_gate", "use_new_state", "use_residual"}
    assert (first["model"]["n_layers"], first["model"]["state_size"]) == (2, 256)
    second = runs_of(refine).best
    assert second is not None
    assert round(second["min_loss"], 4) == 1.4079
    assert json.loads(second["payload"])["model"]["state_size"] == 512


def test_order_does_not_depend_on_the_order_of_jobs(explore: pd.DataFrame) -> None:
    ranked = runs_of(explore).ranked
    pd.testing.assert_frame_equal(ranked, runs_of(explore.sample(frac=1.0, random_state=3)).ranked)
    assert ranked["min_loss"].tolist() == sorted(published_csv(1)["min_loss"])
    assert ranked["rank"].tolist() == list(range(1, 433))
    ties = ranked[ranked["min_loss"].duplicated(keep=False)]
    assert len(ties) == 2  # the published round has one tie
    assert ties["config_hash"].is_monotonic_increasing


def test_diverged_and_unfinished_come_last_without_a_rank() -> None:
    jobs = [
        make_job(1, {}, None),
        make_job(2, {}, {"min_loss": 0.1, "diverged_at_step": 10}, seed=1),
        make_job(3, {}, {"min_loss": 2.0}, seed=2),
        make_job(4, {}, {"min_loss": None}, seed=3),
        make_job(5, {}, {"min_loss": 1.0}, seed=4),
    ]
    ranked = runs_of(results_frame(jobs)).ranked
    assert ranked["id"].tolist()[:2] == [5, 3]
    assert set(ranked["id"].tolist()[2:4]) == {2, 4}
    assert ranked["id"].tolist()[4] == 1
    assert ranked["rank"].tolist()[:2] == [1, 2]
    assert ranked["rank"].isna().tolist() == [False, False, True, True, True]


def test_nothing_to_rank_yet() -> None:
    frame = results_frame([make_job(1, {}, None)])
    assert runs_of(frame).best_payload is None
    summary = statistics_of(frame, threshold=1.0).summary
    assert (summary.jobs, summary.finished, summary.below) == (1, 0, 0)
    assert math.isnan(summary.best)
