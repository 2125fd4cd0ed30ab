"""`rnnlab sample`: generate text with a trained model."""

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
    experiment: Annotated[str | None, typer.Option(help="Use the best job of this experiment.")] = None,
    length: Annotated[int, typer.Option(help="Number of symbols to generate.")] = 500,
    temperature: Annotated[float, typer.Option(help="Sampling temperature. 0: always the most likely symbol.")] = 0.8,
    prime: Annotated[str, typer.Option(help="Text that the model reads first.")] = "The ",
    seed: Annotated[int, typer.Option(help="Random seed. The same seed gives the same text.")] = 0,
    allow_code: AllowCodeOption = False,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Generate text with a trained model, or with the newest checkpoint of a job in training."""
    # Checked before the database is opened and anything is printed.
    if length < 0:
        raise UsageError(f"--length {length}: give a number of at least 0")
    if seed < 0:
        raise UsageError(f"--seed {seed}: give a number of at least 0")
    if not temperature >= 0:
        raise UsageError(
            f"--temperature {temperature:g}: give a number of at least 0; 0 always selects the most likely symbol"
        )
    if not prime:
        raise UsageError("--prime is empty: give at least one character to start from")

    from rnnlab.actions.load_model import trained_model

    trained = trained_model(job, experiment, db, workspace_of(results), allow_code=allow_code, complain=print_warning)
    model = trained.module()
    first = os.fsencode(prime)  # the bytes of the argument, even if they are not UTF-8
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
