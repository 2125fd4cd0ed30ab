"""What `import rnnlab` offers: sweeps set up, results as data frames, trained models as torch modules.

Each function takes the places that the commands take as --db, --results and --plots. What is left out is looked up as
there: RNNLAB_DB, RNNLAB_RESULTS and RNNLAB_PLOTS in the environment, then rnnlab.toml in the working directory, then
the default, which is the folders results and plots of the working directory. What a command says in one line before it
ends, a function raises as an exception of rnnlab.errors with the same text.

torch, pandas and the like are imported inside the functions: `import rnnlab` costs nothing.
"""

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from rnnlab.configuration import configured
from rnnlab.workspace import DEFAULT_PLOTS, DEFAULT_RESULTS, open_store, workspace_of

if TYPE_CHECKING:
    import pandas as pd

    from rnnlab.actions.analyze import Analysis
    from rnnlab.actions.export.exported_runs import ExportedRuns
    from rnnlab.files import Workspace
    from rnnlab.plans.enqueue import Initialized
    from rnnlab.training.language_model import LanguageModel

Place = str | os.PathLike[str]  # a path; of a database also a URL


def init(
    experiment: Place,
    *,
    corpus: Place | None = None,
    scale: str | None = None,
    allow_code: bool = False,
    db: Place | None = None,
    results: Place | None = None,
) -> "Initialized":
    """Enumerate an experiment into the job table, as `rnnlab init` does; `rnnlab worker` then trains its jobs.

    Doing it again adds nothing; after the grid has grown it adds what is new.

    experiment: a built-in name, or the path of an experiment file (.toml). corpus: a known corpus or a text file,
    instead of the experiment's own. scale: a reduced size that the experiment file defines. allow_code: run the Python
    code of the experiment's own cells.

    Raises SpecError for an experiment that is not valid, or another one than that of the table; CorpusError for a text
    that is missing or too short; CellError for an own cell; DatabaseError; UsageError for a folder that cannot be
    written. Nothing was added then.
    """
    from rnnlab.actions.init import init_experiment

    corpus_name = None if corpus is None else os.fspath(corpus)
    place = _database(db), _workspace(results)
    return init_experiment(os.fspath(experiment), corpus_name, scale, *place, allow_code=allow_code)


def analyze(
    experiment: str | None = None,
    *,
    enqueue: bool = True,
    db: Place | None = None,
    results: Place | None = None,
    plots: Place | None = None,
) -> "Analysis":
    """Rank the runs, draw the pictures, write the report, as `rnnlab analyze` does.

    experiment: its name in the job table; may be left out where the table has only one. enqueue: when a round is
    complete, add the next one to the table.

    In what is returned, `reports` has for each round with a finished job, in order, the key finding and the files that
    were written; `progression` says how far the rounds are, and which one was added.

    Raises UsageError for an unknown experiment, a metric that no result has, or a folder that cannot be written;
    DatabaseError.
    """
    from rnnlab.actions.analyze import analyze as analyze_experiment

    return analyze_experiment(_database(db), _workspace(results, plots), experiment, enqueue=enqueue)


def results(
    experiment: str | None = None,
    round_name: str | None = None,
    *,
    db: Place | None = None,
    results: Place | None = None,
) -> "pd.DataFrame":
    """The jobs of an experiment, one row each, those with the lowest metric of the experiment first.

    Columns: `rank` (1 = best; missing for a job that is not done, or whose loss stopped being finite), and then those
    of `rnnlab export`: who the job is (`experiment`, `id`, `round`, `status`, `config_hash`, `recipe`, which is equal
    for replicates, `seed`); its settings under the names that the experiment file has for them; `seconds` in training,
    `diverged`, and all of the result, losses in nats per symbol; how far it is, and when. What a job does not have is
    missing (NaN, NA or None).

    experiment: its name in the job table; may be left out where the table has only one. round_name: only the jobs of
    this round. Changes nothing, and may be asked while workers are at it.

    Raises UsageError for an unknown experiment or round, or a metric that no result has; DatabaseError.
    """
    from rnnlab.actions.export.data_frames import ranked_run_table

    return ranked_run_table(_runs(experiment, round_name, db, results))


def curves(
    experiment: str | None = None,
    round_name: str | None = None,
    *,
    db: Place | None = None,
    results: Place | None = None,
) -> "pd.DataFrame":
    """The recorded points of all training curves of an experiment, one row each.

    Columns: `id` of the job, its `round`, `step` (optimiser steps made so far), `ema_loss` (moving average of the
    training loss, nats per symbol). `curves().merge(results()[["id", "cell"]], on="id")` puts a setting of each
    job beside its points.

    experiment, round_name: as for `results`. Changes nothing, and may be asked while workers are at it.

    Raises UsageError for an unknown experiment or round; DatabaseError.
    """
    from rnnlab.actions.export.data_frames import curve_table

    return curve_table(_runs(experiment, round_name, db, results))


def load_model(
    job: int | str = "best",
    *,
    experiment: str | None = None,
    allow_code: bool = False,
    db: Place | None = None,
    results: Place | None = None,
) -> "LanguageModel":
    """The trained model of a job, as its newest checkpoint has it: a torch module in eval mode, on the CPU.

    job: "best" is the finished job with the lowest metric of the experiment; else a job's number, or the first digits
    of its hash. A job in training will do. experiment: its name in the job table; may be left out where the table has
    only one. allow_code: run the Python code of the job's own cell.

    Raises UsageError for an unknown job or experiment, or more than one job with these digits; CheckpointError for a
    job that has no whole checkpoint in the results folder; CellError for an own cell; DatabaseError. Warns
    (RuntimeWarning) of damaged checkpoints where an older one does.
    """
    from rnnlab.actions.load_model import trained_model

    complaints: list[str] = []
    chosen = None if job == "best" else str(job)
    place = _database(db), _workspace(results)
    try:
        trained = trained_model(chosen, experiment, *place, allow_code=allow_code, complain=complaints.append)
    finally:
        for text in complaints:
            warnings.warn(text, RuntimeWarning, stacklevel=2)
    return trained.module()


def _runs(experiment: str | None, round_name: str | None, db: Place | None, results: Place | None) -> "ExportedRuns":
    from rnnlab.actions.export.exported_runs import read_runs
    from rnnlab.plans.plan import only_experiment

    with open_store(_database(db), _workspace(results), read_only=True) as store:
        return read_runs(store, only_experiment(store, experiment), round_name)


def _database(db: Place | None) -> str | None:
    """The job database; None: the one in the results folder."""
    return configured("db") if db is None else os.fspath(db)


def _workspace(results: Place | None, plots: Place | None = None) -> "Workspace":
    return workspace_of(
        Path(results or configured("results") or DEFAULT_RESULTS), Path(plots or configured("plots") or DEFAULT_PLOTS)
    )
