"""`rnnlab import`: the messages about added, repeated and omitted rows."""

from tests.support.commands import Cli


def test_import(cli: Cli) -> None:
    cli.file("runs.csv", "n_layers,use_forget_gate,min_loss\n1,0,2.4\n1,0,2.5\n")
    outcome = cli("import", "runs.csv", "--experiment", "small.toml", "--as", "hers", "--results", "there")
    assert (outcome.code, outcome.out) == (0, "hers: added 2 finished jobs to round explore, 2 rows read\n")
    assert outcome.err == (
        "1 row with repeated settings imported as further seeds\nnext: rnnlab analyze hers --results there\n"
    )
    again = cli("import", "runs.csv", "--experiment", "small.toml", "--as", "hers", "--results", "there")
    assert again.out == "hers: added 0 finished jobs to round explore, 2 rows read\n"


def test_import_by_a_metric_that_is_unknown_here(cli: Cli, small_toml: str) -> None:
    cli.file("small.toml", f'{small_toml}\n[analysis]\nmetric = "nats"\n')
    cli.file("runs.csv", "n_layers,use_forget_gate,nats\n1,0,2.4\n2,1,2.1\n")
    assert cli("import", "runs.csv", "--experiment", "small.toml").code == 0
    assert "nats 2.1" in cli("best").out


def test_import_after_init_says_what_it_left_out(with_jobs: Cli) -> None:
    with_jobs.file("runs.csv", "n_layers,use_forget_gate,min_loss\n1,0,2.4\n")
    outcome = with_jobs("import", "runs.csv", "--experiment", "small.toml")
    assert outcome.out == "small: added 0 finished jobs to round explore, 1 row read\n"
    assert outcome.err.startswith(
        "1 row omitted: the table has an unfinished job with these settings. To import the result, "
    )
