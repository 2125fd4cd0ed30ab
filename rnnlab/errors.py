"""Every exception of rnnlab.

A message is one line that says what was given, what is allowed, and what to do next. The command line prints it as it
stands, without a traceback, and leaves with `exit_code`.
"""


class RnnlabError(Exception):
    """Something went wrong that the user can act on."""

    exit_code = 1


class UsageError(RnnlabError):
    """The input is wrong: a flag, a file, a name. Nothing was written."""

    exit_code = 2


class SpecError(UsageError):
    """An experiment file, or a run config made from it, is not valid."""


class CellError(UsageError):
    """A user's own cell may not be loaded, cannot be, or is not what a cell must be."""


class CorpusError(UsageError):
    """A corpus is missing, has other contents than the experiment names, or is too short."""


class DatabaseError(UsageError):
    """The job database cannot be opened, is not rnnlab's, or comes from another version."""


class DatabaseAwayError(DatabaseError):
    """The job database does not answer for now: it is restarting, locked, or out of reach. A later try may succeed."""


class ExperimentChangedError(UsageError):
    """Another command has changed the experiment in the table, after this one had looked at it."""


class CheckpointError(UsageError):
    """A checkpoint is missing, torn, or belongs to another run config."""


class KernelsError(RnnlabError):
    """The native kernels cannot do a training step that they should be able to do."""


class StaleClaimError(RnnlabError):
    """The job was taken over by another worker: this worker's epoch is no longer the current one."""


class TakenForDeadError(RnnlabError):
    """A worker's lease ran out, or it was stopped in the table: its jobs are not its own any more."""


class WorkerStoppedError(RnnlabError):
    """The worker had to stop before its jobs were done, for example because the disk is full."""
