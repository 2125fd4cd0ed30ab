"""`rnnlab run` and `reproduce` when the database does not answer for a moment: they wait, as the workers do."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from rnnlab.cli import reproduce, run
from rnnlab.cli.worker_pool import WorkerPool
from rnnlab.errors import DatabaseAwayError
from rnnlab.queue import retry_policy
from rnnlab.queue.job import Status
from rnnlab.queue.reader import Reader
from rnnlab.queue.store import Store
from tests.support.commands import Cli, jobs

AWAY = DatabaseAwayError("job database x cannot be reached")
PUBLISHED = """
[reproduction]
source = "somebody, somewhere"
tolerance = 0.05
because = "It is only a test."
seeds = 1

[[reproduction.runs]]
name = "shallow"
set = { n_layers = 1, use_forget_gate = true }
reported = { min_loss = 2.0 }
"""
READS = ("any_open", "counts", "jobs", "progress", "experiment", "curves")  # what the commands read by


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(retry_policy, "_COMMAND_PAUSE_SECONDS", 0.01)


def shake(monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
    """From the start of the workers on: the table is away at the first two calls of each kind.

    And its answer is lost when the jobs of a round have been added.
    """

    def shaken(*arguments: Any) -> WorkerPool:
        for name in READS:
            monkeypatch.setattr(Store, name, away_before(getattr(Store, name), 2))
        monkeypatch.setattr(Store, "add_jobs", away_after(Store.add_jobs, 1))
        return WorkerPool(*arguments)

    monkeypatch.setattr(module, "WorkerPool", shaken)


def away_before(method: Callable[..., Any], times: int) -> Callable[..., Any]:
    calls = iter(range(times))

    def shaken(*arguments: Any, **options: Any) -> Any:
        if next(calls, None) is not None:
            raise AWAY
        return method(*arguments, **options)

    return shaken


def away_after(method: Callable[..., Any], times: int) -> Callable[..., Any]:
    calls = iter(range(times))

    def shaken(*arguments: Any, **options: Any) -> Any:
        outcome = method(*arguments, **options)
        if next(calls, None) is not None:
            raise AWAY
        return outcome

    return shaken


def test_run_goes_on_to_the_end(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        shake(patch, run)
        outcome = cli("run", "small.toml", "--device", "cpu")
    assert outcome.code == 0, outcome.err
    assert "every round is complete" in outcome.err
    done = jobs(cli.folder / "results" / "rnnlab.db")
    assert [(job.round, job.status) for job in done] == [
        (name, Status.DONE) for name, n_jobs in (("explore", 4), ("refine", 4), ("replicate", 6)) for _ in range(n_jobs)
    ]
    told = outcome.err.count(f"{AWAY}; waiting for it")
    assert 1 < told < 2 * len(READS), outcome.err  # once for each time that it is away, not for each try


def test_reproduce_goes_on_to_the_end(cli: Cli, small_toml: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.file("published.toml", small_toml + PUBLISHED)
    with monkeypatch.context() as patch:
        shake(patch, reproduce)
        outcome = cli("reproduce", "published.toml", "--device", "cpu")
    assert outcome.code == 0, outcome.err
    assert f"{AWAY}; waiting for it" in outcome.err
    assert (cli.folder / outcome.out.strip()).is_file()


class Pool:
    """Workers that have all ended, or that go on and on."""

    def __init__(self, *, all_ended: bool) -> None:
        self.all_ended = all_ended


@pytest.mark.parametrize("reason", ["a stop", "no worker left"])
def test_no_command_waits_for_a_database_without_need(
    store: Store, capsys: pytest.CaptureFixture[str], reason: str
) -> None:
    pool, tries = Pool(all_ended=False), []

    def open_jobs() -> int:
        tries.append(1)
        pool.all_ended = len(tries) == 3 and reason == "no worker left"
        raise AWAY

    run.wait_for_jobs(store, "small", cast(WorkerPool, pool), lambda: len(tries) == 3 and reason == "a stop", open_jobs)
    assert len(tries) == 3
    assert capsys.readouterr().err == f"{AWAY}; waiting for it\n"


class _SeenEnoughError(Exception):
    pass


def test_a_repeated_view_waits_too(
    with_jobs: Cli, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Off a terminal: the first look fails, and the second view is the last."""
    pauses = iter(range(2))

    def pause(_seconds: float) -> None:
        if next(pauses, None) is None:
            raise _SeenEnoughError

    with monkeypatch.context() as patch:
        patch.setattr(Reader, "progress", away_before(Reader.progress, 1))
        patch.setattr("time.sleep", pause)
        with pytest.raises(_SeenEnoughError):
            with_jobs("status", "--watch")
    out, err = capfd.readouterr()
    assert err == f"{AWAY}; waiting for it\n"
    assert out.count("small\n") == 2
