"""The list of `rnnlab data list`: every corpus that is on this machine or can be obtained."""

from dataclasses import dataclass
from enum import StrEnum

from rnnlab.data import cache
from rnnlab.data.known_corpora import OFFLINE, PUBLIC, PublicCorpus, known_names


class CorpusStatus(StrEnum):
    """The status of a text on this machine."""

    HERE = "here"
    FETCHABLE = "can be fetched"
    MADE = "made when used"
    ADDED = "added by you"


@dataclass(frozen=True)
class Listing:
    """One line of the list."""

    name: str
    status: CorpusStatus
    size_bytes: int | None  # > 0; None: known once the text is generated
    sha256: str | None  # 64 hexadecimal digits; None: known once the text is generated
    license: str
    title: str  # a description; the source of a user's text


def list_corpora() -> list[Listing]:
    """The registered corpora, then the user's. Reads no text, so it takes no time.

    An offline corpus that several Python versions generated is listed once for each.
    """
    cached = cache.entries()
    lines: list[Listing] = []
    for public in PUBLIC.values():
        status = CorpusStatus.HERE if _is_here(public, cached) else CorpusStatus.FETCHABLE
        lines.append(Listing(public.name, status, public.size_bytes, public.sha256, public.license, public.title))
    for offline in OFFLINE.values():
        made = [corpus for corpus in cached if corpus.name == offline.name]
        for corpus in made:
            line = Listing(
                corpus.name, CorpusStatus.HERE, corpus.size_bytes, corpus.sha256, corpus.license, offline.title
            )
            lines.append(line)
        if not made:
            lines.append(Listing(offline.name, CorpusStatus.MADE, None, offline.sha256, offline.license, offline.title))
    lines += [
        Listing(corpus.name, CorpusStatus.ADDED, corpus.size_bytes, corpus.sha256, corpus.license, corpus.source)
        for corpus in cached
        if corpus.name not in known_names()
    ]
    return lines


def _is_here(entry: PublicCorpus, cached: list[cache.Corpus]) -> bool:
    if any(corpus.sha256 == entry.sha256 for corpus in cached):
        return True
    try:
        return (cache.data_dir() / entry.file_name).stat().st_size == entry.size_bytes
    except OSError:
        return False
