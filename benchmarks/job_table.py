"""The speed of the job table: claims and finishes per second, compared with Optuna; and operations on 100,000 jobs.

    python -m benchmarks.job_table [--seconds 4] [--processes 1,4,8,16] [--jobs 100000] [--postgres URL] [--folder DIR]

Every commit is durable: it is on the disk before it is reported. `--postgres` names an empty database for this
purpose. Without it, a server is started in a temporary folder if PostgreSQL is installed. Optuna is measured if
it is installed (pip install 'rnnlab[bench]').
"""

import argparse
import contextlib
import hashlib
import importlib.util
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

from sqlalchemy import Engine, text

from benchmarks.claim_loop import HOST, Load, run
from rnnlab.queue.database import open_database
from rnnlab.queue.job import NewJob, Status, WorkerRecord
from rnnlab.queue.store import Store
from rnnlab.queue.tables import metadata
from rnnlab.queue.transactions import write_transaction

COHORT = 64
TRIALS = 300  # enqueued in a study; Optuna reads all of them at each ask, so more trials would slow it down
GROUPS = 20
FEW = 1000  # jobs of a table that is almost empty

NewAddress = Callable[[], str]  # of a database that does not exist yet, or is empty


def jobs(count: int) -> Iterator[NewJob]:
    """Jobs like those of an architecture search."""
    for number in range(count):
        payload = f'{{"cell":"gated","n_layers":2,"seed":{number},"state_size":256,"windows":1000,"batch_size":50}}'
        yield NewJob(hashlib.sha256(payload.encode()).hexdigest(), payload, f"group {number % GROUPS}", 50_000)


@contextlib.contextmanager
def filled(address: str, count: int) -> Iterator[Store]:
    """A new table with `count` jobs."""
    engine = open_database(address, create=True)
    store = Store(engine)
    store.add_jobs("benchmark", "{}", "explore", jobs(count))
    try:
        yield store
    finally:
        engine.dispose()


# Throughput


def throughput(name: str, address: str, processes: int, seconds: float, limit: int) -> Load:
    """Throughput of claims of up to `limit` jobs, with one finish for each job."""
    with filled(address, int(seconds * 4000)):
        load = run("table", address, processes=processes, seconds=seconds, limit=limit)
    print_load(f"{name}, {'single jobs' if limit == 1 else f'cohorts of {limit}'}", processes, load)
    return load


