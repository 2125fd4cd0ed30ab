"""`rnnlab export`: where it writes, what it replaces, and what it refuses."""

import json
import os
import re
import sys
from collections.abc import Callable

import pytest

from rnnlab.files import sha256_hex
from tests.support.commands import Cli

CHECKED = [  # format, the package that it needs, what it makes by default
    ("parquet", "pyarrow", "results/small/runs.parquet"),
    ("optuna", "optuna", "results/small/optuna.log"),
    ("tensorboard", "tensorboard", "results/small/tensorboard"),
]


def contents(cli: Cli, name: str) -> dict[str, str]:
    return {path: what for path, what in cli.tree().items() if path.startswith(name)}


@pytest.mark.parametrize("form", ["csv", "json"])
def test_tables_go_to_standard_output_or_to_a_file(with_results: Cli, form: str) -> None:
    before = with_results.tree()
    printed = with_results("export", "--to", form)
    assert (printed.code, printed.err) == (0, "small: 4 runs of 1 round\n")
    assert with_results.tree() == before
    named = with_results("export", "small", "--to", form, "--out", "new folder/table")
    assert (named.code, named.out) == (0, "new folder/table\n")
    assert (with_results.folder / "new folder" / "table").read_text() == printed.out
    losses = [row["min_loss"] for row in json.loads(printed.out)] if form == "json" else None
    assert losses in (None, [2.4, 2.3, 2.2, 2.1])


@pytest.mark.parametrize(("form", "package", "made"), CHECKED)
def test_files_for_other_tools_lie_beside_the_results(with_results: Cli, form: str, package: str, made: str) -> None:
    pytest.importorskip(package)
    before = with_results.tree()
    outcome = with_results("export", "--to", form)
    assert (outcome.code, outcome.out) == (0, f"{made}\n")
    first = contents(with_results, made)
    assert first
    added = with_results.tree().keys() - before.keys()
    assert {path for path in added if not path.startswith(made)} <= {"results/small"}
    assert with_results.tree().items() >= before.items()
    # Again: replaced, nothing is left beside it, and the same runs are there once.
    assert with_results("export", "--to", form).code == 0
    assert contents(with_results, made).keys() == first.keys()
    assert with_results.tree().keys() == before.keys() | added


def test_looking_does_not_write(with_results: Cli) -> None:
    database = with_results.folder / "results" / "rnnlab.db"
    before = sha256_hex(database.read_bytes())
    assert with_results("export", "--to", "csv").code == 0
    assert sha256_hex(database.read_bytes()) == before


def test_curves_as_a_table(with_results: Cli) -> None:
    assert with_results("export", "--to", "csv", "--curves").out == "id,round,step\n"


def test_the_next_command_is_named(with_results: Cli) -> None:
    pytest.importorskip("tensorboard")
    err = with_results("export", "--to", "tensorboard", "--out", "my runs").err
    assert err == "small: 4 runs of 1 round\nnext: tensorboard --logdir 'my runs'\n"


def test_runs_that_tensorboard_cannot_show_are_counted(with_jobs: Cli) -> None:
    pytest.importorskip("tensorboard")
    assert "4 runs omitted: nothing has been recorded for them\n" in with_jobs("export", "--to", "tensorboard").err


def check(cli: Cli, arguments: list[str], complaint: str) -> None:
    before = cli.tree()
    outcome = cli("export", *arguments)
    assert re.fullmatch(rf"rnnlab: .*{complaint}.*\n", outcome.err), outcome.err
    assert (outcome.code, outcome.out) == (2, "")
    assert cli.tree() == before


BAD = [
    (["--to", "xml"], r"'xml' is not one of 'csv', 'json', 'parquet', 'optuna', 'tensorboard'"),
    ([], r"Missing option '--to'.* csv, json, parquet, optuna, tensorboard: see `rnnlab export --help`"),
    (["other", "--to", "csv"], "no experiment 'other' in this database: it has small"),
    (["--to", "csv", "--db", "absent.db"], r"absent\.db"),
    (["--to", "json", "--curves"], "--curves applies to csv and parquet: --to json always contains the curves"),
    (["--to", "csv", "--out", "results"], "--out results is a folder: name a file"),
    (
        ["--to", "csv", "--out", "results/rnnlab.db"],
        r"--out results/rnnlab\.db is a database, which the export would overwrite",
    ),
    (["--to", "csv", "--out", "small.toml/x"], r"folder .*small\.toml is not writable"),
    (["--to", "optuna", "--out", "results/rnnlab.db"], r"--out results/rnnlab\.db is not an Optuna journal"),
    (["--to", "optuna", "--out", "small.toml"], r"--out small\.toml is not an Optuna journal"),
    (["--to", "tensorboard", "--out", "small.toml"], r"--out small\.toml is a file: name a folder"),
    (
        ["--to", "tensorboard", "--out", "results"],
        r"--out results holds .*, which is not part of an export: name another folder",
    ),
]


@pytest.mark.parametrize(("arguments", "complaint"), BAD)
def test_one_line_says_what_is_wrong(with_results: Cli, arguments: list[str], complaint: str) -> None:
    if "optuna" in arguments:
        pytest.importorskip("optuna")
    check(with_results, arguments, complaint)


@pytest.mark.parametrize(("form", "package", "_made"), CHECKED)
def test_a_missing_package_is_named_with_its_extra(
    with_results: Cli, monkeypatch: pytest.MonkeyPatch, form: str, package: str, _made: str
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    check(
        with_results,
        ["--to", form, "--out", "new/folder/x"],
        rf"--to {form} needs the package {package}: run `pip install 'rnnlab\[{form}\]'`",
    )


def test_a_disk_that_is_full_loses_nothing(with_results: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    assert with_results("export", "--to", "tensorboard").code == 0
    before = with_results.tree()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    broken: Callable[..., None] = full
    monkeypatch.setattr("rnnlab.actions.export.event_files._write", broken)
    monkeypatch.setattr(os, "fsync", broken)
    for form, out in (("tensorboard", "results/small/tensorboard"), ("csv", "table.csv")):
        outcome = with_results("export", "--to", form, "--out", out)
        assert outcome.code == 1
        assert outcome.err.startswith(f"rnnlab: --out {out} could not be written (No space left on device)")
        assert with_results.tree() == before
