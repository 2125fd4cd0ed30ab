"""`rnnlab compare`: ranks and effects of two experiments."""

from typing import Annotated

import typer

from rnnlab.cli.options import DatabaseOption, PlotsOption, ResultsOption, shown_path
from rnnlab.workspace import DEFAULT_PLOTS, DEFAULT_RESULTS, open_store, workspace_of, writable


def compare(
    experiment: Annotated[str, typer.Argument(help="An experiment in the database.")],
    other: Annotated[
        str, typer.Argument(help="Experiment to compare it with. `rnnlab import` adds published results.")
    ],
    round_name: Annotated[str, typer.Option("--round", help="Round to compare; both must have it.")] = "explore",
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
    plots: PlotsOption = DEFAULT_PLOTS,
) -> None:
    """Compare two experiments: ranks and effects over the configurations that ran in both.

    The experiments may differ in settings that are constant in each, such as corpus, steps and batch size.
    """
    from rnnlab.actions.compare import compare_experiments
    from rnnlab.plans.plan import only_experiment

    workspace = workspace_of(results, plots)
    with open_store(db, workspace, read_only=True) as store:
        for name in (experiment, other):
            only_experiment(store, name)  # check the name before its folder is created
        folder, plot_folder = workspace.experiment_dir(experiment), workspace.plot_dir(experiment)
        with writable((folder, "results folder"), (plot_folder, "plots folder")):
            outcome = compare_experiments(store, workspace, experiment, other, round_name)
    print(f"{outcome.sentence}.")
    for path in [*outcome.pictures, outcome.page]:
        print(shown_path(path))
