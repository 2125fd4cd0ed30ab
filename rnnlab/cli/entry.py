"""The entry point of the installed script: handles Ctrl-C before importing modules that take a while to load."""

import os
import signal

from rnnlab.cli.stop_signals import INTERRUPTED, is_handled


def main() -> None:
    """Run the command. Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted."""
    if is_handled(signal.SIGINT):
        signal.signal(signal.SIGINT, _leave)
    from rnnlab.cli.main import main as command

    command()


def _leave(_signum: int, _frame: object) -> None:
    """Exit at once: there is nothing to clean up, and a module being imported could swallow an exception."""
    os.write(2, b"rnnlab: interrupted\n")
    os._exit(INTERRUPTED)
