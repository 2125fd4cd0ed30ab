"""Everything `write_round` leaves behind."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

import rnnlab.analysis.report as report_module
from rnnlab.analysis.question import Question
from rnnlab.analysis.report import write_round
from rnnlab.analysis.results_frame import results_frame
from rnnlab.analysis.runs import Runs
from rnnlab.analysis.statistics.round_statistics import RoundStatistics
from rnnlab.errors import UsageError
from rnnlab.files import Workspace
from tests.support.made_up_rounds import made_up_round
from tests.support.published_runs import SWITCHES, make_job, published_csv
from tests.support.round_statistics import runs_of, statistics_of

QUESTION = Question(
    threshold=1.9,
    threshold_meaning="the memory is in use",
    focus={"state_size": 256, "use_new_state": True, "use_residual": True},
)

PICTURES = [
    *("curves", "factors", "factors-below", "effects", "interactions", "parallel", "grid", "parameters", "seconds")
]


def asked(frame: pd.DataFrame) -> RoundStatistics:
    """The statistics of these runs for `QUESTION`."""
    return RoundStatistics(Runs(frame, QUESTION))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two empty folders."""
    return Workspace(tmp_path / "results", tmp_path / "plots")


def test_the_published_round(workspace: Workspace, explore: pd.DataFrame) -> None:
    written = write_round(workspace, "dynamics", "explore", asked(explore), {})
    assert written.sentence == (
        "With S = 256, new state, residual: the forget gate lowers min_loss by 0.074 (95 %: 0.065 to 0.084; in 47 of "
        "48 pairs; from 0.049 at output gate off to 0.100 at output gate on). "
        "Best: 1.5928 with forget + state gate, new state, residual, L = 2, S = 256; at most 398 of 432 configurations "
        "may be the best, given noise of at most SD 0.2 (what settings and pairs of settings do not explain). "
        "180 of 432 runs are below 1.9 (the memory is in use)"
    )
    folder = workspace.results_dir / "dynamics"
    assert {path.name for path in folder.iterdir()} == {
        "explore.csv",
        "explore-effects.csv",
        "explore-best.json",
        "report.md",
        *(f"explore-by-{name}.csv" for name in [*SWITCHES, "n_layers", "state_size"]),
    }
    plots = {path.name for path in (workspace.plots_dir / "dynamics").iterdir()}
    assert plots == {f"explore-{name}.{kind}" for name in PICTURES for kind in ("png", "svg")}
    assert [path.stem for path in written.pictures] == [f"explore-{name}" for name in PICTURES]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written.pictures)
    assert all(path.with_suffix(".svg").read_text().startswith("<svg") for path in written.pictures)
    report = written.report.read_text()
    caption = "S = 256 instead of 32 lowers the loss by 0.494 (95 %: 0.448 to 0.540; in 144 of 144 pairs)."
    assert f"*Every run by setting.* {caption}\n" in report
    links = re.findall(r"\]\(([^)]+)\)", report)
    assert len(links) == 3 + len(PICTURES) + 9
    assert all((folder / link).is_file() for link in links)

    ranked = pd.read_csv(folder / "explore.csv")
    assert ranked["min_loss"].tolist() == sorted(published_csv(1)["min_loss"])
    assert ranked["rank"].tolist() == list(range(1, 433))
    best = json.loads((folder / "explore-best.json").read_text())
    assert best == json.loads(explore.sort_values("min_loss")["payload"].tolist()[0])
    effects = pd.read_csv(folder / "explore-effects.csv")
    by_layers = pd.read_csv(folder / "explore-by-n_layers.csv")
    assert by_layers[["1", "2", "3"]].notna().all().all()
    assert sorted(by_layers[["1", "2", "3"]].to_numpy().ravel()) == sorted(published_csv(1)["min_loss"])
    forget = effects[(effects["factor"] == "use_forget_gate") & (effects["runs"] != "all")]
    assert (forget["pairs"].item(), forget["better"].item(), round(forget["median"].item(), 3)) == (48, 47, -0.071)


