"""Where an export goes: one file or one folder, replaced whole, and never something that is not an export."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rnnlab.errors import RnnlabError, UsageError
from rnnlab.files import atomic_write

_SQLITE = b"SQLite format 3\0"


def replace_file(path: Path, data: bytes) -> None:
    """Write the file, or replace it.

    Raises UsageError for a folder and for a database, RnnlabError where the disk does not take it; what was there
    stays.
    """
    if path.is_dir():
        raise UsageError(f"--out {path} is a folder: name a file")
    if path.is_file():
        with path.open("rb") as stream:
            if stream.read(len(_SQLITE)) == _SQLITE:
                raise UsageError(f"--out {path} is a database: it would be lost; name another file")
    with _disk_errors(path):
        atomic_write(path, data)


def replace_folder(path: Path, fill: Callable[[Path], None], file_name: str) -> None:
    """Make the folder `path` of what `fill` puts into the folder that it is given; replace an earlier one.

    All files that `fill` writes are called `file_name`: a folder with any other file in it is somebody's.

    Raises UsageError for such a folder, RnnlabError where the disk does not take it; what was there stays.
    """
    given, path = path, path.resolve()
    if path.exists() and not path.is_dir():
        raise UsageError(f"--out {given} is a file: name a folder")
    for there in path.rglob("*"):
        if not there.is_dir() and there.name != file_name:
            raise UsageError(f"--out {given} holds {there.relative_to(path)}, which is no export: name another folder")
    made = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    old = path.with_name(f".{path.name}.{os.getpid()}.old.tmp")
    try:
        with _disk_errors(given):
            made.mkdir(parents=True)
            fill(made)
            if path.exists():
                path.rename(old)
            made.rename(path)
    finally:
        shutil.rmtree(made, ignore_errors=True)
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
        elif old.exists():
            old.rename(path)


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RnnlabError(
            f"--out {path} could not be written ({error.strerror or error}): free some space or choose another place"
        ) from error
