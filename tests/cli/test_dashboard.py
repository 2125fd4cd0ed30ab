"""The view of `rnnlab status --watch`, drawn from made-up statuses."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from rnnlab.actions.status import BestRun, ExperimentStatus, Failure, RoundStatus, WorkerStatus
from rnnlab.actions.watch import BestStory, ExperimentView, Snapshot
from rnnlab.cli.dashboard import dashboard
from rnnlab.queue.reader import Improvement

STATUS = ExperimentStatus(
    experiment="dynamics",
    rounds=[RoundStatus("explore", pending=100, running=32, done=298, failed=2, percent=71.3)],
    rounds_to_come=["refine", "replicate"],
    workers_alive=2,
    workers_dead=0,
    steps_per_second=1200.0,
    seconds_left=3661.0,
    best=BestRun(113, "explore", "min_loss", 1.5928),
    failures=[Failure(17, "RuntimeError: out of memory"), Failure(23, "ValueError: \x1b[2Jno luck")],
)
STORY = BestStory(
    settings={"use_forget_gate": True, "use_state_gate": True, "use_residual": False, "n_layers": 2, "state_size": 256},
    curve=[3.0, 2.5, 2.0, 1.7, 1.6],
    improvements=[Improvement(1, 4, 2.4), Improvement(150, 113, 1.5928)],
    finished=298,
)
VIEW = ExperimentView(STATUS, STORY)


def workers(count: int, dead: int = 0) -> list[WorkerStatus]:
    return [
        WorkerStatus(f"{number:012x}", "deep", 1000 + number, "cpu", 16, 100.0, 3.0, dead=number >= count - dead)
        for number in range(count)
    ]


def drawn(snapshot: Snapshot, width: int = 80, height: int = 24, flags: str = "") -> list[str]:
    """The lines as a terminal of this size shows them; none is wrapped or cut off at the bottom."""
    console = Console(width=width, height=height, file=StringIO(), record=True)
    console.print(dashboard(snapshot, width, height, flags))
    lines = console.export_text().splitlines()
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    return [line.rstrip() for line in lines]


def test_everything_fits_an_ordinary_terminal() -> None:
    lines = drawn(Snapshot(0.0, [VIEW], workers(2)))
    assert lines[:3] == [
        "FAILED: 2 jobs of dynamics; to run them again: rnnlab retry --failed",
        "  job 17: RuntimeError: out of memory",
        "  job 23: ValueError:  [2Jno luck",
    ]
    assert lines[3] == "dynamics"
    assert lines[4].startswith("  explore    ━━━━━━━━")
    assert lines[4].endswith("─   71.3%  298 of 432 done, 32 running, 2 failed")
    assert lines[5:9] == [
        "  refine, replicate to come",
        "  time left 1:01:01 with 2 workers, 1,200 model-steps/s each",
        "  best so far min_loss 1.5928: job 113 of round explore",
        "    forget + state gate, L = 2, S = 256",
    ]
    assert lines[9] == "    best curve    3.0000 █▆▃▁▁ 1.6000"
    assert lines[10].startswith("    best so far   2.4000 ████")
    assert lines[10].endswith("▁▁▁ 1.5928 after 298 jobs")
    assert lines[11:15] == [
        "2 workers alive, 200 model-steps/s in total",
        "  worker    host   pid  device  jobs  model-steps/s  heartbeat",
        "  00000000  deep  1000  cpu       16            100    3 s ago",
        "  00000000  deep  1001  cpu       16            100    3 s ago",
    ]
    assert lines[15].endswith("Ctrl-C closes this view; workers continue")
    assert len(lines) == 16


def test_a_wide_terminal_is_used() -> None:
    narrow, wide = (drawn(Snapshot(0.0, [VIEW], []), width)[4] for width in (80, 200))
    assert len(narrow) == 80
    assert len(wide) == 200
    assert wide.count("━") > 2 * narrow.count("━")


def test_the_bar_is_as_full_as_the_round_is_trained() -> None:
    """Without colours too; it is full when everything is trained, and only then."""
    lengths = {}
    for percent in (0.0, 50.0, 99.99, 100.0):
        status = replace(STATUS, rounds=[replace(STATUS.rounds[0], percent=percent)])
        bar = drawn(Snapshot(0.0, [ExperimentView(status, None)], []))[4]
        lengths[percent] = bar.count("━"), bar.count("─")
    whole = sum(lengths[0.0])
    assert lengths[0.0] == (0, whole)
    assert lengths[50.0] == (whole // 2, whole - whole // 2)
    assert lengths[99.99] == (whole - 1, 1)
    assert lengths[100.0] == (whole, 0)


def test_before_there_is_a_worker() -> None:
    waiting = replace(
        STATUS,
        rounds=[RoundStatus("explore", pending=4, running=0, done=0, failed=0, percent=0.0)],
        workers_alive=0,
        steps_per_second=None,
        seconds_left=None,
        best=None,
        failures=[],
    )
    lines = drawn(Snapshot(0.0, [ExperimentView(waiting, None)], []), flags=" --db jobs.db")
    assert "  time left unknown: nothing has been trained here yet" in lines
    assert "  next: rnnlab worker dynamics --db jobs.db" in lines
    assert "0 workers alive" in lines
    assert not any("best" in line for line in lines)


def test_a_finished_experiment() -> None:
    done = replace(
        STATUS,
        rounds=[RoundStatus("explore", pending=0, running=0, done=432, failed=0, percent=100.0)],
        workers_alive=0,
        failures=[],
    )
    lines = drawn(Snapshot(0.0, [ExperimentView(done, STORY)], []))
    assert lines[0] == "dynamics"
    assert "─" not in lines[1]
    assert "  next: rnnlab analyze dynamics" in lines
    assert not any("time left" in line for line in lines)


def test_an_empty_table() -> None:
    assert drawn(Snapshot(0.0, [], []))[:2] == ["no experiments; next: rnnlab init NAME", "0 workers alive"]


def test_a_hundred_workers_the_dead_first() -> None:
    lines = drawn(Snapshot(0.0, [VIEW], workers(100, dead=2)))
    assert len(lines) == 24
    heading = lines.index("98 workers alive, 9,800 model-steps/s in total, 2 dead (the next live worker ta…")
    assert [line.split()[2] for line in lines[heading + 2 : heading + 4]] == ["1098", "1099"]
    assert [line.endswith("DEAD") for line in lines[heading + 2 : -2]] == [True, True] + [False] * (20 - heading - 2)
    shown = len(lines) - heading - 4
    assert lines[-2] == f"  and {100 - shown} more workers"
    tall = drawn(Snapshot(0.0, [VIEW], workers(100, dead=2)), height=130)
    assert sum("cpu" in line for line in tall) == 100


def test_many_failures_leave_room_for_the_rest() -> None:
    failures = [Failure(number, "ValueError: " + "so " * 100) for number in range(1, 51)]
    status = replace(STATUS, rounds=[replace(STATUS.rounds[0], failed=900)], failures=failures)
    lines = drawn(Snapshot(0.0, [ExperimentView(status, STORY)], workers(100)))
    assert lines[0].startswith("FAILED: 900 jobs of dynamics")
    assert lines[4].startswith("  job 4: ValueError: so so")
    assert lines[4].endswith("…")
    assert lines[5] == "  and 896 more failed jobs"
    assert lines[6] == "dynamics"


def test_several_experiments_those_with_open_jobs_in_full() -> None:
    done = replace(
        STATUS, rounds=[RoundStatus("explore", pending=0, running=0, done=9, failed=0, percent=100.0)], failures=[]
    )
    views = [ExperimentView(replace(done, experiment=f"old-{number}"), STORY) for number in range(3)]
    lines = drawn(Snapshot(0.0, [*views, VIEW], workers(2)))
    assert any(line.startswith("    best curve") for line in lines[lines.index("dynamics") :])
    assert [line.split()[0] for line in lines if line.startswith("old-")] == ["old-0", "old-1", "old-2"]

    many = [ExperimentView(replace(done, experiment=f"old-{number}"), STORY) for number in range(40)]
    lines = drawn(Snapshot(0.0, [*many, VIEW], workers(2)))
    assert any(line.startswith("dynamics  explore: 298 of 432 jobs done") for line in lines)
    shown = sum(line.startswith("old-") for line in lines)
    assert f"and {40 - shown} more experiments" in lines


@pytest.mark.parametrize("width", [20, 40, 79, 250])
@pytest.mark.parametrize("height", [1, 2, 5, 8, 13, 24, 60])
def test_it_fits_any_terminal(width: int, height: int) -> None:
    for experiments in ([], [VIEW], [VIEW] * 3, [VIEW] * 30):
        for count in (0, 1, 100):
            assert drawn(Snapshot(0.0, experiments, workers(count, dead=count // 10)), width, height)
