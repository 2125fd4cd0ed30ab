"""Corpora by name, by file and by hash: the entry point of this package."""

import http.client
import platform
from pathlib import Path

from rnnlab.data import cache, corpus_names
from rnnlab.data.cache import Corpus, read_bytes
from rnnlab.data.download import Progress, explain
from rnnlab.data.download import download as download_to
from rnnlab.data.known_corpora import (
    OFFLINE,
    PUBLIC,
    PublicCorpus,
    how_to_get,
    how_to_get_offline,
    known_names,
    public_with_hash,
)
from rnnlab.data.unpack import default_name, read_text_file
from rnnlab.errors import CorpusError
from rnnlab.files import sha256_hex

__all__ = ["Corpus", "add", "fetch", "find", "keep", "read_bytes", "resolve"]


def resolve(
    name_or_path: str,
    *,
    expected_sha256: str | None = None,
    download: bool = False,
    store: bool = True,
    folder: Path | None = None,
) -> Corpus:
    """The corpus that an experiment names: a registered name, else a file's path, else a name that the user gave.

    Afterwards its text is in the cache, verified against its hash; a damaged entry is written again if its source is
    available. A public corpus is downloaded only with `download`. Without `store`, the text of a user's file that is
    not in the cache is held in this process's memory until `keep` stores it. `folder`: where to search for a file in
    addition to the working directory.

    Raises CorpusError, in one line, if there is no such text, if it cannot be read or stored, or if its hash is not
    `expected_sha256` (64 hexadecimal digits).
    """
    if expected_sha256 is not None and name_or_path in OFFLINE:
        # A text of another Python version may have been generated on this machine before.
        corpus = cache.lookup_verified(expected_sha256)
        if corpus is not None:
            return corpus
    corpus = _resolve(name_or_path, download, store, folder)
    if expected_sha256 is not None and corpus.sha256 != expected_sha256:
        raise CorpusError(
            f"corpus {name_or_path!r} is a different text here (sha256 {corpus.sha256[:12]}, expected "
            f"{expected_sha256[:12]}): {_how_to_match(name_or_path)}"
        )
    return corpus


def keep(sha256: str) -> None:
    """Store the text with this hash if it is held in this process's memory.

    Raises CorpusError if the cache cannot be written.
    """
    if cache.is_held(sha256):
        with cache.locked("corpora"):
            cache.store_held(sha256)


def find(sha256: str, name: str) -> Corpus:
    """The corpus with this hash, for a process that has only a run config.

    `name` is its name in the experiment: for messages, and to generate or find a registered text that is available but
    not in the cache yet. The text is verified by `read_bytes`, not here.

    Raises CorpusError if the text is not on this machine.
    """
    corpus = cache.lookup(sha256)
    if corpus is not None:
        return corpus
    if name in OFFLINE or (name in PUBLIC and PUBLIC[name].sha256 == sha256):
        return resolve(name, expected_sha256=sha256)
    raise CorpusError(
        f"the text of corpus {name!r} (sha256 {sha256[:12]}) is not on this machine: run `rnnlab data add FILE` here "
        "with the file of that text"
    )


def add(path: Path, name: str | None = None) -> Corpus:
    """Add the text of the file `path` to the cache, under `name` or else the file's stem.

    With the name of a public corpus, `path` is its file, as downloaded or unpacked, and must have the registered hash.
    A text that is in the cache under another name of the user's is renamed to `name`.

    Raises CorpusError if the file is not a text (see `read_text_file`), or if the name is not allowed or belongs to
    another text.
    """
    entry = PUBLIC.get(default_name(path) if name is None else name)
    if entry is not None:
        return _add_public(entry, path, "give the file of that text, or choose another name with --name")
    if name is None:
        return _add_file(path, store=True)
    return corpus_names.keep_named(read_text_file(path), name, _file_source(path))


def fetch(name: str, progress: Progress = lambda done_bytes, total_bytes: None) -> Corpus:
    """Download the public corpus `name`, unless it is on this machine, or generate the offline corpus `name`.

    Only one download runs at a time on a machine; an interrupted one is resumed.

    Raises CorpusError for a name that is not registered, if the network fails (with the URL in the message), and if the
    downloaded text does not have the registered hash.
    """
    if name in OFFLINE:
        return _generate(name)
    if name not in PUBLIC:
        raise CorpusError(f"there is no known corpus {name!r}; known corpora: {', '.join(known_names())}")
    entry = PUBLIC[name]
    present = _available(entry)
    if present is not None:
        return present
    with cache.locked("fetch"):
        # Another process may have fetched it while this one waited for the lock.
        return _available(entry) or _download(entry, progress)


