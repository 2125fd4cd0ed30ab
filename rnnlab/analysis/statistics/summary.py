"""How many runs a round has, and how their metric is distributed. Lower is better for every metric."""

from dataclasses import dataclass

from rnnlab.analysis.runs import Runs


@dataclass(frozen=True)
class Summary:
    """The numbers of one round. Best, median and worst are over the runs that can be compared."""

    jobs: int  # in the round
    finished: int  # jobs that are done
    comparable: int  # finished runs that neither diverged nor lack the metric, nor are worse than guessing
    worse_than_guessing: int  # finished runs with a metric above that of a uniform guess
    guess: float | None  # the metric of a uniform guess; None if it is unknown, or differs between runs
    best: float  # NaN if no run can be compared, like the next two
    median: float
    worst: float
    below: int | None  # comparable runs below the threshold; None without a threshold


def summarize(runs: Runs) -> Summary:
    """The numbers of one round, with the threshold of its question."""
    values, threshold = runs.losses, runs.question.threshold
    return Summary(
        jobs=len(runs.all),
        finished=len(runs.finished),
        comparable=len(values),
        worse_than_guessing=len(runs.worse_than_guessing),
        guess=runs.guess,
        best=float(values.min()),
        median=float(values.median()),
        worst=float(values.max()),
        below=None if threshold is None else int((values < threshold).sum()),
    )
