"""The corpora that rnnlab knows by name.

A public corpus is a file on the network with a fixed hash. An offline corpus is generated on this machine. To add a
corpus, add an entry here; rnnlab ships none of the texts.
"""

from collections.abc import Callable
from dataclasses import dataclass

from rnnlab.data.builtin import generated_text, pydoc_topics, stdlib_sources


@dataclass(frozen=True)
class PublicCorpus:
    """A text that can be downloaded. Size and hash are those of the unpacked bytes."""

    name: str
    title: str
    url: str
    file_name: str  # name of the unpacked text if a user puts it into the data folder
    size_bytes: int
    sha256: str  # 64 hexadecimal digits
    license: str
    encoding: str  # of its characters: "ascii" or "utf-8"
    zip_member: str | None = None  # the text's name within the zip archive; None if the URL is the text itself


@dataclass(frozen=True)
class OfflineCorpus:
    """A text that needs no network: `make` returns its bytes, the same on every call."""

    name: str
    title: str
    make: Callable[[], bytes]
    license: str
    encoding: str
    sha256: str | None = None  # None if the text depends on the Python version


PUBLIC: dict[str, PublicCorpus] = {
    entry.name: entry
    for entry in (
        PublicCorpus(
            name="enwik8",
            title="first 100 MB of the English Wikipedia dump of March 2006",
            url="http://mattmahoney.net/dc/enwik8.zip",
            file_name="enwik8",
            size_bytes=100_000_000,
            sha256="2b49720ec4d78c3c9fabaee6e4179a5e997302b3a70029f30f2d582218c024a8",
            license="GFDL, since relicensed CC BY-SA 3.0: keep the attribution to Wikipedia's contributors",
            encoding="utf-8",
            zip_member="enwik8",
        ),
        PublicCorpus(
            name="tinyshakespeare",
            title="40,000 lines of Shakespeare's plays",
            url="https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
            file_name="tinyshakespeare.txt",
            size_bytes=1_115_394,
            sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
            license="public domain",
            encoding="ascii",
        ),
        PublicCorpus(
            name="timemachine",
            title="The Time Machine by H. G. Wells (1895)",
            url="http://d2l-data.s3-accelerate.amazonaws.com/timemachine.txt",
            file_name="timemachine.txt",
            size_bytes=178_979,
            sha256="8424dbd9532ac81f7e5f0b6add90e6952baea29158309d7d1bf3884f4e12c516",
            license="public domain",
            encoding="utf-8",
        ),
        PublicCorpus(
            name="nietzsche",
            title="Nietzsche in old English translations",
            url="https://s3.amazonaws.com/text-datasets/nietzsche.txt",
            file_name="nietzsche.txt",
            size_bytes=600_901,
            sha256="23cf69874ab69d3d256099ab530ea4be24d47d9675b673bcc67cbcd6298ec647",
            license="public domain in the USA; elsewhere not checked",
            encoding="utf-8",
        ),
    )
}

OFFLINE: dict[str, OfflineCorpus] = {
    entry.name: entry
    for entry in (
        OfflineCorpus(
            name="pydoc-topics",
            title="the language reference that `help()` prints, as this Python carries it (about 465 kB)",
            make=pydoc_topics,
            license="PSF-2.0 (Python documentation)",
            encoding="utf-8",
        ),
        OfflineCorpus(
            name="stdlib",
            title="the sources of this Python's standard library (about 12 MB)",
            make=stdlib_sources,
            license="PSF-2.0 (CPython)",
            encoding="utf-8",
        ),
        OfflineCorpus(
            name="generated",
            title="seeded pseudo-prose for tests, the same on every machine (200 kB)",
            make=generated_text,
            license="MIT (made by rnnlab)",
            encoding="ascii",
            sha256="d6432dd505b5e74fcd5de710a5ca20e94df1d0f6694b11884fda80f6b5c7681d",
        ),
    )
}


def known_names() -> list[str]:
    """The names of all registered corpora, the public ones first."""
    return [*PUBLIC, *OFFLINE]


def public_with_hash(sha256: str) -> PublicCorpus | None:
    """The public corpus whose text has this hash, or None."""
    return next((entry for entry in PUBLIC.values() if entry.sha256 == sha256), None)


def how_to_get(name: str) -> str:
    """The end of an error message: how to get the corpus `name` on this machine."""
    if name in PUBLIC:
        return f"run `rnnlab data fetch {name}`, or {how_to_get_offline(PUBLIC[name])}"
    if name in OFFLINE:
        return f"run `rnnlab data fetch {name}`"
    return "run `rnnlab data add FILE` with the file of that text"


def how_to_get_offline(entry: PublicCorpus) -> str:
    """How to get the corpus on a machine without network."""
    return f"download {entry.url} on another machine and run `rnnlab data add FILE --name {entry.name}`"
