import re
import subprocess
import sys

import pytest

from rnnlab.data.builtin import generated_text, pydoc_topics, stdlib_sources
from rnnlab.data.known_corpora import OFFLINE, PUBLIC, how_to_get, known_names, public_with_hash
from rnnlab.errors import CorpusError
from rnnlab.files import sha256_hex


def test_names_are_keys_and_unique() -> None:
    assert known_names() == [*PUBLIC, *OFFLINE]
    assert len(known_names()) == len(set(known_names()))
    assert list(PUBLIC) == [entry.name for entry in PUBLIC.values()]
    assert list(OFFLINE) == [entry.name for entry in OFFLINE.values()]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_entries_are_complete(name: str) -> None:
    public = PUBLIC[name]
    assert re.fullmatch(r"[0-9a-f]{64}", public.sha256)
    assert public.url.startswith("http")
    assert public.size_bytes > 0
    assert "\n" not in public.license
    assert public_with_hash(public.sha256) is public
    assert public.url in how_to_get(public.name)
    "".encode(public.encoding)


def test_generated_text_has_the_registered_hash() -> None:
    assert sha256_hex(generated_text()) == OFFLINE["generated"].sha256
    assert sha256_hex(generated_text()) == "d6432dd505b5e74fcd5de710a5ca20e94df1d0f6694b11884fda80f6b5c7681d"
    assert len(generated_text()) == 200_000
    assert generated_text().isascii()


def test_pydoc_topics_are_the_language_reference() -> None:
    text = pydoc_topics()
    assert text == pydoc_topics()
    assert 400_000 < len(text) < 700_000
    assert b"assert" in text[:100]
    assert text.decode("utf-8")


def test_stdlib_is_cpython_and_nothing_else() -> None:
    text = stdlib_sources()
    assert text == stdlib_sources()
    assert 8_000_000 < len(text) < 20_000_000
    assert b"class OrderedDict(dict):" in text
    # A test folder, a site package and a file of the build.
    assert b"import unittest.mock as patching" not in text
    for stranger in (b"def pytest_configure", b"class TestJSONEncoder", b"build_time_vars = {"):
        assert stranger not in text


def test_missing_sources_are_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda name: "/nowhere/lib")
    with pytest.raises(CorpusError, match=r"/nowhere/lib cannot be read"):
        stdlib_sources()
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(CorpusError, match=r"has no module pydoc_data"):
        pydoc_topics()


def test_a_library_without_sources_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    empty = tmp_path_factory.mktemp("lib")
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(empty))
    with pytest.raises(CorpusError, match=r"no sources of its standard library"):
        stdlib_sources()


def test_corpora_need_neither_torch_nor_numpy() -> None:
    """Reading texts would make `rnnlab init` and `rnnlab data list` slow."""
    program = (
        "import sys, rnnlab.cli.data, rnnlab.data.corpus, rnnlab.data.listing as listing; listing.list_corpora(); "
        "print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
