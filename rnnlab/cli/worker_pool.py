"""A pool of worker processes that one command starts, monitors and stops."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import IO

_MAX_RESTARTS = 3  # per slot: a worker that is killed repeatedly will not succeed


class WorkerPool:
    """N `rnnlab worker` processes. A killed worker is restarted; in the meantime the others take its jobs.

    If the parent is killed, its workers read the end of their stdin and stop gracefully.
    """

    def __init__(
        self, processes: int, flags: Sequence[str], environment: Mapping[str, str], say: Callable[[str], None]
    ) -> None:
        """environment: variables for the workers in addition to those of this process. say: prints a line."""
        self._command = [sys.executable, "-m", "rnnlab", "worker", "--pooled", *flags]
        self._environment = environment
        self._say_unguarded = say
        self._saying = threading.Lock()  # lines of different workers must not be mixed
        self._relays: list[threading.Thread] = []
        self._life_reader, self._life_writer = os.pipe()  # never written to: closed when this process ends
        self._lock = threading.Lock()  # held to start workers and to stop them, so that none starts during a stop
        self._stopping = False
        self._silent = False
        self._restarts = [0] * processes
        self._children = [self._spawn(slot) for slot in range(processes)]

    def poll(self) -> list[int]:
        """Exit codes of the workers that have ended. Restarts killed workers."""
        codes = []
        with self._lock:
            for slot, child in enumerate(self._children):
                code = child.poll()
                if code is None:
                    continue
                if code < 0 and not self._stopping and self._restarts[slot] < _MAX_RESTARTS:
                    self._restarts[slot] += 1
                    self._say(f"worker {slot + 1} was killed ({_signal_name(-code)}): restarting it")
                    self._children[slot] = self._spawn(slot)
                else:
                    codes.append(code)
        return codes

    @property
    def all_ended(self) -> bool:
        """Whether no worker is left."""
        return len(self.poll()) == len(self._children)

    def forward(self, _signum: int) -> None:
        """Request every worker to stop; a second call requests them to abort.

        Always sends SIGTERM: a worker that has just been started exits at once and prints nothing.
        """
        with self._lock:
            self._stopping = True
            for child in self._children:
                if child.poll() is None:
                    with contextlib.suppress(ProcessLookupError):
                        child.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        """Wait until every worker has exited and its output has been printed."""
        for child in self._children:
            child.wait()
        for relay in self._relays:
            relay.join()

    def stop(self) -> None:
        """Stop all workers gracefully, unless they are already stopping, and discard their messages."""
        if not self._stopping and not self.all_ended:
            self._silent = True
            self.forward(signal.SIGTERM)
        self.wait()

    def _spawn(self, slot: int) -> "subprocess.Popen[str]":
        # A new session: Ctrl-C on the terminal reaches only the parent, which forwards it exactly once.
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
        self._relays.append(threading.Thread(target=self._relay, args=(slot, child.stderr), daemon=True))
        self._relays[-1].start()
        return child

    def _say(self, line: str) -> None:
        with self._saying:
            self._say_unguarded(line)

    def _relay(self, slot: int, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                if self._silent:
                    continue
                self._say(f"[{slot + 1}] {line.rstrip()}")


def _signal_name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:  # a real-time signal
        return f"signal {signum}"
