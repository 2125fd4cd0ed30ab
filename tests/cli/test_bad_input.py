"""Whatever is wrong with the input: one line on stderr, exit code 2, nothing half-written."""

import re
import sqlite3
from collections.abc import Callable

import pytest

from rnnlab.queue.tables import SCHEMA_VERSION
from tests.support.commands import Cli, check_complaint

Prepare = Callable[[Cli], None]


# The experiment file

AXES = "n_layers = [1, 2]\nuse_forget_gate = [false, true]"
EXPERIMENT_FILES = [
    ("seed = 0", "sede = 0", r"bad\.toml: unknown key sede: known keys are name, title, corpus"),
    ('cell = "gated"', 'cell = "elman"', r'bad\.toml: model\.cell = "elman": known cells are gated, rnn, .*'),
    (
        'cell = "gated"',
        'cell = "lstm"',
        r'bad\.toml: cell "lstm" needs regime = "bptt": set it in \[training\]',
    ),
    (AXES, "", r"bad\.toml: \[grid\] is empty: give at least one axis"),
    ("n_layers = [1, 2]", "n_layers = []", r"bad\.toml: grid\.n_layers is empty: give at least one value"),
    ("n_layers = [1, 2]", "n_layers = [0]", r"bad\.toml: grid\.n_layers = 0: must be at least 1"),
    ("windows = 2", "windows = 2.5", r"bad\.toml: training\.windows = 2\.5: must be a whole number"),
    (
        "[grid]",
        "[[skip]]\nwhen = { state_size = 4 }\n[grid]",
        r"when\.state_size: \[grid\] has no axis of this name; axes are n_layers, use_forget_gate",
    ),
    ("[grid]", "[[skip]]\nwhen = { n_layers = [1, 2] }\n[grid]", "experiment small: the skip rules leave no run of"),
    (
        "[grid]",
        "[model]\nuse_new_state = false\nuse_residual = false\n[grid]",
        r"bad\.toml is not a TOML file: .*model",
    ),
    ("state_size = 4", "state_size = 4\nuse_new_state = false\nuse_residual = false", "the layer has no output"),
    ("set = { windows = 3 }", "set = { windows = 0 }", r"round refine: set\.windows = 0: must be at least 1"),
    ('"generated"', '"missing.txt"', r"no corpus or file 'missing\.txt': give a known corpus \(enwik8, "),
    ('"generated"', '""', r'corpus\.name = "": must be a non-empty string'),
    ('"generated"', '"enwik8"', "corpus enwik8 is not on this machine: run `rnnlab data fetch enwik8`, or download"),
    (
        '"generated"',
        f'{{ name = "generated", sha256 = "{"1" * 64}" }}',
        "'generated' is a different text here .*111111111",
    ),
]


@pytest.mark.parametrize(("old", "new", "complaint"), EXPERIMENT_FILES, ids=[c[:40] for _, _, c in EXPERIMENT_FILES])
def test_experiment_file(cli: Cli, small_toml: str, old: str, new: str, complaint: str) -> None:
    assert old in small_toml
    cli.file("bad.toml", small_toml.replace(old, new, 1))
    cli.file("runs.csv", "n_layers,use_forget_gate,min_loss\n1,0,2.4\n")
    check_complaint(cli, ["init", "bad.toml"], complaint)
    check_complaint(cli, ["run", "bad.toml"], complaint)
    # Results from elsewhere need no text where its hash is known.
    if not complaint.startswith(("corpus enwik8", "'generated'")):
        check_complaint(cli, ["import", "runs.csv", "--experiment", "bad.toml"], complaint)


