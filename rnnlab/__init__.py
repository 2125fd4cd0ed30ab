"""rnnlab: sweep small recurrent networks.

Importing rnnlab asks Intel's MKL (the matrix library of most CPU builds of torch) for results that do not depend on
memory alignment or on the number of threads; the bitwise contract rests on it (docs/decisions/0002-bitwise-contract.md).
MKL reads the variable at its first call, so it has to be set before torch multiplies anything; a value that the user set
is left alone.
"""

import os

os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

__version__ = "0.1.0"
