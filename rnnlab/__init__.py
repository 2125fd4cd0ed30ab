"""rnnlab: sweep small recurrent networks.

Importing rnnlab asks Intel's MKL (the matrix library of most CPU builds of torch) for results that depend neither on
memory alignment nor on the number of threads; the bitwise contract rests on it (docs/decisions/0002). MKL reads the
variable at its first call, so it is set before torch multiplies anything. A user's own value is left alone.
"""

import os

os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

__version__ = "0.1.0"
