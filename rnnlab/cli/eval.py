"""`rnnlab eval`: the loss of a trained model at any context length."""

import json
from typing import Annotated, Literal

import typer

from rnnlab.cli.job_options import JobArgument
from rnnlab.cli.options import AllowCodeOption, DatabaseOption, ResultsOption, print_warning
from rnnlab.errors import UsageError
from rnnlab.workspace import DEFAULT_RESULTS, workspace_of


def evaluate(
    job: JobArgument = None,
    experiment: Annotated[str | None, typer.Option(help="Use the best job of this experiment.")] = None,
    split: Annotated[
        Literal["train", "validation", "test"], typer.Option(help="Part of the text to evaluate on.")
    ] = "validation",
    context: Annotated[
        int | None,
        typer.Option(
            help="Predictions per window. Each window starts with a new state.", show_default="as in training"
        ),
    ] = None,
    windows: Annotated[
        int | None, typer.Option(help="Maximum number of windows.", show_default="as in the experiment")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    allow_code: AllowCodeOption = False,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Print the loss of a trained model, or of one in training, on a part of its text.

    With --context, jobs trained at different context lengths can be compared.
    """
    for option, value in (("--context", context), ("--windows", windows)):
        if value is not None and value < 1:
            raise UsageError(f"{option} {value}: give a number of at least 1")

    from rnnlab.actions.load_model import trained_model
    from rnnlab.training.evaluation.assessment import assess

    model = trained_model(job, experiment, db, workspace_of(results), allow_code=allow_code, complain=print_warning)
    found = assess(model.config, model.state, model.tokenizer, split=split, context=context, max_windows=windows)
    document = {
        "job": model.job_id,
        "experiment": model.experiment,
        "config_hash": model.config.hash,
        "step": model.state.step,
        "split": split,
        "context": found.context,
        "windows": found.windows,
        "loss": found.loss,
        "bits_per_character": found.bits_per_character,
        "bits_per_byte": found.bits_per_byte,
        "perplexity": found.perplexity,
    }
    if as_json:
        print(json.dumps(document))
        return
    for name, entry in document.items():
        print(f"{name:<20}{entry:.6g}" if isinstance(entry, float) else f"{name:<20}{entry}")
