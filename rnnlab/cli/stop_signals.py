"""Stopping a command: by Ctrl-C, by a scheduler, or by closing its terminal."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

INTERRUPTED = 130  # exit code of a stopped command


def is_handled(signum: signal.Signals) -> bool:
    """Whether to handle a stop signal. The parent may have set it to be ignored: nohup SIGHUP, `&` in a script SIGINT.

    SIGTERM is always handled, because a pool uses it to stop its workers.
    """
    return signum == signal.SIGTERM or signal.getsignal(signum) is not signal.SIG_IGN


@contextlib.contextmanager
def two_stage_stop(graceful: Callable[[int], None], abort: Callable[[int], None]) -> Iterator[threading.Event]:
    """Handle SIGINT, SIGTERM and SIGHUP: the first one calls `graceful`, each later one `abort`.

    Yields an event that the first signal sets. Signals that are not handled remain ignored. Both functions are called
    in a separate thread, because Python runs signal handlers only between two bytecode instructions, which can take
    long while a database is locked or a large product is computed.
    """
    stop_signals = [signum for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if is_handled(signum)]
    requested = threading.Event()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)

    def listen() -> None:
        while received := os.read(reader, 1):
            if received[0] not in stop_signals:
                continue
            if requested.is_set():
                abort(received[0])
            else:
                requested.set()
                graceful(received[0])

    listener = threading.Thread(target=listen, name="stop-signals", daemon=True)
    listener.start()
    previous_writer = signal.set_wakeup_fd(writer)
    previous = {signum: signal.signal(signum, lambda *_: None) for signum in stop_signals}
    try:
        yield requested
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
        signal.set_wakeup_fd(previous_writer)
        os.close(writer)
        listener.join()
        os.close(reader)
