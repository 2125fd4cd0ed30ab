"""The text in a file, plain or compressed."""

import gzip
import io
import zipfile
import zlib
from pathlib import Path

from rnnlab.errors import CorpusError

_GZIP_MAGIC = b"\x1f\x8b"
_ZIP_MAGIC = b"PK\x03\x04"


def read_text_file(path: Path, zip_member: str | None = None) -> bytes:
    """The text in the file `path`.

    gzip is recognized by its first bytes, whatever the file's name. A zip archive is opened only if `zip_member` names
    the text in it.

    Raises CorpusError for a missing file, a folder, an unreadable file, a damaged archive and an empty text.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise CorpusError(f"there is no file {path}: give the path of a text file") from error
    except IsADirectoryError as error:
        raise CorpusError(f"{path} is a folder: give the path of a text file") from error
    except OSError as error:
        raise CorpusError(f"{path} cannot be read ({error.strerror or error}): give a readable text file") from error
    if data.startswith(_GZIP_MAGIC):
        data = _gunzip(data, path)
    elif data.startswith(_ZIP_MAGIC):
        data = _unzip(data, zip_member, path)
    if not data:
        raise CorpusError(f"{path} is empty: give a file with text")
    return data


def default_name(path: Path) -> str:
    """The default name of the text in the file `path`: `notes` for notes.txt and for notes.txt.gz."""
    return path.stem.removesuffix(".txt") if path.suffix == ".gz" else path.stem


def _gunzip(data: bytes, path: Path) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise CorpusError(f"{path} is a damaged gzip file ({error}): download or copy it again") from error


def _unzip(data: bytes, member: str | None, path: Path) -> bytes:
    if member is None:
        raise CorpusError(f"{path} is a zip archive: unpack it and give the text file in it")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return archive.read(member)
    except KeyError as error:
        raise CorpusError(f"{path} is a zip archive without the file {member!r}: download or copy it again") from error
    except (OSError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
        raise CorpusError(f"{path} is a damaged zip archive ({error}): download or copy it again") from error