METRICS = [
    (
        '[[rounds]]\nname = "refine"',
        '[analysis]\nmetric = "validaton_loss"\n[[rounds]]\nname = "refine"',
        r'experiment small: analysis\.metric = "validaton_loss": .*choose one of .*; did you mean validation_loss\?',
    ),
    (
        'by = "min_loss", top',
        'by = "mim_loss", top',
        r"round replicate: select\.by = .*; did you mean min_loss\?",
    ),
    (
        'by = "min_loss", top',
        'by = "host", top',
        r'round replicate: select\.by = "host": results will not have this metric',
    ),
    ('by = "min_loss", top', 'by = "epoch_loss", top', "results will not have this metric"),
    (
        '[[rounds]]\nname = "refine"',
        '[reproduction]\nsource = "s"\ntolerance = 0.1\nbecause = "b"\n[[reproduction.runs]]\nname = "r"\nset = {}\n'
        'reported = { test_los = 1.0 }\n[[rounds]]\nname = "refine"',
        r"reproduction run 'r': reported\.test_los: .*; did you mean test_loss\?",
    ),
    (
        'name = "replicate"',
        'name = "last"\nselect = { by = "x", top = 2 }\n[[rounds]]\nname = "replicate"',
        "choose one of",
    ),
]


@pytest.mark.parametrize(("old", "new", "complaint"), METRICS, ids=range(len(METRICS)))
def test_a_metric_that_no_result_will_have(cli: Cli, small_toml: str, old: str, new: str, complaint: str) -> None:
    assert old in small_toml
    cli.file("bad.toml", small_toml.replace(old, new, 1))
    for command in (["init", "bad.toml"], ["init", "bad.toml", "--dry-run"], ["run", "bad.toml"]):
        check_complaint(cli, command, complaint)


def test_experiment_file_that_is_none(cli: Cli) -> None:
    cli.file("text.toml", "dear diary")
    cli.file("binary.toml", bytes(range(256)))
    cli.file("binary.bin", bytes(range(256)))
    check_complaint(cli, ["init", "text.toml"], r"text\.toml is not a TOML file: Expected '=' after a key")
    check_complaint(cli, ["init", "binary.toml"], r"binary\.toml is not a TOML file: .*can't decode byte 0x80")
    check_complaint(
        cli, ["init", "missing.toml"], r"experiment file missing\.toml cannot be read: No such file or directory"
    )
    check_complaint(
        cli, ["init", "nothing"], "no experiment called 'nothing': the built-in experiments are demo, dynamics"
    )
    check_complaint(
        cli,
        ["init", "binary.bin"],
        r"no experiment called 'binary\.bin': the built-in experiments are .*; give a file of your own",
    )
    check_complaint(cli, ["init", ""], "no experiment called ''")


def test_scale(cli: Cli) -> None:
    check_complaint(
        cli,
        ["init", "small.toml", "--scale", "tiny"],
        "experiment small has no scale 'tiny': its file defines none, omit --scale",
    )
    check_complaint(cli, ["run", "dynamics", "--scale", "big"], "experiment dynamics has no scale 'big': it has tiny")


# Corpora


def test_corpus_file(cli: Cli) -> None:
    cli.file("short.txt", "x" * 100)
    cli.file("empty.txt", "")
    cli.file("damaged.gz", b"\x1f\x8b\x08broken")
    for option, complaint in [
        ("missing.txt", r"no corpus or file 'missing\.txt': give a known corpus \(enwik8"),
        ("empty.txt", r"empty\.txt is empty: give a file with text"),
        ("damaged.gz", r"damaged\.gz is a damaged gzip file"),
        (".", "is a folder: give the path of a text file"),
        ("short.txt", "corpus 'short' has 100 tokens and its validation split 5, but each split needs 11: use a text"),
    ]:
        for command in (["init", "small.toml"], ["init", "small.toml", "--dry-run"], ["run", "small.toml"]):
            check_complaint(cli, [*command, "--corpus", option], complaint)


