"""What the doctor says about a machine that is well, and about one that is not."""

import sqlite3
from pathlib import Path

import pytest
import torch

from rnnlab.actions.doctor import Finding, Verdict, run_checks
from rnnlab.files import Workspace


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("RNNLAB_DATA", str(tmp_path / "data"))
    return Workspace(tmp_path / "results", tmp_path / "plots")


def _findings(workspace: Workspace, database: Path | None = None) -> dict[str, Finding]:
    return {finding.topic: finding for finding in run_checks(workspace, database or workspace.default_database)}


def test_a_fresh_machine_is_well_and_stays_as_it_is(workspace: Workspace, tmp_path: Path) -> None:
    findings = _findings(workspace)
    assert {finding.verdict for finding in findings.values()} <= {Verdict.GOOD, Verdict.WARNING}
    assert findings["results folder"].text.endswith("(will be created)")
    assert "rnnlab init" in findings["database"].text
    assert not (tmp_path / "results").exists()
    assert not (tmp_path / "plots").exists()


def test_a_foreign_database_is_wrong_and_untouched(workspace: Workspace, tmp_path: Path) -> None:
    foreign = tmp_path / "other.db"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE meals (name TEXT)")
    connection.close()
    before = foreign.read_bytes()
    finding = _findings(workspace, foreign)["database"]
    assert finding.verdict is Verdict.BAD
    assert "none of rnnlab's" in finding.text
    assert foreign.read_bytes() == before


def test_a_results_folder_under_a_file_is_wrong(tmp_path: Path, workspace: Workspace) -> None:
    (tmp_path / "file").write_text("")
    findings = _findings(Workspace(tmp_path / "file" / "results", workspace.plots_dir))
    assert findings["results folder"].verdict is Verdict.BAD
    assert "--results" in findings["results folder"].text


def test_products_that_depend_on_their_place_are_a_warning(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    bmm, calls = torch.bmm, []

    def shaky(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        product: torch.Tensor = bmm(x, weight)
        return product if len(calls) < 3 else product + 1e-7

    monkeypatch.setattr(torch, "bmm", shaky)
    finding = _findings(workspace)["same bits"]
    assert finding.verdict is Verdict.WARNING
    assert "MKL_CBWR" in finding.text


def test_a_check_that_breaks_is_a_finding_and_the_others_go_on(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr("shutil.disk_usage", broken)
    findings = _findings(workspace)
    assert findings["disk"].verdict is Verdict.BAD
    assert "of all things" in findings["disk"].text
    assert findings["corpora"].verdict is Verdict.GOOD
