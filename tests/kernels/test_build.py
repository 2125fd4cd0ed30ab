"""The build of the kernels, its failures, and its cache."""

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import filelock
import pytest

from rnnlab.actions.doctor import run_checks
from rnnlab.files import Workspace
from rnnlab.kernels import build
from tests.support.kernels import need_kernels


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty cache folder; the loaded library is forgotten before and after."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    build._library_or_reason.cache_clear()
    yield
    build._library_or_reason.cache_clear()


def _compiler(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return str(path)


def _refusal() -> str:
    with pytest.raises(build.NoKernelsError) as refused:
        build.load()
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_compiled_once_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_kernels()
    made = list((tmp_path / "cache" / "rnnlab" / "kernels").glob("*.so"))
    assert len(made) == 1
    before = made[0].stat()
    build._library_or_reason.cache_clear()
    build.load()
    after = list(made[0].parent.glob("*.so"))
    assert after == made
    assert (after[0].stat().st_ino, after[0].stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNLAB_KERNELS", "torch")
    assert _refusal() == "RNNLAB_KERNELS=torch"


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "")
    assert "no C compiler" in _refusal()


def test_a_compiler_that_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "/nowhere/cc")
    assert "'/nowhere/cc' cannot be run" in _refusal()


def test_a_compiler_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = 'case "$1" in --version) echo 1;; *) echo "note" >&2; echo "kernels.c:1: error: no" >&2; exit 1;; esac'
    monkeypatch.setenv("CC", _compiler(tmp_path / "cc", script))
    assert _refusal().endswith("failed on kernels.c: kernels.c:1: error: no")
    assert list((tmp_path / "cache").rglob("*.so")) == []


def test_a_cache_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    need_kernels()
    build._library_or_reason.cache_clear()
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").write_text("a file")
    assert _refusal() == f"the cache folder {tmp_path}/cache/rnnlab/kernels cannot be written (Not a directory)"
    workspace = Workspace(tmp_path, tmp_path)
    finding = next(one for one in run_checks(workspace, tmp_path / "none.db") if one.topic == "kernels")
    assert finding.text.endswith(
        "several times slower; make it writable, or set XDG_CACHE_HOME to another cache folder"
    )


def test_it_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", _compiler(tmp_path / "cc", f"echo x >> {tmp_path}/calls; exit 1"))
    assert _refusal() == _refusal()
    assert (tmp_path / "calls").read_text().count("x") == 1


def test_a_library_that_cannot_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the cache folder is shared with another kind of machine."""
    script = 'while [ $# -gt 0 ]; do [ "$1" = -o ] && echo junk > "$2"; shift; done'
    monkeypatch.setenv("CC", _compiler(tmp_path / "cc", script))
    assert ".so" in _refusal()


def test_a_damaged_library_is_made_again(tmp_path: Path) -> None:
    """As after a power failure."""
    path = tmp_path / "cache" / "rnnlab" / "kernels" / f"{build._identity(build._compiler())}.so"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    need_kernels()
    assert path.stat().st_size > 10_000


def test_where_there_are_no_locks_each_process_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    need_kernels()


def test_a_cache_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_compiler = build._compiler()
    assert need_compiler
    (tmp_path / "cache").write_text("a file")
    assert str(tmp_path / "cache") in _refusal()
