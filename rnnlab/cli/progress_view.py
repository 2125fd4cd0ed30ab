"""The output of a worker: an updated line on a terminal, otherwise a line every ten seconds."""

import contextlib
import sys
import time
from typing import Any

from rnnlab.queue.job import Job

_LINE_SECONDS = 10.0
_TERMINAL_SECONDS = 0.25


class ConsoleView:
    """Messages and progress of one worker, on stderr.

    A closed terminal or pipe does not stop the training.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._shown_at = time.monotonic()
        self._started = time.monotonic()
        self._model_steps = 0
        self._finished = 0
        self._line_open = False

    def message(self, text: str) -> None:
        """Print a line, even if quiet: messages report unusual events."""
        self._clear()
        _print(text)

    def block_done(self, training: int, steps: int, seconds: float) -> None:
        """Count the work, and print the progress from time to time."""
        self._model_steps += training * steps
        now = time.monotonic()
        if self._quiet or now - self._shown_at < (_TERMINAL_SECONDS if self._terminal else _LINE_SECONDS):
            return
        self._shown_at = now
        rate = training * steps / seconds if seconds > 0 else 0.0
        text = f"training {training} jobs, {rate:,.0f} model-steps/s, {self._finished} finished here"
        if self._terminal:
            _print(f"\r\x1b[2K{text}", end="")
            self._line_open = True
        else:
            _print(text)

    def job_done(self, job: Job, result: dict[str, Any]) -> None:
        """Count the job. Prints nothing unless it diverged: a line per job would be too much."""
        self._finished += 1
        if result.get("diverged_at_step") is not None:
            self.message(
                f"job {job.id} diverged at step {result['diverged_at_step']:,}: this is a result, not a failure"
            )

    def close(self) -> None:
        """Print the last line."""
        self._clear()
        if not self._quiet:
            seconds = time.monotonic() - self._started
            _print(f"{self._finished} jobs finished here, {self._model_steps:,} model-steps in {seconds:.0f} s")

    def _clear(self) -> None:
        if self._line_open:
            _print("\r\x1b[2K", end="")
            self._line_open = False


def _print(text: str, end: str = "\n") -> None:
    with contextlib.suppress(OSError):
        print(text, end=end, file=sys.stderr, flush=True)
