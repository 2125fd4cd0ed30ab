"""`rnnlab sample`: text from a trained model."""

import os
import sys
from typing import Annotated

import typer

from rnnlab.cli.options import DEFAULT_RESULTS, DatabaseOption, ResultsOption, open_store, workspace_of
from rnnlab.errors import CheckpointError, UsageError


def sample(
    job: Annotated[
        str | None,
        typer.Argument(help="A job's number or the first digits of its hash.", show_default="the best job"),
    ] = None,
    experiment: Annotated[str | None, typer.Option(help="Take the best job of this experiment.")] = None,
    length: Annotated[int, typer.Option(help="Symbols to draw, at least 0.")] = 500,
    temperature: Annotated[float, typer.Option(help="Below 1: safer; above 1: wilder; 0: the likeliest.")] = 0.8,
    prime: Annotated[str, typer.Option(help="Text that the model reads first.")] = "The ",
    seed: Annotated[int, typer.Option(help="The same seed draws the same text.")] = 0,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Let a trained model write text, on standard output."""
    # Said here, before anything is looked up or printed.
    if length < 0:
        raise UsageError(f"--length {length}: give a number of at least 0")
    if seed < 0:
        raise UsageError(f"--seed {seed}: give a number of at least 0")
    if not temperature >= 0:
        raise UsageError(f"--temperature {temperature:g}: give a number of at least 0; 0 always takes the likeliest")
    if not prime:
        raise UsageError("--prime is empty: give at least one character to start from")

    from rnnlab.cli.choosing import chosen_job
    from rnnlab.data.tokenizer import make_tokenizer
    from rnnlab.planning import config_of
    from rnnlab.training.checkpoint import newest
    from rnnlab.training.sampling import sample as draw

    workspace = workspace_of(results)
    with open_store(db, workspace, read_only=True) as store:
        chosen = chosen_job(store, job, experiment)
    config = config_of(chosen)
    run_dir = workspace.run_dir(chosen.experiment, chosen.round, chosen.config_hash)
    state = newest(run_dir, config, lambda text: print(text, file=sys.stderr))
    if state is None:
        raise CheckpointError(
            f"job {chosen.id} has no whole checkpoint in {run_dir}: it was not trained here; "
            "`rnnlab worker` trains it, --results names another folder"
        )
    tokenizer = make_tokenizer(config.tokenizer.kind)
    first = os.fsencode(prime)  # the bytes that were typed, whatever they are
    symbols = draw(config, state, tokenizer, prime=first, length=length, temperature=temperature, seed=seed)
    sys.stdout.buffer.write(first)
    for symbol in symbols:
        sys.stdout.buffer.write(tokenizer.decode([symbol]))
        sys.stdout.buffer.flush()
    sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()
