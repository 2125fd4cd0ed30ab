"""The kill-storm: under attacks on workers, files and servers, each job ends once, with the bits of a calm run."""

import contextlib
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.recovery.checker import Evidence, faults, gather
from tests.recovery.disks import can_mount, small_disk
from tests.recovery.harness import OtherHost, Site, experiment_file, wait_for
from tests.recovery.storm import Storm
from tests.support.postgres_server import PostgresServer

STORMY = experiment_file(layers=(1, 2), windows=(100,))  # 16 jobs of 4,600 steps, in two groups
KINDS = ("sqlite", "postgresql")


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """The tables and files of one worker without disturbances."""
    site = Site(tmp_path_factory.mktemp("quiet")).init(STORMY)
    try:
        site.finish("--checkpoint-seconds", "5")
        evidence = _evidence(site)
        assert faults(evidence, evidence) == []
        assert {job["epoch"] for job in evidence.jobs} == {1}
        return evidence
    finally:
        site.close()


def _evidence(site: Site) -> Evidence:
    url = str(site.database) if "://" in str(site.database) else f"sqlite:///{site.database}"
    return gather(url, site.workspace.results_dir, [process.messages for process in site.processes])


def _hosts(folder: Path) -> list[OtherHost]:
    """The hosts of the four workers: two on this host, two as if on another one; each host has a clock."""
    hosts = []
    for name in (socket.gethostname(), "elsewhere"):
        host = OtherHost(name, folder / f"clock of {name}")
        host.set_clock(0.0)
        hosts += [host, host]
    return hosts


def _storm(folder: Path, kind: str, request: pytest.FixtureRequest, quiet: Evidence, kills: int, seed: int) -> None:
    """Storms on one sweep after another, until this number of kills is reached."""
    server: PostgresServer | None = request.getfixturevalue("server") if kind == "postgresql" else None
    told: Counter[str] = Counter()
    begun, stormy = time.monotonic(), 0.0
    while told["SIGKILL"] < kills:
        told["sweeps"] += 1
        started = time.monotonic()
        with contextlib.ExitStack() as stack:
            disk = stack.enter_context(small_disk(folder / f"disk {told['sweeps']}", 16)) if can_mount() else None
            database = server.url(server.create_database()) if server is not None else None
            results = None if disk is None else disk / "results"
            site = Site(folder / f"sweep {told['sweeps']}", results=results, database=database)
            stack.callback(site.close)
            site.init(STORMY)
            chance = random.Random(f"{seed} {told['sweeps']}")
            storm = Storm(site, _hosts(site.folder), chance, told, server=server, disk=disk)
            storm.run(kills - told["SIGKILL"])
            stormy += time.monotonic() - started
            storm.calm_down()
            evidence = _evidence(site)
        kinds = Counter(event["kind"] for event in evidence.events)
        told["claims"] += kinds["claimed"] + kinds["resumed"]
        told["rescues"] += kinds["rescued"]
        told["releases"] += kinds["released"]
        told["exceptions"] += kinds["excepted"]
        told["workers"] += len(evidence.workers)
        told["taken for dead"] += sum("this worker continues with other jobs" in text for text in evidence.messages)
        told["refused as stale"] += sum(text.count("left to its new owner") for text in evidence.messages)
        told["files left over"] += sum(len(files) - 2 for files in evidence.files.values())
        assert storm.watcher.faults + faults(evidence, quiet) == [], dict(told)
    numbers = ", ".join(f"{number} {what}" for what, number in sorted(told.items()))
    print(f"\n{kind}, {time.monotonic() - begun:.0f} s, {stormy:.0f} s of storm: {numbers}")


@pytest.mark.parametrize("kind", KINDS)
def test_storm(tmp_path: Path, kind: str, request: pytest.FixtureRequest, quiet: Evidence) -> None:
    _storm(tmp_path, kind, request, quiet, kills=6, seed=1)


@pytest.mark.storm
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_long_storm(tmp_path: Path, kind: str, request: pytest.FixtureRequest, quiet: Evidence) -> None:
    _storm(tmp_path, kind, request, quiet, kills=200, seed=2)


