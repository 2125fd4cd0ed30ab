"""`rnnlab demo`: the built-in experiment demo, all rounds."""

from rnnlab.cli.options import DatabaseOption, PlotsOption, ResultsOption
from rnnlab.cli.run import run
from rnnlab.workspace import DEFAULT_PLOTS, DEFAULT_RESULTS


def demo(
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
    plots: PlotsOption = DEFAULT_PLOTS,
) -> None:
    """A whole architecture search in about a minute: offline, on two cores, all three rounds, with pictures."""
    run("demo", processes=2, device="cpu", db=db, results=results, plots=plots)
