"""kernels.c, compiled on this machine for this machine, once, and loaded."""

import ctypes
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from rnnlab.files import sha256_hex

_FOLDER = Path(__file__).parent
# For the processor at hand: on ARM another flag says so.
_NATIVE = "-mcpu=native" if platform.machine().lower() in ("arm64", "aarch64") else "-march=native"
# No fast-math, whatever the compiler's default: the order of additions is that of the source. Contracted alike by all.
_FLAGS = ("-O3", _NATIVE, "-fno-math-errno", "-fno-fast-math", "-ffp-contract=fast", "-shared", "-fPIC")
_SECONDS = 120
NOT_WANTED = "RNNLAB_KERNELS=torch"

UNWRITABLE = "the cache folder"  # so begins the reason where it is that


class NoKernelsError(Exception):
    """Why there are no native kernels here, as one line."""


def load() -> ctypes.CDLL:
    """The library, compiled into the user's cache folder the first time.

    Raises NoKernelsError where it cannot be had, or is not wanted: RNNLAB_KERNELS=torch.
    """
    if os.environ.get("RNNLAB_KERNELS") == "torch":
        raise NoKernelsError(NOT_WANTED)
    found = _found()
    if isinstance(found, str):
        raise NoKernelsError(found)
    return found


def why_none() -> str | None:
    """Why there are no kernels here; None where there are."""
    try:
        load()
    except NoKernelsError as error:
        return str(error)
    return None


def kernels_on(device: torch.device) -> str:
    """What does the arithmetic of built-in cells on this device: `native` kernels or `torch`."""
    return "native" if device.type == "cpu" and why_none() is None else "torch"


@cache
def _found() -> ctypes.CDLL | str:
    """The library, or why there is none: looked for once, as it takes seconds."""
    try:
        compiler = _compiler()
        path = user_cache_path("rnnlab") / "kernels" / f"{_identity(compiler)}.so"
        if not path.is_file():
            _made(_compile_once, compiler, path)
        try:
            library = ctypes.CDLL(str(path))
        except OSError:  # damaged
            _made(_compile, compiler, path)
            library = ctypes.CDLL(str(path))
    except (NoKernelsError, OSError) as error:
        return str(error)
    library.rnnlab_run.argtypes = [ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_void_p]
    library.rnnlab_run.restype = None
    return library


def _compiler() -> str:
    """The command of the C compiler."""
    chosen = os.environ.get("CC") or next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    if chosen is None:
        raise NoKernelsError("no C compiler was found (cc, gcc or clang)")
    return chosen


def _identity(compiler: str) -> str:
    """A short hash of what decides the library's bytes: its source, the compiler, the processor."""
    sources = b"".join(path.read_bytes() for path in sorted(_FOLDER.glob("*.[ch]")))
    try:
        version = subprocess.run(
            [*compiler.split(), "--version"], capture_output=True, timeout=_SECONDS, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise NoKernelsError(f"the C compiler {compiler!r} does not run ({error})") from None
    parts = [sources, version, _processor().encode(), " ".join(_FLAGS).encode()]
    return sha256_hex(b"\0".join(parts))[:16]


def _processor() -> str:
    """What the compiler looks at, as far as it can be had without it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    wanted = ("model name", "cpu family", "model", "flags", "features", "cpu part")
    found = {line.split(":")[0].strip().lower(): line for line in reversed(lines)}
    return "\n".join(found.get(name, "") for name in wanted)


def _made(compiling: Callable[[str, Path], None], compiler: str, path: Path) -> None:
    try:
        compiling(compiler, path)
    except OSError as error:
        raise NoKernelsError(f"{UNWRITABLE} {path.parent} cannot be written ({error.strerror or error})") from None


def _compile_once(compiler: str, path: Path) -> None:
    """The first of several processes compiles, the others wait; where there are no locks, each for itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_suffix(".lock"), timeout=_SECONDS)
    try:
        lock.acquire()
    except (Timeout, OSError, NotImplementedError):
        _compile(compiler, path)
        return
    try:
        if not path.is_file():
            _compile(compiler, path)
    finally:
        lock.release()


def _compile(compiler: str, path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        result = Path(scratch) / path.name
        command = [*compiler.split(), *_FLAGS, "-o", str(result), str(_FOLDER / "kernels.c"), "-lm"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        except (OSError, subprocess.SubprocessError) as error:
            raise NoKernelsError(f"the C compiler {compiler!r} does not run ({error})") from None
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
            first = next((line for line in lines if "error" in line), lines[0])
            raise NoKernelsError(f"the C compiler {compiler!r} refused kernels.c: {first}")
        with result.open("rb") as file:
            os.fsync(file.fileno())
        result.replace(path)
