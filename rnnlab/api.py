"""The Python API: set up sweeps, get results as data frames and trained models as torch modules.

The arguments db, results and plots correspond to --db, --results and --plots of the commands. Without an argument, the
value comes from RNNLAB_DB, RNNLAB_RESULTS or RNNLAB_PLOTS in the environment, then from rnnlab.toml in the working
directory, then from the default: the folders results and plots in the working directory. Where a command prints an
error in one line and exits, a function raises an exception of rnnlab.errors with the same text.

torch, pandas and other large packages are imported inside the functions, so that `import rnnlab` is fast.
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

Place = str | os.PathLike[str]  # a path; for a database, also a URL


def init(
    experiment: Place,
    *,
    corpus: Place | None = None,
    scale: str | None = None,
    allow_code: bool = False,
    db: Place | None = None,
    results: Place | None = None,
) -> "Initialized":
    """Add the jobs of an experiment to the job table, as `rnnlab init` does. `rnnlab worker` trains them.

    Existing jobs are not added again: after the grid has grown, only the new jobs are added.

    experiment: a built-in name, or the path of an experiment file (.toml). corpus: a known corpus or a text file, to
    replace the experiment's corpus. scale: a reduced size defined in the experiment file. allow_code: permit running
    the Python code of the experiment's own cells.

    Raises SpecError for an invalid experiment, or one that is incompatible with the experiment in the table;
    CorpusError for a text that is missing or too short; CellError for an invalid own cell; DatabaseError; UsageError
    for a folder that is not writable. After an exception, nothing has been added.
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
    """Rank the runs, draw plots and write the report, as `rnnlab analyze` does.

    experiment: its name in the job table; optional if the table has only one. enqueue: if a round is complete, add the
    next one to the table.

    In the returned object, `reports` contains the key finding and the written files of each round with a finished job,
    in order; `progression` contains the state of the rounds, and the added round if there is one.

    Raises UsageError for an unknown experiment, a metric that no result contains, or a folder that is not writable;
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
    """The jobs of an experiment, one row each, sorted by the metric of the experiment, lowest first.

    Columns: `rank` (1 = best; missing for a job that is not done or whose loss is not finite), followed by the columns
    of `rnnlab export`: identity of the job (`experiment`, `id`, `round`, `status`, `config_hash`, `recipe`, which is
    equal for replicates, `seed`); settings, under their names in the experiment file; `seconds` in training,
    `diverged`, and all numbers of the result, with losses in nats per symbol; progress and times. Missing values are
    NaN, NA or None.

    experiment: its name in the job table; optional if the table has only one. round_name: only the jobs of this round.
    Read only; can be called while workers are running.

    Raises UsageError for an unknown experiment or round, or a metric that no result contains; DatabaseError.
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

    Columns: `id` of the job, its `round`, `step` (optimizer steps so far), `ema_loss` (moving average of the training
    loss, nats per symbol). `curves().merge(results()[["id", "cell"]], on="id")` adds a setting of the job to each
    point.

    experiment, round_name: as for `results`. Read only; can be called while workers are running.

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
    """The trained model of a job, loaded from its newest checkpoint: a torch module in eval mode, on the CPU.

    job: "best", the finished job with the lowest metric of the experiment; or a job number; or the first digits of a
    hash. The job may still be in training. experiment: its name in the job table; optional if the table has only one.
    allow_code: permit running the Python code of the job's own cell.

    Raises UsageError for an unknown job or experiment, or a hash prefix that matches several jobs; CheckpointError for
    a job without an intact checkpoint in the results folder; CellError for an invalid own cell; DatabaseError. Issues a
    RuntimeWarning for a damaged checkpoint if an older one can be used.
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
    """The job database; None: the database in the results folder."""
    return configured("db") if db is None else os.fspath(db)


def _workspace(results: Place | None, plots: Place | None = None) -> "Workspace":
    return workspace_of(
        Path(results or configured("results") or DEFAULT_RESULTS), Path(plots or configured("plots") or DEFAULT_PLOTS)
    )
