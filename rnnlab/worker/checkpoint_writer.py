"""Checkpoints beside training: what is written is a copy, and the cohort trains on meanwhile."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from rnnlab.worker.active_cohort import Trainee
from rnnlab.worker.job_committer import Ledger, Written


class Checkpoints:
    """One round of checkpoints at a time, by a thread of its own.

    Whoever writes about the same jobs otherwise waits for it first.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        self._round: Future[Written] | None = None

    def begin(self, trainees: Sequence[Trainee]) -> None:
        """Write a checkpoint of each and commit it; the round before was waited for."""
        assert self._round is None
        self._round = self._thread.submit(self._ledger.checkpoint, trainees, [place.seconds for place, _ in trainees])

    @property
    def in_work(self) -> bool:
        """Whether there is a round that has not ended yet."""
        return self._round is not None and not self._round.done()

    def wait(self) -> Written:
        """The end of a round, if one was begun: what `Ledger.checkpoint` returned or raised."""
        round_, self._round = self._round, None
        return Written() if round_ is None else round_.result()

    def close(self) -> None:
        """Wait for the thread's end."""
        self._thread.shutdown()
