"""rnnlab: the models in cohorts of the size that a worker would choose, trained in blocks as by a worker.

Shapes: M models.
"""

import torch

from benchmarks.training.task import Task, text
from rnnlab.training.cohort import Cohort, Member
from rnnlab.training.cohort_size.default_size import default_cohort_size
from rnnlab.training.run_state import fresh_state


class RnnlabCohorts:
    """The M models of the task. The batches are made from the text during training."""

    def __init__(self, task: Task, device: torch.device) -> None:
        configs = [task.config.with_settings({"seed": m}) for m in range(task.n_models)]
        members = [Member(config, fresh_state(config, task.vocabulary_size)) for config in configs]
        size, tokens = default_cohort_size(task.config, device), text(task.vocabulary_size)
        self.cohorts = [
            Cohort(members[first : first + size], tokens, task.vocabulary_size, device)
            for first in range(0, len(members), size)
        ]
        self._block_steps, self._device = task.block_steps, device

    def train_block(self) -> int:
        """Train a block of steps; returns the number of model-steps."""
        model_steps = sum(cohort.run_block(self._block_steps, max_threads=1) * len(cohort) for cohort in self.cohorts)
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return model_steps