def test_a_text_is_stored_with_jobs_and_not_before(cli: Cli, small_toml: str) -> None:
    cli.file("mine.txt", "to be or not to be, " * 50)
    cli.file("slow.toml", small_toml.replace("window_length = 11", "window_length = 1100"))
    shelf = cli.folder.parent / "data" / "corpora"
    check_complaint(cli, ["init", "slow.toml", "--corpus", "mine.txt"], "corpus 'mine' has 1,000 tokens")
    assert cli("init", "small.toml", "--corpus", "mine.txt", "--dry-run", "--device", "cpu").code == 0
    assert cli("data", "list").out.count("mine") == 0
    assert not shelf.exists()
    assert cli("init", "small.toml", "--corpus", "mine.txt").code == 0
    (text,) = shelf.glob("*/text")
    assert text.read_text() == "to be or not to be, " * 50
    (cli.folder / "mine.txt").unlink()
    assert cli("init", "small.toml", "--corpus", "mine").out == "small: added 0 jobs, 4 in the grid\n"


def test_a_text_beside_the_experiment_file(cli: Cli, small_toml: str) -> None:
    (cli.folder / "sub").mkdir()
    cli.file("sub/small.toml", small_toml.replace('"generated"', '"mine.txt"'))
    complaint = r"no corpus or file 'mine\.txt': .* searched the working directory"
    check_complaint(cli, ["init", "sub/small.toml"], f"{complaint} and in sub")
    cli.file("sub/mine.txt", "to be or not to be, " * 50)
    check_complaint(cli, ["init", "sub/small.toml", "--corpus", "mine.txt"], complaint)
    cli.file("runs.csv", "n_layers,use_forget_gate,min_loss\n1,0,2.4\n")
    assert cli("import", "runs.csv", "--experiment", "sub/small.toml").code == 0
    assert cli("init", "sub/small.toml").code == 0
    # One in the working directory goes before it.
    cli.file("mine.txt", "that is the question, " * 50)
    check_complaint(cli, ["init", "sub/small.toml"], "small was started with corpus mine")


def test_corpus_of_the_command_line_goes_above_that_of_the_file(cli: Cli, small_toml: str) -> None:
    cli.file("mine.txt", "to be or not to be, " * 50)
    cli.file("hers.txt", "that is the question, " * 50)
    insisting = small_toml.replace('"generated"', f'{{ name = "mine.txt", sha256 = "{"1" * 64}" }}')
    cli.file("insisting.toml", insisting)
    check_complaint(
        cli,
        ["init", "insisting.toml"],
        r"corpus 'mine\.txt' is a different text here \(sha256 [0-9a-f]{12}, expected 1{12}",
    )
    outcome = cli("init", "insisting.toml", "--corpus", "hers.txt")
    assert (outcome.code, outcome.out) == (0, "small: added 4 jobs, 4 in the grid\n")
    check_complaint(
        cli, ["init", "insisting.toml", "--corpus", "mine.txt"], r"small was started with corpus hers \(.*not with mine"
    )


def test_another_protocol_under_the_same_name(with_jobs: Cli, small_toml: str) -> None:
    with_jobs.file("small.toml", small_toml.replace("batch_size = 2", "batch_size = 3"))
    for command in ("init", "run"):
        check_complaint(
            with_jobs, [command, "small.toml"], "small was started with batch_size = 2, now it has 3: rename the exper"
        )


# The database


def _foreign(cli: Cli) -> None:
    connection = sqlite3.connect(cli.folder / "jobs.db")
    connection.execute("CREATE TABLE songs (title TEXT)")
    connection.commit()
    connection.close()


def _newer(cli: Cli) -> None:
    assert cli("init", "small.toml", "--db", "jobs.db").code == 0
    connection = sqlite3.connect(cli.folder / "jobs.db")
    connection.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", (str(SCHEMA_VERSION + 1),))
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _garbage(cli: Cli) -> None:
    cli.file("jobs.db", bytes(range(256)) * 100)


def _folder(cli: Cli) -> None:
    (cli.folder / "jobs.db").mkdir()


