"""An experiment into the job table."""

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
    """Enumerate an experiment into the job table; what is there already stays as it is.

    experiment: a built-in name, or the path of a file. corpus: instead of the experiment's own. scale: a reduced size
    that the file defines. database: a path or a URL; None: that of the workspace. allow_code: run the code of own
    cells.

    Raises SpecError, CorpusError, CellError, DatabaseError or UsageError, in one line; nothing was added then.
    """
    plan = prepare(experiment, corpus, scale, allow_code=allow_code)
    with open_store(database, workspace, create=True) as store:
        return initialize(store, plan)
