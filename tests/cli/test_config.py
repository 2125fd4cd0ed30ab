"""Settings: flag, environment, rnnlab.toml, default, in this order; and the verbs' words."""

import pytest

from tests.support.commands import Cli


@pytest.fixture(autouse=True)
def _environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    # The command runs in this process and puts what the file says into its environment.
    for name in ("RNNLAB_DB", "RNNLAB_RESULTS", "RNNLAB_PLOTS", "RNNLAB_DEVICE"):
        monkeypatch.setenv(name, "to be taken back")
        monkeypatch.delenv(name)
    monkeypatch.setattr("rnnlab.cli.config._from_file", set())


def _sources(out: str) -> dict[str, tuple[str, str]]:
    """Setting -> (value, source)."""
    rows = [line.split() for line in out.splitlines()]
    return {
        row[0]: (row[1], next(word for word in row[2:] if word.startswith(("RNNLAB", "rnnlab.t", "default"))))
        for row in rows
    }


def test_every_setting_says_where_it_comes_from(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {source for _, source in _sources(cli("config", "show").out).values()} == {"default", "RNNLAB_DATA"}
    cli.file("rnnlab.toml", 'results = "from-file"\ndb = "from-file.db"\n')
    monkeypatch.setenv("RNNLAB_DB", "from-environment.db")
    shown = _sources(cli("config", "show").out)
    assert shown["results"] == ("from-file", "rnnlab.toml")
    assert shown["db"] == ("from-environment.db", "RNNLAB_DB")
    assert shown["plots"] == ("plots", "default")


def test_flag_before_environment_before_file(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.file("rnnlab.toml", 'results = "from-file"\n')
    assert cli("init", "small.toml").code == 0
    monkeypatch.setenv("RNNLAB_RESULTS", "from-environment")
    assert cli("init", "small.toml").code == 0
    assert cli("init", "small.toml", "--results", "from-flag").code == 0
    for folder in ("from-file", "from-environment", "from-flag"):
        assert (cli.folder / folder / "rnnlab.db").exists(), folder


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("results = ", "rnnlab.toml is not a TOML file"),
        (
            'colour = "red"',
            "rnnlab.toml: unknown setting 'colour': known settings are db, results, plots, device, data",
        ),
        ("results = 3", "rnnlab.toml: results = 3: must be a string"),
    ],
)
def test_a_bad_file_is_one_line(cli: Cli, text: str, complaint: str) -> None:
    cli.file("rnnlab.toml", text)
    outcome = cli("status")
    assert outcome.code == 2
    assert outcome.err.startswith(f"rnnlab: {complaint}")
    assert outcome.err.count("\n") == 1


def test_verbs_say_what_happened_to_each_job(with_jobs: Cli) -> None:
    assert with_jobs("pause", "1", "2").out == "job 1: paused\njob 2: paused\n"
    assert with_jobs("resume", "1").out == "job 1: pending again\n"
    assert with_jobs("cancel", "2", "3").out == "job 2: cancelled\njob 3: cancelled\n"
    assert with_jobs("cancel", "3").out == "job 3: left as it is: cancelled\n"
    assert with_jobs("retry", "3").out == "job 3: pending again\n"
    assert with_jobs("priority", "5", "4").out == "job 4: has the new priority\n"
    assert "cancelled" in with_jobs("status").out


def test_show_tells_settings_history_and_files(with_jobs: Cli) -> None:
    with_jobs("pause", "1")
    out = with_jobs("show", "1").out
    assert out.startswith("job 1: paused, step 0 of ")
    for part in ("experiment  small", "setting     n_layers = ", "history     ", " paused", "files       "):
        assert part in out


def test_words_about_jobs_that_are_not_there(with_jobs: Cli) -> None:
    for command in (["show", "99"], ["logs", "99"], ["pause", "99"], ["extend", "99", "--windows", "5"]):
        outcome = with_jobs(*command)
        assert (outcome.code, outcome.err.count("\n")) == (2, 1)
        assert "no job '99'" in outcome.err
    assert "has no log" in with_jobs("logs", "1").err
    assert with_jobs("retry").err.startswith("rnnlab: no jobs given: name jobs")
    assert with_jobs("status", "--watch", "--json").code == 2


def test_gc_lists_first_and_removes_then(with_jobs: Cli) -> None:
    orphan = with_jobs.folder / "results" / "small" / "explore" / "0123456789abcdef"
    orphan.mkdir(parents=True)
    (orphan / "log.txt").write_text("of a job that was never in this table\n")
    mine = with_jobs.folder / "results" / "small" / "explore" / "fedcba9876543210"
    mine.mkdir()
    (mine / "notes.txt").write_text("somebody's\n")
    listed = with_jobs("gc", "--dry-run")
    assert "run folder without a job" in listed.out
    assert str(mine) not in listed.out
    assert orphan.exists()
    assert with_jobs("gc").code == 0
    assert not orphan.exists()
    assert (mine / "notes.txt").exists()
    assert with_jobs("gc").err.startswith("0 items")
