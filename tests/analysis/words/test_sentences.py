"""Findings in words."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from rnnlab.analysis.labels import level_label
from rnnlab.analysis.results_frame import results_frame
from rnnlab.analysis.statistics.dependence import strongest_dependence
from rnnlab.analysis.statistics.effects import Effects
from rnnlab.analysis.statistics.round_statistics import RoundStatistics
from rnnlab.analysis.words import seed_sentences, sentences
from rnnlab.analysis.words.names import describe, metric_label, setting_at, title
from rnnlab.analysis.words.section import key_sentence
from tests.support.made_up_rounds import made_up_round
from tests.support.published_runs import SWITCHES, make_job
from tests.support.round_statistics import runs_of, statistics_of

FOCUS = {"state_size": 256, "use_new_state": True, "use_residual": True}


def test_the_published_round_in_words(explore: pd.DataFrame) -> None:
    found = statistics_of(explore, threshold=1.9, focus=FOCUS)
    summary = found.summary
    best = "Best: 1.5928 with forget + state gate, new state, residual, L = 2, S = 256"
    assert sentences.progress(summary) == "all 432 jobs are finished"
    assert sentences.best(found.runs) == best
    assert sentences.below(summary, 1.9) == "180 of 432 runs are below 1.9"
    assert sentences.sharpest_share(found.below_threshold) == "S = 256: 180 of 288, S = 32: 0 of 144"
    effects = found.focused_effects
    said = {row["factor"]: sentences.effect(row, "min_loss") for row in effects.rows}
    assert said["use_forget_gate"].startswith("the forget gate lowers min_loss by 0.074 (95 %: ")
    assert said["use_forget_gate"].endswith("in 47 of 48 pairs)")
    assert said["use_output_gate"].startswith("the output gate raises min_loss by 0.044")
    assert said["use_input_gate"].startswith("the input gate makes no clear difference on average (+0.00")
    assert sentences.strongest_effect(effects, "the loss").startswith("the forget gate lowers the loss by 0.074")


def test_a_round_of_single_runs_is_judged_by_what_the_settings_leave(explore: pd.DataFrame) -> None:
    found = statistics_of(explore)
    assert seed_sentences.separation(found.replicates) == (
        "At most 398 of 432 configurations may be the best, given noise of at most SD 0.2 (what settings and pairs of "
        "settings do not explain)"
    )
    assert seed_sentences.chances(found.replicates) == ""  # an upper bound of the noise gives none
    assert "is an upper bound of it" in seed_sentences.noise(found)


def test_without_any_noise_seeds_are_asked_for() -> None:
    found = statistics_of(results_frame(made_up_round(10).jobs))
    said = "which configurations may be the best is unknown: more seeds are needed"
    assert seed_sentences.separation(found.replicates) == sentences.capital(said)
    best = "Best: 1.6238 with cell gru, L = 1, S = 64"
    assert seed_sentences.best_mean(found.replicates) == f"{best}; {said}"
    assert (seed_sentences.noise(found), seed_sentences.chances(found.replicates)) == ("", "")


def test_replicates_that_may_be_the_best_are_named(replicate: pd.DataFrame) -> None:
    said = seed_sentences.separation(statistics_of(replicate).replicates)
    assert said == (
        "4 of 9 configurations may be the best (95 % confidence): 1.5516 (SD 0.016, n 9), 1.5518 (SD 0.010, n 10), "
        "1.5572 (SD 0.015, n 10), 1.5679 (SD 0.025, n 10)"
    )


def seeded(losses: dict[int, list[float | None]], layers: Sequence[int] = ()) -> RoundStatistics:
    """One configuration a key, one seed a loss; those with these numbers of layers alone, if there are any."""
    return statistics_of(
        results_frame(
            [
                make_job(100 * i + seed, {"n_layers": i}, {"min_loss": x}, seed=seed)
                for i in layers or losses
                for seed, x in enumerate(losses[i])
            ]
        )
    )


def test_configurations_of_which_a_seed_diverged_are_told_of() -> None:
    losses: dict[int, list[float | None]] = {
        1: [1.0, 1.01, 1.02, 1.0],
        2: [0.1, None, None],
        3: [0.2, 0.3, None],
        4: [1.01, 1.01, 1.0, 1.02],
    }

    def said(*layers: int) -> str:
        return seed_sentences.separation(seeded(losses, layers).replicates, brief=True)

    best = "Best mean 1.0075 (SD 0.010, n 4); "
    assert (
        said(1, 2)
        == f"{best}it is the only one without a seed that diverged; 1 with a seed that diverged is ranked last"
    )
    both = "2 of 2 configurations may be the best (95 % confidence)"
    assert said(1, 2, 3, 4) == f"{best}{both}; 2 with a seed that diverged are ranked last"
    assert said(2, 3) == "No configuration can be called the best: each has a seed that diverged"


def test_no_noise_is_not_told_of() -> None:
    found = seeded({1: [1.0, 1.0, 1.0], 2: [2.0, 2.0, 2.0]})
    assert seed_sentences.noise(found) == ""
    assert "no other configuration may be the best" in seed_sentences.best_mean(found.replicates)


def test_an_unstable_configuration_is_named_apart() -> None:
    losses: dict[int, list[float | None]] = {
        i: [2.0 + i / 4, 2.02 + i / 4, 1.99 + i / 4 + i % 3 / 100] for i in range(1, 13)
    }
    said = seed_sentences.best_mean(seeded(losses | {20: [2.4, 5.3, 2.3]}).replicates)
    assert said.endswith(
        "; no other stable configuration may be the best (95 % confidence); so may 1 unstable one (SD 1.7 over 3 "
        "seeds), of which 3 seeds say little"
    )


def test_runs_worse_than_guessing_are_named() -> None:
    found = seeded({1: [2.0, 2.1, 2.0], 2: [3.0, 3.1, 3.1], 3: [3.4, 22.3, 3.3], 4: [6606.0, None, 7000.0]})
    assert sentences.progress(found.summary) == (
        "all 12 jobs are finished; 3 of them are worse than guessing, above 5.545 for a uniform guess, 1 diverged, and "
        "are ranked last"
    )
    assert seed_sentences.best_mean(found.replicates).endswith(
        "; 2 with a seed that diverged or is worse than guessing are ranked last"
    )
    alone = seeded({1: [6606.0, 799.0]})
    assert "Best" not in key_sentence(alone)
    assert key_sentence(alone) == (
        "All 2 jobs are finished; 2 of them are worse than guessing, above 5.545 for a uniform guess, and are ranked "
        "last"
    )


def test_noise_in_words(explore: pd.DataFrame, replicate: pd.DataFrame) -> None:
    found = statistics_of(explore, other_rounds=[runs_of(explore), runs_of(replicate)])
    assert seed_sentences.noise(found) == (
        "From seed to seed a run of an ordinary configuration varies by SD 0.02 (9 configurations of round replicate, "
        "90 degrees of freedom)"
    )
    said = seed_sentences.separation(found.replicates)
    assert said.endswith("of 432 configurations may be the best, given the noise (SD 0.02) of round replicate")
    chances = seed_sentences.chances(statistics_of(replicate).replicates)
    assert chances.startswith("The configuration with the best mean is truly the best with a chance of 4")
    assert "a rerun of every configuration would have it win in " in chances
    # Of runs that were trained here, it is said what a seed does to all of them.
    here = seed_sentences.noise(statistics_of(replicate.assign(seed_known=True)))
    assert "in addition to what a seed does to all configurations alike (SD 0.0" in here


def test_the_strongest_interaction_in_words(explore: pd.DataFrame) -> None:
    """Over the contexts of both ends: S = 32 was run with the residual only."""
    said = sentences.dependence(statistics_of(explore).dependence)
    rest = [name for name in (*SWITCHES, "n_layers", "state_size") if name not in ("use_input_gate", "use_residual")]
    losses = explore.set_index([*rest, "use_residual", "use_input_gate"])["min_loss"].unstack()
    differences = (losses[True] - losses[False]).unstack("use_residual").dropna()
    off, on = (differences[residual].median() for residual in (False, True))
    assert said.endswith(
        f"the median effect of the input gate is {off:+.3f} at residual off and {on:+.3f} at residual on "
        f"({len(differences)} pairs each, all others equal)"
    )
    few = explore[(explore["n_layers"] == 1) & ~explore["use_state_gate"] & ~explore["use_output_gate"]]
    few = few[few["use_new_state"] & ~few["use_forget_gate"]]
    shares = replace(
        statistics_of(few).variance,
        main={"use_input_gate": 0.1, "use_residual": 0.3},
        interactions={("use_input_gate", "use_residual"): 0.2},
    )
    assert strongest_dependence(shares, statistics_of(few).one_factor) is None
    assert sentences.dependence(None) == ""


def test_what_all_have_in_common_is_said_once(replicate: pd.DataFrame) -> None:
    """Switches that are on in all runs are no reason to say that none is on."""
    said = sentences.best(runs_of(replicate))
    shared = "in all: forget + input + state gate, new state, S = 512"
    assert said == f"Best: 1.5302 with residual, L = 2 ({shared})"
    bare = replicate[~replicate["use_residual"] & ~replicate["use_old_state"] & ~replicate["use_output_gate"]]
    bare = pd.concat([bare, replicate[replicate["use_residual"]].tail(1).assign(min_loss=9.0)])
    assert "all varied switches off" in sentences.best(runs_of(bare))


def test_only_settings_with_one_value_are_the_same_in_all_runs() -> None:
    """What follows from the cell is no factor, and not the same either."""
    jobs = [
        make_job(i, {"cell": cell, "size": size, "linear": {"rnn": "joint", "lstm": "split"}[cell]}, {"min_loss": 1.0})
        for i, (cell, size) in enumerate([("rnn", 1), ("rnn", 2), ("lstm", 1), ("lstm", 2)])
    ]
    said = sentences.shared_settings(runs_of(results_frame(jobs)))
    assert "linear" not in said
    assert "batch size 256, learning rate 0.001" in said


def test_a_clear_winner_is_said_to_be_the_only_one() -> None:
    found = seeded({1: [1.0, 1.01, 1.02], 2: [2.0, 2.01, 2.02], 3: [2.0, 2.02, 2.01]})
    said = seed_sentences.separation(found.replicates)
    assert said == "No other configuration may be the best (95 % confidence)"


def test_progress_of_a_partial_round_with_a_diverged_run() -> None:
    jobs = [
        make_job(1, {}, {"min_loss": 1.0}),
        make_job(2, {}, {"min_loss": 1.0, "diverged_at_step": 3}, seed=1),
        make_job(3, {}, None, seed=2),
    ]
    said = sentences.progress(statistics_of(results_frame(jobs)).summary)
    assert said == "2 of 3 jobs are finished; 1 of them diverged and is ranked last"


def test_nothing_to_say_is_said_by_nothing() -> None:
    found = statistics_of(results_frame([make_job(1, {}, None)]), threshold=1.0)
    assert sentences.best(found.runs) == ""
    assert sentences.below(found.summary, 1.0) == ""
    assert seed_sentences.separation(found.replicates) == ""
    assert sentences.strongest_effect(found.effects, "min_loss") == ""


def test_equal_losses_are_no_effect() -> None:
    jobs = [make_job(2 * i + on, {"gate": bool(on), "depth": i}, {"min_loss": 2.0}) for i in range(9) for on in (0, 1)]
    effects = statistics_of(results_frame(jobs)).effects
    (row,) = [row for row in effects.rows if row["factor"] == "gate"]
    said = sentences.effect(row, "min_loss")
    assert said == "the gate changes nothing in 9 of 9 pairs"
    assert sentences.strongest_effect(effects, "min_loss") == ""
    assert sentences.no_clear_effect(effects).startswith("The noise is unknown")


def test_levels_without_a_pair_are_counted_where_they_are_many() -> None:
    jobs = [make_job(i, {"depth": i, "width": i}, {"min_loss": 1.0}) for i in range(6)]
    said = sentences.without_pairs(statistics_of(results_frame(jobs)).effects)
    assert said == ", ".join(f"depth {i} against 0" for i in range(1, 6)) + " and 5 more"


def test_ranges_in_words() -> None:
    jobs = [
        make_job(2 * i + on, {"rate": i / 1000, "gate": bool(on)}, {"min_loss": 2.0 - i // 8 * 0.1 - on})
        for i in range(1, 41)
        for on in (0, 1)
    ]
    found = statistics_of(results_frame(jobs), threshold=1.9)
    effects = found.effects
    row = next(row for row in effects.rows if row["factor"] == "rate")
    assert sentences.effect(row, "min_loss").startswith("rate 0.009 to 0.016 instead of 0.001 to 0.008 lowers")
    assert sentences.rule_of_ranges(effects).endswith(" count as equal: rate.")
    assert sentences.rule_of_ranges(Effects(effects.table[effects.table["factor"] == "gate"])) == ""
    said = sentences.sharpest_share(found.below_threshold)
    assert said == "rate 0.017 to 0.024: 16 of 16, ..., rate 0.001 to 0.008: 8 of 16"


def test_names_known_and_unknown() -> None:
    assert title("use_forget_gate") == "forget gate"
    assert title("warmup_steps") == "warmup steps"
    assert [level_label(x) for x in (True, False, 32, 0.001, None, "gru")] == [
        "on",
        "off",
        "32",
        "0.001",
        "none",
        "gru",
    ]
    assert setting_at("use_old_state", False) == "old state off"
    assert setting_at("state_size", 32) == "S = 32"
    row = {"use_a": False, "use_b": False, "depth": 3}
    assert describe(row, list(row)) == "all varied switches off, depth 3"
    assert describe({"use_residual": False}, ["use_residual"]) == "no residual"
    of_a_gru = {"cell": "gru", "linear": None, "n_layers": 2}
    assert describe(of_a_gru, list(of_a_gru)) == "cell gru, L = 2"


def test_units_follow_the_tokenizer() -> None:
    assert metric_label("min_loss", "bytes") == "lowest EMA of training loss (nats per byte)"
    assert metric_label("validation_loss", "bpe") == "validation loss (nats per token)"
    assert metric_label("test_bits_per_character", "bpe") == "test loss (bits per character)"
    assert metric_label("min_loss", None) == "lowest EMA of training loss (nats per symbol)"
    assert metric_label("some_number", "bytes") == "some number"


def test_an_effect_has_a_direction_where_the_noise_is_unknown() -> None:
    row = {"factor": "rate", "reference": 0.1, "level": 99.0, "pairs": 3, "better": 0, "worse": 3, "mean": 666.32}
    assert sentences.effect(row | {"low": np.nan, "high": np.nan}, "the loss") == (
        "rate 99 instead of 0.1 raises the loss by 666.320 on average (in 3 of 3 pairs); the noise is unknown"
    )


@pytest.mark.parametrize(
    ("by", "sizes", "is_said"),
    [("validation_loss", [8, 32], True), ("min_loss", [8, 32], False), ("test_loss", [8, 8], False)],
)
def test_losses_over_windows_of_different_lengths_are_said_to_be(by: str, sizes: list[int], is_said: bool) -> None:
    jobs = [
        make_job(place, {"width": place}, {by: 2.0}, training={"block_size": size}) for place, size in enumerate(sizes)
    ]
    said = sentences.unlike_windows(runs_of(results_frame(jobs), by))
    assert bool(said) == is_said
    if is_said:
        assert said.startswith("block size (symbols) varies, and each run was evaluated on windows of its own length")
