"""Whether a worker is alive: a lock file decides on the same host, a lease across hosts.

A worker holds a lock on its file for its whole life. The kernel frees the lock as soon as the process ends, for any
reason; a process that can take the lock knows that its owner is dead. No process ids are compared, and there is no
timeout. A stopped (SIGSTOP) or busy process still holds its lock and counts as alive.

The lock stays held while a forked child of the worker lives, so workers must not fork. (subprocess closes the
descriptor.)
"""

import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from filelock import FileLock, SoftFileLock, Timeout

from rnnlab.errors import WorkerStoppedError
from rnnlab.queue.job import WorkerRecord

_LINUX_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Host:
    """The host on which a process runs."""

    name: str
    boot_id: str  # different after each restart; empty if unknown, which matches nothing


def new_worker_id() -> str:
    """A new unique worker id: 12 hexadecimal digits."""
    return uuid.uuid4().hex[:12]


def host_name() -> str:
    """The network name of this host."""
    return socket.gethostname()


@cache
def boot_id() -> str:
    """An id that changes when this host restarts; empty if the system does not provide one."""
    with suppress(OSError):
        return _LINUX_BOOT_ID.read_text().strip()
    if sys.platform == "darwin":
        with suppress(OSError, subprocess.SubprocessError):
            command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
            return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    return ""


def this_host() -> Host:
    """The host of this process."""
    return Host(host_name(), boot_id())


class WorkerLock:
    """The lock file of one worker, taken before the worker registers and held until the worker ends.

    To end in order, stop the worker in the store first, then call `remove()`, then `close()`. A worker that cannot be
    stopped in the store leaves its file: a process that finds the lock free knows that the worker is dead.
    """

    def __init__(self, workers_dir: Path, worker_id: str) -> None:
        self.worker_id = worker_id
        self.path = workers_dir.absolute() / f"{worker_id}.lock"
        self._lock = FileLock(self.path, timeout=0, thread_local=False)

    def acquire(self) -> None:
        """Take the lock. Raises WorkerStoppedError if the file cannot be written or locked."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except (OSError, NotImplementedError, Timeout) as error:
            raise WorkerStoppedError(
                f"cannot lock {self.path} ({error}): make its folder writable, then start the worker again"
            ) from error

    def record(self, device: str, *, now: float, lease_seconds: float) -> WorkerRecord:
        """The record with which the worker registers. `device`: torch's name; `now`: seconds since 1970.

        On a file system without locks the boot id is empty, so that only the lease decides.
        """
        # If the file system cannot lock, filelock turns itself into a SoftFileLock, which survives its owner.
        is_kernel_lock = self._lock.is_locked and type(self._lock) is not SoftFileLock
        return WorkerRecord(
            id=self.worker_id,
            host=host_name(),
            boot_id=boot_id() if is_kernel_lock else "",
            pid=os.getpid(),
            device=device,
            lock_path=str(self.path),
            started_at=now,
            heartbeat_at=now,
            lease_until=now + lease_seconds,
            stopped_at=None,
        )

    def remove(self) -> None:
        """Remove the file while the lock is held, so that no process finds it unlocked."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Free the lock."""
        self._lock.release()

    def __enter__(self) -> "WorkerLock":
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LeaseWatch:
    """How long ago this process last saw each lease renewed, measured by its own monotonic clock.

    The system times of two hosts are never compared. Either may be wrong, or may be set while workers live; a step of
    one hour would make every live worker of the other host look dead.
    """

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        """`steady`: a monotonic clock in seconds; replaced in tests."""
        self._steady = steady
        self._seen: dict[
            str, tuple[float, float]
        ] = {}  # worker -> its last renewal, and when this process first saw it

    def silence_seconds(self, record: WorkerRecord) -> float:
        """Seconds without a renewal by this worker; 0 at the first call and after a new renewal."""
        now = self._steady()
        renewal, since = self._seen.get(record.id, (None, now))
        if renewal != record.heartbeat_at:
            since = now
        self._seen[record.id] = (record.heartbeat_at, since)
        return now - since


def silence_by_the_clock(record: WorkerRecord, now: float) -> float:
    """The same from one record alone, which relies on both system clocks; `now`: seconds since 1970. For display."""
    return now - record.heartbeat_at


def is_dead(record: WorkerRecord, here: Host, silence_seconds: float) -> str | None:
    """The reason why the worker is dead (same host) or must be considered dead (another host); None while it lives.

    On the same host only the lock decides: a worker that holds it lives, however old its lease is. Otherwise the lease
    decides. A host is identified by its name and its boot id. The same name with another boot id may be the same
    machine after a restart, or a different, live machine with that name (copies of one disk image share names and
    machine ids). Taking its jobs at once would save a minute in the first case; in the second case the two hosts would
    take jobs from each other forever.

    Changes nothing. `silence_seconds`: how long ago the worker last renewed its lease.
    """
    if record.host == here.name and record.boot_id and record.boot_id == here.boot_id:
        is_free = _is_free(Path(record.lock_path))
        if is_free is not None:
            return f"process {record.pid} on {record.host} has ended" if is_free else None
    if silence_seconds > record.lease_until - record.heartbeat_at:
        return f"no heartbeat from {record.host} for {silence_seconds:.0f} s"
    return None


def remove_lock(record: WorkerRecord) -> None:
    """Remove the lock file of a dead worker of this host, unless a process holds it or it does not exist."""
    path = Path(record.lock_path)
    if path.exists():
        with suppress(OSError, NotImplementedError, Timeout), FileLock(path, timeout=0):
            path.unlink(missing_ok=True)


def _is_free(path: Path) -> bool | None:
    """Whether no process holds the lock; None if this process cannot determine it.

    A missing file proves nothing: it may have been deleted while its worker lives, and the path may be a different
    folder here than for the worker (containers share the boot id and perhaps the name of their host, but not its
    files). A file that exists belongs to the worker, because its name is random.
    """
    try:
        if not path.exists():
            return None
        with FileLock(path, timeout=0):
            return True
    except Timeout:
        return False
    except (OSError, NotImplementedError):
        return None
