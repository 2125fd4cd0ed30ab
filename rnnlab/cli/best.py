"""`rnnlab best`: the best run as an experiment file."""

from rnnlab.cli.options import DatabaseOption, OnlyExperiment, ResultsOption
from rnnlab.workspace import DEFAULT_RESULTS, open_store, workspace_of


def best(
    experiment: OnlyExperiment = None,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Print the best run as an experiment file, which `rnnlab init` accepts."""
    from rnnlab.actions.best import best_as_toml

    with open_store(db, workspace_of(results), read_only=True) as store:
        print(best_as_toml(store, experiment), end="")
