"""What follows a round, in words."""

from typing import TYPE_CHECKING

from rnnlab.cli.options import code_flag, counted

if TYPE_CHECKING:
    from rnnlab.actions.next_round import NextRound
    from rnnlab.plans.rounds import Progression


def next_round_text(coming: "NextRound") -> str:
    """What the next round consists of, why, and what it will cost: some lines."""
    from rnnlab.actions.status import format_seconds

    plan, cost = coming.plan, coming.cost
    lines = [plan.explain(), *(f"  {line}" for line in plan.changes())]
    part = "" if cost.jobs == len(plan.configs) else f" for the {cost.jobs:,} that the table lacks"
    lines.append(f"  cost{part}: {cost.steps:,} optimizer steps")
    seconds = cost.seconds / coming.workers
    time = f"{'about ' if seconds >= 1 else ''}{format_seconds(seconds)} with {counted(coming.workers, 'worker')}"
    if not cost.unmeasured:
        lines[-1] += f", {time}"
    elif cost.unmeasured < cost.jobs:
        measured = counted(cost.jobs - cost.unmeasured, "job")
        lines[-1] += f", {time} for the {measured} of sizes that were trained here before"
    return "\n".join(lines)


def next_step(progression: "Progression", flags: str, *, working: bool = False) -> str:
    """How far the rounds are and, unless workers are at it already, what to do next, in one sentence."""
    worker = "" if working else f"; next: rnnlab worker{code_flag(progression.own_cells)}{flags}"
    last = progression.rounds[-1]
    if last.complete:
        return "every round is complete"
    if not last.expected:
        return (
            f"round {last.name} has no jobs: no run of the round before has a finite result, or the rules of the round "
            "leave none of them: change the experiment file, then `rnnlab init` it again"
        )
    if progression.added is not None:
        if progression.n_added:
            return f"round {last.name}: {counted(progression.n_added, 'job')} added{worker}"
        are = "job is" if last.missing == 1 else "jobs are"
        return f"round {last.name}: {last.missing:,} {are} not in the table yet; rnnlab analyze{flags} adds them"
    if last.missing:
        return (
            f"round {last.name}: {last.missing} of {last.expected} jobs are not in the table: "
            "`rnnlab init` adds them, or `rnnlab import` their results"
        )
    if last.failed:
        return (
            f"round {last.name}: {last.failed} of {last.expected} jobs failed: "
            f"`rnnlab retry --failed{flags}` lets them run again; the next round needs them all"
        )
    if last.paused:
        return (
            f"round {last.name}: {last.paused} of {last.expected} jobs are paused: "
            "`rnnlab resume JOB...` lets them go on, `rnnlab cancel JOB...` gives them up"
        )
    return f"round {last.name}: {last.done} of {last.expected} jobs are done{worker}"
