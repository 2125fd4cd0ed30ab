"""The kill-storm: whatever happens to workers, files and servers, each job ends once, with the bits of a quiet run."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from rnnlab.errors import DatabaseError
from rnnlab.queue.job import Status
from tests.store.conftest import skip_or_fail
from tests.store.postgres_server import PostgresServer

from .checker import Evidence, Watcher, faults, gather
from .harness import Process, Site, experiment_file, wait_for

STORMY = experiment_file(layers=(1, 2), windows=(30,))  # 16 jobs of 1,380 steps, in two groups
LEASE_SECONDS = 4.0
STOPPED_SECONDS = 6.0  # longer than the lease
FLAGS = ("--checkpoint-seconds", "0.2", "--lease-seconds", str(LEASE_SECONDS), "--heartbeat-seconds", "0.5")
HOSTS = (None, None, "elsewhere", "elsewhere")  # where the workers run: here, or as if on another host
CALM_SECONDS = 240.0
RECKLESS = 0.1  # share of the attacks that do not care for the budget of deaths


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server to be maltreated."""
    skip_or_fail()
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """What one worker leaves behind that nobody disturbs."""
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


@dataclass
class Stopped:
    """A worker under SIGSTOP."""

    process: Process
    until: float


class Storm:
    """Workers on one sweep, and what is done to them."""

    def __init__(self, site: Site, chance: random.Random, told: Counter[str], server: PostgresServer | None) -> None:
        self._site = site
        self._chance = chance
        self._told = told
        self._server = server
        self._store = site.store()
        self._workers: dict[int, Process] = {}  # by slot
        self._stopped: dict[int, Stopped] = {}  # by slot
        self._ending: set[int] = set()  # slots of workers that were asked to end
        self.watcher = Watcher()

    def run(self, kills: int) -> None:
        """Until there were so many kills, or nothing is left to kill for."""
        attacks: list[tuple[int, Callable[[], None]]] = [
            (14, self._kill),
            (3, self._terminate),
            (2, self._stop),
            (2, self._pause),
        ]
        if os.geteuid() != 0:  # permissions do not bind root
            attacks.append((1, self._forbid))
        if self._server is not None:
            attacks += [(1, self._restart), (1, self._cut)]
        weights, does = [weight for weight, _ in attacks], [attack for _, attack in attacks]
        begun = self._told["SIGKILL"]
        while self._told["SIGKILL"] - begun < kills and not self._look_around():
            self._staff()
            if self._patient(self._busy):
                self._chance.choices(does, weights)[0]()
            time.sleep(self._chance.uniform(0.05, 0.4))

    def calm_down(self) -> None:
        """End every worker but the stopped ones; then one in peace finishes what is left, as an operator would."""
        stopped = [one.process for one in self._stopped.values()]
        for slot, process in self._workers.items():
            if process.runs and process not in stopped and slot not in self._ending:
                self._hit(process, self._chance.choice([signal.SIGKILL, signal.SIGTERM]))
        for process in self._workers.values():
            if process not in stopped:
                process.wait()
        deadline = time.monotonic() + CALM_SECONDS
        while not self._look_around():
            assert time.monotonic() < deadline, "the sweep does not come to an end"
            for job_id in [job.id for job in self._site.jobs(Status.PAUSED)]:
                self._store.resume([job_id])
            self._retry()
            calm = self._site.start("--checkpoint-seconds", "2")
            while calm.runs:
                self._look_around()
                assert time.monotonic() < deadline, "the sweep does not come to an end"
                time.sleep(0.1)
            assert calm.wait() in (0, 1), calm.messages
        for slot in list(self._stopped):
            self._go_on(slot)
        for process in stopped:
            process.wait()

    # What happens at each turn

    def _look_around(self) -> bool:
        """Compare with what was there before, and do what is due. Whether every job is done."""
        jobs = self._patient(self._site.jobs)
        self.watcher.look([asdict(job) | {"status": str(job.status)} for job in jobs])
        for slot, stopped in list(self._stopped.items()):
            if time.monotonic() > stopped.until:
                self._go_on(slot)
        for job in jobs:
            if job.status is Status.PAUSED:
                self._damage(job.id)
        if all(job.status in (Status.DONE, Status.FAILED) for job in jobs):
            self._retry()
        return all(job.status is Status.DONE for job in jobs)

    def _retry(self) -> None:
        """What an operator does about failed jobs, after a look at the reason."""
        failed = self._patient(lambda: self._site.jobs(Status.FAILED))
        if failed:
            for job in failed:
                assert job.error is not None
                assert job.error.startswith("quarantined"), job.error
            self._told["retries"] += len(failed)
            retry = self._site.start_command("retry", "--failed", *self._site.place)
            assert retry.wait() == 0, retry.messages

    def _staff(self) -> None:
        """A new worker in the place of each that ended."""
        for slot, host in enumerate(HOSTS):
            if slot not in self._workers or not self._workers[slot].runs:
                self._ending.discard(slot)
                self._stopped.pop(slot, None)
                cohort = str(self._chance.choice([1, 2, 4]))
                self._workers[slot] = self._site.start(*FLAGS, "--cohort", cohort, host=host)

    def _busy(self) -> list[int]:
        """Slots of workers that train something.

        Seldom one with a job whose last worker died and that made no progress yet: that would put it in quarantine.
        """
        pids = {record.id: record.pid for record in self._site.reader.workers()}
        running = self._site.jobs(Status.RUNNING)
        training = {pids.get(str(job.worker_id)) for job in running}
        if self._chance.random() > RECKLESS:
            training -= {pids.get(str(job.worker_id)) for job in running if job.deaths}
        return [
            slot
            for slot, process in self._workers.items()
            if process.runs and process.pid in training and slot not in self._stopped and slot not in self._ending
        ]

    def _victim(self) -> int | None:
        busy = self._patient(self._busy)
        return self._chance.choice(busy) if busy else None

    def _hit(self, process: Process, signum: signal.Signals) -> None:
        if process.runs:
            process.send(signum)
            self._told[signum.name] += 1

    def _patient(self, look: Callable[[], Any]) -> Any:
        """What `look` returns, as soon as the database answers."""
        deadline = time.monotonic() + 60.0
        while True:
            try:
                return look()
            except DatabaseError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    # Attacks

    def _kill(self) -> None:
        slot = self._victim()
        if slot is not None:
            self._hit(self._workers[slot], signal.SIGKILL)

    def _terminate(self) -> None:
        slot = self._victim()
        if slot is not None:
            self._ending.add(slot)
            self._hit(self._workers[slot], signal.SIGTERM)

    def _stop(self) -> None:
        slot = self._victim()
        if slot is not None:
            self._stopped[slot] = Stopped(self._workers[slot], time.monotonic() + STOPPED_SECONDS)
            self._hit(self._workers[slot], signal.SIGSTOP)

    def _go_on(self, slot: int) -> None:
        stopped = self._stopped.pop(slot)
        if stopped.process.runs:
            stopped.process.send(signal.SIGCONT)

    def _pause(self) -> None:
        """Pause a job that has a checkpoint: as soon as nobody trains it, its files suffer."""
        jobs = [job for job in self._patient(lambda: self._site.jobs(Status.RUNNING)) if job.step > 0]
        if jobs:
            self._patient(lambda: self._store.pause([self._chance.choice(jobs).id]))

    def _damage(self, job_id: int) -> None:
        """Of a paused job: cut its newest checkpoint short, delete it, or delete all of them. Then it may go on."""
        (job,) = (job for job in self._patient(self._site.jobs) if job.id == job_id)
        files = self._site.checkpoints(job)
        what = self._chance.choices(["torn", "deleted", "all deleted"], [5, 4, 1])[0]
        if files and what == "torn":
            data = files[0].read_bytes()
            files[0].write_bytes(data[: self._chance.randrange(len(data))])
        for path in files if what == "all deleted" else files[:1] if what == "deleted" else []:
            path.unlink(missing_ok=True)
        self._told[f"checkpoints {what}"] += bool(files)
        self._patient(lambda: self._store.resume([job_id]))

    def _forbid(self) -> None:
        """For a moment nobody may write to a run folder."""
        jobs = self._patient(lambda: self._site.jobs(Status.RUNNING))
        if jobs:
            folder = self._site.run_dir(self._chance.choice(jobs))
            if folder.is_dir():
                folder.chmod(0o555)
                time.sleep(0.5)
                folder.chmod(0o755)
                self._told["read-only folders"] += 1

    def _restart(self) -> None:
        assert self._server is not None
        crash = self._chance.random() < 0.5
        self._server.restart(crash=crash)
        self._told["server crashes" if crash else "server restarts"] += 1

    def _cut(self) -> None:
        assert self._server is not None
        with self._server.connect("postgres") as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
        self._told["all connections cut"] += 1


