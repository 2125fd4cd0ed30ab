"""`rnnlab sample`: text from a trained model."""

import os
import sys
from typing import Annotated

import typer

from rnnlab.cli.job_options import JobArgument
from rnnlab.cli.options import AllowCodeOption, DatabaseOption, ResultsOption, print_warning
from rnnlab.errors import UsageError
from rnnlab.workspace import DEFAULT_RESULTS, workspace_of


def sample(
    job: JobArgument = None,
    experiment: Annotated[str | None, typer.Option(help="Take the best job of this experiment.")] = None,
    length: Annotated[int, typer.Option(help="Symbols to draw, at least 0.")] = 500,
    temperature: Annotated[float, typer.Option(help="Below 1: safer; above 1: wilder; 0: the likeliest.")] = 0.8,
    prime: Annotated[str, typer.Option(help="Text that the model reads first.")] = "The ",
    seed: Annotated[int, typer.Option(help="The same seed draws the same text.")] = 0,
    allow_code: AllowCodeOption = False,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Let a trained model write text, on standard output. A job in training will do: its newest checkpoint writes."""
    # Said here, before anything is looked up or printed.
    if length < 0:
        raise UsageError(f"--length {length}: give a number of at least 0")
    if seed < 0:
        raise UsageError(f"--seed {seed}: give a number of at least 0")
    if not temperature >= 0:
        raise UsageError(f"--temperature {temperature:g}: give a number of at least 0; 0 always takes the likeliest")
    if not prime:
        raise UsageError("--prime is empty: give at least one character to start from")

    from rnnlab.actions.load_model import trained_model

    trained = trained_model(job, experiment, db, workspace_of(results), allow_code=allow_code, complain=print_warning)
    model = trained.module()
    first = os.fsencode(prime)  # the bytes that were typed, whatever they are
    try:
        prime_ids = model.encode(first).tolist()
    except UsageError as error:
        raise UsageError(f"--prime {prime!r}: {error}") from error
    sys.stdout.buffer.write(first)
    for symbol in model.continuation(prime_ids, length=length, temperature=temperature, seed=seed):
        sys.stdout.buffer.write(model.tokenizer.decode([symbol]))
        sys.stdout.buffer.flush()
    sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()
