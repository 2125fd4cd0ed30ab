"""Texts that need no network: two from the Python installation, and one that is generated.

Each function returns the same bytes in every call under the same Python version; the generated text is the same under
every version.
"""

import random
import sys
import sysconfig
from pathlib import Path

from rnnlab.errors import CorpusError

GENERATED_SIZE_BYTES = 200_000
_TEST_FOLDERS = frozenset({"test", "tests", "idle_test"})


def pydoc_topics() -> bytes:
    """The values of `pydoc_data.topics.topics`, in the order of their sorted keys, without separators, as UTF-8.

    Raises CorpusError if this Python was installed without it.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise CorpusError(
            "this Python has no module pydoc_data.topics: install the full standard library, or choose another corpus"
        ) from error
    return "".join(topics[key] for key in sorted(topics)).encode()


def stdlib_sources() -> bytes:
    """Every .py file of the standard library, sorted by its path within it, one after the other.

    Only the modules of sys.stdlib_module_names: no site-packages, no test folders, no files that a build or a
    distribution adds. Raises CorpusError if the library has no readable sources.
    """
    root = Path(sysconfig.get_path("stdlib"))
    try:
        # Listing the top level first avoids site-packages, which can have tens of thousands of files.
        tops = [path for path in root.iterdir() if path.name.removesuffix(".py") in sys.stdlib_module_names]
        files = [path for top in tops for path in ([top] if top.suffix == ".py" else top.rglob("*.py"))]
        kept = {path.relative_to(root).as_posix(): path for path in files}
        text = b"".join(kept[name].read_bytes() for name in sorted(kept) if not _TEST_FOLDERS & set(name.split("/")))
    except OSError as error:
        raise CorpusError(
            f"the standard library in {root} cannot be read ({error.strerror}): choose another corpus"
        ) from error
    if not text:
        raise CorpusError(f"this Python has no sources of its standard library in {root}: choose another corpus")
    return text


def generated_text() -> bytes:
    """200,000 ASCII bytes of pseudo-prose: a second-order Markov chain over 120 made-up words, from a fixed seed.

    A model can learn its spelling, its word pairs and its sentences, in this order.
    """
    rng = random.Random(1999)

    def below(limit: int) -> int:
        # Only random() of the standard generator is guaranteed to give the same sequence in every Python version.
        return int(rng.random() * limit)

    def pick(options: str) -> str:
        return options[below(len(options))]

    def syllable() -> str:
        return pick("bdfgklmnprstvz") + pick("aeiou") + (pick("lnrst") if below(3) == 0 else "")

    words = ["".join(syllable() for _ in range(1 + below(3))) for _ in range(120)]
    # The three words that may follow a pair are drawn when the pair occurs for the first time.
    followers: dict[tuple[int, int], list[int]] = {}
    pair = (0, 1)
    sentences: list[str] = []
    size = 0
    while size < GENERATED_SIZE_BYTES:
        sentence: list[str] = []
        for _ in range(4 + below(8)):
            if pair not in followers:
                followers[pair] = [below(len(words)) for _ in range(3)]
            # The first follower has probability 1/2, the other two 1/4 each.
            chosen = followers[pair][max(0, below(4) - 1)]
            sentence.append(words[chosen])
            pair = (pair[1], chosen)
        sentences.append(" ".join(sentence).capitalize() + (".\n" if below(5) == 0 else ". "))
        size += len(sentences[-1])
    return "".join(sentences).encode()[:GENERATED_SIZE_BYTES]
