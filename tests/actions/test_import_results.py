"""Results that were computed elsewhere: a CSV file becomes finished jobs of a round."""

import csv
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from rnnlab.actions.import_results import Imported, add_results, read_results
from rnnlab.errors import RnnlabError, SpecError, UsageError
from rnnlab.plans.enqueue import initialize
from rnnlab.plans.plan import Plan, config_of, make_plan
from rnnlab.plans.rounds import RoundState, advance
from rnnlab.queue.job import Job, Status
from rnnlab.queue.store import Store
from rnnlab.spec.experiment import parse_experiment
from rnnlab.spec.library import find_experiment
from rnnlab.spec.settings import CorpusSettings

HEADER = "n_layers,use_forget_gate,min_loss"


def plan_of(text: str, letter: str = "a") -> Plan:
    corpus = CorpusSettings(name=f"text-{letter}", sha256=letter * 64)
    return Plan(parse_experiment(tomllib.loads(text), "x.toml"), corpus)


def write(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "runs.csv"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def seeds(jobs: list[Job]) -> list[int]:
    return [config_of(job).seed for job in jobs]


# The published rounds


@pytest.fixture
def dynamics() -> Plan:
    return make_plan(find_experiment("dynamics"), None, need_text=False)


def test_published_rounds(store: Store, dynamics: Plan, published: Path) -> None:
    explore = read_results(dynamics, "explore", published / "dynamics_round1.csv")
    assert (len(explore.runs), explore.repeated) == (432, 0)
    assert add_results(store, explore) == Imported(added=432, unfinished=0)
    assert add_results(store, explore) == Imported(added=0, unfinished=0)
    progression = advance(store, "dynamics", enqueue=False)
    assert progression.rounds[0] == RoundState("explore", expected=432, done=432, failed=0, missing=0)
    assert progression.added is not None
    assert len(progression.added.configs) == 130

    # 26 runs repeat another one, as variants of a second or third parent: they are further seeds.
    refine = read_results(dynamics, "refine", published / "dynamics_round2.csv")
    assert (len(refine.runs), refine.repeated) == (156, 26)
    assert add_results(store, refine) == Imported(added=156, unfinished=0)
    assert Counter(seeds(store.jobs("dynamics", "refine"))) == {0: 130, 1: 22, 2: 4}
    assert {job.target_steps for job in store.jobs("dynamics", "refine")} == {50_949}

    # Replicates have seeds of their own, beginning with 1. The published top ten holds one configuration twice, which
    # therefore has twenty runs; here its repeat makes room for the eleventh. Another one has nine runs.
    replicate = read_results(dynamics, "replicate", published / "dynamics_round3.csv")
    assert len(replicate.runs) == 99
    assert add_results(store, replicate) == Imported(added=99, unfinished=0)
    assert min(seeds(store.jobs("dynamics", "replicate"))) == 1
    last = advance(store, "dynamics", enqueue=False)
    assert [state.done for state in last.rounds] == [432, 130, 89]
    assert last.rounds[2].missing == 11


def test_published_results_are_kept(store: Store, dynamics: Plan, published: Path) -> None:
    add_results(store, read_results(dynamics, "explore", published / "dynamics_round1.csv"))
    first = store.jobs("dynamics")[0]
    assert first.result is not None
    assert first.status is Status.DONE
    assert (first.result["min_loss"], first.result["final_loss"], first.seconds) == (1.59276, 1.68369, 45.1)
    assert first.result["imported_from"] == "dynamics_round1.csv"
    assert first.step == first.target_steps == 10_989
    # The same jobs as `rnnlab init` would add.
    assert {job.config_hash for job in store.jobs()} == {run.hash for run in dynamics.first_round}
    assert initialize(store, dynamics).added == 0


# Small files


def test_rows_become_finished_jobs(store: Store, small_toml: str, tmp_path: Path) -> None:
    path = write(
        tmp_path,
        f"{HEADER},seconds,id,note,val",
        "1,0,2.5,7.5,a1,slow,",
        "2,true,2.25,,b2,,nan",
        "2,FALSE,,1,c3,x,1e-3",
    )
    add_results(store, read_results(plan_of(small_toml), "explore", path))
    one, two, three = store.jobs("small", "explore")
    common = {"imported_from": "runs.csv", "seed_source": "count"}
    assert one.result == {"min_loss": 2.5, "id": "a1", "note": "slow", "val": None} | common
    assert two.result == {"min_loss": 2.25, "id": "b2", "note": None, "val": None} | common
    # No loss: that run diverged.
    assert three.result == {"min_loss": None, "id": "c3", "note": "x", "val": 0.001} | common
    assert (one.seconds, two.seconds, three.seconds) == (7.5, 0.0, 1.0)
    settings = [config_of(job).settings for job in (one, two, three)]
    assert [(s["n_layers"], s["use_forget_gate"]) for s in settings] == [(1, False), (2, True), (2, False)]


def test_what_is_no_number_that_can_be_kept_is_a_text(small_toml: str, tmp_path: Path) -> None:
    texts = {"id": "90407e246758", "digits": "7" * 310, "more": "7" * 5000, "grouped": "1_000", "note": "good"}
    numbers = {"whole": 12, "negative": -3, "real": 2.5e-3, "large": 10**40, "nothing": None, "none": None}
    fields = {**texts, **{name: "" if value is None else str(value) for name, value in numbers.items()}, "none": "-inf"}
    path = write(tmp_path, ",".join([HEADER, *fields]), ",".join(["1,0,2.5", *fields.values()]))
    [(_, result, _)] = read_results(plan_of(small_toml), "explore", path).runs
    assert result == {"min_loss": 2.5, **texts, **numbers, "imported_from": "runs.csv", "seed_source": "count"}


def test_a_file_from_a_spreadsheet(small_toml: str, tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f'{HEADER}\r\n"1",0,"2.5"\r\n\r\n2,1,2\r\n'.encode())
    assert len(read_results(plan_of(small_toml), "explore", path).runs) == 2


def test_rows_without_a_seed_that_repeat_are_further_seeds(store: Store, small_toml: str, tmp_path: Path) -> None:
    path = write(tmp_path, HEADER, "1,0,2.5", "1,0,2.4", "2,0,2.3", "1,0,2.2")
    results = read_results(plan_of(small_toml), "explore", path)
    assert results.repeated == 2
    add_results(store, results)
    assert seeds(store.jobs()) == [0, 1, 0, 2]
    assert not any(job.is_seed_known for job in store.jobs())  # rows may be sorted by their loss


def test_rows_with_a_seed(store: Store, small_toml: str, tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEADER},seed", "1,0,2.5,7", "1,0,2.4,8")
    results = read_results(plan_of(small_toml), "explore", path)
    assert results.repeated == 0
    add_results(store, results)
    assert seeds(store.jobs()) == [7, 8]
    assert all(job.is_seed_known for job in store.jobs())


def test_a_column_goes_above_what_the_round_sets(small_toml: str, tmp_path: Path) -> None:
    rows = [("explore", HEADER, "1,0,2.5", 2), ("refine", HEADER, "1,0,2.5", 3)]
    rows += [("refine", f"{HEADER},windows", "1,0,2.5,9", 9)]
    for round_name, header, row, windows in rows:
        path = write(tmp_path, header, row)
        ((config, _, _),) = read_results(plan_of(small_toml), round_name, path).runs
        assert config.settings["windows"] == windows


def test_the_experiment_goes_on_from_imported_rounds(store: Store, small_toml: str, tmp_path: Path) -> None:
    plan = plan_of(small_toml)
    path = write(tmp_path, HEADER, "1,0,1", "1,1,2", "2,0,3", "2,1,4")
    add_results(store, read_results(plan, "explore", path))
    progression = advance(store, "small", enqueue=True)
    assert progression.n_added == 4


ADJUSTED = """
name = "adjusted"
corpus = "x"

[model]
state_size = 4

[training]
regime = "bptt"
batch_size = 2
block_size = 4
iterations = 10
learning_rate = 1e-3

[grid]
cell = ["rnn", "gru-reset-before"]
n_layers = [1, 2]

[[adjust]]
when = { cell = "rnn" }
set = { linear = "joint" }

[[adjust]]
when = { cell = "gru-reset-before" }
set = { update_gate = "replaces" }
"""


@pytest.mark.parametrize("beside", ["", ",linear"], ids=["axes alone", "a setting that some cells lack"])
def test_what_is_set_beside_the_grid_is_set_for_imported_rows_too(store: Store, tmp_path: Path, beside: str) -> None:
    plan = plan_of(ADJUSTED)
    rows = [f"rnn,{layers},2.0" + (",joint" if beside else "") for layers in (1, 2)]
    rows += [f"gru-reset-before,{layers},1.9" + ("," if beside else "") for layers in (1, 2)]
    add_results(store, read_results(plan, "explore", write(tmp_path, f"cell,n_layers,min_loss{beside}", *rows)))
    assert {config_of(job) for job in store.jobs("adjusted")} == set(plan.first_round)
    assert advance(store, "adjusted", enqueue=False).rounds == [RoundState("explore", 4, done=4, failed=0, missing=0)]


def test_jobs_that_wait_stay_and_are_counted(store: Store, small_toml: str, tmp_path: Path) -> None:
    plan = plan_of(small_toml)
    initialize(store, plan)
    before = store.jobs()
    path = write(tmp_path, f"{HEADER},seed", "1,0,1,0", "1,1,2,0", "1,1,2,1")
    assert add_results(store, read_results(plan, "explore", path)) == Imported(added=1, unfinished=2)
    assert store.jobs()[:4] == before


def test_another_protocol_or_text_is_refused(store: Store, small_toml: str, tmp_path: Path) -> None:
    plan = plan_of(small_toml)
    initialize(store, plan)
    stored = store.experiment("small")
    path = write(tmp_path, HEADER, "1,0,1")
    changed = small_toml.replace("batch_size = 2", "batch_size = 3")
    for other, complaint in [
        (plan_of(small_toml, "b"), "was started with corpus text-a"),
        (plan_of(changed), "was started with batch_size = 2, now it has 3"),
    ]:
        with pytest.raises(SpecError, match=complaint):
            add_results(store, read_results(other, "explore", path))
    assert store.experiment("small") == stored
    assert len(store.jobs()) == 4


def test_the_text_keeps_the_name_that_it_has_in_the_table(store: Store, small_toml: str, tmp_path: Path) -> None:
    plan = plan_of(small_toml)
    path = write(tmp_path, HEADER, "1,0,1")
    add_results(store, read_results(plan, "explore", path))
    other_name = Plan(plan.experiment, CorpusSettings(name="other-name", sha256="a" * 64))
    assert add_results(store, read_results(other_name, "explore", path)).added == 0


# Files that cannot be taken

BAD = [
    (f"{HEADER}\n", "has no rows: give a CSV file with a header line and a line for each run"),
    ("", "has no rows: give a CSV file"),
    ("n_layers,min_loss\n1,2\n", "lacks the column 'use_forget_gate': experiment small varies n_layers, use_forget"),
    ("n_layers,use_forget_gate\n1,1\n", "lacks the column 'min_loss', the metric of experiment small"),
    (f"{HEADER},n_layers\n1,0,2,1\n", "has the column 'n_layers' twice: remove one of them"),
    (f"{HEADER}\n1,0,2.5\n1,0\n", ", line 3: the number of fields differs from the header, which has 3"),
    (f"{HEADER}\n1,0,2.5,9\n", ", line 2: the number of fields differs from the header, which has 3"),
    (f"{HEADER}\n1,0,2\n\n2,maybe,2\n", ", line 4: use_forget_gate = 'maybe': must be 0, 1, true or false"),
    (f"{HEADER}\none,0,2.5\n", ", line 2: n_layers = 'one': must be a whole number"),
    (f"{HEADER}\n1.0,0,2.5\n", ", line 2: n_layers = '1.0': must be a whole number"),
    (f"{HEADER}\n,0,2.5\n", ", line 2: n_layers = '': must be a whole number"),
    (f"{HEADER},learning_rate\n1,0,2,fast\n", ", line 2: learning_rate = 'fast': must be a number"),
    (
        f"{HEADER},learning_rate\n1,0,2,nan\n",
        ", line 2: experiment small, at n_layers = 1, use_forget_gate = false, learning_rate = nan: training.l",
    ),
    (
        f"{HEADER}\n0,0,2.5\n",
        ", line 2: experiment small, at n_layers = 0, use_forget_gate = false: model.n_layers = 0",
    ),
    (f"{HEADER}\n1_0,0,2.5\n", ", line 2: n_layers = '1_0': must be a whole number"),
    (f"{HEADER},learning_rate\n1,0,2,1_0\n", ", line 2: learning_rate = '1_0': must be a number"),
    (f"{HEADER},seconds\n1,0,2,1_0\n", ", line 2: seconds = '1_0': must be a number of at least 0"),
    (f"{HEADER}\n1,0,1_0\n", ", line 2: min_loss = '1_0': must be a number or empty"),
    (f"{HEADER}\n1,0,{'1' * 310}\n", ", line 2: min_loss = '1111"),
    (f"{HEADER}\n1,0,-{'1' * 5000}\n", ", line 2: min_loss = '-1111"),
    (f"{HEADER}\n1,0,1e309\n", ", line 2: min_loss = '1e309': must be a number or empty"),
    (f"{HEADER},seconds\n1,0,2,{'1' * 310}\n", ", line 2: seconds = '1111"),
    (f"{HEADER}\n{'1' * 310},0,2\n", ", line 2: experiment small, at n_layers"),
    (f"{HEADER},learning_rate\n1,0,2,{'1' * 310}\n", ", line 2: experiment small, at n_layers"),
    (f"{HEADER},windows\n1,0,2,{'1' * 310}\n", ", line 2: experiment small, at n_layers"),
    (f"{HEADER}\n1,0,good\n", ", line 2: min_loss = 'good': must be a number or empty"),
    (f"{HEADER},seconds\n1,0,2,long\n", ", line 2: seconds = 'long': must be a number of at least 0"),
    (f"{HEADER},seconds\n1,0,2,-1\n", ", line 2: seconds = '-1': must be a number of at least 0"),
    (f"{HEADER},seconds\n1,0,2,inf\n", ", line 2: seconds = 'inf': must be a number of at least 0"),
    (f"{HEADER},seed\n1,0,2,-1\n", ", line 2: experiment small, at n_layers = 1, use_forget_gate = false, seed = -1: "),
    (f"{HEADER},seed\n1,0,2,0\n1,0,3,0\n", ", line 3: settings and seed repeat an earlier line: each run must be one"),
    (f'{HEADER}\n1,0,"2.5\n', "is not a CSV file: unexpected end of data"),
    (f"{HEADER}\n1,0,2.5\n\x80\x81".encode("latin-1"), "is not a CSV file: 'utf-8' codec can't decode"),
    (bytes(range(256)), "is not a CSV file: 'utf-8' codec can't decode"),
    (b"\0\0\0\n\0\n", "lacks the column 'n_layers'"),
]


@pytest.mark.parametrize(("content", "complaint"), BAD, ids=[complaint[:50] for _, complaint in BAD])
def test_bad_file(small_toml: str, tmp_path: Path, content: str | bytes, complaint: str) -> None:
    path = tmp_path / "runs.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RnnlabError, match=rf"runs\.csv ?{re.escape(complaint)}") as caught:
        read_results(plan_of(small_toml), "explore", path)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_file_that_is_not_there_or_no_file(small_toml: str, tmp_path: Path) -> None:
    for path, reason in [(tmp_path / "missing.csv", "No such file or directory"), (tmp_path, "Is a directory")]:
        with pytest.raises(UsageError, match=rf"^results file {re.escape(str(path))} cannot be read: {reason}$"):
            read_results(plan_of(small_toml), "explore", path)


def test_unknown_round(small_toml: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^--round polish: the rounds of the experiment are explore, refine, repli"):
        read_results(plan_of(small_toml), "polish", write(tmp_path, HEADER, "1,0,1"))


def test_a_huge_field_is_one_line(small_toml: str, tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEADER},note", f"1,0,2,{'x' * (csv.field_size_limit() + 1)}")
    with pytest.raises(UsageError, match=r"is not a CSV file: field larger than field limit"):
        read_results(plan_of(small_toml), "explore", path)
