"""From a file as it was given or downloaded to the bytes of the text in it."""

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

    gzip is recognised by its first bytes, whatever the file is called. A zip archive is opened only where `zip_member`
    names the text in it.

    Raises CorpusError for a missing file, a folder, an unreadable file, a damaged archive and an empty text.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise CorpusError(f"no file {path}: give the path of a text file") from error
    except IsADirectoryError as error:
        raise CorpusError(f"{path} is a folder: give the path of a text file") from error
    except OSError as error:
        raise CorpusError(f"{path} cannot be read ({error.strerror or error}): give a readable text file") from error
    if data.startswith(_GZIP_MAGIC):
        data = _gunzip(data, path)
    elif data.startswith(_ZIP_MAGIC):
        data = _unzip(data, zip_member, path)
    if not data:
        raise CorpusError(f"{path} holds no text: give a file that is not empty")
    return data


def default_name(path: Path) -> str:
    """The name of a text whose file is `path`: `notes` for notes.txt and for notes.txt.gz."""
    return path.stem.removesuffix(".txt") if path.suffix == ".gz" else path.stem


def _gunzip(data: bytes, path: Path) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise CorpusError(f"{path} is a damaged gzip file ({error}): get the file again") from error


def _unzip(data: bytes, member: str | None, path: Path) -> bytes:
    if member is None:
        raise CorpusError(f"{path} is a zip archive: unpack it and give the text file in it")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return archive.read(member)
    except KeyError as error:
        raise CorpusError(f"{path} is a zip archive without the file {member!r}: get the file again") from error
    except (OSError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
        raise CorpusError(f"{path} is a damaged zip archive ({error}): get the file again") from error
