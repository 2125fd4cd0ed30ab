import gzip
import random
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rnnlab.data.corpus import fetch, read_bytes, resolve
from rnnlab.data.known_corpora import PublicCorpus
from rnnlab.errors import CorpusError
from rnnlab.files import sha256_hex
from tests.data.conftest import Server
from tests.support.archives import zipped

TEXT = random.Random(0).randbytes(300_000)

Register = Callable[..., PublicCorpus]


@pytest.fixture
def part(data_folder: Path) -> Path:
    return data_folder / "downloads" / "timemachine.part"


def test_a_download(server: Server, register: Register, part: Path) -> None:
    entry = register(TEXT, server.url)
    server.content = TEXT
    progress: list[tuple[int, int | None]] = []
    corpus = fetch("timemachine", lambda done, total: progress.append((done, total)))
    assert (corpus.name, corpus.sha256, corpus.source) == ("timemachine", entry.sha256, server.url)
    assert read_bytes(corpus) == TEXT
    assert progress[0] == (0, len(TEXT))
    assert progress[-1] == (len(TEXT), len(TEXT))
    assert not part.exists()


def test_a_text_that_is_here_is_not_fetched_again(server: Server, register: Register) -> None:
    register(TEXT, server.url)
    server.content = TEXT
    assert fetch("timemachine") == fetch("timemachine") == resolve("timemachine", download=True)
    assert len(server.ranges_asked) == 1


def test_resolve_downloads_only_when_asked(server: Server, register: Register) -> None:
    register(TEXT, server.url)
    server.content = TEXT
    with pytest.raises(CorpusError, match=r"is not on this machine: run `rnnlab data fetch timemachine`"):
        resolve("timemachine")
    assert server.ranges_asked == []
    assert read_bytes(resolve("timemachine", download=True)) == TEXT


@pytest.mark.parametrize("pack", [gzip.compress, lambda text: zipped(text, "inside")], ids=["gzip", "zip"])
def test_packed_downloads(server: Server, register: Register, pack: Callable[[bytes], bytes]) -> None:
    register(TEXT, server.url, zip_member="inside")
    server.content = pack(TEXT)
    assert read_bytes(fetch("timemachine")) == TEXT


def test_a_wrong_text_is_refused_and_not_kept(server: Server, register: Register, part: Path) -> None:
    entry = register(TEXT, server.url)
    server.content = b"<html>Please log in</html>"
    with pytest.raises(CorpusError) as error:
        fetch("timemachine")
    message = str(error.value)
    assert "\n" not in message
    assert sha256_hex(server.content)[:12] in message
    assert entry.sha256[:12] in message
    assert not part.exists()
    server.content = TEXT
    assert read_bytes(fetch("timemachine")) == TEXT


def cut_off(server: Server, part: Path, after_bytes: int) -> None:
    server.cut_after_bytes = after_bytes
    with pytest.raises(CorpusError, match=rf"closed after {after_bytes:,} of 300,000 bytes.*resumes the download"):
        fetch("timemachine")
    assert part.read_bytes() == TEXT[:after_bytes]
    server.cut_after_bytes = None


def test_a_download_that_was_cut_off_is_resumed(server: Server, register: Register, part: Path) -> None:
    register(TEXT, server.url)
    server.content = TEXT
    cut_off(server, part, 100_000)
    progress: list[tuple[int, int | None]] = []
    assert read_bytes(fetch("timemachine", lambda done, total: progress.append((done, total)))) == TEXT
    assert server.ranges_asked == [None, "bytes=100000-"]
    assert progress[0] == (100_000, 300_000)
    assert not part.exists()


def test_a_server_that_knows_no_ranges(server: Server, register: Register, part: Path) -> None:
    register(TEXT, server.url)
    server.content = TEXT
    server.knows_ranges = False
    cut_off(server, part, 100_000)
    assert read_bytes(fetch("timemachine")) == TEXT


def test_a_whole_part_is_fetched_again(server: Server, register: Register, part: Path) -> None:
    """A process died between download and storage; the server answers "range not satisfiable"."""
    register(TEXT, server.url)
    server.content = TEXT
    part.parent.mkdir(parents=True)
    part.write_bytes(TEXT)
    assert read_bytes(fetch("timemachine")) == TEXT
    assert server.ranges_asked == ["bytes=300000-", None]


def test_a_part_of_another_file_does_no_lasting_harm(server: Server, register: Register, part: Path) -> None:
    register(TEXT, server.url)
    server.content = TEXT
    part.parent.mkdir(parents=True)
    part.write_bytes(b"of another file")
    with pytest.raises(CorpusError, match=r"is not the corpus timemachine.*try again"):
        fetch("timemachine")
    assert read_bytes(fetch("timemachine")) == TEXT


FETCH = """
import sys
from dataclasses import replace
from rnnlab.data.corpus import fetch
from rnnlab.data.known_corpora import PUBLIC
url, sha256, size = sys.argv[1:]
PUBLIC["timemachine"] = replace(PUBLIC["timemachine"], url=url, sha256=sha256, size_bytes=int(size))
print(fetch("timemachine").sha256)
"""


def test_processes_that_fetch_at_once_make_one_download(server: Server) -> None:
    server.content = TEXT
    server.delay_seconds = 1.0  # so that the others start while the first one waits
    command = [sys.executable, "-c", FETCH, server.url, sha256_hex(TEXT), str(len(TEXT))]
    fetching = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate(timeout=60)[0] for process in fetching] == [f"{sha256_hex(TEXT)}\n"] * 3
    assert server.ranges_asked == [None]


def test_without_network(register: Register, data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/file"
    register(TEXT, url)
    with pytest.raises(CorpusError) as error:
        fetch("timemachine")
    message = str(error.value)
    assert "\n" not in message
    assert f"cannot download {url} (" in message
    assert "Connection refused" in message
    assert f"download {url} on another machine and run `rnnlab data add FILE --name timemachine`" in message
    place = data_folder / "timemachine.txt"
    assert message.endswith(f"or save its file as {place}")
    # The advice of the message works.
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(TEXT)
    assert read_bytes(fetch("timemachine")) == TEXT


def test_an_error_of_the_server(server: Server, register: Register) -> None:
    register(TEXT, server.url)
    server.status = 404
    with pytest.raises(CorpusError, match=r"\(HTTP 404 Not Found\)"):
        fetch("timemachine")


def test_a_part_that_cannot_be_written(server: Server, register: Register, part: Path) -> None:
    register(TEXT, server.url)
    server.content = TEXT
    part.parent.parent.mkdir()
    part.parent.write_bytes(b"not a folder")
    with pytest.raises(CorpusError, match=r"the data folder .* cannot be written"):
        fetch("timemachine")


def test_names_that_cannot_be_fetched() -> None:
    assert fetch("generated").name == "generated"
    with pytest.raises(CorpusError, match=r"there is no known corpus 'notes'; known corpora: enwik8"):
        fetch("notes")
