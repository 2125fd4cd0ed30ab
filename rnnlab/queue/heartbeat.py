"""The heartbeat thread of a worker: it renews the lease and rescues the jobs of dead workers during training."""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from rnnlab.queue.database import BUSY_SECONDS, sibling_engine
from rnnlab.queue.job import WorkerRecord
from rnnlab.queue.liveness import Host, LeaseWatch, is_dead, remove_lock, this_host
from rnnlab.queue.store import Store


def dead_workers(
    workers: Iterable[WorkerRecord], here: Host, silence_seconds: Callable[[WorkerRecord], float]
) -> list[tuple[WorkerRecord, str]]:
    """The workers that are dead as seen from the host `here`, each with the reason. Changes nothing.

    silence_seconds: how long ago a worker last renewed its lease.
    """
    return [(record, reason) for record in workers if (reason := is_dead(record, here, silence_seconds(record)))]


def rescue_dead_workers(store: Store, here: Host, watch: LeaseWatch, *, me: str | None = None) -> list[int]:
    """Take the jobs of every dead worker, but never those of the worker `me`. Returns the ids of the jobs.

    watch: the renewals observed so far. Raises DatabaseError if the database cannot be read or written.
    """
    others = [record for record in store.workers(alive_only=True) if record.id != me]
    rescued: list[int] = []
    for record, reason in dead_workers(others, here, watch.silence_seconds):
        rescued += store.rescue(record.id, reason, if_lease_until=record.lease_until)
        if record.host == here.name:
            remove_lock(record)
    return rescued


class Heartbeat(threading.Thread):
    """Renews the lease of one worker and rescues the jobs of dead ones. It has its own database connections.

    heartbeat_seconds: time between two renewals. probe_seconds: time between two searches for dead workers.
    on_rescue: called in this thread with the ids of the rescued jobs. on_error: called in this thread with every
    exception; no exception ends the thread. steady: a monotonic clock in seconds, independent of the system time;
    replaced in tests. lost: the event to set when the lease is lost; None: a new one.

    `lost` is set when the lease cannot be renewed before it expires, or when another worker declared this one dead. The
    worker must then stop its jobs. The event stays set.
    """

    def __init__(
        self,
        store: Store,
        worker_id: str,
        *,
        heartbeat_seconds: float = 10.0,
        probe_seconds: float = 1.0,
        on_rescue: Callable[[list[int]], None] | None = None,
        on_error: Callable[[Exception], None] | None = None,
        steady: Callable[[], float] = time.monotonic,
        lost: threading.Event | None = None,
    ) -> None:
        super().__init__(name=f"heartbeat-{worker_id}", daemon=True)
        self.worker_id = worker_id
        self.lost = lost or threading.Event()
        self._heartbeat_seconds = heartbeat_seconds
        self._probe_seconds = probe_seconds
        self._on_rescue = on_rescue
        self._on_error = on_error
        self._stop_requested = threading.Event()
        self._here = this_host()
        # It waits for a locked database in short turns, so that it notices the end of the lease in time.
        busy_seconds = min(BUSY_SECONDS, store.lease_seconds / 12)
        self._pause_seconds = min(probe_seconds, busy_seconds)
        self._turn_seconds = busy_seconds + self._pause_seconds
        engine = sibling_engine(store.engine, busy_seconds=busy_seconds)
        self._store = Store(engine, lease_seconds=store.lease_seconds, clock=store.clock)
        self._steady = steady
        self._watch = LeaseWatch(steady)
        self._lease_until = steady() + store.lease_seconds  # from the registration, which came immediately before

    def run(self) -> None:
        """Renew and probe until `stop()` is called."""
        renew_at = time.monotonic()
        try:
            while not self._stop_requested.is_set():
                if time.monotonic() >= renew_at:
                    if not self._renew():
                        self._stop_requested.wait(self._pause_seconds)
                        continue  # its own lease comes first
                    renew_at = time.monotonic() + self._heartbeat_seconds
                self._probe()
                self._stop_requested.wait(self._probe_seconds)
        finally:
            self._store.engine.dispose()

    def stop(self) -> None:
        """End the thread and wait for it. This takes at most one turn of waiting for a locked database."""
        self._stop_requested.set()
        if self.is_alive():
            self.join()

    def _renew(self) -> bool:
        """Renew the lease, or set `lost`. Returns False if it should be tried again soon."""
        called_at = self._steady()
        try:
            if self._store.heartbeat(self.worker_id):
                self._lease_until = called_at + self._store.lease_seconds
            else:
                self.lost.set()
        except Exception as error:  # the thread must survive every error of the database
            if self._steady() + self._turn_seconds > self._lease_until:  # another attempt would end too late
                self.lost.set()
            self._report(error)
            return False
        return True

    def _probe(self) -> None:
        try:
            rescued = rescue_dead_workers(self._store, self._here, self._watch, me=self.worker_id)
            if rescued and self._on_rescue is not None:
                self._on_rescue(rescued)
        except Exception as error:
            self._report(error)

    def _report(self, error: Exception) -> None:
        if self._on_error is not None:
            with suppress(Exception):
                self._on_error(error)
