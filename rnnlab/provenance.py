"""The origin of a result: program version, source commit, machine."""

import platform
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from rnnlab.version import __version__

_GIT_SECONDS = 10.0


@cache
def program_provenance() -> dict[str, Any]:
    """Version of rnnlab; when run from a checkout, also the commit and whether files were changed.

    `git_commit` and `git_dirty` are None for an installed package.
    """
    commit, dirty = _git_state(Path(__file__).resolve().parent)
    return {
        "rnnlab_version": __version__,
        "git_commit": commit,
        "git_dirty": dirty,
        "python_version": platform.python_version(),
        "host": platform.node(),
    }


def _git_state(folder: Path) -> tuple[str | None, bool | None]:
    tracked = _git(folder, "ls-files", "--error-unmatch", "__init__.py")
    commit = _git(folder, "rev-parse", "HEAD") if tracked else None
    if commit is None:
        return None, None
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no", ".")
    return commit, None if changes is None else bool(changes)


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of git; None if git is not installed or there is no repository."""
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=_GIT_SECONDS, check=True
        )
        return done.stdout.strip()
    return None
