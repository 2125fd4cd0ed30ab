"""Several worker processes of one command: started, watched, stopped together."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import IO

_MOST_RESTARTS = 3  # of each place: a worker that dies again and again is not going to succeed


class WorkerPool:
    """N `rnnlab worker` processes. One that is killed is started again; the others take its jobs meanwhile."""

    def __init__(self, processes: int, flags: Sequence[str], say: Callable[[str], None]) -> None:
        self._command = [sys.executable, "-m", "rnnlab", "worker", *flags]
        self._say = say
        self._restarts = [0] * processes
        self._children = [self._spawn(place) for place in range(processes)]
        self._stopping = False

    def poll(self) -> list[int]:
        """Exit codes of the places that have ended for good; killed workers are started again."""
        codes = []
        for place, child in enumerate(self._children):
            code = child.poll()
            if code is None:
                continue
            if code < 0 and not self._stopping and self._restarts[place] < _MOST_RESTARTS:
                self._restarts[place] += 1
                self._say(f"worker {place + 1} was killed ({signal.Signals(-code).name}): starting it again")
                self._children[place] = self._spawn(place)
            else:
                codes.append(code)
        return codes

    @property
    def all_ended(self) -> bool:
        """Whether no worker is left."""
        return len(self.poll()) == len(self._children)

    def forward(self, signum: int) -> None:
        """Pass a signal on to every worker, once."""
        self._stopping = True
        for child in self._children:
            if child.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    child.send_signal(signum)

    def wait(self) -> None:
        """Until every worker has ended."""
        for child in self._children:
            child.wait()

    def stop(self) -> None:
        """End all workers gracefully, unless they are ending already."""
        if not self._stopping:
            self.forward(signal.SIGTERM)
        self.wait()

    def _spawn(self, place: int) -> "subprocess.Popen[str]":
        # A session of its own: Ctrl-C on the terminal reaches the parent alone, which passes it on exactly once.
        child = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert child.stderr is not None
        threading.Thread(target=self._relay, args=(place, child.stderr), daemon=True).start()
        return child

    def _relay(self, place: int, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._say(f"[{place + 1}] {line.rstrip()}")


@contextlib.contextmanager
def two_stage_stop(graceful: Callable[[int], None], at_once: Callable[[int], None]) -> Iterator[threading.Event]:
    """SIGINT, SIGTERM and SIGHUP: the first calls `graceful`, each later one `at_once`. Yields an event that is set."""
    asked = threading.Event()

    def handle(signum: int, _frame: object) -> None:
        if asked.is_set():
            at_once(signum)
        else:
            asked.set()
            graceful(signum)

    before = {signum: signal.signal(signum, handle) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield asked
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
