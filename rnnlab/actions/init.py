"""Adds an experiment to the job table."""

from rnnlab.actions.prepare import prepare
from rnnlab.files import Workspace
from rnnlab.plans.enqueue import Initialized, initialize
from rnnlab.workspace import open_store


def init_experiment(
    experiment: str,
    corpus: str | None,
    scale: str | None,
    database: str | None,
    workspace: Workspace,
    *,
    allow_code: bool,
) -> Initialized:
    """Add the jobs of an experiment to the job table. Existing jobs are not changed.

    experiment: a built-in name, or the path of a file. corpus: replaces the experiment's corpus. scale: a reduced size
    defined in the file. database: a path or a URL; None: the database of the workspace. allow_code: permit running the
    code of own cells.

    Raises SpecError, CorpusError, CellError, DatabaseError or UsageError, in one line, if nothing was added.
    """
    plan = prepare(experiment, corpus, scale, allow_code=allow_code)
    with open_store(database, workspace, create=True) as store:
        return initialize(store, plan)
