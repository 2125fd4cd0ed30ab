"""`rnnlab demo`: all rounds of the built-in experiment demo."""

from rnnlab.cli.options import DatabaseOption, PlotsOption, ResultsOption
from rnnlab.cli.run import run
from rnnlab.workspace import DEFAULT_PLOTS, DEFAULT_RESULTS


def demo(
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
    plots: PlotsOption = DEFAULT_PLOTS,
) -> None:
    """Run a complete architecture search in about a minute: three rounds with plots, offline, on two cores."""
    run("demo", processes=2, device="cpu", db=db, results=results, plots=plots)
