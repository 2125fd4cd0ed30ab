"""`python elsewhere.py HOST COMMAND ...`: the command `rnnlab` as if on another host that shares the files."""

import sys

from rnnlab.cli.main import main
from rnnlab.queue import liveness

if __name__ == "__main__":
    host = sys.argv.pop(1)
    liveness.host_name = lambda: host
    main()
