"""Which workers are alive, with real processes, locks and kills."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rnnlab.errors import WorkerStoppedError
from rnnlab.queue.job import WorkerRecord
from rnnlab.queue.liveness import (
    Host,
    LeaseWatch,
    WorkerLock,
    boot_id,
    is_dead,
    new_worker_id,
    remove_lock,
    this_host,
)

LONG = 1e12  # seconds of silence, longer than any lease
HOLD_A_LOCK = """
import dataclasses, json, pathlib, sys
from rnnlab.queue.liveness import WorkerLock
lock = WorkerLock(pathlib.Path(sys.argv[1]), "child")
lock.acquire()
print(json.dumps(dataclasses.asdict(lock.record("cpu", now=0.0, lease_seconds=60.0))), flush=True)
sys.stdin.readline()
lock.remove()
lock.close()
"""


@pytest.fixture
def child(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds its worker lock until the test ends it."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", HOLD_A_LOCK, str(tmp_path / "workers")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


def record_of(child: "subprocess.Popen[str]") -> WorkerRecord:
    assert child.stdout is not None
    return WorkerRecord(**json.loads(child.stdout.readline()))


def test_a_live_worker_is_never_dead_and_a_killed_one_is_at_once(child: "subprocess.Popen[str]") -> None:
    record = record_of(child)
    for _ in range(20):
        assert is_dead(record, this_host(), LONG) is None
    remove_lock(record)
    assert Path(record.lock_path).exists()
    child.kill()
    child.wait()
    assert is_dead(record, this_host(), 0.0) == f"process {child.pid} on {record.host} has ended"
    assert Path(record.lock_path).exists()  # the check changes nothing
    remove_lock(record)
    assert not Path(record.lock_path).exists()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs SIGSTOP")
def test_a_stopped_process_is_alive(child: "subprocess.Popen[str]") -> None:
    record = record_of(child)
    os.kill(child.pid, signal.SIGSTOP)
    assert is_dead(record, this_host(), LONG) is None
    os.kill(child.pid, signal.SIGCONT)


def test_an_orderly_end_leaves_no_file(child: "subprocess.Popen[str]") -> None:
    record = record_of(child)
    child.communicate("end\n")
    assert child.returncode == 0
    assert list(Path(record.lock_path).parent.iterdir()) == []


def test_within_one_process_a_held_lock_counts_too(tmp_path: Path) -> None:
    with WorkerLock(tmp_path, "me") as lock:
        record = lock.record("cuda:0", now=100.0, lease_seconds=60.0)
        assert is_dead(record, this_host(), LONG) is None
    assert (record.id, record.device, record.lease_until, record.pid) == ("me", "cuda:0", 160.0, os.getpid())
    assert is_dead(record, this_host(), 0.0) is not None


def test_a_lock_is_taken_once(tmp_path: Path) -> None:
    with WorkerLock(tmp_path, "me"), pytest.raises(WorkerStoppedError, match="cannot lock"):
        WorkerLock(tmp_path, "me").acquire()


def test_a_lock_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkerStoppedError, match="cannot lock") as caught:
        WorkerLock(tmp_path / "file", "me").acquire()
    assert "\n" not in str(caught.value)


HERE = Host("lab", "boot 1")
RECORD = WorkerRecord("w", "lab", "boot 1", 1, "cpu", "/no/such/folder/w.lock", 0.0, 100.0, 160.0, None)


@pytest.mark.parametrize(
    ("record", "here", "silence_seconds", "reason"),
    [
        # The same name with another boot id: restarted, or another machine with that name.
        (replace(RECORD, boot_id="boot 0"), HERE, 60.0, None),
        (replace(RECORD, boot_id="boot 0"), HERE, 61.0, "no heartbeat from lab for 61 s"),
        (replace(RECORD, host="other"), HERE, 60.0, None),
        (replace(RECORD, host="other"), HERE, 61.0, "no heartbeat from other for 61 s"),
        (replace(RECORD, boot_id=""), HERE, 60.0, None),
        (replace(RECORD, boot_id=""), HERE, 61.0, "no heartbeat from lab for 61 s"),
        (RECORD, Host("lab", ""), 60.0, None),
        (RECORD, HERE, 60.0, None),  # this host cannot see its folder
        (RECORD, HERE, 61.0, "no heartbeat from lab for 61 s"),
    ],
)
def test_where_no_lock_can_be_seen_the_lease_decides(
    record: WorkerRecord, here: Host, silence_seconds: float, reason: str | None
) -> None:
    assert is_dead(record, here, silence_seconds) == reason


def test_a_missing_file_proves_nothing(tmp_path: Path) -> None:
    """A worker stays alive if its file was deleted, or if the check runs in a container with other files."""
    with WorkerLock(tmp_path, "w") as lock:
        record = lock.record("cpu", now=100.0, lease_seconds=60.0)
        lock.path.unlink()
        assert is_dead(record, this_host(), 60.0) is None
        assert is_dead(record, this_host(), 61.0) == f"no heartbeat from {record.host} for 61 s"
    assert list(tmp_path.iterdir()) == []


def test_two_machines_of_one_name_do_not_rob_each_other(tmp_path: Path) -> None:
    """Both have a folder of workers at the same path, but share only the table."""
    one, two = Host("lab", "boot of one"), Host("lab", "boot of two")
    with WorkerLock(tmp_path, "w") as lock:
        record = replace(lock.record("cpu", now=100.0, lease_seconds=60.0), host="lab", boot_id=one.boot_id)
        assert is_dead(record, two, 0.0) is None
        assert is_dead(record, one, LONG) is None
    assert is_dead(record, two, 0.0) is None  # even if a file at that path is not locked
    assert is_dead(record, one, 0.0) is not None


def test_names_differ_and_the_boot_id_does_not() -> None:
    assert len({new_worker_id() for _ in range(1000)}) == 1000
    assert boot_id() == boot_id()
    assert this_host() == this_host()


def test_a_lease_is_watched_by_a_steady_clock_alone() -> None:
    """The clocks of the two hosts do not matter: only the time without a new renewal counts."""
    now = 5.0
    watch = LeaseWatch(lambda: now)
    in_the_past, in_the_future = replace(RECORD, heartbeat_at=-1e9), replace(RECORD, id="v", heartbeat_at=1e9)
    assert watch.silence_seconds(in_the_past) == watch.silence_seconds(in_the_future) == 0.0
    now = 12.0
    assert watch.silence_seconds(in_the_past) == watch.silence_seconds(in_the_future) == 7.0
    # Each renews once, after its clock was set back by an hour.
    renewed = [replace(record, heartbeat_at=record.heartbeat_at - 3600) for record in (in_the_past, in_the_future)]
    assert [watch.silence_seconds(record) for record in renewed] == [0.0, 0.0]
    now = 15.0
    assert [watch.silence_seconds(record) for record in renewed] == [3.0, 3.0]
