"""rnnlab: sweeps over small recurrent networks.

The functions of this package are the Python API (docs/python.md). They are imported on first use, and load torch and
pandas only when called, so that a command can handle Ctrl-C from its start.

Importing rnnlab sets two environment variables that the libraries of torch read when they are loaded. Existing values
are not changed.

- MKL_CBWR: with this value, Intel's MKL, the matrix library of most CPU builds of torch, gives results that depend
  neither on memory alignment nor on the number of threads. The bitwise contract requires this (docs/decisions/0002).
- OMP_WAIT_POLICY: with this value, threads that wait for each other sleep instead of spinning. When another process
  used the same cores, spinning made training of small models seven times slower.
"""

import os

from rnnlab.version import __version__

TYPE_CHECKING = False  # type checkers treat it as true; importing `typing` would dominate the time of this import
if TYPE_CHECKING:
    from rnnlab.api import analyze, curves, init, load_model, results

__all__ = ["__version__", "analyze", "curves", "init", "load_model", "results"]

os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rnnlab import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
