"""Stopping by one signal, by two, and of a pool. Nothing is lost, and the last line shows how to resume."""

import os
import re
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from rnnlab.queue.job import Status
from tests.recovery.harness import (
    LONG_PART,
    Outcome,
    Process,
    Site,
    View,
    assert_done_once,
    assert_same_bits,
    ignoring,
    resume_command,
    wait_for,
)
from tests.support.postgres_server import PostgresServer

FLAGS = ("--cohort", "4", "--checkpoint-seconds", "0.2")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_signal_checkpoints_and_releases(site: Site, long_reference: Outcome, signum: signal.Signals) -> None:
    worker = site.init(LONG_PART).start(*FLAGS)
    wait_for("a worker in mid-run", lambda: site.midway(1))
    worker.send(signum)
    assert worker.wait() == 130

    assert not site.jobs(Status.RUNNING)
    halfway = [job for job in site.jobs(Status.PENDING) if job.epoch > 0]
    assert any(job.step for job in halfway), worker.messages
    for job in halfway:
        assert site.checkpoints(job)[0].name == f"checkpoint-e000001-s{job.step:09d}.rnn"
        assert job.step < job.target_steps
        assert (job.deaths, job.error) == (0, None)
    assert f"{len(halfway)} jobs are released" in worker.messages

    again = site.start_command(*resume_command(worker))
    assert again.wait() == 0, again.messages
    assert_done_once(site)
    assert_same_bits(site, long_reference)
    assert {job.epoch for job in site.jobs()} == {1, 2}  # no job was started a third time


