"""Who is alive: a lock file on the same host, a lease across hosts.

A worker holds a lock on its file for life. The kernel frees the lock the moment the process is gone, however it went;
whoever can take the lock knows that its owner is dead. No process ids are compared and nothing has to time out. A
stopped (SIGSTOP) or busy process still holds its lock and counts as alive.

The lock stays held while a forked child of the worker lives: workers must not fork. (subprocess closes the descriptor.)
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
    """Where a process runs."""

    name: str
    boot_id: str  # another one after each restart; empty when unknown, which never matches anything


def new_worker_id() -> str:
    """A name that no worker had before: 12 hexadecimal digits."""
    return uuid.uuid4().hex[:12]


def host_name() -> str:
    """The network name of this host."""
    return socket.gethostname()


@cache
def boot_id() -> str:
    """What changes when this host restarts; empty where the system does not tell."""
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
    """The lock file of one worker, taken before the worker registers and held until it is gone.

    At an orderly end: stop the worker in the store first, then `remove()`, then `close()`. A worker that could not be
    stopped in the store leaves its file, which whoever finds it free knows it dead by.
    """

    def __init__(self, workers_dir: Path, worker_id: str) -> None:
        self.worker_id = worker_id
        self.path = workers_dir.absolute() / f"{worker_id}.lock"
        self._lock = FileLock(self.path, timeout=0, thread_local=False)

    def acquire(self) -> None:
        """Take the lock. Raises WorkerStoppedError when the file cannot be written or locked."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except (OSError, NotImplementedError, Timeout) as error:
            raise WorkerStoppedError(
                f"worker lock {self.path} cannot be taken ({error}): make its folder writable, then start again"
            ) from error

    def record(self, device: str, *, now: float, lease_seconds: float) -> WorkerRecord:
        """The worker as it is to be registered. `device` is what torch calls it; `now` in seconds since 1970.

        On a file system without locks the boot id is left empty, so that everybody trusts the lease alone.
        """
        # filelock turns itself into a SoftFileLock, which survives its owner, where the file system cannot lock.
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
        """Remove the file while its lock is held: nobody ever finds it free."""
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
    """For how long each lease was not renewed before the eyes of this process, by its own steady clock.

    What the clocks of two hosts say about the time of day is never compared: either may be wrong, or be set while
    workers live, and a step of an hour would make every live worker of the other host look dead.
    """

    def __init__(self, steady: Callable[[], float] = time.monotonic) -> None:
        """`steady`: seconds that only ever go forward; replaced in tests."""
        self._steady = steady
        self._seen: dict[str, tuple[float, float]] = {}  # worker -> its last renewal, and when that was first seen

    def silence_seconds(self, record: WorkerRecord) -> float:
        """Since when the worker has not renewed its lease; 0 when it has since the last look, or at the first look."""
        now = self._steady()
        renewal, since = self._seen.get(record.id, (None, now))
        if renewal != record.heartbeat_at:
            since = now
        self._seen[record.id] = (record.heartbeat_at, since)
        return now - since


def silence_by_the_clock(record: WorkerRecord, now: float) -> float:
    """The same for a single look, which has to trust the clocks; `now` in seconds since 1970. For display."""
    return now - record.heartbeat_at


def is_dead(record: WorkerRecord, here: Host, silence_seconds: float) -> str | None:
    """Why the worker is certainly gone (same host) or has to be taken for gone (another host); None while it lives.

    On one host the lock decides alone: a worker that holds it lives, however old its lease is. Everywhere else the
    lease decides. A host is known by its name and its boot id. The same name with another boot id may be the same
    machine after a restart, or another machine of that name that is very much alive (copies of one disk image have
    names and machine ids in common): to take its jobs at once would save a minute in the one case, and let the two
    rob each other for ever in the other.

    Changes nothing. `silence_seconds`: for how long the worker has not renewed its lease.
    """
    if record.host == here.name and record.boot_id and record.boot_id == here.boot_id:
        is_free = _is_free(Path(record.lock_path))
        if is_free is not None:
            return f"process {record.pid} on {record.host} is gone" if is_free else None
    if silence_seconds > record.lease_until - record.heartbeat_at:
        return f"no sign of life from {record.host} for {silence_seconds:.0f} s"
    return None


def remove_lock(record: WorkerRecord) -> None:
    """Tidy up after a dead worker of this host; a file that somebody holds, or that is not there, is let alone."""
    path = Path(record.lock_path)
    if path.exists():
        with suppress(OSError, NotImplementedError, Timeout), FileLock(path, timeout=0):
            path.unlink(missing_ok=True)


def _is_free(path: Path) -> bool | None:
    """Whether nobody holds the lock; None when that cannot be found out from here.

    A missing file tells nothing: somebody may have tidied up under a live worker, and a path may mean another folder
    here than for the worker (containers share boot id and perhaps name with their host, but not its files). A file that
    is there is the worker's, its name is random.
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
