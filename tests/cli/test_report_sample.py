"""The text in the report: what `rnnlab sample` prints, drawn once; where it cannot be drawn, the report says why."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rnnlab.actions.report_sample as sampled_module
from rnnlab.actions.report_sample import LENGTH, PRIME, SEED, TEMPERATURE, Sample, best_sample
from rnnlab.files import Workspace
from rnnlab.queue.database import open_database
from rnnlab.queue.store import Store
from tests.support.commands import Cli, jobs


@pytest.fixture
def trained(cli: Cli) -> Cli:
    """The folder with one of the jobs of small.toml trained."""
    cli("init", "small.toml")
    assert cli("worker", "--device", "cpu", "--max-jobs", "1", "--cohort", "1").code == 0
    return cli


@pytest.fixture
def store(trained: Cli) -> Iterator[Store]:
    engine = open_database(trained.folder / "results" / "rnnlab.db", create=False, read_only=True)
    yield Store(engine)
    engine.dispose()


def sampled(store: Store) -> Sample:
    found = best_sample(store, Workspace(Path("results"), Path("plots")), "small", "min_loss")
    assert found is not None
    return found


def test_it_is_what_sample_prints_and_drawn_once_for_each_checkpoint(
    store: Store, trained: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ["--prime", PRIME, "--length", str(LENGTH), "--temperature", str(TEMPERATURE), "--seed", str(SEED)]
    first = sampled(store)
    assert first.missing == ""
    assert len(first.text) > LENGTH / 2
    assert f"{first.text}\n" == trained("sample", *flags).out

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", _not_again)
        assert sampled(store) == first
    kept = Path("results/small/sample.json")
    kept.write_text(kept.read_text().replace("checkpoint-e", "checkpoint-f"))
    monkeypatch.setattr(sampled_module, "_COMMAND", ["echo", "The other text,"])
    assert sampled(store) == Sample(first.job_id, "explore", f"The other text, {first.job_id}")
    kept.write_text("{")
    assert sampled(store).text.startswith("The other text")


def _not_again(*_: Any, **__: Any) -> None:
    raise AssertionError("a second process")


def test_sampling_is_stopped_after_a_minute(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = []

    def run_too_long(command: list[str], timeout: float, **_: Any) -> None:
        limits.append(timeout)
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", run_too_long)
    found = sampled(store)
    assert limits == [60.0]
    assert found.missing == f"`rnnlab sample {found.job_id}` took longer than 60 s"
    assert not Path("results/small/sample.json").exists()


def test_what_goes_wrong_is_said(store: Store, trained: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    (job,) = [job for job in jobs(trained.folder / "results" / "rnnlab.db") if job.result]
    (checkpoint,) = Path("results/small").glob("explore/*/checkpoint-*.rnn")
    monkeypatch.setattr(sampled_module, "TIMEOUT_SECONDS", 0.01)
    assert sampled(store).missing == f"`rnnlab sample {job.id}` took longer than 0.01 s"
    monkeypatch.undo()
    monkeypatch.chdir(trained.folder)
    checkpoint.write_bytes(b"no checkpoint")
    assert f"job {job.id} has no intact checkpoint" in sampled(store).missing
    monkeypatch.setattr(sampled_module, "_COMMAND", [str(trained.folder / "nothing")])
    assert "did not start" in sampled(store).missing
    checkpoint.unlink()
    assert sampled(store) == Sample(job.id, "explore", missing="its checkpoint is not in the results folder")
    assert not Path("results/small/sample.json").exists()


def test_imported_runs_have_no_text_and_the_report_says_so(with_results: Cli) -> None:
    assert with_results("analyze").code == 0
    html = (with_results.folder / "results" / "small" / "report.html").read_text()
    assert "Job 4 of round explore: no text was sampled (its checkpoint is not in the results folder)." in html
    assert "4 of them imported" in html
