"""Messages about the next round and the next step."""

from typing import TYPE_CHECKING

from rnnlab.cli.options import code_flag, counted

if TYPE_CHECKING:
    from rnnlab.actions.next_round import NextRound
    from rnnlab.plans.rounds import Progression


def next_round_text(coming: "NextRound") -> str:
    """The jobs of the next round, how they were derived, and their cost, in several lines."""
    from rnnlab.actions.status import format_seconds

    plan, cost = coming.plan, coming.cost
    lines = [plan.explain(), *(f"  {line}" for line in plan.changes())]
    part = "" if cost.jobs == len(plan.configs) else f" of the {cost.jobs:,} jobs not in the table"
    lines.append(f"  cost{part}: {cost.steps:,} optimizer steps")
    seconds = cost.seconds / coming.workers
    time = f"{'about ' if seconds >= 1 else ''}{format_seconds(seconds)} with {counted(coming.workers, 'worker')}"
    if not cost.unmeasured:
        lines[-1] += f", {time}"
    elif cost.unmeasured < cost.jobs:
        measured = counted(cost.jobs - cost.unmeasured, "job")
        lines[-1] += f", {time} for the {measured} of sizes already trained here"
    return "\n".join(lines)


def next_step(progression: "Progression", flags: str, *, working: bool = False) -> str:
    """The state of the rounds and, unless workers are running, what to do next, in one sentence."""
    worker = "" if working else f"; next: rnnlab worker{code_flag(progression.own_cells)}{flags}"
    last = progression.rounds[-1]
    if last.complete:
        return "every round is complete"
    if not last.expected:
        return (
            f"round {last.name} has no jobs: no run of the previous round has a finite result, or the rules of the "
            "round select none: change the experiment file, then run `rnnlab init` again"
        )
    if progression.added is not None:
        if progression.n_added:
            return f"round {last.name}: {counted(progression.n_added, 'job')} added{worker}"
        are = "job is" if last.missing == 1 else "jobs are"
        return f"round {last.name}: {last.missing:,} {are} not in the table yet; next: rnnlab analyze{flags}"
    if last.missing:
        return (
            f"round {last.name}: {last.missing} of {last.expected} jobs are not in the table: "
            "add them with `rnnlab init`, or add their results with `rnnlab import`"
        )
    if last.failed:
        return (
            f"round {last.name}: {last.failed} of {last.expected} jobs failed: "
            f"run them again with `rnnlab retry --failed{flags}`; the next round needs all jobs"
        )
    if last.paused:
        return (
            f"round {last.name}: {last.paused} of {last.expected} jobs are paused: "
            "continue them with `rnnlab resume JOB...`, or cancel them with `rnnlab cancel JOB...`"
        )
    return f"round {last.name}: {last.done} of {last.expected} jobs are done{worker}"
