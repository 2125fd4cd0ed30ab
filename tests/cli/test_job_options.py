"""Commands that change jobs: single ones, or all of an experiment or of a round."""

from tests.support.commands import Cli, Outcome, jobs


def test_a_priority_below_that_of_others(with_jobs: Cli) -> None:
    assert with_jobs("priority", "-5", "1").out == "job 1: has the new priority\n"
    assert {job.id: job.priority for job in jobs(with_jobs.folder / "results" / "rnnlab.db")} == {
        1: -5,
        2: 0,
        3: 0,
        4: 0,
    }


def test_all_jobs_of_an_experiment_or_of_a_round(with_results: Cli) -> None:
    cli = with_results
    assert cli("init", "demo").code == 0
    assert cli("analyze", "small").code == 0  # adds four jobs of round refine

    small = ["--experiment", "small"]
    others = [job.status for job in jobs(cli.folder / "results" / "rnnlab.db") if job.experiment == "demo"]
    paused = cli("pause", *small)
    assert paused.out == "4 jobs: left as it is: done\n4 jobs: paused\n"
    assert paused.err == "to undo this: rnnlab resume --experiment small\n"
    assert cli("resume", *small, "--round", "refine").out == "4 jobs: pending again\n"
    assert cli("priority", "-3", *small, "--round", "refine").out == "4 jobs: has the new priority\n"
    cancelled = cli("cancel", *small, "--round", "refine")
    assert cancelled.out == "4 jobs: cancelled\n"
    assert cancelled.err == "to undo this: rnnlab retry --experiment small --round refine\n"
    ours = [job for job in jobs(cli.folder / "results" / "rnnlab.db") if job.experiment == "small"]
    assert [(job.status, job.priority) for job in ours] == [("done", 0)] * 4 + [("cancelled", -3)] * 4
    assert cli("retry", *small, "--round", "refine").out == "4 jobs: pending again\n"
    assert [job.status for job in jobs(cli.folder / "results" / "rnnlab.db") if job.experiment == "demo"] == others
    for arguments, complaint in [
        (["cancel"], "no jobs given: name jobs, or give --experiment NAME for all of its jobs"),
        (["cancel", *small, "--round", "polish"], "--round polish: small has jobs in explore, refine"),
        (["cancel", "1", "--round", "refine"], "--round refine cannot be combined with JOB: use it with --experiment"),
        (["cancel", "--experiment", "other"], "no experiment 'other' in this database: it has demo, small"),
        (["retry", "--failed", "1"], "--failed selects all failed jobs: do not combine it with JOB or --round"),
    ]:
        assert cli(*arguments) == Outcome(2, "", f"rnnlab: {complaint}\n")
