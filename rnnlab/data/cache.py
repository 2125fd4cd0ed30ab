"""The content-addressed cache of texts on this machine.

    <data folder>/                    RNNLAB_DATA, or the user's cache folder
        corpora/<sha256>/text         the bytes
        corpora/<sha256>/about.json   the fields of Corpus; written last: without it there is no entry
        downloads/<name>.part         a download under way, or cut off and to be resumed
        corpora.lock                  held while a text is given a name
        fetch.lock                    held while a download runs

Files are replaced whole, so any number of processes can share the folder.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from rnnlab.configuration import configured
from rnnlab.data.known_corpora import how_to_get
from rnnlab.errors import CorpusError, UsageError
from rnnlab.files import atomic_write, atomic_write_text, ensure_writable_dir, sha256_hex


@dataclass(frozen=True)
class Corpus:
    """A text that lies in the cache. The hash is its identity; the other fields are for people."""

    name: str
    sha256: str  # of the bytes, 64 hexadecimal digits
    size_bytes: int  # > 0
    licence: str  # one line
    source: str  # where the bytes came from: a URL, a file, a Python version


# Texts of files that this process may use, before it is known whether they are to be stored: hash -> text.
_held: dict[str, tuple[Corpus, bytes]] = {}


def data_dir() -> Path:
    """The data folder: RNNLAB_DATA, `data` in rnnlab.toml, or the user's cache folder."""
    chosen = configured("data")
    return expanded(chosen) if chosen else user_cache_path("rnnlab")


def expanded(path: str) -> Path:
    """`path` with a leading ~ replaced by the home folder.

    Raises CorpusError for a user that there is not.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise CorpusError(f"{path} names no home folder: give the path without ~") from error


def text_path(sha256: str) -> Path:
    """Where the text with this hash lies, or would lie."""
    return data_dir() / "corpora" / sha256 / "text"


def lookup(sha256: str) -> Corpus | None:
    """The entry with this hash, or None where there is none or it is torn. Reads no text: a size check is all.

    A text that is held counts as one.
    """
    if sha256 in _held:
        return _held[sha256][0]
    path = text_path(sha256)
    try:
        corpus = Corpus(**json.loads(path.with_name("about.json").read_bytes()))
        whole = corpus.sha256 == sha256 and corpus.size_bytes == path.stat().st_size
    except (OSError, TypeError, ValueError):
        return None
    return corpus if whole else None


def lookup_verified(sha256: str) -> Corpus | None:
    """`lookup`, and the text is hashed: None where a single bit of it differs."""
    corpus = lookup(sha256)
    if corpus is None or sha256 in _held:
        return corpus
    try:
        with text_path(sha256).open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None
    return corpus if found == sha256 else None


def entries() -> list[Corpus]:
    """Every whole entry, by name and hash."""
    try:
        folders = list((data_dir() / "corpora").iterdir())
    except OSError:
        return []
    found = (lookup(folder.name) for folder in folders)
    return sorted((corpus for corpus in found if corpus), key=lambda corpus: (corpus.name, corpus.sha256))


def read_bytes(corpus: Corpus) -> bytes:
    """The text of `corpus`, proven against its hash.

    Raises CorpusError where the text is missing, unreadable or damaged.
    """
    if corpus.sha256 in _held:
        return _held[corpus.sha256][1]
    path = text_path(corpus.sha256)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CorpusError(
            f"the text of corpus {corpus.name!r} cannot be read from {path} ({reason(error)}): "
            f"{how_to_get(corpus.name)}"
        ) from error
    found = sha256_hex(data)
    if found != corpus.sha256:
        raise CorpusError(
            f"the text of corpus {corpus.name!r} in {path} is damaged (sha256 {found[:12]}, expected "
            f"{corpus.sha256[:12]}): {how_to_get(corpus.name)}"
        )
    return data


def store(corpus: Corpus, data: bytes) -> Corpus:
    """Write the entry of `corpus`, whose text is `data`.

    Raises CorpusError where the folder cannot be written.
    """
    path = text_path(corpus.sha256)
    try:
        atomic_write(path, data)
        atomic_write_text(path.with_name("about.json"), json.dumps(asdict(corpus), indent=1) + "\n")
    except OSError as error:
        raise unwritable(error) from error
    return corpus


def hold(corpus: Corpus, data: bytes) -> Corpus:
    """Have a text at hand in this process, and nothing of it on disk, until `store_held`."""
    _held[corpus.sha256] = corpus, data
    return corpus


def let_go(sha256: str) -> None:
    """Forget the text with this hash where it is held."""
    _held.pop(sha256, None)


def is_held(sha256: str) -> bool:
    """Whether the text with this hash is at hand in this process alone."""
    return sha256 in _held


def store_held(sha256: str) -> None:
    """Store the text with this hash, which is held. Raises CorpusError where the folder cannot be written."""
    store(*_held[sha256])
    let_go(sha256)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the data folder's lock `name`, waiting for another process that has it.

    Raises CorpusError where the folder cannot be written.
    """
    try:
        folder = ensure_writable_dir(data_dir(), "the data folder")
    except UsageError as error:
        raise CorpusError(f"{error} with RNNLAB_DATA") from error
    with FileLock(folder / f"{name}.lock"):
        yield


def unwritable(error: OSError) -> CorpusError:
    """The error for a data folder that cannot be written, for example because the disk is full."""
    return CorpusError(
        f"the data folder {data_dir()} cannot be written ({reason(error)}): make room there or choose another folder "
        "with RNNLAB_DATA"
    )


def reason(error: OSError) -> str:
    """Why the operating system refused, without the file name that the message gives anyway."""
    return error.strerror or str(error)
