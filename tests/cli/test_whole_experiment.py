"""An experiment from `rnnlab run` to the report and to a sample of its best model."""

import json

from tests.support.commands import Cli, jobs


def test_run_to_the_end_then_look_and_sample(cli: Cli) -> None:
    outcome = cli("run", "small.toml", "--device", "cpu")
    assert outcome.code == 0, outcome.err
    assert "small: 4 jobs in round explore, 4 of them new\n" in outcome.err
    refine, replicate = (outcome.err.index(f"round {name}: ") for name in ("refine", "replicate"))
    assert outcome.err[refine:].startswith("round refine: 4 jobs from the best 2 of 4 runs by min_loss (50%): 4 var")
    assert outcome.err[replicate:].startswith("round replicate: 6 jobs from the best 2 of 4 runs by min_loss: 2 varia")
    assert refine < outcome.err.index("round refine: 4 jobs added\n") < replicate
    assert "round replicate: 6 jobs added\n" in outcome.err
    assert "every round is complete\n" in outcome.err
    assert outcome.out.splitlines()[-1] == "report: results/small/report.html"
    assert cli("status", "--json").out.count('"done"') == 3
    table = jobs(cli.folder / "results" / "rnnlab.db")
    assert {job.status.value for job in table} == {"done"}
    assert len(table) == 14

    page = (cli.folder / "results" / "small" / "report.html").read_bytes()
    assert cli("analyze").err == "every round is complete\n"
    assert (cli.folder / "results" / "small" / "report.html").read_bytes() == page
    assert cli("status").err == ""
    assert cli("run", "small.toml", "--device", "cpu").code == 0
    assert len(jobs(cli.folder / "results" / "rnnlab.db")) == 14

    asked = ["--length", "20", "--prime", "Once", "--temperature", "0"]
    best = cli("sample", *asked)
    assert (best.code, best.err) == (0, "")
    assert best.out.startswith("Once")
    assert best.out.endswith("\n")
    chosen = json.loads(cli("status", "--json").out)["experiments"][0]["best"]["job_id"]
    job = table[chosen - 1]
    assert cli("sample", str(job.id), *asked) == best
    assert cli("sample", job.config_hash[:16], *asked) == best
    assert cli("sample", "--length", "0", "--prime", "Once").out == "Once\n"