def _resolve(name_or_path: str, may_download: bool, store: bool, folder: Path | None) -> Corpus:
    if name_or_path in OFFLINE:
        return _generate(name_or_path)
    if name_or_path in PUBLIC:
        corpus = fetch(name_or_path) if may_download else _available(PUBLIC[name_or_path])
        if corpus is None:
            raise CorpusError(
                f"corpus {name_or_path} is not on this machine: {how_to_get(name_or_path)}, or save its file as "
                f"{_manual_path(PUBLIC[name_or_path])}"
            )
        return corpus
    path = cache.expanded(name_or_path)
    if folder is not None and not _may_exist(path) and _is_file(folder / path):
        path = folder / path
    # A file has priority over a name of the user's: it may have changed since its text was stored under its stem.
    named = None if _is_file(path) else corpus_names.named(name_or_path)
    if named is not None:
        read_bytes(named)  # raises CorpusError if it is damaged
        return named
    if not _may_exist(path):
        places = "the working directory" + ("" if folder in (None, Path()) else f" and in {folder}")
        raise CorpusError(
            f"there is no corpus or file {name_or_path!r}: give a known corpus ({', '.join(known_names())}) or "
            f"the path of a text file; searched {places}"
        )
    return _add_file(path, store)


def _generate(name: str) -> Corpus:
    entry = OFFLINE[name]
    return corpus_names.keep_registered(entry.make(), name, entry.license, f"Python {platform.python_version()}")


def _available(entry: PublicCorpus) -> Corpus | None:
    """The public corpus from the cache, or from a file that the user put into the data folder."""
    corpus = cache.lookup_verified(entry.sha256)
    if corpus is not None:
        return corpus
    path = _manual_path(entry)
    return _add_public(entry, path, "replace or remove that file") if _is_file(path) else None


def _manual_path(entry: PublicCorpus) -> Path:
    """The path at which a user can put the file of a public corpus, as downloaded or unpacked."""
    return cache.data_dir() / entry.file_name


def _add_public(entry: PublicCorpus, path: Path, advice: str) -> Corpus:
    data = read_text_file(path, entry.zip_member)
    _check(data, entry, str(path), advice)
    return corpus_names.keep_registered(data, entry.name, entry.license, _file_source(path))


def _add_file(path: Path, store: bool) -> Corpus:
    data = read_text_file(path)
    entry = public_with_hash(sha256_hex(data))
    if entry is not None:
        return corpus_names.keep_registered(data, entry.name, entry.license, _file_source(path))
    keep_or_hold = corpus_names.keep_file if store else corpus_names.hold_file
    return keep_or_hold(data, default_name(path), _file_source(path))


def _download(entry: PublicCorpus, progress: Progress) -> Corpus:
    part = cache.data_dir() / "downloads" / f"{entry.name}.part"
    try:
        download_to(entry.url, part, progress)
    except (OSError, http.client.HTTPException) as error:
        raise CorpusError(
            f"cannot download {entry.url} ({explain(error)}): try again, which resumes the download, or "
            f"{how_to_get_offline(entry)}, or save its file as {_manual_path(entry)}"
        ) from error
    try:
        data = read_text_file(part, entry.zip_member)
        _check(data, entry, entry.url, f"try again, or {how_to_get_offline(entry)}")
    except CorpusError:
        part.unlink()  # the next attempt must not resume it
        raise
    corpus = corpus_names.keep_registered(data, entry.name, entry.license, entry.url)
    part.unlink()
    return corpus


def _check(data: bytes, entry: PublicCorpus, origin: str, advice: str) -> None:
    found = sha256_hex(data)
    if found != entry.sha256:
        raise CorpusError(
            f"{origin} is not the corpus {entry.name}: {len(data):,} bytes with sha256 {found[:12]}, expected "
            f"{entry.size_bytes:,} bytes with {entry.sha256[:12]}: {advice}"
        )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _may_exist(path: Path) -> bool:
    """False if there is certainly no file; True also if the path cannot be examined: reading it will fail."""
    try:
        return path.exists()
    except OSError:
        return True


def _file_source(path: Path) -> str:
    return f"file {path.absolute()}"


def _how_to_match(name: str) -> str:
    if name in OFFLINE and OFFLINE[name].sha256 is None:
        return (
            f"it differs between Python versions (here {platform.python_version()}): use the Python version of the "
            "experiment, or run `rnnlab data add FILE` with its text, or start a new experiment"
        )
    return "use the text with which the experiment was created, or start a new experiment"
