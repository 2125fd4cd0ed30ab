"""What commands share: hints that can be typed, folders that are taken back, counts in words."""

from pathlib import Path

import pytest

from rnnlab.cli.options import counted, repeat_flags, shown_database
from rnnlab.cli.worker import WorkerChoices
from rnnlab.errors import UsageError
from rnnlab.workspace import writable


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RNNLAB_DB", "RNNLAB_RESULTS"):
        monkeypatch.delenv(name, raising=False)


def test_flags_of_a_hint_lead_to_the_same_place() -> None:
    assert repeat_flags(None, Path("results")) == ""
    assert repeat_flags("jobs.db", Path("results")) == " --db jobs.db"
    assert repeat_flags("my jobs.db", Path("my results")) == " --db 'my jobs.db' --results 'my results'"


def test_flags_that_the_environment_gives_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNLAB_DB", "jobs.db")
    monkeypatch.setenv("RNNLAB_RESULTS", "elsewhere")
    assert repeat_flags("jobs.db", Path("elsewhere")) == ""
    # A flag went above the environment: without it, the hint would lead elsewhere.
    assert repeat_flags("other.db", Path("results")) == " --db other.db --results results"


@pytest.mark.parametrize(
    ("given", "printed"),
    [
        (
            "postgresql+psycopg://me:pass:word@host:5432/lab?sslmode=require",
            "postgresql+psycopg://me:***@host:5432/lab",
        ),
        ("postgresql://me@host/lab", "postgresql://me@host/lab"),
        ("postgresql://me@/lab?host=/tmp/a:b@c", "postgresql://me@/lab?host=/tmp/a:b@c"),
        ("a:b@c.db", "a:b@c.db"),
    ],
)
def test_a_password_is_not_repeated(given: str, printed: str) -> None:
    assert shown_database(given).startswith(printed)
    assert "pass:word" not in repeat_flags(given, Path("results"))
    choices = WorkerChoices(None, "auto", None, None, False, 60.0, False, given, Path("results"))
    assert "pass:word" not in choices.command(2)
    assert given not in choices.flags()
    assert choices.environment() == {"RNNLAB_DB": given}


def test_counted() -> None:
    assert [counted(n, "job") for n in (0, 1, 2, 1200)] == ["0 jobs", "1 job", "2 jobs", "1,200 jobs"]
    assert counted(2, "copy", "copies") == "2 copies"


def test_folders_are_taken_back_after_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")
    (tmp_path / "old").mkdir()
    new = tmp_path / "old" / "new" / "newer"
    with (
        pytest.raises(UsageError, match=r"^plots folder .*file/x is not writable"),
        writable((new, "results folder"), (tmp_path / "file" / "x", "plots folder")),
    ):
        raise AssertionError("not reached")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "old"]
    assert list((tmp_path / "old").iterdir()) == []


def test_folders_in_use_stay(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="later"), writable((tmp_path / "a" / "b", "results folder")):
        (tmp_path / "a" / "file").write_text("somebody else's")
        raise UsageError("later")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["file"]
    with writable((tmp_path / "c", "results folder")):
        pass
    assert (tmp_path / "c").is_dir()