def test_a_stopped_worker_goes_on_where_it_was(site: Site, quiet: Evidence) -> None:
    """On its own host it holds its lock, so no worker takes its jobs, however old its lease is.

    The other one's lease is long: the stop may come while the database is locked, and then no lease can be renewed.
    """
    site.init(STORMY)
    often = ("--checkpoint-seconds", "0.2")
    stopped = site.start(*often, "--lease-seconds", "3", "--heartbeat-seconds", "0.5")
    other = site.start(*often, "--lease-seconds", "60")
    wait_for("two workers in mid-run", lambda: site.midway(2))
    stopped.send(signal.SIGSTOP)
    time.sleep(5.0)
    assert other.runs
    stopped.send(signal.SIGCONT)
    assert (stopped.wait(), other.wait()) == (0, 0), stopped.messages + other.messages
    assert site.events("rescued") == []
    assert {job.epoch for job in site.jobs()} == {1}, stopped.messages + other.messages
    assert faults(_evidence(site), quiet) == []


_LOCK = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
connection.execute("ROLLBACK")
"""


@pytest.mark.storm
@pytest.mark.parametrize("seconds", [8.0, 30.0])
def test_a_locked_database(site: Site, quiet: Evidence, seconds: float) -> None:
    """The lease and the heartbeat survive a database that another program has locked."""
    site.init(STORMY)
    worker = site.start("--checkpoint-seconds", "0.2", "--lease-seconds", str(2 * seconds), "--heartbeat-seconds", "1")
    wait_for("a worker in mid-run", lambda: site.midway(1))
    command = [sys.executable, "-c", _LOCK, str(site.database), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as locker:
        assert locker.stdout is not None
        assert locker.stdout.readline() == b"locked\n"
        (before,) = site.reader.workers()
        assert locker.wait() == 0
    (after,) = wait_for(
        "a heartbeat", lambda: [r for r in site.reader.workers() if r.heartbeat_at > before.heartbeat_at]
    )
    assert after.heartbeat_at - before.heartbeat_at > seconds - 2.0
    assert worker.wait() == 0, worker.messages
    assert "heartbeat: " in worker.messages, "it never found the database locked"
    assert {job.epoch for job in site.jobs()} == {1}
    assert faults(_evidence(site), quiet) == []


def test_the_checker_notices(quiet: Evidence) -> None:
    """Each of these is a result of a broken queue."""
    first = quiet.events[0]["job_id"]

    def events(change: Callable[[dict[str, Any]], list[dict[str, Any]]]) -> Evidence:
        return replace(quiet, events=[new for event in quiet.events for new in change(event)])

    def jobs(**values: object) -> Evidence:
        return replace(quiet, jobs=[job | (values if job["id"] == first else {}) for job in quiet.jobs])

    def is_end(event: dict[str, Any]) -> bool:
        return bool(event["kind"] == "finished" and event["job_id"] == first)

    for broken in (
        events(lambda event: [event, event] if is_end(event) else [event]),
        events(lambda event: [] if is_end(event) else [event]),
        events(lambda event: [event | {"worker_id": "another"}] if is_end(event) else [event]),
        events(lambda event: [event | {"epoch": 0}] if is_end(event) else [event]),
        events(lambda event: [event, event] if event["kind"] == "claimed" else [event]),
        jobs(epoch=2),
        jobs(step=0),
        jobs(status="running", worker_id="gone"),
        jobs(config_hash="0" * 64),
        jobs(result='{"loss": 0}'),
        replace(quiet, jobs=quiet.jobs[1:]),
        replace(quiet, final=quiet.final | {first: b"other"}),
        replace(quiet, curves=quiet.curves | {first: "{}"}),
        replace(quiet, files=quiet.files | {first: {"checkpoint-e000007-s000000001.rnn": b""}}),
        replace(quiet, messages=["sqlite3.OperationalError: database is locked"]),
    ):
        assert faults(broken, quiet)
