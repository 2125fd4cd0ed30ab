"""Checkpoints that a thread writes during training: it writes a copy, while the cohort continues to train."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from rnnlab.worker.job_committer import JobCommitter, WrittenCheckpoints
from rnnlab.worker.running_job import JobSnapshot


class CheckpointWriter:
    """Writes one set of checkpoints at a time in its own thread.

    Before any other code writes about the same jobs, it must call `wait`.
    """

    def __init__(self, committer: JobCommitter) -> None:
        self._committer = committer
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        self._pending: Future[WrittenCheckpoints] | None = None

    def begin(self, snapshots: Sequence[JobSnapshot]) -> None:
        """Start to write and commit a checkpoint of each. `wait` must have been called for the previous set."""
        assert self._pending is None
        seconds = [snapshot.running.seconds for snapshot in snapshots]
        self._pending = self._thread.submit(self._committer.checkpoint, snapshots, seconds)

    @property
    def is_writing(self) -> bool:
        """Whether a set is not complete yet."""
        return self._pending is not None and not self._pending.done()

    def wait(self) -> WrittenCheckpoints:
        """Wait for the set, if any: return or raise what `JobCommitter.checkpoint` returned or raised."""
        pending, self._pending = self._pending, None
        return WrittenCheckpoints() if pending is None else pending.result()

    def close(self) -> None:
        """Wait for the thread to end."""
        self._thread.shutdown()
