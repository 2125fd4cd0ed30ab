"""What commands print: data on stdout, messages on stderr, and what to do next."""

import contextlib
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from rnnlab.queue.database import open_database
from rnnlab.queue.job import Curve, WorkerRecord
from rnnlab.queue.store import Store
from tests.support.commands import Cli, Outcome, jobs
from tests.support.paths import public_text
from tests.support.store import fail_for_good

COLOUR = re.compile(r"\x1b\[[0-9;]*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[0-9;]*m")


# init


def test_init_adds_once(cli: Cli) -> None:
    first = cli("init", "small.toml")
    assert (first.code, first.out, first.err) == (0, "small: added 4 jobs, 4 in the grid\n", "next: rnnlab worker\n")
    assert cli("init", "small.toml").out == "small: added 0 jobs, 4 in the grid\n"
    assert cli.tree().keys() >= {"results", "results/rnnlab.db"}


def test_init_after_the_grid_has_changed(with_jobs: Cli, small_toml: str) -> None:
    with_jobs.file("small.toml", small_toml.replace("n_layers = [1, 2]", "n_layers = [2, 3]"))
    outcome = with_jobs("init", "small.toml")
    assert outcome.out == "small: added 2 jobs, 4 in the grid\n"
    assert outcome.err == "2 jobs of an earlier grid stay in the table\nnext: rnnlab worker\n"


