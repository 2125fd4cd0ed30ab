"""`rnnlab compare`: two experiments of one database."""

import csv
from pathlib import Path

import pytest

from tests.support.commands import Cli

# The same four configurations, with more steps; the gate hurts here, and helps in `small`.
THEIRS = "n_layers,use_forget_gate,min_loss\n1,0,1.3\n1,1,1.4\n2,0,1.1\n2,1,1.2\n"


@pytest.fixture
def two(with_results: Cli, small_toml: str) -> Cli:
    """`small`, and `longer`, whose runs were imported."""
    with_results.file("longer.toml", small_toml.replace("windows = 2\nl", "windows = 9\nl"))
    with_results.file("theirs.csv", THEIRS)
    assert with_results("import", "theirs.csv", "--experiment", "longer.toml", "--as", "longer").code == 0
    return with_results


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*compare*")}


def test_what_it_says_and_writes(two: Cli) -> None:
    outcome = two("compare", "small", "longer")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [
        "The ranks of 4 configurations correlate by 0.60 (Spearman); no effect is clear in both.",
        "plots/small/compare-longer-losses.png",
        "plots/small/compare-longer-effects.png",
        "results/small/compare-longer.md",
    ]
    written = files(two.folder)
    assert sorted(written) == [
        *("plots/small/compare-longer-effects.png", "plots/small/compare-longer-effects.svg"),
        *("plots/small/compare-longer-losses.png", "plots/small/compare-longer-losses.svg"),
        *("results/small/compare-longer-effects.csv", "results/small/compare-longer.csv"),
        "results/small/compare-longer.md",
    ]
    text = written["results/small/compare-longer.md"].decode()
    assert "| windows | 2 | 9 |" in text
    assert "- Best of small: 2.1000 with forget gate, L = 2; in longer it has 1.2000 and rank 2 of 4.\n" in text
    assert "![Every configuration in both](../../plots/small/compare-longer-losses.png)" in text
    rows = list(csv.DictReader(written["results/small/compare-longer.csv"].decode().splitlines()))
    assert [(row["n_layers"], row["use_forget_gate"], row["here"], row["there"]) for row in rows] == [
        ("1", "False", "2.4", "1.3"),
        ("1", "True", "2.3", "1.4"),
        ("2", "False", "2.2", "1.1"),
        ("2", "True", "2.1", "1.2"),
    ]
    effects = list(csv.DictReader(written["results/small/compare-longer-effects.csv"].decode().splitlines()))
    gate = next(row for row in effects if row["factor"] == "use_forget_gate")
    assert (float(gate["median_here"]), float(gate["median_there"])) == pytest.approx((-0.1, 0.1))
    assert two("compare", "small", "longer").code == 0
    assert files(two.folder) == written


def test_rounds_and_experiments_that_cannot_be_compared(two: Cli) -> None:
    for arguments, complaint in (
        (["small", "small"], "small cannot be compared with itself: name two experiments"),
        (
            ["small", "longer", "--round", "refine"],
            "round 'refine' of small has no finished job: give --round a round that is finished in both experiments; "
            "small has explore",
        ),
    ):
        outcome = two("compare", *arguments)
        assert (outcome.code, outcome.out, outcome.err) == (2, "", f"rnnlab: {complaint}\n")
    two.file("one.csv", "n_layers,use_forget_gate,min_loss\n1,0,1.3\n")
    assert two("import", "one.csv", "--experiment", "longer.toml", "--as", "one").code == 0
    outcome = two("compare", "small", "one")
    assert outcome.code == 2 and outcome.err.startswith(
        "rnnlab: too few configurations can be compared (1; at least 3 are needed)"
    )
    assert not files(two.folder)
    assert not (two.folder / "plots").exists()
