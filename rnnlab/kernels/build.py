"""Builds kernels.c once on this machine, for its processor, and loads the library."""

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
# Compile for this machine's processor. The flag has another name on Arm.
_NATIVE = "-mcpu=native" if platform.machine().lower() in ("arm64", "aarch64") else "-march=native"
# No fast-math, whatever the compiler's default: the order of additions is that of the source. Contraction to fused
# multiply-adds is set explicitly because the compilers' defaults differ.
_FLAGS = ("-O3", _NATIVE, "-fno-math-errno", "-fno-fast-math", "-ffp-contract=fast", "-shared", "-fPIC")
_TIMEOUT_SECONDS = 120  # for the compiler, and for the lock of another process that compiles
# Reasons that callers recognize.
DISABLED = "RNNLAB_KERNELS=torch"  # the whole reason
UNWRITABLE_CACHE = "the cache folder"  # how the reason begins


class NoKernelsError(Exception):
    """The native kernels are not available; the message is the reason, in one line."""


def load() -> ctypes.CDLL:
    """The library. The first call on a machine compiles it into the user's cache folder.

    Raises NoKernelsError if it cannot be built, or if the user disabled it with RNNLAB_KERNELS=torch.
    """
    if os.environ.get("RNNLAB_KERNELS") == "torch":
        raise NoKernelsError(DISABLED)
    library = _library_or_reason()
    if isinstance(library, str):
        raise NoKernelsError(library)
    return library


def unavailable_reason() -> str | None:
    """Why there are no native kernels; None if there are."""
    try:
        load()
    except NoKernelsError as error:
        return str(error)
    return None


def kernels_on(device: torch.device) -> str:
    """What computes the built-in cells on this device: `native` (the kernels) or `torch`."""
    return "native" if device.type == "cpu" and unavailable_reason() is None else "torch"


@cache
def _library_or_reason() -> ctypes.CDLL | str:
    """The library, or the reason why there is none. Cached: a build takes seconds."""
    try:
        compiler = _compiler()
        path = user_cache_path("rnnlab") / "kernels" / f"{_identity(compiler)}.so"
        if not path.is_file():
            _build(_compile_once, compiler, path)
        try:
            library = ctypes.CDLL(str(path))
        except OSError:  # the cached file is damaged
            _build(_compile, compiler, path)
            library = ctypes.CDLL(str(path))
    except (NoKernelsError, OSError) as error:
        return str(error)
    library.rnnlab_run.argtypes = [ctypes.c_void_p, *[ctypes.c_int64] * 3, ctypes.c_void_p]
    library.rnnlab_run.restype = None
    return library


def _compiler() -> str:
    """The command of the C compiler."""
    command = os.environ.get("CC") or next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    if command is None:
        raise NoKernelsError("no C compiler was found (cc, gcc or clang)")
    return command


def _identity(compiler: str) -> str:
    """A short hash of everything that decides the library's bytes: source, compiler, processor, flags."""
    sources = b"".join(path.read_bytes() for path in sorted(_FOLDER.glob("*.[ch]")))
    try:
        version = subprocess.run(
            [*compiler.split(), "--version"], capture_output=True, timeout=_TIMEOUT_SECONDS, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise NoKernelsError(f"the C compiler {compiler!r} cannot be run ({error})") from None
    parts = [sources, version, _processor().encode(), " ".join(_FLAGS).encode()]
    return sha256_hex(b"\0".join(parts))[:16]


def _processor() -> str:
    """The processor's model and features, which decide what -march=native means."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    wanted = ("model name", "cpu family", "model", "flags", "features", "cpu part")
    values = {line.split(":")[0].strip().lower(): line for line in reversed(lines)}
    return "\n".join(values.get(name, "") for name in wanted)


def _build(compile_to: Callable[[str, Path], None], compiler: str, path: Path) -> None:
    try:
        compile_to(compiler, path)
    except OSError as error:
        raise NoKernelsError(
            f"{UNWRITABLE_CACHE} {path.parent} cannot be written ({error.strerror or error})"
        ) from None


def _compile_once(compiler: str, path: Path) -> None:
    """Compile under a lock, so that one of several processes compiles and the others wait.

    On a file system without locks every process compiles the library itself.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_suffix(".lock"), timeout=_TIMEOUT_SECONDS)
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
            done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False)
        except (OSError, subprocess.SubprocessError) as error:
            raise NoKernelsError(f"the C compiler {compiler!r} cannot be run ({error})") from None
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
            first = next((line for line in lines if "error" in line), lines[0])
            raise NoKernelsError(f"the C compiler {compiler!r} failed on kernels.c: {first}")
        with result.open("rb") as file:
            os.fsync(file.fileno())
        result.replace(path)