def _storm(folder: Path, kind: str, request: pytest.FixtureRequest, quiet: Evidence, kills: int, seed: int) -> None:
    """Storms on one sweep after the other, until there were so many kills."""
    server: PostgresServer | None = request.getfixturevalue("server") if kind == "postgresql" else None
    told: Counter[str] = Counter()
    begun, stormy = time.monotonic(), 0.0
    while told["SIGKILL"] < kills:
        told["sweeps"] += 1
        started = time.monotonic()
        database = server.url(server.create_database()) if server is not None else None
        site = Site(folder / f"sweep {told['sweeps']}", database=database).init(STORMY)
        try:
            storm = Storm(site, random.Random(f"{seed} {told['sweeps']}"), told, server)
            storm.run(kills - told["SIGKILL"])
            stormy += time.monotonic() - started
            storm.calm_down()
            evidence = _evidence(site)
        finally:
            site.close()
        kinds = Counter(event["kind"] for event in evidence.events)
        told["claims"] += kinds["claimed"] + kinds["resumed"]
        told["rescues"] += kinds["rescued"]
        told["releases"] += kinds["released"]
        told["exceptions"] += kinds["excepted"]
        told["workers"] += len(evidence.workers)
        told["taken for dead"] += sum("carrying on with other work" in text for text in evidence.messages)
        told["refused as stale"] += sum(text.count("left to its new owner") for text in evidence.messages)
        told["files left over"] += sum(len(files) - 2 for files in evidence.files.values())
        assert storm.watcher.faults + faults(evidence, quiet) == [], dict(told)
    numbers = ", ".join(f"{number} {what}" for what, number in sorted(told.items()))
    print(f"\n{kind}, {time.monotonic() - begun:.0f} s, {stormy:.0f} s of storm: {numbers}")


