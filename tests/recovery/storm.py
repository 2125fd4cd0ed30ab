"""The attacks of a storm on workers, their files and their server, and the reactions of an operator."""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rnnlab.errors import DatabaseError
from rnnlab.queue.job import Job, Status
from tests.recovery.checker import Watcher
from tests.recovery.disks import fill, read_only
from tests.recovery.harness import OtherHost, Process, Site
from tests.support.postgres_server import PostgresServer

LEASE_SECONDS = 4.0
FLAGS = ("--checkpoint-seconds", "0.2", "--lease-seconds", str(LEASE_SECONDS), "--heartbeat-seconds", "0.5")
_STOPPED_SECONDS = 6.0  # longer than the lease
_FAULT_SECONDS = 0.5  # how long a disk is full, a folder read-only
_LARGEST_CLOCK_ERROR_SECONDS = 7200.0
_CALM_SECONDS = 240.0
_RECKLESS = 0.1  # share of the attacks that ignore the budget of deaths


@dataclass
class _Stopped:
    """A worker under SIGSTOP with a timer that continues it: a process that waits for its lock could not do so."""

    process: Process
    timer: threading.Timer


class Storm:
    """Workers on one sweep, and the attacks on them.

    hosts: where they run, one in each slot. disk: the file system of the results, small enough to be filled; None: it
    is not attacked. told: counts what was done.
    """

    def __init__(
        self,
        site: Site,
        hosts: Sequence[OtherHost],
        chance: random.Random,
        told: Counter[str],
        *,
        server: PostgresServer | None,
        disk: Path | None,
    ) -> None:
        self._site = site
        self._hosts = hosts
        self._chance = chance
        self._told = told
        self._server = server
        self._disk = disk
        self._store = site.store()
        self._workers: dict[int, Process] = {}  # by slot
        self._stopped: dict[int, _Stopped] = {}  # by slot
        self._ending: set[int] = set()  # slots of workers that were asked to end
        self.watcher = Watcher()

    def run(self, kills: int) -> None:
        """Attack until this number of kills is reached, or all jobs are done."""
        attacks: list[tuple[int, Callable[[], None]]] = [
            (28, self._kill),
            (6, self._terminate),
            (4, self._stop),
            (4, self._pause),
            (3, self._set_clock),
        ]
        if self._disk is not None:
            attacks += [(1, self._forbid), (1, self._fill)]
        if self._server is not None:
            attacks += [(2, self._restart), (2, self._cut)]
        weights, does = [weight for weight, _ in attacks], [attack for _, attack in attacks]
        begun = self._told["SIGKILL"]
        while self._told["SIGKILL"] - begun < kills and not self._look_around():
            self._staff()
            if self._patient(self._busy):
                self._chance.choices(does, weights)[0]()
            time.sleep(self._chance.uniform(0.05, 0.4))

    def calm_down(self) -> None:
        """End every worker except stopped ones; then let one undisturbed worker finish, as an operator would."""
        stopped = [one.process for one in self._stopped.values()]
        for slot, process in self._workers.items():
            if process.runs and process not in stopped and slot not in self._ending:
                self._hit(process, self._chance.choice([signal.SIGKILL, signal.SIGTERM]))
        for process in self._workers.values():
            if process not in stopped:
                process.wait()
        deadline = time.monotonic() + _CALM_SECONDS
        while not self._look_around():
            assert time.monotonic() < deadline, "the sweep does not come to an end"
            for job in self._jobs(Status.PAUSED):
                self._resume(job.id)
            self._retry()
            calm = self._site.start("--checkpoint-seconds", "2")
            while calm.runs:
                self._look_around()
                assert time.monotonic() < deadline, "the sweep does not come to an end"
                time.sleep(0.1)
            assert calm.wait() in (0, 1), calm.messages
        for process in stopped:
            process.wait()

    # Each turn

    def _look_around(self) -> bool:
        """Compare with the previous state and do what is due. Returns whether every job is done."""
        jobs = self._jobs()
        self.watcher.look([asdict(job) | {"status": str(job.status)} for job in jobs])
        for slot, stopped in list(self._stopped.items()):
            if not stopped.timer.is_alive():
                del self._stopped[slot]
        for job in jobs:
            if job.status is Status.PAUSED:
                self._damage(job)
        if all(job.status in (Status.DONE, Status.FAILED) for job in jobs):
            self._retry()
        return all(job.status is Status.DONE for job in jobs)

    def _retry(self) -> None:
        """Retry failed jobs as an operator does, after checking the reason."""
        failed = self._jobs(Status.FAILED)
        if failed:
            for job in failed:
                assert job.error is not None
                assert job.error.startswith("quarantined"), job.error
            self._told["retries"] += len(failed)
            retry = self._site.start_command("retry", "--failed", *self._site.place)
            assert retry.wait() == 0, retry.messages

    def _staff(self) -> None:
        """Replace each worker that has ended."""
        for slot, host in enumerate(self._hosts):
            if slot not in self._workers or not self._workers[slot].runs:
                self._ending.discard(slot)
                self._stopped.pop(slot, None)
                cohort = str(self._chance.choice([1, 2, 4]))
                self._workers[slot] = self._site.start(*FLAGS, "--cohort", cohort, host=host)

    def _jobs(self, status: Status | None = None) -> list[Job]:
        found: list[Job] = self._patient(lambda: self._site.jobs(status))
        return found

    def _resume(self, job_id: int) -> None:
        self._patient(lambda: self._store.resume([job_id]))

    def _busy(self) -> list[int]:
        """Slots of workers that train jobs.

        Seldom one with a job whose last worker died and that made no progress yet: that would put it in quarantine.
        """
        pids = {record.id: record.pid for record in self._site.reader.workers()}
        running = self._site.jobs(Status.RUNNING)
        training = {pids.get(str(job.worker_id)) for job in running}
        if self._chance.random() > _RECKLESS:
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
        """The result of `look`, as soon as the database answers."""
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
            process = self._workers[slot]
            self._hit(process, signal.SIGSTOP)
            timer = threading.Timer(_STOPPED_SECONDS, _go_on, (process.pid,))
            timer.daemon = True
            timer.start()
            self._stopped[slot] = _Stopped(process, timer)

    def _set_clock(self) -> None:
        """Set the clock of one host forward or back by hours."""
        host = self._chance.choice(self._hosts)
        host.set_clock(self._chance.uniform(-_LARGEST_CLOCK_ERROR_SECONDS, _LARGEST_CLOCK_ERROR_SECONDS))
        self._told["clocks set"] += 1

    def _pause(self) -> None:
        """Pause a job that has a checkpoint; as soon as it is not trained, its files are damaged."""
        jobs = [job for job in self._jobs(Status.RUNNING) if job.step > 0]
        if jobs:
            self._patient(lambda: self._store.pause([self._chance.choice(jobs).id]))

    def _damage(self, job: Job) -> None:
        """Truncate or delete the newest checkpoint of a paused job, or delete all of them. Then resume the job."""
        files = self._site.checkpoints(job)
        what = self._chance.choices(["torn", "deleted", "all deleted"], [5, 4, 1])[0]
        if files and what == "torn":
            data = files[0].read_bytes()
            files[0].write_bytes(data[: self._chance.randrange(len(data))])
        for path in files if what == "all deleted" else files[:1] if what == "deleted" else []:
            path.unlink(missing_ok=True)
        self._told[f"checkpoints {what}"] += bool(files)
        self._resume(job.id)

    def _forbid(self) -> None:
        """For a moment no process can write to the folder of one job, or of all."""
        jobs = self._jobs(Status.RUNNING)
        if jobs:
            folder = self._site.run_dir(self._chance.choice(jobs))
            folder = self._chance.choice([folder, folder.parent])
            if folder.is_dir():
                with read_only(folder):
                    time.sleep(_FAULT_SECONDS)
                self._told["folders read-only"] += 1

    def _fill(self) -> None:
        """For a moment the disk is full that has the checkpoints, and the job table if it is a file."""
        assert self._disk is not None
        ballast = self._disk / "ballast"
        fill(ballast)
        time.sleep(_FAULT_SECONDS)
        ballast.unlink()
        self._told["disks full"] += 1

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


def _go_on(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