def test_a_second_signal_aborts_at_once(site: Site, long_reference: Outcome) -> None:
    worker = site.init(LONG_PART).start(*FLAGS)
    wait_for("a worker in mid-run", lambda: site.midway(1))
    with closing(sqlite3.connect(site.database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")  # blocks the graceful stop for half a minute
        worker.send(signal.SIGTERM)
        wait_for("the first signal is noticed", lambda: "stopping" in worker.messages)
        worker.send(signal.SIGTERM)
        assert worker.wait(seconds=10) == 130
    left = site.jobs(Status.RUNNING)
    assert left, "no process could write to the table, but the jobs are released"

    site.finish()
    assert sorted(event.job_id for event in site.events("rescued")) == [job.id for job in left]
    assert_done_once(site)
    assert_same_bits(site, long_reference)


def test_a_signal_to_a_pool_stops_all_its_workers(site: Site, long_reference: Outcome) -> None:
    pool = _start_pool(site)
    pool.send(signal.SIGINT)
    assert pool.wait() == 130
    assert not site.reader.workers(alive_only=True)
    assert not site.jobs(Status.RUNNING)
    assert site.events("released")
    assert not site.events("rescued")

    command = resume_command(pool)
    assert command[command.index("--processes") + 1] == "2"
    again = site.start_command(*command)
    assert again.wait() == 0, again.messages
    assert_done_once(site)
    assert_same_bits(site, long_reference)


def test_a_killed_worker_of_a_pool_is_started_again(site: Site, long_reference: Outcome) -> None:
    pool = _start_pool(site)
    victim = site.reader.workers(alive_only=True)[0]
    os.kill(victim.pid, signal.SIGKILL)
    wait_for("the pool says so", lambda: "was killed (SIGKILL): restarting it" in pool.messages)
    assert pool.wait() == 0, pool.messages
    assert len(site.reader.workers()) == 3
    assert {event.worker_id for event in site.events("rescued")} == {victim.id}
    assert_done_once(site)
    assert_same_bits(site, long_reference)


def test_the_workers_of_a_killed_pool_stop_gracefully(site: Site) -> None:
    pool = _start_pool(site)
    pool.send(signal.SIGKILL)
    wait_for("the workers have stopped", lambda: not site.reader.workers(alive_only=True))
    assert not site.events("rescued")
    halfway = [job for job in site.jobs(Status.PENDING) if job.epoch > 0]
    assert halfway
    assert all(site.checkpoints(job)[0].name.endswith(f"s{job.step:09d}.rnn") for job in halfway)


def _start_pool(site: Site) -> Process:
    pool = site.init(LONG_PART).start("--processes", "2", "--cohort", "2", "--checkpoint-seconds", "0.2")
    wait_for("two workers in mid-run", lambda: site.midway(2))
    return pool


@pytest.mark.parametrize("processes", [1, 2])
def test_signals_that_were_ignored_from_the_start_stop_no_worker(site: Site, processes: int) -> None:
    """As with `nohup rnnlab worker &` when its terminal is closed."""
    site.init(LONG_PART)
    with ignoring(signal.SIGHUP, signal.SIGINT):
        command = site.start("--processes", str(processes), "--cohort", "2", "--checkpoint-seconds", "0.2")
    wait_for("workers in mid-run", lambda: site.midway(processes))
    for pid in {command.pid, *(record.pid for record in site.reader.workers(alive_only=True))}:
        os.kill(pid, signal.SIGHUP)
        os.kill(pid, signal.SIGINT)
    assert command.wait() == 0, command.messages
    assert site.events("released") == site.events("rescued") == []
    assert_done_once(site)


def test_a_pool_that_ignores_its_terminal_is_stopped_by_sigterm(site: Site) -> None:
    with ignoring(signal.SIGHUP, signal.SIGINT):
        pool = _start_pool(site)
    pool.send(signal.SIGTERM)
    assert pool.wait() == 130
    assert not site.jobs(Status.RUNNING)
    assert site.events("released")
    assert not site.events("rescued")


def test_a_stop_while_the_database_is_away_costs_nothing(
    new_site: Callable[..., Site], server: PostgresServer, long_reference: Outcome
) -> None:
    site = new_site(database=server.url(server.create_database())).init(LONG_PART)
    worker = site.start("--checkpoint-seconds", "0.2")
    wait_for("a worker in mid-run", lambda: site.midway(1))
    server.stop()
    worker.send(signal.SIGTERM)
    time.sleep(2.0)
    assert worker.runs, worker.messages
    server.start()
    assert worker.wait() == 130, worker.messages
    assert site.events("rescued") == []
    assert {job.deaths for job in site.jobs()} == {0}
    assert {(job.status, job.preemptions) for job in site.jobs() if job.epoch} == {(Status.PENDING, 1)}
    site.finish()
    assert_same_bits(site, long_reference)


def test_a_worker_without_its_database_for_longer_than_its_lease_carries_on_under_a_new_name(
    new_site: Callable[..., Site], server: PostgresServer, long_reference: Outcome
) -> None:
    site = new_site(database=server.url(server.create_database())).init(LONG_PART)
    flags = ("--lease-seconds", "2", "--heartbeat-seconds", "0.5", "--checkpoint-seconds", "0.2")
    worker = site.start(*flags)
    wait_for("a worker in mid-run", lambda: site.midway(1))
    server.stop()
    wait_for("the worker to give its jobs up", lambda: "this worker continues with other jobs" in worker.messages)
    server.start()
    assert worker.wait() == 0, worker.messages
    assert "for longer than the lease of this worker" in worker.messages
    # It had to take the jobs from its own earlier session.
    assert {job.epoch for job in site.jobs()} >= {2}
    assert_done_once(site)
    assert_same_bits(site, long_reference)


def test_a_stop_while_the_database_stays_away_ends_in_time(
    new_site: Callable[..., Site], server: PostgresServer, long_reference: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rnnlab.queue.retry_policy._WORKER_STOP_SECONDS", 0.5)
    site = new_site(database=server.url(server.create_database())).init(LONG_PART)
    view = View()
    with site.worker(view, checkpoint_seconds=0) as worker:

        def on_block() -> None:
            if len(view.blocks) == 3:
                server.stop()
                worker.stop_requested.set()

        view.on_block = on_block
        try:
            worker.run()  # it returns; the command line then shows how to resume
        finally:
            server.start()
    assert "its jobs resume from their checkpoints when other workers claim them" in view.text
    site.finish()
    assert_same_bits(site, long_reference)


def test_run_waits_for_a_database_that_is_away(
    new_site: Callable[..., Site], server: PostgresServer, long_reference: Outcome
) -> None:
    site = new_site(database=server.url(server.create_database())).init(LONG_PART)
    command = site.start_command("run", "experiment.toml", "--device", "cpu", *site.place)
    wait_for("a worker with jobs", lambda: site.jobs(Status.RUNNING))
    server.stop()
    wait_for("it says so", lambda: re.search("^job database .*; waiting for it$", command.messages, re.MULTILINE))
    time.sleep(2.0)
    assert command.runs, command.messages
    server.start()
    assert command.wait() == 0, command.messages
    assert_done_once(site)
    assert_same_bits(site, long_reference)
    assert (site.folder / "plots" / "recovery").is_dir()