KINDS = ("sqlite", "postgresql")


@pytest.mark.storm
@pytest.mark.parametrize("kind", KINDS)
def test_storm(tmp_path: Path, kind: str, request: pytest.FixtureRequest, quiet: Evidence) -> None:
    _storm(tmp_path, kind, request, quiet, kills=12, seed=1)


@pytest.mark.storm
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
def test_long_storm(tmp_path: Path, kind: str, request: pytest.FixtureRequest, quiet: Evidence) -> None:
    _storm(tmp_path, kind, request, quiet, kills=200, seed=2)


def test_a_stopped_worker_goes_on_where_it_was(site: Site, quiet: Evidence) -> None:
    """On its own host it holds its lock, so nobody takes its jobs, however old its lease is."""
    site.init(STORMY)
    flags = ("--checkpoint-seconds", "0.2", "--lease-seconds", "1", "--heartbeat-seconds", "0.2")
    stopped, other = site.start(*flags), site.start(*flags)
    wait_for("two workers in mid-run", lambda: site.midway(2))
    stopped.send(signal.SIGSTOP)
    time.sleep(3.0)
    assert other.runs
    stopped.send(signal.SIGCONT)
    assert (stopped.wait(), other.wait()) == (0, 0), stopped.messages + other.messages
    assert site.events("rescued") == []
    assert {job.epoch for job in site.jobs()} == {1}
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
    """The lease outlives a database that another program holds, and so does the heartbeat."""
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
    """Each of these is what a broken queue would leave behind."""
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
