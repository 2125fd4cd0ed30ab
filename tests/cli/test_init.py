"""`rnnlab init`: jobs are added once, hints can be typed, and a dry run writes nothing."""

from types import SimpleNamespace

import pytest

from tests.support.commands import Cli, jobs
from tests.support.paths import public_text


def test_init_adds_once(cli: Cli) -> None:
    first = cli("init", "small.toml")
    assert (first.code, first.out, first.err) == (0, "small: added 4 jobs, 4 in the grid\n", "next: rnnlab worker\n")
    assert cli("init", "small.toml").out == "small: added 0 jobs, 4 in the grid\n"
    assert cli.tree().keys() >= {"results", "results/rnnlab.db"}


def test_init_after_the_grid_has_changed(with_jobs: Cli, small_toml: str) -> None:
    with_jobs.file("small.toml", small_toml.replace("n_layers = [1, 2]", "n_layers = [2, 3]"))
    outcome = with_jobs("init", "small.toml")
    assert outcome.out == "small: added 2 jobs, 4 in the grid\n"
    assert outcome.err == "2 jobs of an earlier grid remain in the table\nnext: rnnlab worker\n"


def test_hints_carry_the_flags_of_the_command(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = cli("init", "small.toml", "--db", "my jobs.db", "--results", "there")
    assert outcome.err == "next: rnnlab worker --db 'my jobs.db' --results there\n"
    assert cli("status", "--db", "my jobs.db").err == "next: rnnlab worker small --db 'my jobs.db'\n"
    monkeypatch.setenv("RNNLAB_DB", "my jobs.db")
    assert cli("status").err == "next: rnnlab worker small\n"


def test_dry_run_agrees_with_init_and_writes_nothing(cli: Cli) -> None:
    cli("init", "demo", "--results", "other")
    before = cli.tree()
    outcome = cli("init", "small.toml", "--dry-run", "--device", "cpu")
    assert outcome.code == 0
    assert cli.tree() == before
    lines = outcome.out.splitlines()
    assert {line[:12].strip() for line in lines} == {
        "experiment",
        "corpus",
        "axis",
        "jobs",
        "parameters",
        "time",
        "disk",
        "then",
    }
    assert "axis        use_forget_gate: false, true" in lines
    assert "jobs        4 in the first round, 80 optimizer steps" in lines
    assert "then        refine: the best 50% by min_loss, 2 variants of each" in lines
    assert "then        replicate: the best 2 by min_loss, 3 seeds each" in lines
    assert outcome.err == "no jobs were added: run the command without --dry-run to add them\n"
    assert cli("init", "small.toml").out == "small: added 4 jobs, 4 in the grid\n"


def test_dry_run_says_at_once_what_it_knows_and_measures_for_a_minute(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    before: list[str] = []

    def measure(*_: object, **__: object) -> float:
        now[0] += 59.0 if not before else 2.0
        before.append(capfd.readouterr().out)
        return 1000.0

    monkeypatch.setattr("rnnlab.cost.estimate.model_steps_per_second", measure)
    monkeypatch.setattr("rnnlab.cost.estimate.time", SimpleNamespace(monotonic=lambda: now[0]))
    cli.file("small.toml", (cli.folder / "small.toml").read_text().replace("n_layers = [1, 2]", "n_layers = [1, 2, 3]"))
    outcome = cli("init", "small.toml", "--dry-run", "--device", "cpu")
    assert "axis        n_layers: 1, 2, 3\n" in before[0]
    assert "jobs        6 in the first round, 120 optimizer steps\n" in before[0]
    assert len(before) == 2
    assert (
        "time        less than a second on one core, measured on a few steps of 2 of 3 groups of jobs\n" in outcome.out
    )


def test_dry_run_shows_rules_as_the_file_writes_them(cli: Cli, small_toml: str) -> None:
    rule = "[[skip]]\nwhen = { n_layers = [1, 2], use_forget_gate = true }\nbecause = 'so'\n\n[grid]"
    cli.file("rules.toml", small_toml.replace("[grid]", rule))
    out = cli("init", "rules.toml", "--dry-run", "--device", "cpu").out
    assert "skip        n_layers = 1 or 2, use_forget_gate = true (so)\n" in out
    assert "jobs        2 in the first round, 40 optimizer steps\n" in out


def test_init_dynamics_on_the_beginning_of_enwik8(cli: Cli) -> None:
    text = str(public_text("enwik8.first1MB.gz"))
    assert cli("init", "dynamics", "--corpus", text).out == "dynamics: added 432 jobs, 432 in the grid\n"
    assert cli("init", "dynamics", "--corpus", text).out == "dynamics: added 0 jobs, 432 in the grid\n"
    assert {job.target_steps for job in jobs(cli.folder / "results" / "rnnlab.db")} == {10_989}
