"""What the installed script calls: Ctrl-C is dealt with before anything is imported that takes a while."""

import os
import signal

from rnnlab.cli.stop_signals import INTERRUPTED, is_handled


def main() -> None:
    """The command. Exit codes: 0 done, 1 failure, 2 wrong usage, 130 interrupted."""
    if is_handled(signal.SIGINT):
        signal.signal(signal.SIGINT, _leave)
    from rnnlab.cli.main import main as command

    command()


def _leave(_signum: int, _frame: object) -> None:
    """Nothing was begun that could be left half done; an exception would be at the mercy of what is being imported."""
    os.write(2, b"rnnlab: interrupted\n")
    os._exit(INTERRUPTED)
