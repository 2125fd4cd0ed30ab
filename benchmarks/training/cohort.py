"""rnnlab: the models as one cohort, trained in blocks as a worker does.

Shapes: M models.
"""

import torch

from benchmarks.training.task import Task, text
from rnnlab.training.cohort import Cohort, Member
from rnnlab.training.run_state import fresh_state


class RnnlabCohort:
    """The M models of the task. The batches are made on the way, from the text."""

    def __init__(self, task: Task, device: torch.device) -> None:
        configs = [task.config.with_settings({"seed": m}) for m in range(task.n_models)]
        members = [Member(config, fresh_state(config, task.vocabulary_size)) for config in configs]
        self.cohort = Cohort(members, text(task.vocabulary_size), task.vocabulary_size, device)
        self._block_steps, self._device = task.block_steps, device

    def train_block(self) -> int:
        """Train a block of steps; returns the number of model-steps."""
        steps = self.cohort.run_block(self._block_steps, max_threads=1)
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return steps * len(self.cohort)
