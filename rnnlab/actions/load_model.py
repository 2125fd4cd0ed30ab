"""Loads the model of a job from its newest checkpoint."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rnnlab.actions.choose_job import chosen_job
from rnnlab.data.tokenizer import Tokenizer, make_tokenizer
from rnnlab.errors import CheckpointError, UsageError
from rnnlab.files import Workspace
from rnnlab.models.own_cells import load_cells, needs_code
from rnnlab.plans.plan import config_of, stored_plan
from rnnlab.spec.run_config import RunConfig
from rnnlab.training.checkpoint import Checkpoint, newest
from rnnlab.training.language_model import LanguageModel
from rnnlab.training.run_state import RunState
from rnnlab.workspace import open_store

_MAX_ATTEMPTS = 3  # a worker may replace the checkpoint between listing the folder and reading the file


@dataclass(frozen=True)
class TrainedModel:
    """A job, finished or in training, and everything needed to use its model, which does not include the text."""

    job_id: int
    experiment: str
    config: RunConfig
    state: RunState
    tokenizer: Tokenizer

    def module(self) -> LanguageModel:
        """The model as a torch module."""
        return LanguageModel(self.config, self.tokenizer, self.state.parameters)


def trained_model(
    job: str | None,
    experiment: str | None,
    db: str | None,
    workspace: Workspace,
    *,
    allow_code: bool,
    complain: Callable[[str], None],
) -> TrainedModel:
    """Load the model of a job, by default of the best one.

    complain: called with a line for each damaged checkpoint, if an older one can be used.
    Raises UsageError, in one line, if the job does not exist; CheckpointError if it has no intact checkpoint in the
    folder, or one with another vocabulary than in its config; CellError if its cell is code that may not be run, or
    raises an exception.
    """
    with open_store(db, workspace, read_only=True) as store:
        chosen = chosen_job(store, job, experiment)
        config = config_of(chosen)
        if needs_code(config.model.cell):
            load_cells([config.model.cell], stored_plan(store, chosen.experiment).experiment.code, allowed=allow_code)
    run_dir = workspace.run_dir(chosen.experiment, chosen.round, chosen.config_hash)
    found = _newest(run_dir, config, complain)
    if found is None:
        why = "it has not been trained here: run `rnnlab worker` to train it, or give another folder with --results"
        if chosen.is_imported:
            why = "its result was imported without a model"
        elif chosen.result is not None:
            why = (
                "it is done, so its final checkpoint was deleted, damaged or moved: restore it from a copy, or give "
                "another folder with --results"
            )
        raise CheckpointError(f"job {chosen.id} has no intact checkpoint in {run_dir}: {why}")
    settings = config.tokenizer
    try:
        tokenizer = make_tokenizer(settings.kind, found.vocabulary, settings.vocabulary_sha256)
    except UsageError as error:
        raise CheckpointError(f"the checkpoint of job {chosen.id} in {run_dir} cannot be used: {error}") from error
    return TrainedModel(chosen.id, chosen.experiment, config, found.state, tokenizer)


def _newest(run_dir: Path, config: RunConfig, complain: Callable[[str], None]) -> Checkpoint | None:
    complaints: list[str] = []
    found = None
    for _ in range(_MAX_ATTEMPTS):
        complaints = []
        found = newest(run_dir, config, complaints.append)
        if not complaints:
            break
    for text in complaints:
        complain(text)
    return found
