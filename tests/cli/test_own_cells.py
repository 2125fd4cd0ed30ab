"""A user's own cell from the file to the text it writes: permission, identity, bad input."""

import ast
import json
from typing import Any

import pytest
import torch

import rnnlab
from rnnlab.errors import CellError
from rnnlab.files import Workspace, sha256_hex
from rnnlab.plans.plan import config_of, stored_plan
from rnnlab.queue.database import open_database
from rnnlab.queue.job import Job, Status, WorkerRecord
from rnnlab.queue.store import Store
from rnnlab.training.checkpoint import decode
from rnnlab.worker import Worker, WorkerOptions
from tests.support.commands import Cli
from tests.support.paths import ROOT
from tests.support.store import fail_for_good

EXAMPLE_FILE = ROOT / "docs" / "examples" / "minimal_cell.py"
EXAMPLE = EXAMPLE_FILE.read_text()
OWN = """\
name = "own"
corpus = "generated"

[model]
cell = "cells/mine.py:Minimal"
n_layers = 2
embedding_size = 4
skip = "add"
start_state = "learned"

[training]
regime = "bptt"
batch_size = 3
block_size = 5
iterations = 4
learning_rate = 1e-2
record_every = 2

[grid]
state_size = [4, 6]

[analysis]
metric = "min_loss"

[[rounds]]
name = "replicate"
select = { by = "min_loss", top = 1 }
seeds = 2
"""