def test_hints_carry_the_flags_of_the_command(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = cli("init", "small.toml", "--db", "my jobs.db", "--results", "there")
    assert outcome.err == "next: rnnlab worker --db 'my jobs.db' --results there\n"
    assert cli("status", "--db", "my jobs.db").err == "next: rnnlab worker small --db 'my jobs.db'\n"
    monkeypatch.setenv("RNNLAB_DB", "my jobs.db")
    assert cli("status").err == "next: rnnlab worker small\n"


def test_dry_run_agrees_with_init_and_writes_nothing(cli: Cli) -> None:
    cli("init", "demo", "--results", "other")
    before = cli.tree()
    outcome = cli("init", "small.toml", "--dry-run", "--device", "cpu")
    assert outcome.code == 0
    assert cli.tree() == before
    lines = outcome.out.splitlines()
    assert {line[:12].strip() for line in lines} == {
        "experiment",
        "corpus",
        "axis",
        "jobs",
        "parameters",
        "time",
        "disk",
        "then",
    }
    assert "axis        use_forget_gate: false, true" in lines
    assert "jobs        4 in the first round, 80 optimizer steps" in lines
    assert "then        refine: the best 50% by min_loss, 2 variants of each" in lines
    assert "then        replicate: the best 2 by min_loss, 3 seeds each" in lines
    assert outcome.err == "nothing was added: the same command without --dry-run does it\n"
    assert cli("init", "small.toml").out == "small: added 4 jobs, 4 in the grid\n"


def test_dry_run_says_at_once_what_it_knows_and_measures_for_a_minute(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    before: list[str] = []

    def measure(*_: object, **__: object) -> float:
        now[0] += 59.0 if not before else 2.0
        before.append(capfd.readouterr().out)
        return 1000.0

    monkeypatch.setattr("rnnlab.cost.estimate.model_steps_per_second", measure)
    monkeypatch.setattr("rnnlab.cost.estimate.time", SimpleNamespace(monotonic=lambda: now[0]))
    cli.file("small.toml", (cli.folder / "small.toml").read_text().replace("n_layers = [1, 2]", "n_layers = [1, 2, 3]"))
    outcome = cli("init", "small.toml", "--dry-run", "--device", "cpu")
    assert "axis        n_layers: 1, 2, 3\n" in before[0]
    assert "jobs        6 in the first round, 120 optimizer steps\n" in before[0]
    assert len(before) == 2
    assert (
        "time        less than a second of one core, measured on a few steps of 2 of 3 groups of jobs\n" in outcome.out
    )


def test_dry_run_shows_rules_as_the_file_writes_them(cli: Cli, small_toml: str) -> None:
    rule = "[[skip]]\nwhen = { n_layers = [1, 2], use_forget_gate = true }\nbecause = 'so'\n\n[grid]"
    cli.file("rules.toml", small_toml.replace("[grid]", rule))
    out = cli("init", "rules.toml", "--dry-run", "--device", "cpu").out
    assert "skip        n_layers = 1 or 2, use_forget_gate = true (so)\n" in out
    assert "jobs        2 in the first round, 40 optimizer steps\n" in out


def test_init_dynamics_on_the_beginning_of_enwik8(cli: Cli) -> None:
    text = str(public_text("enwik8.first1MB.gz"))
    assert cli("init", "dynamics", "--corpus", text).out == "dynamics: added 432 jobs, 432 in the grid\n"
    assert cli("init", "dynamics", "--corpus", text).out == "dynamics: added 0 jobs, 432 in the grid\n"
    assert {job.target_steps for job in jobs(cli.folder / "results" / "rnnlab.db")} == {10_989}


# verbs about jobs


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
        (["cancel"], "give jobs, or --experiment NAME for all of its jobs"),
        (["cancel", *small, "--round", "polish"], "--round polish: small has jobs in explore, refine"),
        (["cancel", "1", "--round", "refine"], "--round refine: use it with --experiment and without JOB"),
        (["cancel", "--experiment", "other"], "no experiment 'other' in this database: it has demo, small"),
        (["retry", "--failed", "1"], "--failed means all failed jobs: give either --failed, or JOB and --round"),
    ]:
        assert cli(*arguments) == Outcome(2, "", f"rnnlab: {complaint}\n")


# status


def test_status(with_jobs: Cli) -> None:
    outcome = with_jobs("status")
    assert outcome.out.splitlines() == [
        "small",
        "  round    pending  running  done  failed  trained",
        "  explore        4        0     0       0     0.0%",
        "  0 workers alive",
        "  time left unknown: nothing was trained here yet",
    ]
    assert outcome.err == "next: rnnlab worker small\n"


def test_status_of_finished_jobs(with_results: Cli) -> None:
    outcome = with_results("status")
    assert outcome.out.splitlines()[2:] == [
        "  explore        0        0     4       0   100.0%",
        "  best so far min_loss 2.1000: job 4 of round explore",
    ]
    assert outcome.err == "next: rnnlab analyze small\n"


def test_status_of_jobs_that_were_trained_here(with_jobs: Cli) -> None:
    engine = open_database(with_jobs.folder / "results" / "rnnlab.db", create=False)
    store, now = Store(engine), time.time()
    store.register_worker(WorkerRecord("w", "elsewhere", "", 1, "cpu", "/x", now, now, now + 3600, None))
    one, two = store.claim("w", 4)
    store.finish(one.claim, {"min_loss": 2.0}, 10.0, Curve())
    fail_for_good(store, two.claim, "Traceback")
    engine.dispose()
    outcome = with_jobs("status")
    assert outcome.out.splitlines()[1:] == [
        f"  FAILED job {two.id}: Traceback",
        "  round    pending  running  done  failed  trained",
        "  explore        2        0     1       1    25.0%",
        "  1 worker alive",
        "  time left 0:00:20 with 1 worker, 2 model-steps/s each",
        "  best so far min_loss 2.0000: job 1 of round explore",
    ]
    # The worker goes on: nothing is to be done.
    assert outcome.err == ""


def test_status_of_failed_jobs(with_results: Cli) -> None:
    with_results.file("more.toml", (with_results.folder / "small.toml").read_text().replace("[1, 2]", "[1, 2, 3]"))
    assert with_results("init", "more.toml").out == "small: added 2 jobs, 6 in the grid\n"
    engine = open_database(with_results.folder / "results" / "rnnlab.db", create=False)
    store, now = Store(engine), time.time()
    store.register_worker(WorkerRecord("w", "elsewhere", "", 1, "cpu", "/x", now, now, now + 3600, None))
    for job in store.claim("w", 4):
        fail_for_good(store, job.claim, "Traceback")
    store.stop_worker("w")
    engine.dispose()
    assert with_results("status").err == "2 jobs failed; to let them run again: rnnlab retry --failed\n"
    assert with_results("analyze").err.startswith(
        "round explore: 2 of 6 jobs failed: `rnnlab retry --failed` lets them run"
    )
    retried = with_results("retry", "--failed", "--experiment", "small")
    assert sorted(line.split(": ")[1] for line in retried.out.splitlines()) == ["pending again"] * 2
    assert with_results("status").err == "next: rnnlab worker small\n"


def test_status_of_several_experiments(with_results: Cli) -> None:
    assert with_results("init", "demo").code == 0
    both = with_results("status").out
    assert [line for line in both.splitlines() if line[:1].strip()] == ["demo", "small"]
    only = with_results("status", "small").out
    assert both.endswith(f"\n\n{only}")


def test_status_as_json(with_results: Cli) -> None:
    before = with_results.tree()
    outcome = with_results("status", "--json")
    assert with_results.tree() == before
    assert outcome.err == ""
    document = json.loads(outcome.out)
    assert document["workers"] == []
    (one,) = document["experiments"]
    assert one["experiment"] == "small"
    none = dict.fromkeys(("pending", "running", "failed", "paused", "cancelled"), 0)
    assert one["rounds"] == [{"name": "explore", "done": 4, "percent": 100.0, **none}]
    assert one["best"] == {"job_id": 4, "round": "explore", "metric": "min_loss", "value": 2.1}


@pytest.mark.parametrize("command", [["status"], ["status", "--json"], ["best"], ["analyze", "--no-enqueue"]])
def test_looking_changes_no_byte_of_the_database(with_results: Cli, command: list[str]) -> None:
    def database() -> dict[str, str]:
        return {name: found for name, found in with_results.tree().items() if name.startswith("results/rnnlab.db")}

    before = database()
    assert with_results(*command).code == 0
    assert database() == before


# best


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


# import and analyze


def test_import(cli: Cli) -> None:
    cli.file("runs.csv", "n_layers,use_forget_gate,min_loss\n1,0,2.4\n1,0,2.5\n")
    outcome = cli("import", "runs.csv", "--experiment", "small.toml", "--as", "hers", "--results", "there")
    assert (outcome.code, outcome.out) == (0, "hers: added 2 finished jobs to round explore, 2 rows read\n")
    assert outcome.err == (
        "1 row with the settings of another one: further seeds\nnext: rnnlab analyze hers --results there\n"
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
    assert outcome.err.startswith("1 row left out: the table has such a job, which is not done. To import its result, ")


def test_a_read_only_table_is_analysed_where_nothing_is_to_be_added(
    with_results: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert with_results("analyze", "--no-enqueue").code == 0  # loads what an ordinary user may not read here
    table = (with_results.folder / "results" / "rnnlab.db").read_bytes()
    folder = Path(tempfile.mkdtemp())  # pytest's are closed to the ordinary user whom permissions bind
    try:
        for name in ("table", "results", "plots"):
            (folder / name).mkdir()
            (folder / name).chmod(0o777)
        database = folder / "table" / "jobs.db"
        database.write_bytes(table)
        database.chmod(0o444)
        (folder / "table").chmod(0o555)
        folder.chmod(0o755)
        monkeypatch.chdir(folder)
        former = os.geteuid()
        os.seteuid(65_534 if former == 0 else former)
        try:
            refused = with_results("analyze", "--db", "table/jobs.db")
            done = with_results("analyze", "--no-enqueue", "--db", "table/jobs.db")
        finally:
            os.seteuid(former)
        assert (refused.code, "is read-only" in refused.err) == (2, True)
        assert (done.code, done.out.startswith("explore: ")) == (0, True), done.err
        assert database.read_bytes() == table
    finally:
        monkeypatch.undo()
        (folder / "table").chmod(0o755)
        shutil.rmtree(folder)


def test_analyze_says_what_follows_and_then_adds_it_once(with_results: Cli) -> None:
    asked = with_results("analyze", "--no-enqueue")
    plan = [
        "round refine: 4 jobs from the best 2 of 4 runs by min_loss (50%): 4 variants",
        "  all with windows = 3",
        "  each otherwise unchanged",
        "  each with state_size = 6",
        "  cost: 120 optimizer steps",  # and no time: the four were imported
    ]
    missing = "round refine: 4 jobs are not in the table yet; rnnlab analyze adds them"
    assert asked.err.splitlines() == [*plan, missing]
    assert len(jobs(with_results.folder / "results" / "rnnlab.db")) == 4

    told = with_results("analyze")
    assert told.err.splitlines() == [*plan, "round refine: 4 jobs added; next: rnnlab worker"]
    assert len(jobs(with_results.folder / "results" / "rnnlab.db")) == 8
    sentence, *paths = told.out.splitlines()
    assert sentence.startswith("explore: Best: 2.1")
    assert paths
    assert all((with_results.folder / path).is_file() for path in paths)
    assert paths[-2:] == ["results/small/report.md", "results/small/report.html"]

    assert with_results("analyze").err == "round refine: 0 of 4 jobs are done; next: rnnlab worker\n"


def test_analyze_says_how_long_the_next_round_takes(with_jobs: Cli) -> None:
    engine = open_database(with_jobs.folder / "results" / "rnnlab.db", create=False)
    store, now = Store(engine), time.time()
    for worker in ("w", "x"):
        store.register_worker(WorkerRecord(worker, "elsewhere", "", 1, "cpu", "/x", now, now, now + 3600, None))
    for _ in range(2):
        for job in store.claim("w", 4):  # one layer at 2 steps a second, two layers at 1
            store.finish(job.claim, {"min_loss": 1.0 + job.id}, 10.0 if job.id <= 2 else 20.0, Curve())
    # The best two have one layer; runs with state_size = 6 are of another group, which nobody has trained.
    asked = with_jobs("analyze", "--no-enqueue").err.splitlines()
    time_left = "about 0:00:15 with 2 workers for the 2 jobs of sizes that were trained here before"
    assert asked[4] == f"  cost: 120 optimizer steps, {time_left}"
    store.stop_worker("x")
    alike = (with_jobs.folder / "small.toml").read_text().replace("\n[[rounds.vary]]\nset = { state_size = 6 }\n", "")
    with_jobs.file("small.toml", alike)
    with_jobs("init", "small.toml")
    assert with_jobs("analyze", "--no-enqueue").err.splitlines()[2] == (
        "  cost: 60 optimizer steps, about 0:00:30 with 1 worker"
    )
    engine.dispose()


def test_analyze_before_anything_is_done(with_jobs: Cli) -> None:
    outcome = with_jobs("analyze")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == "round explore: 0 of 4 jobs are done; next: rnnlab worker\n"


# Escape codes


def test_no_escape_codes_off_a_terminal(with_results: Cli) -> None:
    for command in (["--help"], ["init", "--help"], ["init", "small.toml"], ["status"], ["best"], ["data", "list"]):
        outcome = with_results(*command)
        assert outcome.code == 0
        assert "\x1b" not in outcome.out + outcome.err
    outcome = with_results("init", "--bogus")
    assert outcome.code == 2
    assert "\x1b" not in outcome.out + outcome.err


@pytest.mark.parametrize("settings", [{}, {"NO_COLOR": "1"}], ids=["coloured", "plain"])
def test_watching_on_a_terminal(with_results: Cli, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]) -> None:
    """It fills the other screen of the terminal, and leaves it when it is interrupted."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("COLUMNS")
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    child = subprocess.Popen(
        [sys.executable, "-m", "rnnlab", "status", "--watch"],
        cwd=with_results.folder,
        stdin=terminal,
        stdout=terminal,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TERM": "xterm-256color", **settings},
    )
    os.close(terminal)
    written = b""
    while b"Ctrl-C ends this view" not in written:
        written += os.read(controller, 65536)
    child.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):  # the other end is closed
        while chunk := os.read(controller, 65536):
            written += chunk
    _, errors = child.communicate(timeout=60)
    os.close(controller)
    shown = written.decode()
    assert (child.returncode, errors) == (130, "rnnlab: interrupted\n")
    assert "next: rnnlab analyze small" in shown
    assert "\x1b[?1049h" in shown
    assert shown.rindex("\x1b[?1049l") > shown.index("Ctrl-C")
    assert bool(COLOUR.search(shown)) is not bool(settings)


def test_watching_off_a_terminal(with_results: Cli) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "rnnlab", "status", "--watch"],
        cwd=with_results.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    lines = [child.stdout.readline() for _ in range(4)]
    child.send_signal(signal.SIGINT)
    out, errors = child.communicate(timeout=60)
    assert "".join(lines).splitlines() == with_results("status").out.splitlines()
    assert (child.returncode, errors) == (130, "rnnlab: interrupted\n")
    assert "\x1b" not in out


def test_ctrl_c_that_was_ignored_from_the_start_stays_so(with_results: Cli) -> None:
    """As of `rnnlab status --watch &` in a script: the Ctrl-C is meant for others."""
    child = subprocess.Popen(
        ["sh", "-c", """trap '' INT; exec "$0" -m rnnlab status --watch""", sys.executable],
        cwd=with_results.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    first = [child.stdout.readline() for _ in range(4)]
    child.send_signal(signal.SIGINT)
    later = [child.stdout.readline() for _ in range(12)]
    child.terminate()
    _, errors = child.communicate(timeout=60)
    assert later.count(first[0]) > 1
    assert (child.returncode, errors) == (-signal.SIGTERM, "")


def _on_a_terminal(arguments: list[str], folder: Path, **settings: str) -> str:
    """What the command writes where stdout and stderr are a terminal."""
    controller, terminal = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "rnnlab", *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm-256color", **settings},
    )
    os.close(terminal)
    written = b""
    while True:
        try:
            chunk = os.read(controller, 65536)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        written += chunk
    os.close(controller)
    assert child.wait(timeout=60) == 0
    return written.decode()


def test_no_color_on_a_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert COLOUR.search(_on_a_terminal(["--help"], cli.folder))
    assert not COLOUR.search(_on_a_terminal(["--help"], cli.folder, NO_COLOR="1"))


# A whole experiment


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
