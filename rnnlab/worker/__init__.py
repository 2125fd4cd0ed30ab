"""The worker: it claims jobs, trains them in cohorts, and commits the results.

This is the only package that imports both the queue and the training. The job table decides what is trained, and the
run folder decides where a run resumes.
"""

from rnnlab.worker.process import Worker
from rnnlab.worker.worker_options import WorkerOptions, WorkerView

__all__ = ["Worker", "WorkerOptions", "WorkerView"]