@pytest.fixture
def own(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """A folder with own.toml and cells/mine.py, the documented example with a trace of its execution."""
    monkeypatch.delenv("RNNLAB_ALLOW_CODE", raising=False)
    (cli.folder / "cells").mkdir()
    cli.file("own.toml", OWN)
    write_cell(cli, EXAMPLE)
    return cli


def write_cell(cli: Cli, source: str) -> None:
    trace = f"open({str(cli.folder / 'executed')!r}, 'a').close()\n"
    cli.file("cells/mine.py", source.replace("\nimport torch\n", f"\nimport torch\n{trace}", 1))


def executed(cli: Cli) -> bool:
    return (cli.folder / "executed").exists()


def table(cli: Cli) -> tuple[list[Job], dict[str, str]]:
    """The jobs, and the sources that are stored."""
    engine = open_database(cli.folder / "results" / "rnnlab.db", create=False)
    store = Store(engine)
    jobs, code = store.jobs("own"), stored_plan(store, "own").experiment.code
    engine.dispose()
    return jobs, {sha256: file.source for sha256, file in code.items()}


def test_the_documented_example_is_trained_stopped_resumed_evaluated_and_writes(own: Cli) -> None:
    assert own("init", "own.toml", "--allow-code").code == 0
    jobs, code = table(own)
    ((sha256, source),) = code.items()
    assert source == (own.folder / "cells" / "mine.py").read_text()
    assert {config_of(job).model.cell for job in jobs} == {f"Minimal@{sha256}"}
    # From here on the file is not needed, nor does it matter.
    (own.folder / "cells" / "mine.py").unlink()
    assert own("worker", "--allow-code", "--max-jobs", "1", "--cohort", "1", "--device", "cpu").code == 0
    assert sorted(job.status for job in table(own)[0]) == [Status.DONE, Status.PENDING]
    assert own.in_subprocess("worker", "--allow-code", "--device", "cpu").code == 0
    assert {job.status for job in table(own)[0]} == {Status.DONE}
    outcome = own("eval", "1", "--json", "--allow-code")
    assert outcome.code == 0
    result = table(own)[0][0].result
    assert result is not None
    assert json.loads(outcome.out)["loss"] > 0
    sampled = own("sample", "1", "--length", "9", "--allow-code").out
    assert sampled == rnnlab.load_model(1, allow_code=True).generate(length=9) + "\n"
    assert own("analyze").code == 0
    # What `best` prints has the code: the same run under the same hash.
    best = own("best").out
    own.file("best.toml", best)
    assert own("init", "best.toml", "--allow-code", "--db", "other.db").code == 0
    engine = open_database(own.folder / "other.db", create=False)
    (again,) = Store(engine).jobs("own-best")
    engine.dispose()
    assert again.config_hash in {job.config_hash for job in jobs}


class _StopsAfterABlock:
    """A view that stops its worker once something was trained."""

    def __init__(self) -> None:
        self.worker: Worker | None = None
        self.steps: list[int] = []

    def message(self, text: str) -> None:
        pass

    def block_done(self, training: int, steps: int, seconds: float) -> None:
        self.steps.append(steps)
        if self.worker is not None:
            self.worker.stop_requested.set()

    def job_done(self, job: Job, result: dict[str, Any]) -> None:
        pass


def test_a_stopped_worker_and_the_next_one_end_with_the_bytes_of_one_that_never_stopped(own: Cli) -> None:
    own.file("own.toml", OWN.replace("iterations = 4", "iterations = 120"))
    finals: dict[str, dict[str, bytes]] = {}
    for results in ("stopped", "whole"):
        assert own("init", "own.toml", "--allow-code", "--results", results).code == 0
        workspace = Workspace(own.folder / results, own.folder / "plots")
        engine = open_database(workspace.default_database, create=False)
        store, view = Store(engine), _StopsAfterABlock()
        options = WorkerOptions(torch.device("cpu"), allow_code=True)
        if results == "stopped":
            view.worker = Worker(store, workspace, options, view)
            view.worker.run()
            assert sum(view.steps) < 120
            assert {job.status for job in store.jobs("own")} == {Status.PENDING}
            assert any(job.step > 0 for job in store.jobs("own"))
            view.worker = None
        Worker(store, workspace, options, view).run()
        assert {(job.status, job.step) for job in store.jobs("own")} == {(Status.DONE, 120)}
        finals[results] = {
            job.config_hash: (workspace.results_dir / (job.result or {})["checkpoint"]).read_bytes()
            for job in store.jobs("own")
        }
        engine.dispose()
    assert finals["stopped"] == finals["whole"]
    assert len(finals["whole"]) == 2
    # A checkpoint says which code made it.
    made_by = {json.loads(decode(data, "").config_json)["model"]["cell"] for data in finals["whole"].values()}
    assert made_by == {f"Minimal@{sha256_hex((own.folder / 'cells' / 'mine.py').read_bytes())}"}


def test_without_permission_nothing_is_executed(own: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    before = own.tree()
    for command in (["init", "own.toml"], ["init", "own.toml", "--dry-run"], ["run", "own.toml"]):
        outcome = own(*command)
        assert outcome.code == 2
        assert len(outcome.err.splitlines()) == 1
        assert (
            "is code, which does not run without permission: read it, and if you trust it add --allow-code"
            in outcome.err
        )
    with pytest.raises(CellError, match="is code, which does not run without permission"):
        rnnlab.init("own.toml")
    assert "add --allow-code" in own("check-cell", "cells/mine.py:Minimal").err
    assert own.tree() == before
    # A variable of the environment will do, for workers that other programs start.
    monkeypatch.setenv("RNNLAB_ALLOW_CODE", "1")
    assert own("init", "own.toml").code == 0
    monkeypatch.delenv("RNNLAB_ALLOW_CODE")
    (own.folder / "executed").unlink()
    # In processes of their own: this one has loaded the code.
    outcome = own.in_subprocess("worker", "--device", "cpu")
    assert (outcome.code, executed(own)) == (2, False)
    assert "add --allow-code" in outcome.err.splitlines()[-1]
    assert {(job.status, job.step) for job in table(own)[0]} == {(Status.PENDING, 0)}
    outcome = own.in_subprocess("worker", "--device", "cpu", "--processes", "2", "--allow-code")
    assert (outcome.code, executed(own)) == (0, True), outcome.err
    (own.folder / "executed").unlink()
    outcome = own.in_subprocess("sample", "1")
    assert (outcome.code, outcome.out, executed(own)) == (2, "", False)
    assert "add --allow-code" in outcome.err


def test_run_passes_the_permission_on(own: Cli) -> None:
    outcome = own.in_subprocess("run", "own.toml", "--allow-code", "--device", "cpu")
    assert outcome.code == 0, outcome.err
    assert [job.round for job in table(own)[0]] == ["explore", "explore", "replicate", "replicate"]


def test_hints_give_the_permission_to_those_commands_that_take_it(own: Cli) -> None:
    assert own("init", "own.toml", "--allow-code").err == "next: rnnlab worker --allow-code\n"
    assert own("status").err == "next: rnnlab worker own --allow-code\n"
    assert own("analyze").err == "round explore: 0 of 2 jobs are done; next: rnnlab worker --allow-code\n"
    engine = open_database(own.folder / "results" / "rnnlab.db", create=False)
    store = Store(engine)
    now = store.clock()
    store.register_worker(WorkerRecord("w", "elsewhere", "", 1, "cpu", "/x", now, now, now + 3600, None))
    for job in store.claim("w", 2):
        fail_for_good(store, job.claim, "Traceback")
    store.stop_worker("w")
    engine.dispose()
    outcome = own.in_subprocess("run", "own.toml", "--allow-code", "--device", "cpu")
    assert "run them again with `rnnlab retry --failed`" in outcome.err


def test_another_code_under_the_same_name_is_refused(own: Cli) -> None:
    assert own("init", "own.toml", "--allow-code").code == 0
    write_cell(own, EXAMPLE + "\n# changed\n")
    outcome = own("init", "own.toml", "--allow-code")
    assert outcome.code == 2
    assert "experiment own was started with cell = " in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_own_cells_beside_built_in_ones(own: Cli) -> None:
    """As an axis of the grid, which may grow by another version: the code of both is kept."""
    beside = OWN.replace('cell = "cells/mine.py:Minimal"\n', "").replace(
        "[grid]\n", '[grid]\ncell = ["rnn", "cells/mine.py:Minimal"]\n'
    )
    beside += '\n[[skip]]\nwhen = { cell = "cells/mine.py:Minimal", state_size = 6 }\n'
    own.file("own.toml", beside)
    assert own("init", "own.toml", "--allow-code").code == 0
    assert len(table(own)[0]) == 3
    write_cell(own, EXAMPLE + "\n# changed\n")
    assert own("init", "own.toml", "--allow-code").code == 0
    jobs, code = table(own)
    assert (len(jobs), len(code)) == (4, 2)
    assert own("worker", "--allow-code", "--device", "cpu").code == 0
    assert {job.status for job in table(own)[0]} == {Status.DONE}


BAD = {
    "no file": (None, "cells/mine.py cannot be read: No such file or directory"),
    "no class": ("class Other:\n    pass\n", "mine.py has no class Minimal; its cells: none"),
    "no cell": ("class Minimal:\n    pass\n", "Minimal in mine.py is not a cell"),
    "no step": (
        "from rnnlab.models.cells import Cell\nclass Minimal(Cell):\n    def parameters(self, n):\n        ...\n",
        "Minimal in mine.py does not define step: a cell must define parameters and step",
    ),
    "raises": ("import math\n\nx = 1 / 0\n", "mine.py, line 3: ZeroDivisionError: division by zero"),
    "leaves": ("raise SystemExit('bye')\n", "mine.py, line 1: SystemExit: bye"),
    "no Python": ("class Minimal(:\n", "mine.py, line 1: SyntaxError"),
    "no text": ("\udcff", "is not a UTF-8 text file"),
    "wrong step": (
        EXAMPLE.replace("return ((1 - f) * h + f * c,)", "return (1 - f) * h + f * c"),
        "step() returns Tensor: it must return a tuple of n_states = 1 tensors",
    ),
    "wrong parameters": (
        EXAMPLE.replace("self.bias(2 * S, fan_in)", "(2 * S,)"),
        "parameters()['input.bias'] is tuple: it must be a Parameter",
    ),
    "wrong width": (
        EXAMPLE.replace("f * h, w", "p_MBP, w"),
        "a small model raises RuntimeError",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_code_is_one_line(own: Cli, case: str) -> None:
    source, sentence = BAD[case]
    path = own.folder / "cells" / "mine.py"
    if source is None:
        path.unlink()
    else:
        path.write_bytes(source.encode(errors="surrogateescape"))
    before = own.tree()
    outcome = own("init", "own.toml", "--allow-code")
    assert (outcome.code, outcome.out) == (2, "")
    assert sentence in outcome.err
    assert len(outcome.err.splitlines()) == 1
    assert own.tree() == before


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        ("cells/mine.py", "write a cell of your own as FILE.py:CLASS"),
        ("cells/mine.py:9", "write a cell of your own as FILE.py:CLASS"),
        ("Minimal", 'a class of your own as "FILE.py:CLASS"'),
        (f"Minimal@{'0' * 64}", "cell Minimal@000000000000: the experiment does not contain its code"),
    ],
)
def test_a_cell_that_is_spelled_otherwise(own: Cli, cell: str, sentence: str) -> None:
    own.file("own.toml", OWN.replace("cells/mine.py:Minimal", cell))
    outcome = own("init", "own.toml", "--allow-code")
    assert outcome.code == 2
    assert sentence in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_code_that_its_hash_does_not_fit(own: Cli) -> None:
    own.file("own.toml", OWN + f'\n[code.{"0" * 64}]\nfile = "x.py"\nsource = ""\n')
    outcome = own("init", "own.toml", "--allow-code")
    assert outcome.code == 2
    assert "code.000000000000 (x.py): the source has the hash e3b0c44298fc" in outcome.err


def test_the_wrong_regime_is_named(own: Cli) -> None:
    own.file("own.toml", OWN.replace('regime = "bptt"\n', ""))
    assert 'needs regime = "bptt"' in own("init", "own.toml", "--allow-code").err


def test_check_cell(own: Cli) -> None:
    outcome = own("check-cell", "cells/mine.py:Minimal", "--allow-code")
    assert outcome.code == 0
    assert outcome.out.count("ok      ") == 7
    write_cell(own, EXAMPLE.replace("(1 - f) * h + f * c,", "(1 - f) * h + f * c, h,"))
    outcome = own("check-cell", "cells/mine.py:Minimal", "--allow-code")
    assert outcome.code == 1
    assert "FAILED  shapes: step() returns 2 tensors" in outcome.out
    assert "no cell 'gru'" in own("check-cell", "gru").err


def _without_words(source: str) -> list[str]:
    """The functions of the class in the source, without docstrings and annotations."""
    (found,) = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]
    functions = [node for node in found.body if isinstance(node, ast.FunctionDef)]
    for function in functions:
        function.returns = None
        for argument in function.args.args:
            argument.annotation = None
        if ast.get_docstring(function) is not None:
            del function.body[0]
    return [ast.unparse(function) for function in functions]


def test_the_documentation_shows_the_example_and_an_experiment_that_is_right(own: Cli) -> None:
    page = (EXAMPLE_FILE.parents[1] / "own-cell.md").read_text()
    cell, experiment = (page.split(f"```{language}\n")[1].split("```")[0] for language in ("python", "toml"))
    assert _without_words(cell) == _without_words(EXAMPLE)
    own.file("minimal_cell.py", EXAMPLE)
    own.file("mine.toml", experiment)
    assert own("init", "mine.toml", "--allow-code").out == "mine: added 4 jobs, 4 in the grid\n"