DATABASES: dict[str, tuple[Prepare, str]] = {
    "garbage": (_garbage, r"job database .*jobs\.db is not a SQLite database: name another with --db"),
    "foreign": (_foreign, r"database .*jobs\.db .*of rnnlab's: name another with --db"),
    "newer": (
        _newer,
        r"jobs\.db was written by a newer rnnlab \(schema \d+, this rnnlab supports \d+\): upgrade rnnlab",
    ),
    "folder": (_folder, r"job database .*jobs\.db is not a file: name another with --db"),
}
WITH_DATABASE = [
    ["init", "small.toml"],
    ["run", "small.toml"],
    ["import", "runs.csv", "--experiment", "small.toml"],
    ["worker"],
    ["status"],
    ["analyze"],
    ["best"],
    ["sample"],
    ["eval"],
    ["retry", "--failed"],
]


@pytest.mark.parametrize("kind", DATABASES)
def test_database_that_is_none_of_ours(cli: Cli, kind: str) -> None:
    prepare, complaint = DATABASES[kind]
    cli.file("runs.csv", "n_layers,use_forget_gate,min_loss\n1,0,2.4\n")
    prepare(cli)
    for command in WITH_DATABASE:
        check_complaint(cli, [*command, "--db", "jobs.db"], complaint)


def test_database_address(cli: Cli) -> None:
    check_complaint(cli, ["status", "--db", "sqlite://"], "give a path or sqlite:///PATH")
    check_complaint(cli, ["init", "small.toml", "--db", "small.toml/jobs.db"], r"job database .*small\.toml/jobs\.db")


@pytest.mark.parametrize("command", [command for command in WITH_DATABASE if len(command) == 1])
def test_no_database_yet(cli: Cli, command: list[str]) -> None:
    check_complaint(
        cli, command, r"no job database at .*here/results/rnnlab\.db: run `rnnlab init NAME` first, or name another"
    )


# Folders


def test_results_folder_that_cannot_be_written(cli: Cli) -> None:
    """Below a regular file: permissions would not stop every user of this test."""
    cli.file("runs.csv", "n_layers,use_forget_gate,min_loss\n1,0,2.4\n")
    complaint = r"results folder .*small\.toml/x is not writable \(.*\): make it writable or choose another folder"
    for command in (
        ["init", "small.toml"],
        ["run", "small.toml"],
        ["import", "runs.csv", "--experiment", "small.toml"],
        ["demo"],
    ):
        check_complaint(cli, [*command, "--results", "small.toml/x"], complaint)
        # The database lies elsewhere, and is not made either.
        check_complaint(cli, [*command, "--results", "small.toml/x", "--db", "jobs.db"], complaint)
    assert cli("init", "small.toml", "--db", "jobs.db").code == 0
    complaint = r"results folder .*small\.toml/x.* is not writable.*: make it writable or choose another folder"
    for command in (["worker"], ["analyze"], ["retry", "--failed"]):
        check_complaint(cli, [*command, "--results", "small.toml/x", "--db", "jobs.db"], complaint)
    check_complaint(cli, ["status", "--results", "small.toml/x"], r"job database .*small\.toml/x/rnnlab\.db")


def test_plots_folder_that_cannot_be_written(with_results: Cli) -> None:
    complaint = r"plots folder .*small\.toml/x/small is not writable \(.*\): make it writable or choose another fold"
    for command in (["analyze"], ["run", "small.toml"], ["run", "small.toml", "--db", "new.db", "--results", "new"]):
        check_complaint(with_results, [*command, "--plots", "small.toml/x"], complaint)


# Names


def test_device(with_jobs: Cli) -> None:
    complaint = "--device {}: give auto, cpu, cuda or cuda:N"
    for name in ("gpu", "cuda:x", "", "meta"):
        check_complaint(with_jobs, ["worker", "--device", name], complaint.format(name))
    check_complaint(with_jobs, ["init", "small.toml", "--dry-run", "--device", "gpu"], complaint.format("gpu"))
    check_complaint(with_jobs, ["run", "small.toml", "--device", "gpu"], complaint.format("gpu"))
    check_complaint(
        with_jobs,
        ["worker", "--device", "cuda:99"],
        r"--device cuda:99: torch finds \d+ GPUs on this host: give another",
    )
    check_complaint(with_jobs, ["init", "small.toml", "--device", "cpu"], "--device requires --dry-run")