def optuna_throughput(folder: Path, processes: int, seconds: float) -> Load:
    """The same for Optuna, with SQLite on the same file system."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    url = f"sqlite:///{folder / f'optuna-{processes}.db'}"
    study = optuna.create_study(study_name="queue", storage=url)
    for trial in range(TRIALS):
        study.enqueue_trial({"x": trial})
    # Twice the time: some of its calls take longer than the time given to the job table.
    load = run("optuna", url, processes=processes, seconds=2 * seconds, limit=TRIALS)
    print_load(f"Optuna {version('optuna')}, SQLite", processes, load)
    return load


def print_load(name: str, processes: int, load: Load) -> None:
    """Print one line."""
    latency = "no claim" if not load.claim_seconds else f"{1000 * statistics.median(load.claim_seconds):9.2f}"
    p99 = "" if not load.claim_seconds else f"{1000 * load.claim_seconds[int(0.99 * len(load.claim_seconds))]:9.2f}"
    print(
        f"{name:32} {processes:5} {load.per_second:12,.1f} {latency:>10} {p99:>10} {load.duplicates:6} {load.errors:6}",
        flush=True,
    )


# A large table


def large_table(name: str, new_address: NewAddress, count: int) -> None:
    """Print the time of operations on many jobs, and the ratio to the time with few jobs."""
    with filled(new_address(), FEW) as small, filled(new_address(), 0) as store:
        begun = time.perf_counter()
        added = store.add_jobs("benchmark", "{}", "explore", jobs(count))
        print(f"{name}: add {added:,} jobs {time.perf_counter() - begun:.2f} s")
        settle(store.engine)
        for limit in (1, COHORT):
            many, few = claim_seconds(store, small, limit)
            print(
                f"{name}: claim {limit:2} of {count:,}: {1000 * many:.2f} ms, of {FEW:,}: {1000 * few:.2f} ms, "
                f"ratio {many / few:.2f}"
            )
        looks: dict[str, Callable[[], object]] = {
            "counts by round and status": lambda: store.counts(),
            "any open job": lambda: store.any_open(),
            "sums by group": lambda: store.progress("benchmark"),
            "lowest result": lambda: store.lowest("benchmark", "min_loss", unless="diverged_at_step"),
            "best so far": lambda: store.improvements("benchmark", "min_loss", unless="diverged_at_step"),
            "jobs and progress by worker": lambda: store.loads(),
            "read all jobs": lambda: len(store.jobs()),
            "add the same jobs again": lambda: store.add_jobs("benchmark", "{}", "explore", jobs(count)),
        }
        for what, look in looks.items():
            begun = time.perf_counter()
            look()
            print(f"{name}: {what} {time.perf_counter() - begun:.3f} s", flush=True)
        assert sum(store.counts().values()) == count
        assert store.counts()["benchmark", "explore", Status.RUNNING] > 0


def claim_seconds(large: Store, small: Store, limit: int) -> tuple[float, float]:
    """Medians of claims by one worker of each table, in turn, so that other disk activity affects both equally."""
    now = time.time()
    worker_id = f"w{limit}"
    taken: dict[Store, list[float]] = {large: [], small: []}
    for store in taken:
        store.register_worker(WorkerRecord(worker_id, HOST, "", 1, "cpu", "/nowhere", now, now, now + 3600, None))
    for _ in range(15 if limit > 1 else 100):
        for store, seconds in taken.items():
            begun = time.perf_counter()
            assert store.claim(worker_id, min(limit, FEW // GROUPS))
            seconds.append(time.perf_counter() - begun)
    return statistics.median(taken[large]), statistics.median(taken[small])


def flushes_per_second(folder: Path) -> float:
    """How many times per second this disk can flush one page: consecutive commits cannot be faster."""
    with tempfile.TemporaryFile(dir=folder, buffering=0) as stream:
        taken = []
        for _ in range(200):
            stream.write(bytes(4096))
            begun = time.perf_counter()
            os.fdatasync(stream.fileno())
            taken.append(time.perf_counter() - begun)
    return 1 / statistics.median(taken)


def settle(engine: Engine) -> None:
    """Update the statistics, which a server does automatically within a minute."""
    if engine.dialect.name != "sqlite":
        with write_transaction(engine) as connection:
            connection.execute(text("ANALYZE"))


# Databases


@contextlib.contextmanager
def postgres_addresses(url: str | None) -> Iterator[NewAddress | None]:
    """Addresses of empty databases; None if there is no server."""
    if url is not None:
        yield lambda: emptied(url)
        return
    try:
        from tests.support.postgres_server import PostgresServer, why_unavailable
    except ImportError as error:
        print(f"PostgreSQL           is not measured: {error}")
        yield None
        return
    if reason := why_unavailable():
        print(f"PostgreSQL           is not measured: {reason}")
        yield None
        return
    with PostgresServer() as server:
        yield lambda: server.url(server.create_database())


def emptied(url: str) -> str:
    """The same address, after the tables of an earlier measurement are removed."""
    engine = open_database(url, create=True)  # refuses a database of another program
    with write_transaction(engine) as connection:
        metadata.drop_all(connection)
        connection.execute(text("DROP TABLE IF EXISTS alembic_version"))
    engine.dispose()
    return url


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="duration of each throughput measurement")
    parser.add_argument("--processes", default="1,4,8,16", help="numbers of processes")
    parser.add_argument("--jobs", type=int, default=100_000, help="jobs of the large table")
    parser.add_argument("--postgres", metavar="URL", help="an empty database; its tables are removed")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="folder of the SQLite files")
    options = parser.parse_args()
    processes = [int(number) for number in options.processes.split(",")]
    with tempfile.TemporaryDirectory(dir=options.folder) as folder, postgres_addresses(options.postgres) as postgres:
        numbers = iter(range(10**6))

        def sqlite() -> str:
            return f"sqlite:///{Path(folder) / f'{next(numbers)}.db'}"

        python = f"Python {platform.python_version()}, SQLAlchemy {version('sqlalchemy')}"
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before, {python}, files in {options.folder}")
        print(f"claim and finish of one job after another for {options.seconds:g} s; every commit is durable")
        flushes = flushes_per_second(options.folder)
        print(f"floor: this disk flushes {flushes:,.0f} times per second, and a job takes two commits")
        print(f"{'':32} procs   jobs per s  claim ms:  median p99  twice errors")
        has_optuna = importlib.util.find_spec("optuna") is not None
        if not has_optuna:
            print("Optuna is not installed: pip install 'rnnlab[bench]' to compare with it")
        ratios = []
        for number in processes:  # in turn, so that other activity of the machine affects both equally
            ours = throughput("SQLite", sqlite(), number, options.seconds, 1)
            if has_optuna:
                theirs = optuna_throughput(Path(folder), number, options.seconds)
                ratios.append((number, ours.per_second / max(theirs.per_second, 1e-9)))
            throughput("SQLite", sqlite(), number, options.seconds, COHORT)
            if postgres is not None:
                throughput("PostgreSQL", postgres(), number, options.seconds, 1)
                throughput("PostgreSQL", postgres(), number, options.seconds, COHORT)
        for number, ratio in ratios:
            print(f"single jobs on SQLite, {number} processes: {ratio:,.1f} times Optuna")
        large_table("SQLite", sqlite, options.jobs)
        if postgres is not None:
            large_table("PostgreSQL", postgres, options.jobs)


if __name__ == "__main__":
    main()
