"""Corpora by name, by file and by hash: the way into this package."""

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

    Afterwards its whole text lies in the cache, proven against its hash; a damaged entry is written again where its
    source is at hand. A public corpus is taken from the network only with `download`. Without `store`, the text of a
    user's file that is not in the cache is at hand in this process alone, until `keep` stores it. `folder`: where a
    file is looked for beside the working directory.

    Raises CorpusError, in one line, where there is no such text, it cannot be read or stored, or its hash is not
    `expected_sha256` (64 hexadecimal digits).
    """
    if expected_sha256 is not None and name_or_path in OFFLINE:
        # The text of another Python version may have been made on this machine before.
        corpus = cache.lookup_verified(expected_sha256)
        if corpus is not None:
            return corpus
    corpus = _resolve(name_or_path, download, store, folder)
    if expected_sha256 is not None and corpus.sha256 != expected_sha256:
        raise CorpusError(
            f"corpus {name_or_path!r} is another text here (sha256 {corpus.sha256[:12]}, expected "
            f"{expected_sha256[:12]}): {_how_to_match(name_or_path)}"
        )
    return corpus


def keep(sha256: str) -> None:
    """Store the text with this hash if it is at hand in this process alone.

    Raises CorpusError where the cache cannot be written.
    """
    if cache.is_held(sha256):
        with cache.locked("corpora"):
            cache.store_held(sha256)


def find(sha256: str, name: str) -> Corpus:
    """The corpus with this hash, for a process that knows only a run config.

    `name` is what the experiment calls it: used in messages, and to make or pick up a registered text that is at hand
    but not in the cache yet. It is `read_bytes` that proves the text.

    Raises CorpusError where the text is not on this machine.
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
    """Put the text of the file `path` into the cache, under `name` or else the file's stem.

    With the name of a public corpus, `path` is its file, as downloaded or unpacked, and must have the registered hash.
    A text that is here under another name of the user's is renamed to `name`.

    Raises CorpusError where the file is no text (see `read_text_file`), the name is not allowed, or it stands for
    another text.
    """
    entry = PUBLIC.get(default_name(path) if name is None else name)
    if entry is not None:
        return _add_public(entry, path, "give the file of that text, or choose another name with --name")
    if name is None:
        return _add_file(path, store=True)
    return corpus_names.keep_named(read_text_file(path), name, _file_source(path))


def fetch(name: str, progress: Progress = lambda done_bytes, total_bytes: None) -> Corpus:
    """Download the public corpus `name`, unless its whole text is on this machine; make the offline corpus `name`.

    One download at a time on a machine; one that was cut off is resumed.

    Raises CorpusError for a name that is not registered, without network (saying which URL to get), and where what
    came has not the registered size and hash.
    """
    if name in OFFLINE:
        return _make(name)
    if name not in PUBLIC:
        raise CorpusError(f"no known corpus {name!r} to fetch: known corpora are {', '.join(known_names())}")
    entry = PUBLIC[name]
    present = _at_hand(entry)
    if present is not None:
        return present
    with cache.locked("fetch"):
        # Another process may have fetched it while this one waited for the lock.
        return _at_hand(entry) or _download(entry, progress)


def _resolve(name_or_path: str, may_download: bool, store: bool, folder: Path | None) -> Corpus:
    if name_or_path in OFFLINE:
        return _make(name_or_path)
    if name_or_path in PUBLIC:
        corpus = fetch(name_or_path) if may_download else _at_hand(PUBLIC[name_or_path])
        if corpus is None:
            raise CorpusError(
                f"corpus {name_or_path} is not on this machine: {how_to_get(name_or_path)}, or put it there as "
                f"{_place_by_hand(PUBLIC[name_or_path])}"
            )
        return corpus
    path = cache.expanded(name_or_path)
    if folder is not None and not _may_exist(path) and _is_file(folder / path):
        path = folder / path
    # A file goes before a name of the user's: it may have changed since its text was stored under its stem.
    named = None if _is_file(path) else corpus_names.named(name_or_path)
    if named is not None:
        read_bytes(named)  # raises where it is damaged
        return named
    if not _may_exist(path):
        places = "the working directory" + ("" if folder in (None, Path()) else f" and in {folder}")
        raise CorpusError(
            f"no corpus or file {name_or_path!r}: known corpora are {', '.join(known_names())}; a file's path works "
            f"too, and was looked for in {places}"
        )
    return _add_file(path, store)


def _make(name: str) -> Corpus:
    entry = OFFLINE[name]
    return corpus_names.keep_registered(entry.make(), name, entry.licence, f"Python {platform.python_version()}")


def _at_hand(entry: PublicCorpus) -> Corpus | None:
    """The public corpus from the cache, or from a file that someone put into the data folder."""
    corpus = cache.lookup_verified(entry.sha256)
    if corpus is not None:
        return corpus
    loose = _place_by_hand(entry)
    return _add_public(entry, loose, "replace or remove that file") if _is_file(loose) else None


def _place_by_hand(entry: PublicCorpus) -> Path:
    """Where the file of a public corpus, as downloaded or unpacked, is looked for."""
    return cache.data_dir() / entry.file_name


def _add_public(entry: PublicCorpus, path: Path, advice: str) -> Corpus:
    data = read_text_file(path, entry.zip_member)
    _check(data, entry, str(path), advice)
    return corpus_names.keep_registered(data, entry.name, entry.licence, _file_source(path))


def _add_file(path: Path, store: bool) -> Corpus:
    data = read_text_file(path)
    entry = public_with_hash(sha256_hex(data))
    if entry is not None:
        return corpus_names.keep_registered(data, entry.name, entry.licence, _file_source(path))
    settle = corpus_names.keep_file if store else corpus_names.hold_file
    return settle(data, default_name(path), _file_source(path))


def _download(entry: PublicCorpus, progress: Progress) -> Corpus:
    part = cache.data_dir() / "downloads" / f"{entry.name}.part"
    try:
        download_to(entry.url, part, progress)
    except (OSError, http.client.HTTPException) as error:
        raise CorpusError(
            f"cannot download {entry.url} ({explain(error)}): try again, which goes on where this stopped, or "
            f"{how_to_get_offline(entry)}, or put it there as {_place_by_hand(entry)}"
        ) from error
    try:
        data = read_text_file(part, entry.zip_member)
        _check(data, entry, entry.url, f"try again, or {how_to_get_offline(entry)}")
    except CorpusError:
        part.unlink()  # the next attempt must not go on from it
        raise
    corpus = corpus_names.keep_registered(data, entry.name, entry.licence, entry.url)
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
    """False where there is surely nothing; True also for what cannot be looked at, which fails when it is read."""
    try:
        return path.exists()
    except OSError:
        return True


def _file_source(path: Path) -> str:
    return f"file {path.absolute()}"


def _how_to_match(name: str) -> str:
    if name in OFFLINE and OFFLINE[name].sha256 is None:
        return (
            f"it differs between Python versions (here {platform.python_version()}): use the Python that the "
            "experiment was made with, or `rnnlab data add FILE` with that text, or start a new experiment"
        )
    return "give the text that the experiment was made with, or start a new experiment"
