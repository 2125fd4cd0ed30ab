"""rnnlab: sweep small recurrent networks.

The functions of this package are its interface for Python (docs/python.md). They are looked up when they are first
used, and none of them loads torch or pandas before it is called: a command can thus heed Ctrl-C from its first moment.

Importing rnnlab sets two variables that torch's libraries read when they start; a user's own values are left alone.

- MKL_CBWR: Intel's MKL, the matrix library of most CPU builds of torch, gives results that depend neither on memory
  alignment nor on the number of threads. The bitwise contract rests on it (docs/decisions/0002).
- OMP_WAIT_POLICY: threads that wait for each other sleep instead of spinning. Where another process wants the same
  cores, spinning made training of small models seven times slower.
"""

import os

from rnnlab.version import __version__

TYPE_CHECKING = False  # for type checkers it is true; `typing` would take most of the time of this import
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
