"""How soon a live worker detects the death of another: by its lock on the same host, by its lease on another host.

    python -m benchmarks.dead_workers [--kills 30] [--lease 60] [--heartbeat 10] [--postgres URL]

A worker with jobs is killed by SIGKILL. The result is the time until a live worker has returned its jobs to the queue.
The defaults are those of workers. "Another host" is one that cannot see the dead worker's lock.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.job_table import jobs
from rnnlab.queue.database import open_database
from rnnlab.queue.heartbeat import Heartbeat
from rnnlab.queue.liveness import WorkerLock
from rnnlab.queue.store import Store

_HOLD = """
import pathlib, sys, time
from rnnlab.queue import liveness
from rnnlab.queue.database import open_database
from rnnlab.queue.heartbeat import Heartbeat
from rnnlab.queue.store import Store
url, folder, name, host, lease, heartbeat = sys.argv[1:]
if host:
    liveness.host_name = lambda: host
store = Store(open_database(url, create=False), lease_seconds=float(lease))
with liveness.WorkerLock(pathlib.Path(folder), name) as lock:
    store.register_worker(lock.record("cpu", now=time.time(), lease_seconds=float(lease)))
    Heartbeat(store, name, heartbeat_seconds=float(heartbeat)).start()
    store.claim(name, 4)
    print("claimed", flush=True)
    time.sleep(3600)
"""


class Observer:
    """A live worker without jobs, which records when it has rescued jobs."""

    def __init__(self, store: Store, folder: Path, name: str, heartbeat_seconds: float) -> None:
        self.rescued = threading.Event()
        self._lock = WorkerLock(folder, name)
        self._lock.acquire()
        store.register_worker(self._lock.record("cpu", now=time.time(), lease_seconds=store.lease_seconds))
        self._heartbeat = Heartbeat(
            store, name, heartbeat_seconds=heartbeat_seconds, on_rescue=lambda _ids: self.rescued.set()
        )
        self._heartbeat.start()

    def stop(self) -> None:
        self._heartbeat.stop()
        self._lock.close()


def kill_one(url: str, folder: Path, number: int, host: str, options: argparse.Namespace, observer: Observer) -> float:
    """Seconds from the kill of a worker to the rescue of its jobs. The kill comes at any time between two renewals."""
    arguments = [url, str(folder), f"victim-{host}-{number}", host, str(options.lease), str(options.heartbeat)]
    child = subprocess.Popen([sys.executable, "-c", _HOLD, *arguments], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "claimed\n"
    time.sleep(1.0 + (number * 0.37) % 1.0 + (number * 3.7 % options.heartbeat if host else 0.0))
    observer.rescued.clear()
    os.kill(child.pid, signal.SIGKILL)
    begun = time.perf_counter()
    assert observer.rescued.wait(2 * options.lease + 60), "no worker detected the death"
    seconds = time.perf_counter() - begun
    child.wait()
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--kills", type=int, default=30, help="number of kills on the same host; a tenth of them on another host"
    )
    parser.add_argument("--lease", type=float, default=60.0, help="seconds")
    parser.add_argument("--heartbeat", type=float, default=10.0, help="seconds")
    parser.add_argument("--postgres", metavar="URL", help="an empty database; default: a SQLite file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = options.postgres or f"sqlite:///{folder / 'jobs.db'}"
        engine = open_database(url, create=True)
        store = Store(engine, lease_seconds=options.lease)
        store.add_jobs("benchmark", "{}", "explore", jobs(10 * options.kills))
        observer = Observer(store, folder, "observer", options.heartbeat)
        print(f"lease {options.lease:g} s, heartbeat {options.heartbeat:g} s, {engine.dialect.name}")
        for host, kills in (("", options.kills), ("elsewhere", max(1, options.kills // 10))):
            taken = sorted(kill_one(url, folder, number, host, options, observer) for number in range(kills))
            where = "another host" if host else "the same host"
            print(
                f"detected on {where}: median {statistics.median(taken):.2f} s, "
                f"{taken[0]:.2f} to {taken[-1]:.2f} s in {len(taken)} kills",
                flush=True,
            )
        observer.stop()
        engine.dispose()


if __name__ == "__main__":
    main()
