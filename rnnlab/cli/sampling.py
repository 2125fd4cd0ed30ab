"""`rnnlab sample`: text from a trained model."""

import sys
from typing import Annotated

import typer

from rnnlab.cli.options import DEFAULT_RESULTS, DatabaseOption, ResultsOption, open_store, workspace_of


def sample(
    job: Annotated[
        str | None, typer.Argument(help="A job's number or the first digits of its hash. [default: the best job]")
    ] = None,
    experiment: Annotated[str | None, typer.Option(help="Take the best job of this experiment.")] = None,
    length: Annotated[int, typer.Option(min=0, help="Symbols to draw.")] = 500,
    temperature: Annotated[float, typer.Option(min=0, help="Below 1: safer; above 1: wilder; 0: the likeliest.")] = 0.8,
    prime: Annotated[str, typer.Option(help="Text that the model reads first.")] = "The ",
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same text.")] = 0,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Let a trained model write text, on standard output."""
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
        from rnnlab.errors import CheckpointError

        raise CheckpointError(
            f"job {chosen.id} has no whole checkpoint in {run_dir}: it was not trained here; "
            "`rnnlab worker` trains it, --results names another folder"
        )
    tokenizer = make_tokenizer(config.tokenizer.kind)
    symbols = draw(config, state, tokenizer, prime=prime.encode(), length=length, temperature=temperature, seed=seed)
    sys.stdout.buffer.write(prime.encode())
    for symbol in symbols:
        sys.stdout.buffer.write(tokenizer.decode([symbol]))
        sys.stdout.buffer.flush()
    sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()
