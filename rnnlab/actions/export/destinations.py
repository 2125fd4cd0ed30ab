"""Writing an export to a file or a folder. It is replaced as a whole, and only if it is an earlier export."""

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

    Raises UsageError for a folder and for a database, RnnlabError if it cannot be written. The old file is kept then.
    """
    if path.is_dir():
        raise UsageError(f"--out {path} is a folder: name a file")
    if path.is_file():
        with path.open("rb") as stream:
            if stream.read(len(_SQLITE)) == _SQLITE:
                raise UsageError(f"--out {path} is a database, which the export would overwrite: name another file")
    with _disk_errors(path):
        atomic_write(path, data)


def replace_folder(path: Path, fill: Callable[[Path], None], file_name: str) -> None:
    """Write the folder `path`, or replace it; `fill` writes the contents into the folder that it is given.

    All files that `fill` writes are called `file_name`: a folder with any other file is not an export.

    Raises UsageError for such a folder, RnnlabError if it cannot be written. The old folder is kept then.
    """
    given, path = path, path.resolve()
    if path.exists() and not path.is_dir():
        raise UsageError(f"--out {given} is a file: name a folder")
    for there in path.rglob("*"):
        if not there.is_dir() and there.name != file_name:
            raise UsageError(
                f"--out {given} holds {there.relative_to(path)}, which is not part of an export: name another folder"
            )
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
