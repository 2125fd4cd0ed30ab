"""How a command is stopped: by Ctrl-C, by a scheduler, by the end of its terminal."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

INTERRUPTED = 130  # exit code of a command that was stopped


def is_handled(signum: signal.Signals) -> bool:
    """Whether a stop signal is to stop us. Whoever starts us may have it ignored: nohup SIGHUP, a script's `&` SIGINT.

    SIGTERM always is: a pool stops its workers by it.
    """
    return signum == signal.SIGTERM or signal.getsignal(signum) is not signal.SIG_IGN


@contextlib.contextmanager
def two_stage_stop(graceful: Callable[[int], None], at_once: Callable[[int], None]) -> Iterator[threading.Event]:
    """SIGINT, SIGTERM and SIGHUP: the first calls `graceful`, each later one `at_once`. Yields an event that is set.

    One that is not heeded stays ignored. Both are called in a thread of their own: Python runs signal handlers between
    two of its own instructions only, which can be long in coming while a database is locked or a large product is
    computed.
    """
    stop_signals = [signum for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if is_handled(signum)]
    asked = threading.Event()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def listen() -> None:
        while received := os.read(reader, 1):
            if received[0] not in stop_signals:
                continue
            if asked.is_set():
                at_once(received[0])
            else:
                asked.set()
                graceful(received[0])

    listener = threading.Thread(target=listen, name="stop-signals", daemon=True)
    listener.start()
    former_writer = signal.set_wakeup_fd(writer)
    former = {signum: signal.signal(signum, lambda *_: None) for signum in stop_signals}
    try:
        yield asked
    finally:
        for signum, handler in former.items():
            signal.signal(signum, handler)
        signal.set_wakeup_fd(former_writer)
        os.close(writer)
        listener.join()
        os.close(reader)