@pytest.fixture
def text_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pictures: drawing takes seconds a round."""
    monkeypatch.setattr(report_module, "round_pictures", lambda *_: {})


@pytest.mark.usefixtures("text_alone")
def test_the_report_holds_all_rounds_and_replaces_a_repeated_one(
    workspace: Workspace, explore: pd.DataFrame, replicate: pd.DataFrame
) -> None:
    write_round(workspace, "dynamics", "explore", asked(explore.head(40)), {})
    write_round(workspace, "dynamics", "replicate", statistics_of(replicate), {})
    report = write_round(workspace, "dynamics", "explore", asked(explore), {}).report
    text = report.read_text()
    assert re.findall("^## Round (.*)$", text, flags=re.MULTILINE) == ["explore", "replicate"]
    assert "All 432 jobs are finished" in text
    assert "All 40 jobs" not in text
    assert "The forget gate lowers min_loss by 0.074 (95 %: " in text
    assert "4 of 9 configurations may be the best (95 % confidence)" in text
    assert "multiple comparisons with the best" in text
    assert "cannot be told apart" not in text
    again = write_round(workspace, "dynamics", "explore", asked(explore), {}).report.read_text()
    assert again == text


@pytest.mark.usefixtures("text_alone")
def test_tables_of_the_report_are_rectangular(workspace: Workspace, replicate: pd.DataFrame) -> None:
    text = write_round(
        workspace, "dynamics", "replicate", statistics_of(replicate, threshold=1.9), {}
    ).report.read_text()
    tables = re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE)
    assert len(tables) == 6  # numbers, best runs, effects, levels, shares, seeds
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_a_partial_round_with_curves(workspace: Workspace) -> None:
    made = made_up_round(30, diverged=2, unfinished=10, points=50)
    written = write_round(
        workspace, "demo", "explore", statistics_of(results_frame(made.jobs), threshold=1.8), made.curves
    )
    assert written.sentence.startswith("20 of 30 jobs are finished; 2 of them diverged and are ranked last. ")
    assert ". Best: " in written.sentence
    text = written.report.read_text()
    assert "no training curves" not in text
    assert "diverged" in text
    names = [path.stem.removeprefix("explore-") for path in written.pictures]
    assert names == ["curves", "factors", "factors-below", "effects", "interactions", "parallel", "grid"]
    assert len(pd.read_csv(workspace.results_dir / "demo" / "explore.csv")) == 30


@pytest.mark.usefixtures("text_alone")
def test_a_round_in_short(workspace: Workspace, explore: pd.DataFrame, replicate: pd.DataFrame) -> None:
    """An answer: an effect, not the luckiest run of several seeds, and what the noise says of a round of one seed."""
    others = [runs_of(replicate)]

    def said(frame: pd.DataFrame) -> str:
        return write_round(workspace, "dynamics", "any", statistics_of(frame, other_rounds=others), {}).sentence

    found = statistics_of(explore, other_rounds=others)
    assert found.noise is not None
    members = len(found.replicates.members)
    assert said(explore) == (
        "S = 256 instead of 32 lowers min_loss by 0.494 (95 %: 0.489 to 0.499; in 144 of 144 pairs; from 0.424 at new "
        "state off to 0.529 at new state on). "
        "Best: 1.5928 with forget + state gate, new state, residual, L = 2, S = 256; "
        f"{members} of 432 configurations may be the best, given the noise (SD 0.02) of round replicate"
    )
    assert said(replicate) == (
        "The output gate raises min_loss by 0.028 (95 %: 0.018 to 0.038; in 3 of 3 pairs). "
        "Best mean: 1.5516 (SD 0.016, n 9) with residual, L = 2 "
        "(in all: forget + input + state gate, new state, S = 512); 4 of 9 configurations may be the best (95 % "
        "confidence)"
    )
    lost = results_frame([make_job(i, {"n_layers": i}, {"min_loss": None}) for i in (1, 2)])
    assert said(lost) == "All 2 jobs are finished; 2 of them diverged and are ranked last"


def test_a_round_without_a_finished_job(workspace: Workspace) -> None:
    frame = results_frame(made_up_round(5, unfinished=5).jobs)
    written = write_round(workspace, "demo", "explore", statistics_of(frame, threshold=1.8), {})
    assert written.sentence == "0 of 5 jobs are finished"
    assert written.pictures == []
    assert [path.name for path in written.tables] == ["explore.csv"]
    assert "0 of 5 jobs are finished" in written.report.read_text()


@pytest.mark.usefixtures("text_alone")
def test_a_focus_that_no_run_has_is_said(workspace: Workspace) -> None:
    frame = results_frame(made_up_round(12).jobs)
    text = write_round(
        workspace, "demo", "explore", statistics_of(frame, focus={"state_size": 99}), {}
    ).report.read_text()
    assert "Only runs with S = 99: none of these is finished" in text


@pytest.mark.parametrize("question", [Question("accuracy"), Question(focus={"gates": 3})])
def test_a_wrong_name_writes_nothing(workspace: Workspace, question: Question) -> None:
    with pytest.raises(UsageError, match=r"accuracy|gates"):
        statistics = RoundStatistics(Runs(results_frame(made_up_round(12).jobs), question))
        write_round(workspace, "demo", "explore", statistics, {})
    assert not workspace.results_dir.exists()
    assert not workspace.plots_dir.exists()


def test_runs_that_differ_in_everything_at_once_are_not_compared(workspace: Workspace) -> None:
    jobs = [
        make_job(10 * i + seed, {"size": i, "rate": i / 10}, {"min_loss": i + seed / 10}, seed=seed)
        for i in (1, 2, 3)
        for seed in (0, 1)
    ]
    text = write_round(workspace, "picked", "explore", statistics_of(results_frame(jobs)), {}).report.read_text()
    assert "No two configurations differ in one setting only" in text
    assert "vary together" in text
    assert "| 0.0% |" not in text
    assert "Only one setting varies" not in text


def test_levels_without_a_pair_are_named(workspace: Workspace) -> None:
    jobs = [make_job(i, {"size": i, "gate": i == 3}, {"min_loss": float(i)}) for i in (1, 2, 3)]
    text = write_round(workspace, "picked", "explore", statistics_of(results_frame(jobs)), {}).report.read_text()
    assert "| size | 1 | 2 | 1 |" in text
    assert "Without a pair: gate on against off, size 3 against 1." in text