def test_unknown_experiment(with_jobs: Cli) -> None:
    retry = ["retry", "--failed", "--experiment"]
    for command in (
        ["status"],
        ["worker"],
        ["analyze"],
        ["best"],
        retry,
        ["compare", "small"],
        ["sample", "--experiment"],
        ["eval", "--experiment"],
    ):
        check_complaint(with_jobs, [*command, "nothing"], "no experiment 'nothing' in this database: it has small")


def test_several_experiments(with_jobs: Cli, small_toml: str) -> None:
    with_jobs.file("other.toml", small_toml.replace('name = "small"', 'name = "other"'))
    assert with_jobs("init", "other.toml").code == 0
    for command in (["analyze"], ["best"], ["sample"], ["eval"]):
        check_complaint(with_jobs, command, "this database has several experiments: name one of other, small")


def test_nothing_finished(with_jobs: Cli) -> None:
    for command in (["best"], ["sample"], ["eval"]):
        check_complaint(with_jobs, command, "experiment small has no finished job yet: run `rnnlab worker`")


def test_no_best_job_among_finished_ones(with_results: Cli, small_toml: str) -> None:
    cli = with_results
    cli.file("lost.csv", "n_layers,use_forget_gate,min_loss\n1,0,nan\n2,1,inf\n")
    assert cli("import", "lost.csv", "--experiment", "small.toml", "--as", "lost").code == 0
    check_complaint(cli, ["best", "lost"], "no finished job of experiment lost has a finite min_loss")
    cli.file("small.toml", f'{small_toml}\n[analysis]\nmetric = "test_loss"\n')
    assert cli("init", "small.toml").code == 0
    for command in (["best", "small"], ["sample", "--experiment", "small"]):
        check_complaint(
            cli, command, "no result of experiment small contains its metric 'test_loss', only min_loss: change"
        )


def test_job(with_results: Cli) -> None:
    check_complaint(with_results, ["sample", "99"], "no job '99': give a job number or the first digits of a hash")
    check_complaint(with_results, ["sample", "best"], "no job 'best': give a job number or the first digits of a hash")
    check_complaint(with_results, ["sample", ""], "no job ''")
    check_complaint(with_results, ["sample", "9" * 30], "no job '9{30}'")
    complaint = r"job 1 has no intact checkpoint in .*: its result was imported without a model"
    check_complaint(with_results, ["sample", "1"], complaint)


def test_ambiguous_hash(cli: Cli, small_toml: str) -> None:
    cli.file("small.toml", small_toml.replace("n_layers = [1, 2]", f"n_layers = [1, 2]\nseed = {list(range(20))}"))
    assert cli("init", "small.toml").code == 0
    # 80 hashes: several begin with the same letter.
    letter = next(x for x in "abcdef" if "matches" in cli("sample", x).err)
    check_complaint(cli, ["sample", letter], rf"'{letter}' matches \d+ jobs: \d+, \d+.*; give a number")


def test_sampling_options(with_jobs: Cli) -> None:
    check_complaint(
        with_jobs, ["sample", "1", "--temperature", "-0.5"], "--temperature -0.5: give a number of at least 0"
    )
    check_complaint(
        with_jobs, ["sample", "1", "--temperature", "nan"], "--temperature nan: give a number of at least 0"
    )
    check_complaint(with_jobs, ["sample", "1", "--seed", "-1"], "--seed -1: give a number of at least 0")
    check_complaint(with_jobs, ["sample", "1", "--length", "-1"], "--length -1: give a number of at least 0")
    check_complaint(
        with_jobs, ["sample", "1", "--prime", ""], "--prime is empty: give at least one character to start from"
    )


