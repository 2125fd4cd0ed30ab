"""`rnnlab best`: an experiment file of the best run."""

import tomllib

from tests.support.commands import Cli, jobs


def test_best_is_an_experiment_file_of_that_very_run(with_results: Cli) -> None:
    outcome = with_results("best")
    assert outcome.err == ""
    document = tomllib.loads(outcome.out)
    assert (document["name"], document["model"]["n_layers"]) == ("small-best", 2)
    assert document["title"] == "best of small: min_loss 2.1000, job 4 of round explore"
    with_results.file("best.toml", outcome.out)
    assert with_results("init", "best.toml", "--db", "best.db").out == "small-best: added 1 job, 1 in the grid\n"
    (again,) = jobs(with_results.folder / "best.db")
    assert again.config_hash == jobs(with_results.folder / "results" / "rnnlab.db")[3].config_hash


def test_best_of_an_experiment_with_a_long_name(cli: Cli, small_toml: str) -> None:
    cli.file("runs.csv", "n_layers,use_forget_gate,min_loss\n1,0,2.4\n")
    assert cli("import", "runs.csv", "--experiment", "small.toml", "--as", "x" * 64).code == 0
    cli.file("best.toml", cli("best").out)
    assert cli("init", "best.toml").out == f"{'x' * 59}-best: added 1 job, 1 in the grid\n"
