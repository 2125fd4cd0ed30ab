"""The view of `rnnlab status --watch`: formats a snapshot as lines that fit the terminal. Reads nothing itself."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group
from rich.text import Text

from rnnlab.actions.status import ExperimentStatus, RoundStatus, WorkerStatus, summary_line
from rnnlab.actions.watch import BestStory, ExperimentView, Snapshot
from rnnlab.analysis.words.names import describe
from rnnlab.cli.options import counted
from rnnlab.cli.sparkline import sparkline, steps
from rnnlab.cli.status_text import best_so_far, hint, time_left

_MAX_FAILURE_LINES = 6  # per experiment: a heading with their number, and the first failed jobs
_MIN_FAILURE_LINES = 2
_MIN_WORKER_LINES = 4
_MIN_BAR_COLUMNS = 8
_MAX_HOST_COLUMNS = 20


@dataclass(frozen=True)
class _Listing:
    """A heading and items, some of which may be omitted."""

    head: list[Text]
    items: list[Text]
    total: int  # number of items, including those not in `items`
    noun: str

    @property
    def wanted(self) -> int:
        return len(self.head) + min(self.total, len(self.items) + 1)

    def lines(self, room: int) -> list[Text]:
        """At most `room` lines; the last one gives the number of omitted items."""
        if self.total <= min(room - len(self.head), len(self.items)):
            return [*self.head, *self.items]
        kept = self.items[: max(0, room - len(self.head) - 1)]
        omitted = Text(f"  and {counted(self.total - len(kept), 'more ' + self.noun)}")
        return [*self.head, *kept, omitted][:room]


def dashboard(snapshot: Snapshot, width: int, height: int, flags: str = "") -> Group:
    """Failures, then experiments, then workers, in at most `height` lines of at most `width` columns.

    If there is not enough room, experiments are shortened to single lines, those without open jobs first, and lists end
    with the number of omitted failed jobs, experiments or workers. flags: appended to suggested commands.
    """
    failures = [_failures(view.status, flags) for view in snapshot.experiments if _failed(view.status)]
    workers = _workers(snapshot.workers)
    room_of_failures = [min(one.wanted, _MIN_FAILURE_LINES) for one in failures]
    room_of_workers = min(workers.wanted, _MIN_WORKER_LINES)
    spare = height - 1 - sum(room_of_failures) - room_of_workers
    middle = _experiments(snapshot.experiments, width, spare, flags)
    spare = max(0, spare - len(middle))
    for number, one in enumerate(failures):
        more = min(spare, min(one.wanted, _MAX_FAILURE_LINES) - room_of_failures[number])
        room_of_failures[number] += more
        spare -= more
    above = [line for one, room in zip(failures, room_of_failures, strict=True) for line in one.lines(room)]
    lines = [*above, *middle, *workers.lines(room_of_workers + spare)][: max(0, height - 1)]
    at = time.strftime("%H:%M:%S", time.localtime(snapshot.at))
    lines.append(Text(f"{at}  Ctrl-C closes this view; workers continue", "dim"))
    for line in lines:
        line.no_wrap = True
        line.truncate(width, overflow="ellipsis")
    return Group(*lines)


def _failed(status: ExperimentStatus) -> int:
    return sum(part.failed for part in status.rounds)


def _failures(status: ExperimentStatus, flags: str) -> _Listing:
    heading = Text.assemble(
        (f"FAILED: {counted(_failed(status), 'job')} of {status.experiment}", "bold red"),
        f"; to run them again: rnnlab retry --failed{flags}",
    )
    items = [
        Text.assemble((f"  job {failure.job_id}: ", "red"), _printable(failure.reason)) for failure in status.failures
    ]
    return _Listing([heading], items, _failed(status), "failed job")


def _printable(text: str) -> str:
    """The text without escape codes, which could move the cursor."""
    return "".join(character if character.isprintable() else " " for character in text)


def _experiments(views: Sequence[ExperimentView], width: int, room: int, flags: str) -> list[Text]:
    """Each experiment in the longest form that fits. Those with open jobs get room first; the order does not change."""
    if not views:
        return [Text(f"no experiments; next: rnnlab init NAME{flags}")]
    by_urgency = sorted(range(len(views)), key=lambda number: not views[number].status.open_jobs)
    if len(views) > room:
        kept = sorted(by_urgency[: max(0, room - 1)])
        omitted = Text(f"and {counted(len(views) - len(kept), 'more experiment')}")
        return [*(_in_one_line(views[number].status) for number in kept), omitted]
    chosen = [[_in_one_line(view.status)] for view in views]
    for number in by_urgency:
        brief = _brief(views[number], width, flags)
        for longer in (brief, [*brief, *_sparklines(views[number].story, width)]):
            if sum(map(len, chosen)) - len(chosen[number]) + len(longer) <= room:
                chosen[number] = longer
    return [line for block in chosen for line in block]


def _in_one_line(status: ExperimentStatus) -> Text:
    return Text.assemble((status.experiment, "bold"), f"  {summary_line(status) if status.rounds else 'no jobs'}")


def _brief(view: ExperimentView, width: int, flags: str) -> list[Text]:
    status = view.status
    names = [*(part.name for part in status.rounds), *status.rounds_to_come]
    columns = max(map(len, names), default=0)
    counts = [_counts(part) for part in status.rounds]
    bar = max(
        _MIN_BAR_COLUMNS, width - columns - max((len(text) for text in counts), default=0) - len("      100.0%  ")
    )
    lines = [Text(status.experiment, "bold")]
    for part, text in zip(status.rounds, counts, strict=True):
        name, percent = f"  {part.name:<{columns}}  ", f"  {part.percent:5.1f}%  "
        lines.append(Text.assemble(name, *_bar(part.percent, bar), percent, text))
    if status.rounds_to_come:
        lines.append(Text(f"  {', '.join(status.rounds_to_come)} to come", "dim"))
    if left := time_left(status):
        lines.append(Text(f"  {left}"))
    if not _failed(status) and (advice := hint(status)):
        lines.append(Text(f"  {advice}{flags}", "yellow"))
    if best := best_so_far(status):
        lines.append(Text(f"  {best}", "green"))
    if view.story is not None and view.story.settings:
        lines.append(Text(f"    {describe(view.story.settings, list(view.story.settings))}"))
    return lines


def _counts(part: RoundStatus) -> Text:
    jobs = part.pending + part.running + part.done + part.failed + part.paused + part.cancelled
    text = Text(f"{part.done:,} of {jobs:,} done")
    for count, what, style in (
        (part.running, "running", ""),
        (part.failed, "failed", "red"),
        (part.paused, "paused", "yellow"),
        (part.cancelled, "cancelled", "yellow"),
    ):
        if count:
            text.append(", ").append(f"{count:,} {what}", style)
    return text


def _bar(percent: float, columns: int) -> list[tuple[str, str]]:
    """A progress bar of two different characters, readable without colors."""
    full = min(columns, int(percent / 100 * columns))
    return [("━" * full, "green" if percent >= 100 else "cyan"), ("─" * (columns - full), "dim")]


def _sparklines(story: BestStory | None, width: int) -> list[Text]:
    """The training curve of the best run, and the best result as a function of the number of finished jobs."""
    if story is None:
        return []
    lines = []
    series: list[tuple[str, float, list[float], str]] = []
    if len(story.curve) > 1:
        series.append(("best curve", story.curve[0], story.curve, f"{story.curve[-1]:.4f}"))
    if story.finished > 1 and story.improvements:
        changes = [(one.place, one.value) for one in story.improvements]
        tail = f"{changes[-1][1]:.4f} after {counted(story.finished, 'job')}"
        series.append(("best so far", changes[0][1], steps(changes, story.finished, width), tail))
    for title, first, values, tail in series:
        head = f"    {title:<12}{first:8.4f} "
        blocks = sparkline(values, width - len(head) - len(tail) - 1)
        lines.append(Text.assemble(head, (blocks, "cyan"), f" {tail}"))
    return lines


def _workers(workers: Sequence[WorkerStatus]) -> _Listing:
    """A table of the workers, dead ones first."""
    living = [worker for worker in workers if not worker.dead]
    speeds = [worker.steps_per_second for worker in living if worker.steps_per_second is not None]
    heading = Text(f"{counted(len(living), 'worker')} alive")
    if speeds:
        heading.append(f", {sum(speeds):,.0f} model-steps/s in total")
    if dead := len(workers) - len(living):
        heading.append(f", {dead:,} dead (the next live worker takes their jobs)", "red")
    ranked = sorted(workers, key=lambda worker: not worker.dead)
    rows: list[tuple[str, ...]] = [("worker", "host", "pid", "device", "jobs", "model-steps/s", "heartbeat")]
    rows += [_row(worker) for worker in ranked]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [Text("  " + "  ".join(_aligned(row, widths))) for row in rows]
    lines[0].stylize("dim")
    for line, worker in zip(lines[1:], ranked, strict=True):
        if worker.dead:
            line.append("  DEAD").stylize("red")
    return _Listing([heading, lines[0]] if workers else [heading], lines[1:], len(workers), "worker")


def _row(worker: WorkerStatus) -> tuple[str, ...]:
    host = worker.host if len(worker.host) <= _MAX_HOST_COLUMNS else f"{worker.host[: _MAX_HOST_COLUMNS - 1]}…"
    speed = "" if worker.steps_per_second is None else f"{worker.steps_per_second:,.0f}"
    age = f"{worker.heartbeat_age_seconds:,.0f} s ago"
    return worker.id[:8], host, str(worker.pid), worker.device, f"{worker.jobs:,}", speed, age


def _aligned(row: tuple[str, ...], widths: list[int]) -> list[str]:
    """The cells, padded: text is left-aligned, numbers are right-aligned."""
    left = (True, True, False, True, False, False, False)
    return [
        f"{cell:<{width}}" if to_left else f"{cell:>{width}}"
        for cell, width, to_left in zip(row, widths, left, strict=True)
    ]