def test_results_file(cli: Cli) -> None:
    def bad(content: str | bytes, complaint: str, *more: str) -> None:
        cli.file("runs.csv", content)
        check_complaint(cli, ["import", "runs.csv", "--experiment", "small.toml", *more], complaint)

    good = "n_layers,use_forget_gate,min_loss\n1,0,2.4\n"
    bad("n_layers,min_loss\n1,2.4\n", r"runs\.csv lacks the column 'use_forget_gate': experiment small varies")
    bad(good.replace("2.4", "good"), r"runs\.csv, line 2: min_loss = 'good': must be a number or empty")
    bad(good + "1,0\n", r"runs\.csv, line 3: the number of fields differs from the header, which has 3")
    bad("", r"runs\.csv has no rows: give a CSV file with a header line")
    bad(bytes(range(256)), r"runs\.csv is not a CSV file: .*can't decode")
    bad(good, "--round polish: the rounds of the experiment are explore, refine, replicate", "--round", "polish")
    bad(good, 'name = "My Run": must be lower-case letters', "--as", "My Run")
    check_complaint(
        cli, ["import", "missing.csv", "--experiment", "small.toml"], r"results file missing\.csv cannot be read: No"
    )
    check_complaint(
        cli, ["import", ".", "--experiment", "small.toml"], r"results file \. cannot be read: Is a directory"
    )
    cli.file("runs.csv", good)
    check_complaint(
        cli,
        ["import", "runs.csv", "--experiment", "nothing"],
        "no experiment called 'nothing': the built-in experiments are",
    )


# As the installed program does it, once for each class of error


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["init", "bad.toml"], r"bad\.toml: unknown key sede"),  # SpecError
        (["init", "small.toml", "--corpus", "missing.txt"], "no corpus or file"),  # CorpusError
        (["status"], "no job database at"),  # DatabaseError
        (["sample", "1", "--db", "jobs.db"], "job 1 has no intact checkpoint"),  # CheckpointError
        (["best", "nothing", "--db", "jobs.db"], "no experiment 'nothing'"),  # UsageError
    ],
)
def test_as_a_program(cli: Cli, small_toml: str, arguments: list[str], complaint: str) -> None:
    cli.file("bad.toml", small_toml.replace("seed = 0", "sede = 0"))
    if "--db" in arguments:
        assert cli("init", "small.toml", "--db", "jobs.db").code == 0
    check_complaint(cli, arguments, complaint, subprocess=True)


@pytest.mark.parametrize(
    ("variable", "value", "arguments", "complaint"),
    [
        ("RNNLAB_DEVICE", "foo", ["run", "small.toml"], "RNNLAB_DEVICE = foo: give auto, cpu, cuda or cuda:N"),
        ("RNNLAB_DEVICE", "foo", ["bench", "small.toml"], "RNNLAB_DEVICE = foo: give auto"),
        ("RNNLAB_DEVICE", "cpu", ["run", "small.toml", "--device", "foo"], "--device foo: give auto"),
        ("RNNLAB_ALLOW_CODE", "maybe", ["init", "small.toml"], "RNNLAB_ALLOW_CODE"),
    ],
)
def test_a_variable_is_named(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, arguments: list[str], complaint: str
) -> None:
    monkeypatch.setenv(variable, value)
    check_complaint(cli, arguments, complaint)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["init"], "Missing argument 'experiment'"),
        (["init", "small.toml", "--bogus"], "No such option: --bogus"),
        (["nonsense"], "No such command 'nonsense'"),
        (["worker", "--cohort", "0"], "--cohort"),
        (["worker", "--processes", "many"], "--processes"),
        (["sample", "--temperature", "warm"], "--temperature"),
        (["import", "runs.csv"], "Missing option '--experiment'"),
    ],
)
def test_usage_errors_of_the_parser_are_one_line_too(cli: Cli, arguments: list[str], complaint: str) -> None:
    before = cli.tree()
    outcome = cli(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    command = "rnnlab" if arguments[0] == "nonsense" else f"rnnlab {arguments[0]}"
    (line,) = outcome.err.splitlines()
    assert line.startswith("rnnlab: ")
    assert complaint in line
    assert not re.search("Input should|Value error|parse", line)  # words of a library
    assert line.endswith(f"see `{command} --help`")
    assert cli.tree() == before
