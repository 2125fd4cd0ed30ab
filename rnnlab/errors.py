"""All exceptions of rnnlab.

A message is one line that says what failed, why, and what to do. The command line prints the message without a
traceback and exits with `exit_code`.
"""


class RnnlabError(Exception):
    """Base class: an error that the user can correct or work around."""

    exit_code = 1


class UsageError(RnnlabError):
    """Invalid input: a flag, a file, a name. Nothing was written."""

    exit_code = 2


class SpecError(UsageError):
    """An experiment file, or a run config made from it, is invalid."""


class CellError(UsageError):
    """A user's own cell must not be loaded, cannot be loaded, or is invalid."""


class CorpusError(UsageError):
    """A corpus is missing, has another hash than the experiment requires, or is too short."""


class DatabaseError(UsageError):
    """The job database cannot be opened, was not created by rnnlab, or has an incompatible version."""


class DatabaseAwayError(DatabaseError):
    """The job database is temporarily unavailable: restarting, locked, or unreachable. A later attempt may succeed."""


class ExperimentChangedError(UsageError):
    """Another command changed the experiment in the table after this command had read it."""


class CheckpointError(UsageError):
    """A checkpoint is missing or damaged, or belongs to another run config."""


class KernelsError(RnnlabError):
    """The native kernels cannot compute a training step that they should support."""


class StaleClaimError(RnnlabError):
    """Another worker has taken over the job: the epoch of this worker's claim is no longer current."""


class TakenForDeadError(RnnlabError):
    """A worker's lease expired, or the worker was marked as stopped in the table: it no longer owns its jobs."""


class WorkerStoppedError(RnnlabError):
    """The worker had to stop before its jobs were done, for example because the disk is full."""
