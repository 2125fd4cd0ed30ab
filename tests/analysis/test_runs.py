"""Jobs as a table."""

import json
import math
from dataclasses import replace

import pandas as pd
import pytest

from rnnlab.analysis.levels import levels
from rnnlab.analysis.question import Question
from rnnlab.analysis.results_frame import results_frame, setting_columns
from rnnlab.analysis.runs import Rows, Runs
from rnnlab.errors import UsageError
from rnnlab.queue.job import Status
from tests.support.published_runs import SWITCHES, make_job, published_csv
from tests.support.round_statistics import runs_of


def test_one_row_a_job_with_settings_and_numbers_as_published(explore: pd.DataFrame) -> None:
    published = published_csv(1)
    assert explore["min_loss"].tolist() == published["min_loss"].tolist()
    assert explore["seconds"].tolist() == published["seconds"].tolist()
    for name in [*SWITCHES, "n_layers", "state_size"]:
        assert explore[name].astype(int).tolist() == published[name].tolist()
    assert Rows(explore).factors == ["n_layers", "state_size", *sorted(SWITCHES)]  # canonical JSON sorts its keys


def test_settings_keep_payload_order_and_leave_out_the_seed() -> None:
    job = make_job(1, {"b": 1, "a": {"nested": 2.5}, "list": [1, 2]}, {"min_loss": 1.0}, seed=7)
    frame = results_frame([job])
    names = setting_columns(frame)
    assert names == ["corpus_name", "nested", "b", "list", "tokenizer_kind", "batch_size", "learning_rate"]
    assert frame.loc[0, "list"] == "[1, 2]"
    assert frame.loc[0, "seed"] == 7
    document = json.loads(job.payload)
    other = {"training": document["training"], "model": document["model"], "seed": 7}
    assert setting_columns(results_frame([replace(job, payload=json.dumps(other))]))[0] == "batch_size"


def test_settings_that_share_a_name_are_told_apart() -> None:
    frame = results_frame([make_job(1, {"width": 1}, None, training={"width": 2})])
    assert (frame.loc[0, "model.width"], frame.loc[0, "training.width"]) == (1, 2)


def test_a_setting_hides_neither_a_column_nor_a_number_of_the_result() -> None:
    frame = results_frame([make_job(1, {"status": "s", "min_loss": 3}, {"min_loss": 1.5})])
    assert frame.loc[0, "status"] == "done"
    assert frame.loc[0, "model.status"] == "s"
    assert (frame.loc[0, "min_loss"], frame.loc[0, "model.min_loss"]) == (1.5, 3)


def test_a_missing_setting_is_none_and_leaves_integers_whole() -> None:
    frame = results_frame([make_job(1, {"size": 256}, None), make_job(2, {}, None)])
    assert frame["size"].tolist() == [256, None]
    assert isinstance(frame["size"].iloc[0], int)
    assert Rows(frame).factors == ["size"]


def test_a_setting_that_came_later_has_its_value_of_before_where_it_is_left_out() -> None:
    before, with_it = (make_job(n, {}, None, training=one) for n, one in enumerate([{}, {"precision": "tf32"}], 1))
    assert results_frame([before, with_it])["precision"].tolist() == ["float32", "tf32"]
    assert "precision" not in results_frame([before]).columns


def test_levels_are_ordered_for_people() -> None:
    assert levels(pd.Series([True, False, True])) == [False, True]
    assert levels(pd.Series([512, 32, 256])) == [32, 256, 512]
    assert levels(pd.Series(["rnn", "gru", None], dtype=object)) == [None, "gru", "rnn"]
    assert levels(pd.Series([1.0, None, 0.5], dtype=object)) == [None, 0.5, 1.0]


def test_results_that_are_missing_null_or_text() -> None:
    frame = results_frame(
        [
            make_job(1, {}, {"min_loss": 1.0, "checkpoint": "a.rnn", "parameters": 123}),
            make_job(2, {}, {"min_loss": None, "diverged_at_step": 40}, seed=1),
            make_job(3, {}, None, seed=2),
        ]
    )
    assert "checkpoint" not in frame
    assert frame["parameters"].isna().tolist() == [False, True, True]
    assert frame["min_loss"].isna().tolist() == [False, True, True]
    assert frame["diverged"].tolist() == [False, True, False]
    assert frame["final_loss"].isna().all()


def test_recipe_is_equal_for_seeds_of_one_configuration_only() -> None:
    jobs = [make_job(i, {"n_layers": layers}, None, seed=i) for i, layers in enumerate([1, 1, 2])]
    first, second, third = results_frame(jobs)["recipe"].tolist()
    assert first == second
    assert first != third


def test_only_finished_runs_with_a_finite_metric_compare() -> None:
    jobs = [
        make_job(1, {}, {"min_loss": 1.0}),
        make_job(2, {}, {"min_loss": 0.5, "diverged_at_step": 9}, seed=1),
        make_job(3, {}, {"min_loss": float("nan")}, seed=2),
        make_job(4, {}, {"min_loss": 0.1}, seed=3, status=Status.RUNNING),
    ]
    runs = runs_of(results_frame(jobs))
    assert runs.comparable.frame["id"].tolist() == [1]
    assert runs.incomparable.frame["id"].tolist() == [2, 3]


def test_worse_than_guessing_is_a_class_of_its_own() -> None:
    losses = {1: 6606.0, 2: 5.6, 3: 5.5, 4: None, 5: 2.0}
    frame = results_frame([make_job(n, {}, {"min_loss": loss}, seed=n) for n, loss in losses.items()])
    runs = runs_of(frame)
    assert runs.guess == pytest.approx(math.log(256))
    assert runs.comparable.frame["id"].tolist() == [3, 5]
    assert runs.worse_than_guessing.frame["id"].tolist() == [2, 1]
    assert runs.ranked["id"].tolist() == [5, 3, 2, 1, 4]
    assert runs.ranked["rank"].isna().tolist() == [False, False, True, True, True]
    small = runs_of(frame.assign(vocabulary_size=[8000.0] * 4 + [4.0]))
    assert small.comparable.frame["id"].tolist() == [2, 3]
    assert small.guess is None
    unknown = runs_of(frame.assign(tokenizer_kind="characters"))
    assert unknown.comparable.frame["id"].tolist() == [1, 2, 3, 5]
    other = Runs(frame.assign(test_perplexity=[200.0, 256.0, 257.0, 1e9, 1.0], accuracy=99.0), Question("accuracy"))
    assert len(other.comparable) == 5
    assert runs_of(other.frame, "test_perplexity").comparable.frame["id"].tolist() == [1, 2, 5]


def test_unknown_names_are_refused_in_words() -> None:
    frame = results_frame([make_job(1, {"n_layers": 1}, {"min_loss": 1.0})])
    with pytest.raises(UsageError, match=r"metric 'accuracy' .* min_loss, final_loss"):
        Runs(frame, Question("accuracy"))
    with pytest.raises(UsageError, match=r"no setting 'layers' .* n_layers"):
        Runs(frame).restrict({"layers": 1})
    with pytest.raises(UsageError, match=r"no setting 'layers' .* n_layers"):
        Runs(frame, Question(focus={"layers": 1}))


def test_no_jobs_at_all() -> None:
    frame = results_frame([])
    assert len(frame) == 0
    assert Rows(frame).factors == []
