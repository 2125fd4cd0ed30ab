from collections.abc import Callable
from pathlib import Path

import pytest

from rnnlab.data.cache import text_path
from rnnlab.data.corpus import add, find, resolve
from rnnlab.data.known_corpora import OFFLINE, PUBLIC, PublicCorpus, known_names
from rnnlab.data.listing import CorpusStatus, list_corpora
from rnnlab.errors import CorpusError
from rnnlab.files import sha256_hex
from tests.support.archives import zipped

TEXT = b"Thus spoke\n"
HASH = sha256_hex(TEXT)

Register = Callable[..., PublicCorpus]


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    path = tmp_path / "notes.txt"
    path.write_bytes(TEXT)
    return path


def test_add_under_the_stem_and_under_a_name(notes: Path) -> None:
    assert add(notes).name == "notes"
    renamed = add(notes, "thus")
    assert (renamed.name, renamed.sha256) == ("thus", HASH)
    assert resolve("thus") == renamed == add(notes)
    with pytest.raises(CorpusError, match=r"no corpus or file 'notes'"):
        resolve("notes")


def test_a_name_stands_for_one_text(notes: Path) -> None:
    add(notes, "thus")
    notes.write_bytes(b"something else")
    with pytest.raises(CorpusError, match=rf"belongs to another text \(sha256 {HASH[:12]}, this one has"):
        add(notes, "thus")
    assert resolve("thus").sha256 == HASH


@pytest.mark.parametrize("name", ["", "-x", ".x", "a b", "a/b", "a\n", "x" * 65])
def test_names_that_are_not_allowed(notes: Path, name: str) -> None:
    with pytest.raises(CorpusError, match=r"is not allowed: use up to 64 letters"):
        add(notes, name)


def test_names_that_are_taken_by_rnnlab(notes: Path, tmp_path: Path, register: Register) -> None:
    with pytest.raises(CorpusError, match=r"stdlib is the name of a text that rnnlab generates"):
        add(notes, "stdlib")
    register(TEXT)
    with pytest.raises(CorpusError, match=r"the text of the known corpus timemachine: use that name"):
        add(notes, "mine")
    made = resolve("generated")
    with pytest.raises(CorpusError, match=r"the text of the known corpus generated"):
        add(text_path(made.sha256), "mine")


def test_a_public_corpus_must_have_its_hash(notes: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError) as error:
        add(notes, "nietzsche")
    message = str(error.value)
    assert "\n" not in message
    assert HASH[:12] in message
    assert PUBLIC["nietzsche"].sha256[:12] in message
    same_stem = tmp_path / "nietzsche.txt"
    same_stem.write_bytes(TEXT)
    with pytest.raises(CorpusError, match=r"choose another name with --name"):
        add(same_stem)
    assert add(same_stem, "thus").name == "thus"


def test_a_public_corpus_as_downloaded_or_unpacked(tmp_path: Path, register: Register) -> None:
    entry = register(TEXT, zip_member="inside")
    packed = tmp_path / "timemachine.zip"
    packed.write_bytes(zipped(TEXT, "inside"))
    corpus = add(packed)
    assert (corpus.name, corpus.sha256, corpus.license) == ("timemachine", HASH, entry.license)
    text_path(HASH).unlink()
    (tmp_path / "whatever").write_bytes(TEXT)
    assert add(tmp_path / "whatever", "timemachine").sha256 == HASH


def test_damaged_zip_archives(tmp_path: Path, register: Register) -> None:
    register(TEXT, zip_member="inside")
    packed = tmp_path / "timemachine.zip"
    packed.write_bytes(zipped(TEXT, "elsewhere"))
    with pytest.raises(CorpusError, match=r"a zip archive without the file 'inside'"):
        add(packed)
    packed.write_bytes(zipped(TEXT, "inside")[:-30])
    with pytest.raises(CorpusError, match=r"a damaged zip archive"):
        add(packed)


def test_a_registered_text_gets_its_name_back(tmp_path: Path) -> None:
    path = tmp_path / "copied.txt"
    path.write_bytes(OFFLINE["generated"].make())
    assert add(path).name == "copied"
    assert resolve("generated").name == "generated"


def test_add_of_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no file .*missing.txt: give the path"):
        add(tmp_path / "missing.txt")
    with pytest.raises(CorpusError, match=r"is a folder"):
        add(tmp_path, "folder")


def test_the_list(notes: Path, register: Register, data_folder: Path) -> None:
    fresh = list_corpora()
    assert [line.name for line in fresh] == known_names()
    assert {line.status for line in fresh} == {CorpusStatus.FETCHABLE, CorpusStatus.MADE}
    assert not data_folder.exists()

    register(b"x" * 10)
    data_folder.mkdir()
    (data_folder / "timemachine.txt").write_bytes(b"x" * 10)
    resolve("generated")
    add(notes)
    lines = {line.name: line for line in list_corpora()}
    assert lines["timemachine"].status is CorpusStatus.HERE
    assert lines["generated"].status is CorpusStatus.HERE
    assert lines["generated"].size_bytes == 200_000
    assert lines["enwik8"].status is CorpusStatus.FETCHABLE
    assert lines["enwik8"].size_bytes == 100_000_000
    assert lines["pydoc-topics"].size_bytes is None
    mine = lines["notes"]
    assert (mine.status, mine.size_bytes, mine.sha256) == (CorpusStatus.ADDED, len(TEXT), HASH)
    assert find(HASH, "notes").name == "notes"


def test_the_list_has_a_line_for_each_python(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve("pydoc-topics")
    monkeypatch.setattr("pydoc_data.topics.topics", {"other": "newer reference"})
    resolve("pydoc-topics")
    assert [line.status for line in list_corpora() if line.name == "pydoc-topics"] == [CorpusStatus.HERE] * 2
