"""`python elsewhere.py HOST CLOCK COMMAND ...`: the command `rnnlab` as if on another host that shares the files.

CLOCK is a file with the seconds by which the clock of that host is wrong; it may change at any time.
"""

import sys
import time
from pathlib import Path


def run(host: str, clock: Path) -> None:
    """Run the command. It is imported here because some of its functions keep `time.time` from their import."""
    true_time = time.time
    time.time = lambda: true_time() + float(clock.read_text())
    from rnnlab.cli.main import main
    from rnnlab.queue import liveness

    liveness.host_name = lambda: host
    main()


if __name__ == "__main__":
    run(sys.argv.pop(1), Path(sys.argv.pop(1)))
