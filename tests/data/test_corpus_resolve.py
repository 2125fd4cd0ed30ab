import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rnnlab.data.cache import data_dir, entries, text_path
from rnnlab.data.corpus import find, read_bytes, resolve
from rnnlab.data.known_corpora import OFFLINE, PUBLIC, PublicCorpus
from rnnlab.errors import CorpusError
from rnnlab.files import sha256_hex

TEXT = b"To be, or not to be\n"
HASH = sha256_hex(TEXT)

Register = Callable[..., PublicCorpus]


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    path = tmp_path / "notes.txt"
    path.write_bytes(TEXT)
    return path


def one_line(error: pytest.ExceptionInfo[CorpusError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", OFFLINE)
def test_offline_corpora_are_made(name: str, data_folder: Path) -> None:
    corpus = resolve(name)
    assert corpus.name == name
    assert corpus.sha256 == sha256_hex(read_bytes(corpus))
    assert corpus.size_bytes == len(read_bytes(corpus))
    assert OFFLINE[name].sha256 in (None, corpus.sha256)
    assert sorted(path.name for path in (data_folder / "corpora" / corpus.sha256).iterdir()) == ["about.json", "text"]
    assert resolve(name) == corpus == find(corpus.sha256, name)


def test_a_file_is_kept_under_its_stem(notes: Path) -> None:
    corpus = resolve(str(notes))
    assert (corpus.name, corpus.sha256, corpus.size_bytes) == ("notes", HASH, len(TEXT))
    assert str(notes) in corpus.source
    notes.unlink()
    assert read_bytes(find(HASH, "notes")) == TEXT
    assert resolve("notes") == corpus


@pytest.mark.parametrize("file_name", ["book.txt.gz", "book.gz", "book.txt", "book"])
def test_gzip_is_known_by_its_content(tmp_path: Path, file_name: str) -> None:
    path = tmp_path / file_name
    path.write_bytes(gzip.compress(TEXT))
    assert (resolve(str(path)).name, resolve(str(path)).sha256) == ("book", HASH)


def test_a_file_goes_before_a_name(notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text stored under the stem may be an older version of the file."""
    resolve(str(notes))
    monkeypatch.chdir(tmp_path)
    Path("notes").write_bytes(b"newer")
    assert resolve("notes").sha256 == sha256_hex(b"newer")


def test_another_text_of_the_same_stem_gets_a_name_of_its_own(notes: Path, tmp_path: Path) -> None:
    resolve(str(notes))
    notes.write_bytes(b"edited")
    edited = resolve(str(notes))
    assert edited.name == f"notes-{sha256_hex(b'edited')[:8]}"
    assert resolve(edited.name) == edited
    assert resolve("notes").sha256 == HASH
    (tmp_path / "enwik8.txt").write_bytes(b"mine")
    assert resolve(str(tmp_path / "enwik8.txt")).name == f"enwik8-{sha256_hex(b'mine')[:8]}"


def test_odd_file_names_make_plain_names(tmp_path: Path) -> None:
    path = tmp_path / "-- my (best) text.txt"
    path.write_bytes(TEXT)
    assert resolve(str(path)).name == "my-best-text"


def test_a_public_corpus_under_any_file_name_is_known(register: Register, notes: Path) -> None:
    entry = register(TEXT)
    corpus = resolve(str(notes))
    assert (corpus.name, corpus.license) == (entry.name, entry.license)
    assert resolve(entry.name) == corpus


def test_a_public_corpus_may_lie_in_the_data_folder(register: Register, data_folder: Path) -> None:
    register(TEXT)
    data_folder.mkdir()
    (data_folder / "timemachine.txt").write_bytes(TEXT)
    assert find(HASH, "timemachine").name == "timemachine"
    (data_folder / "timemachine.txt").unlink()
    assert read_bytes(resolve("timemachine")) == TEXT


def test_a_wrong_file_in_the_data_folder_is_refused(data_folder: Path) -> None:
    data_folder.mkdir()
    (data_folder / "nietzsche.txt").write_bytes(TEXT)
    with pytest.raises(CorpusError) as error:
        resolve("nietzsche")
    message = one_line(error)
    assert HASH[:12] in message
    assert PUBLIC["nietzsche"].sha256[:12] in message
    assert "replace or remove" in message


def test_an_unknown_name() -> None:
    with pytest.raises(CorpusError) as error:
        resolve("shakespear")
    assert one_line(error) == (
        "there is no corpus or file 'shakespear': give a known corpus (enwik8, tinyshakespeare, timemachine, "
        "nietzsche, pydoc-topics, stdlib, generated) or the path of a text file; searched the working directory"
    )


def test_a_public_corpus_that_is_not_here(data_folder: Path) -> None:
    with pytest.raises(CorpusError) as error:
        resolve("enwik8")
    assert one_line(error) == (
        "corpus enwik8 is not on this machine: run `rnnlab data fetch enwik8`, or download "
        "http://mattmahoney.net/dc/enwik8.zip on another machine and run `rnnlab data add FILE --name enwik8`, "
        f"or save its file as {data_folder / 'enwik8'}"
    )


def test_expected_hash(notes: Path) -> None:
    assert resolve(str(notes), expected_sha256=HASH).sha256 == HASH
    with pytest.raises(CorpusError) as error:
        resolve(str(notes), expected_sha256="ab" * 32)
    assert f"(sha256 {HASH[:12]}, expected abababababab)" in one_line(error)
    with pytest.raises(CorpusError, match=r"differs between Python versions .*use the Python version of"):
        resolve("pydoc-topics", expected_sha256="ab" * 32)


def test_the_text_of_another_python_is_taken_from_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    old = resolve("pydoc-topics")
    monkeypatch.setattr("pydoc_data.topics.topics", {"other": "newer reference"})
    new = resolve("pydoc-topics")
    assert new.sha256 == sha256_hex(b"newer reference") != old.sha256
    assert resolve("pydoc-topics", expected_sha256=old.sha256) == old == find(old.sha256, "pydoc-topics")


def test_find_says_which_text_is_missing() -> None:
    with pytest.raises(CorpusError) as error:
        find("ab" * 32, "my book")
    assert one_line(error) == (
        "the text of corpus 'my book' (sha256 abababababab) is not on this machine: run `rnnlab data add FILE` here "
        "with the file of that text"
    )
    with pytest.raises(CorpusError, match=r"corpus enwik8 is not on this machine: run `rnnlab data fetch enwik8`"):
        find(PUBLIC["enwik8"].sha256, "enwik8")
    with pytest.raises(CorpusError, match=r"expected abababababab"):
        find("ab" * 32, "pydoc-topics")


def test_find_makes_an_offline_corpus() -> None:
    sha256 = OFFLINE["generated"].sha256
    assert sha256 is not None
    assert len(read_bytes(find(sha256, "generated"))) == 200_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(gzip.compress(b""), "is empty", id="gzip-empty"),
        pytest.param(gzip.compress(TEXT)[:-5], "damaged gzip file", id="gzip-without-end"),
        pytest.param(gzip.compress(TEXT)[:12] + b"!!!!!!!!!!!!!", "damaged gzip file", id="gzip-overwritten"),
        pytest.param(b"\x1f\x8b", "damaged gzip file", id="gzip-magic-alone"),
        pytest.param(b"PK\x03\x04 and more", "is a zip archive: unpack it", id="zip"),
    ],
)
def test_files_that_hold_no_text(notes: Path, content: bytes, message: str) -> None:
    notes.write_bytes(content)
    with pytest.raises(CorpusError, match=message) as error:
        resolve(str(notes))
    assert str(notes) in one_line(error)
    assert entries() == []


def test_paths_that_are_no_file(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"is a folder: give the path of a text file"):
        resolve(str(tmp_path))
    with pytest.raises(CorpusError, match=r"cannot be read \(File name too long\)"):
        resolve("x" * 300)
    with pytest.raises(CorpusError, match=r"no corpus or file"):
        resolve("a\0b")
    with pytest.raises(CorpusError, match=r"there is no such home folder"):
        resolve("~no-such-user/notes.txt")


def damage_presence(text: Path) -> None:
    text.unlink()


def damage_length(text: Path) -> None:
    text.write_bytes(TEXT[:-3])


def damage_bit(text: Path) -> None:
    text.write_bytes(b"t" + TEXT[1:])


@pytest.mark.parametrize("damage", [damage_presence, damage_length, damage_bit])
def test_a_damaged_text_is_refused_and_made_again(notes: Path, damage: Callable[[Path], None]) -> None:
    corpus = resolve(str(notes))
    damage(text_path(HASH))
    with pytest.raises(CorpusError, match=r"the text of corpus 'notes' .*`rnnlab data add FILE`") as error:
        read_bytes(corpus)
    one_line(error)
    assert resolve(str(notes)) == corpus
    assert read_bytes(corpus) == TEXT


def test_a_damaged_text_without_its_file_is_refused(notes: Path) -> None:
    resolve(str(notes))
    notes.unlink()
    damage_bit(text_path(HASH))
    with pytest.raises(CorpusError, match=r"is damaged \(sha256 [0-9a-f]{12}, expected"):
        resolve("notes")


@pytest.mark.parametrize("about", [b"", b"{", b"[]", b"{}", b'{"name": 3}', b"\xff"])
def test_a_damaged_description_is_no_entry(notes: Path, about: bytes) -> None:
    resolve(str(notes))
    text_path(HASH).with_name("about.json").write_bytes(about)
    assert entries() == []
    assert resolve(str(notes)).name == "notes"
    assert json.loads(text_path(HASH).with_name("about.json").read_bytes())["sha256"] == HASH


def test_a_data_folder_that_cannot_be_written(notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNLAB_DATA", str(notes / "below a file"))
    with pytest.raises(CorpusError, match=r"data folder .* is not writable .* with RNNLAB_DATA") as error:
        resolve(str(notes))
    one_line(error)


def test_a_full_disk(notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rnnlab.data.cache.atomic_write", full)
    with pytest.raises(CorpusError, match=r"cannot be written \(No space left on device\): free some space") as error:
        resolve(str(notes))
    one_line(error)


def test_the_data_folder_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RNNLAB_DATA", "")
    monkeypatch.setattr("rnnlab.data.cache.user_cache_path", lambda name: tmp_path / name)
    assert data_dir() == tmp_path / "rnnlab"
    monkeypatch.setenv("RNNLAB_DATA", "~/texts")
    assert data_dir() == Path.home() / "texts"


def test_processes_can_resolve_the_same_text_at_once(notes: Path, tmp_path: Path) -> None:
    """All processes start together, on a text large enough that they overlap."""
    notes.write_bytes(TEXT * 100_000)
    program = (
        "import pathlib, sys, time\n"
        "from rnnlab.data.corpus import add, read_bytes\n"
        "while not pathlib.Path(sys.argv[2]).exists(): time.sleep(0.001)\n"
        "corpus = add(pathlib.Path(sys.argv[1]))\n"
        "print(corpus.name, len(read_bytes(corpus)))\n"
    )
    go = tmp_path / "go"
    command = [sys.executable, "-c", program, str(notes), str(go)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    go.touch()
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert outputs == [f"notes {len(TEXT) * 100_000}\n"] * 3
    assert [corpus.name for corpus in entries()] == ["notes"]
    assert not [path for path in data_dir().rglob("*") if path.name.endswith(".tmp")]
