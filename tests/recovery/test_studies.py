"""Every study in its reduced form: init by name, two workers, one of them killed, every round, analysis."""

import signal
import time
from pathlib import Path

import pytest

from rnnlab.queue.database import open_database
from rnnlab.queue.job import Status
from rnnlab.queue.reader import Reader
from tests.recovery.harness import Process, wait_for

STUDIES = {"dynamics": 432, "shakespeare": 512, "residual": 44, "gates": 800, "unrolled": 30, "shakespeare-bpe": 512}
SECONDS = 240.0  # for a minute of work, on a busy machine


@pytest.mark.study
@pytest.mark.timeout(600)
@pytest.mark.parametrize("study", STUDIES)
def test_a_study_from_its_name_to_its_report(tmp_path: Path, study: str) -> None:
    def rnnlab(*arguments: str) -> Process:
        number = len(list(tmp_path.glob("stderr-*")))
        return Process(arguments, tmp_path, number)

    begun = time.monotonic()
    init = rnnlab("init", study, "--scale", "tiny", "--corpus", "generated")
    assert init.wait() == 0, init.messages
    reader = Reader(open_database(tmp_path / "results" / "rnnlab.db", create=False, read_only=True))
    name = f"{study}-tiny"
    assert len(reader.jobs(name)) == STUDIES[study]
    killed, other = rnnlab("worker", name, "--quiet"), rnnlab("worker", name, "--quiet")
    try:
        wait_for("the first worker trains", lambda: _trains(reader, killed.pid))
        killed.send(signal.SIGKILL)
        assert other.wait(SECONDS) == 0, other.messages
        assert {job.status for job in reader.jobs(name)} == {Status.DONE}
        assert any(event.kind == "rescued" for event in reader.events(limit=None))
        rounds = rnnlab("run", study, "--scale", "tiny", "--corpus", "generated", "--processes", "2")
        assert rounds.wait(SECONDS) == 0, rounds.messages
    finally:
        killed.end()
        other.end()
        reader.engine.dispose()
    assert (tmp_path / "results" / name / "report.md").is_file()
    assert (tmp_path / "plots" / name / "explore-factors.png").stat().st_size > 10_000
    print(f"{name}: {time.monotonic() - begun:.0f} s")


def _trains(reader: Reader, pid: int) -> bool:
    ids = {record.id for record in reader.workers() if record.pid == pid}
    return any(job.worker_id in ids for job in reader.jobs(status=Status.RUNNING))
