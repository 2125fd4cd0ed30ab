"""Names of the texts in the cache.

A text has one name on a machine. A registered text has its registered name. Any other text has the name that the user
gave it, or else the stem of its file; the beginning of its hash is added if another text has that stem.
"""

import re
from dataclasses import replace

from rnnlab.data import cache
from rnnlab.data.cache import Corpus
from rnnlab.data.known_corpora import OFFLINE, known_names, public_with_hash
from rnnlab.errors import CorpusError
from rnnlab.files import sha256_hex

_UNSTATED = "not stated"  # the license of a user's text
_NAME = re.compile(r"\w[\w.-]{0,63}")


def named(name: str) -> Corpus | None:
    """The text in the cache with this name, or None."""
    return next((corpus for corpus in cache.entries() if corpus.name == name), None)


def keep_registered(data: bytes, name: str, license: str, source: str) -> Corpus:
    """Store a registered text under its registered name, even if it is in the cache under a name of the user's.

    Raises CorpusError if the cache cannot be written.
    """
    corpus = Corpus(name, sha256_hex(data), len(data), license, source)
    present = cache.lookup_verified(corpus.sha256)
    if present is not None and present.name == name:
        return present
    with cache.locked("corpora"):
        return cache.store(corpus, data)


def keep_file(data: bytes, stem: str, source: str) -> Corpus:
    """Store a user's text under the stem of its file. A text that is already in the cache keeps its name.

    Raises CorpusError if the cache cannot be written.
    """
    corpus = hold_file(data, stem, source)
    if not cache.is_held(corpus.sha256):
        return corpus
    with cache.locked("corpora"):
        corpus = hold_file(data, stem, source)
        if cache.is_held(corpus.sha256):  # otherwise another process has stored it meanwhile
            cache.store_held(corpus.sha256)
    return corpus


def hold_file(data: bytes, stem: str, source: str) -> Corpus:
    """Like `keep_file`, but hold the text in this process's memory until it is stored."""
    corpus = Corpus(_allowed(stem), sha256_hex(data), len(data), _UNSTATED, source)
    cache.release(corpus.sha256)  # another text may have its name by now
    present = cache.lookup_verified(corpus.sha256)
    if present is not None:
        return present
    holder = named(corpus.name)
    if corpus.name in known_names() or (holder is not None and holder.sha256 != corpus.sha256):
        corpus = replace(corpus, name=f"{corpus.name}-{corpus.sha256[:8]}")
    return cache.hold(corpus, data)


def keep_named(data: bytes, name: str, source: str) -> Corpus:
    """Store a user's text under the name that the user chose; rename it if it is already in the cache.

    Raises CorpusError if the name is not allowed or belongs to another text, if the text has a registered name, and if
    the cache cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise CorpusError(
            f"the name {name!r} is not allowed: use up to 64 letters, digits, _, - and ., not starting with - or ."
        )
    if name in OFFLINE:
        raise CorpusError(f"{name} is the name of a text that rnnlab generates: choose another name")
    corpus = Corpus(name, sha256_hex(data), len(data), _UNSTATED, source)
    with cache.locked("corpora"):
        holder, present = named(name), cache.lookup(corpus.sha256)
        if holder is not None and holder.sha256 != corpus.sha256:
            raise CorpusError(
                f"the name {name} belongs to another text (sha256 {holder.sha256[:12]}, this one has "
                f"{corpus.sha256[:12]}): choose another name"
            )
        known = public_with_hash(corpus.sha256) or (OFFLINE.get(present.name) if present else None)
        if known is not None:
            raise CorpusError(f"this is the text of the known corpus {known.name}: use that name")
        return cache.store(corpus, data)


def _allowed(stem: str) -> str:
    """`stem` without characters that are not allowed in a name."""
    return re.sub(r"[^\w.-]+", "-", stem).lstrip("-.")[:48] or "text"
