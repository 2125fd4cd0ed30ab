"""The content-addressed cache of texts on this machine.

    <data folder>/                    RNNLAB_DATA, or the user's cache folder
        corpora/<sha256>/text         the bytes
        corpora/<sha256>/about.json   the fields of Corpus; written last, so an entry without it is incomplete
        downloads/<name>.part         a download in progress, or an interrupted one that will be resumed
        corpora.lock                  held while a text gets a name
        fetch.lock                    held while a download runs

Files are replaced atomically, so any number of processes can share the folder.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from platformdirs import user_cache_path

from rnnlab.configuration import configured
from rnnlab.data.known_corpora import how_to_get
from rnnlab.errors import CorpusError, UsageError
from rnnlab.files import atomic_write, atomic_write_text, ensure_writable_dir, sha256_hex


@dataclass(frozen=True)
class Corpus:
    """A text in the cache. The hash identifies it; the other fields are information for users."""

    name: str  # unique on this machine
    sha256: str  # of the bytes, 64 hexadecimal digits
    size_bytes: int  # > 0
    license: str  # one line
    source: str  # where the bytes came from: a URL, a file, a Python version


_JSON_KEYS = {"license": "licence"}  # fields of Corpus that have another name in about.json
# Texts of users' files that this process uses but that are not stored (yet): hash -> text.
_held: dict[str, tuple[Corpus, bytes]] = {}


def data_dir() -> Path:
    """The data folder: RNNLAB_DATA, `data` in rnnlab.toml, or the user's cache folder."""
    chosen = configured("data")
    return expanded(chosen) if chosen else user_cache_path("rnnlab")


def expanded(path: str) -> Path:
    """`path` with a leading ~ replaced by the home folder.

    Raises CorpusError if the user of ~user does not exist.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise CorpusError(f"{path}: there is no such home folder; give the path without ~") from error


def text_path(sha256: str) -> Path:
    """The path of the text with this hash, whether or not it exists."""
    return data_dir() / "corpora" / sha256 / "text"


def lookup(sha256: str) -> Corpus | None:
    """The entry with this hash, or None if there is none or it is incomplete. Checks the size; does not read the text.

    Includes texts that are held in memory.
    """
    if sha256 in _held:
        return _held[sha256][0]
    path = text_path(sha256)
    try:
        corpus = _from_document(json.loads(path.with_name("about.json").read_bytes()))
        complete = corpus.sha256 == sha256 and corpus.size_bytes == path.stat().st_size
    except (OSError, TypeError, AttributeError, ValueError):
        return None
    return corpus if complete else None


def lookup_verified(sha256: str) -> Corpus | None:
    """`lookup` with a check of the text's hash: None if a single bit differs."""
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
    """Every complete entry, sorted by name and hash."""
    try:
        folders = list((data_dir() / "corpora").iterdir())
    except OSError:
        return []
    found = (lookup(folder.name) for folder in folders)
    return sorted((corpus for corpus in found if corpus), key=lambda corpus: (corpus.name, corpus.sha256))


def read_bytes(corpus: Corpus) -> bytes:
    """The text of `corpus`, verified against its hash.

    Raises CorpusError if the text is missing, unreadable or damaged.
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
    """Write the entry of `corpus`, with the text `data`.

    Raises CorpusError if the folder cannot be written.
    """
    path = text_path(corpus.sha256)
    try:
        atomic_write(path, data)
        atomic_write_text(path.with_name("about.json"), json.dumps(_to_document(corpus), indent=1) + "\n")
    except OSError as error:
        raise unwritable(error) from error
    return corpus


def hold(corpus: Corpus, data: bytes) -> Corpus:
    """Hold a text in the memory of this process, without writing it to disk, until `store_held`."""
    _held[corpus.sha256] = corpus, data
    return corpus


def release(sha256: str) -> None:
    """Drop the text with this hash from memory, if it is held."""
    _held.pop(sha256, None)


def is_held(sha256: str) -> bool:
    """Whether the text with this hash is held in the memory of this process."""
    return sha256 in _held


def store_held(sha256: str) -> None:
    """Store the held text with this hash. Raises CorpusError if the folder cannot be written."""
    store(*_held[sha256])
    release(sha256)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the data folder's lock `name`; waits for another process that holds it.

    Raises CorpusError if the folder cannot be written.
    """
    try:
        folder = ensure_writable_dir(data_dir(), "the data folder")
    except UsageError as error:
        raise CorpusError(f"{error} with RNNLAB_DATA") from error
    with FileLock(folder / f"{name}.lock"):
        yield


def unwritable(error: OSError) -> CorpusError:
    """The error for a data folder that cannot be written, for example if the disk is full."""
    return CorpusError(
        f"the data folder {data_dir()} cannot be written ({reason(error)}): free some space or choose another folder "
        "with RNNLAB_DATA"
    )


def reason(error: OSError) -> str:
    """The operating system's error text, without the file name."""
    return error.strerror or str(error)


def _to_document(corpus: Corpus) -> dict[str, Any]:
    """The contents of about.json."""
    return {_JSON_KEYS.get(name, name): value for name, value in asdict(corpus).items()}


def _from_document(document: dict[str, Any]) -> Corpus:
    fields = {key: name for name, key in _JSON_KEYS.items()}
    return Corpus(**{fields.get(key, key): value for key, value in document.items()})
