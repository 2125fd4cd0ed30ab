"""Several worker processes of one command: started, watched, stopped together."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import IO

_MOST_RESTARTS = 3  # of each place: a worker that dies again and again is not going to succeed


class WorkerPool:
    """N `rnnlab worker` processes. One that is killed is started again; the others take its jobs meanwhile.

    Should the parent be killed, its workers notice by the end of their stdin, and stop gracefully.
    """

    def __init__(
        self, processes: int, flags: Sequence[str], environment: Mapping[str, str], say: Callable[[str], None]
    ) -> None:
        """`environment`: what the workers get beside that of this process."""
        self._command = [sys.executable, "-m", "rnnlab", "worker", "--pooled", *flags]
        self._environment = environment
        self._say_unguarded = say
        self._saying = threading.Lock()  # a line of one worker is not broken by another's
        self._relays: list[threading.Thread] = []
        self._life_reader, self._life_writer = os.pipe()  # nothing is ever written: it ends with this process
        self._lock = threading.Lock()  # no worker is started while the others are told to stop
        self._stopping = False
        self._silent = False
        self._restarts = [0] * processes
        self._children = [self._spawn(place) for place in range(processes)]

    def poll(self) -> list[int]:
        """Exit codes of the places that have ended for good; killed workers are started again."""
        codes = []
        with self._lock:
            for place, child in enumerate(self._children):
                code = child.poll()
                if code is None:
                    continue
                if code < 0 and not self._stopping and self._restarts[place] < _MOST_RESTARTS:
                    self._restarts[place] += 1
                    self._say(f"worker {place + 1} was killed ({_signal_name(-code)}): starting it again")
                    self._children[place] = self._spawn(place)
                else:
                    codes.append(code)
        return codes

    @property
    def all_ended(self) -> bool:
        """Whether no worker is left."""
        return len(self.poll()) == len(self._children)

    def forward(self, _signum: int) -> None:
        """Ask every worker to stop, as a signal has asked us; a second time, to abort.

        Always by SIGTERM: a worker that has only just been started ends by it without a word.
        """
        with self._lock:
            self._stopping = True
            for child in self._children:
                if child.poll() is None:
                    with contextlib.suppress(ProcessLookupError):
                        child.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        """Until every worker has ended, and its last words are said."""
        for child in self._children:
            child.wait()
        for relay in self._relays:
            relay.join()

    def stop(self) -> None:
        """End all workers gracefully, unless they are ending already. What idle ones say to that is of no interest."""
        if not self._stopping and not self.all_ended:
            self._silent = True
            self.forward(signal.SIGTERM)
        self.wait()

    def _spawn(self, place: int) -> "subprocess.Popen[str]":
        # A session of its own: Ctrl-C on the terminal reaches the parent alone, which passes it on exactly once.
        child = subprocess.Popen(
            self._command,
            stdin=self._life_reader,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, **self._environment, "PYTHONUNBUFFERED": "1"},
        )
        assert child.stderr is not None
        self._relays.append(threading.Thread(target=self._relay, args=(place, child.stderr), daemon=True))
        self._relays[-1].start()
        return child

    def _say(self, line: str) -> None:
        with self._saying:
            self._say_unguarded(line)

    def _relay(self, place: int, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                if self._silent:
                    continue
                self._say(f"[{place + 1}] {line.rstrip()}")


def _signal_name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:  # a real-time signal
        return f"signal {signum}"
