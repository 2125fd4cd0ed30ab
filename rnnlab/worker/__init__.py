"""The worker: claims jobs, trains them in cohorts, and commits what came of it.

The only package that knows both the queue and the training. The job table is the truth for scheduling, the run folder
is the truth for resuming.
"""

from rnnlab.worker.process import Worker
from rnnlab.worker.worker_options import WorkerOptions, WorkerView

__all__ = ["Worker", "WorkerOptions", "WorkerView"]
