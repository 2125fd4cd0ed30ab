"""From a claimed job to its run: what the job table has about it, and its newest checkpoint."""

from rnnlab.errors import CheckpointError
from rnnlab.models.own_cells import load_cells, needs_code
from rnnlab.plans.plan import stored_plan
from rnnlab.queue.job import Job
from rnnlab.queue.liveness import host_name
from rnnlab.spec.run_config import RunConfig, run_config_from_json
from rnnlab.training.cohort import Member
from rnnlab.training.engines.native_engine import arithmetic_of
from rnnlab.worker.running_job import JobSnapshot, RunningJob
from rnnlab.worker.worker_context import WorkerContext


class JobLoader:
    """Loads the jobs that one worker session claims, and their checkpoints."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context

    def load(self, job: Job) -> RunningJob:
        """Load a claimed job: its config, and from the table the vocabulary of its tokenizer and the code of its cell.

        Raises SpecError if a newer rnnlab wrote the config, and CellError if the code of the cell must not be executed
        or raises an exception.
        """
        config = run_config_from_json(job.payload)
        self._keep_vocabulary(job, config)
        self._load_cell(job, config)
        run_dir = self._context.workspace.run_dir(job.experiment, job.round, job.config_hash)
        return RunningJob(job, config, run_dir, job.seconds)

    def resume(self, running: RunningJob) -> JobSnapshot:
        """The run at its newest complete checkpoint, or before its first step if there is none.

        Raises CheckpointError if a worker on another host wrote a checkpoint that this host cannot see.
        """

        def warn(text: str) -> None:
            self._context.view.message(text)
            running.log(text)

        job, config, device = running.job, running.config, self._context.options.device
        state = self._context.training.resume(config, running.run_dir, warn)
        if state.step == 0 and job.step > 0:
            self._refuse_unseen_checkpoint(running)
            warn(
                f"job {job.id} was at step {job.step} but has no intact checkpoint in {running.run_dir}: it starts "
                "from the beginning"
            )
        worker = f"worker {self._context.worker_id} on {device}, {arithmetic_of(config.model, device)} kernels"
        running.log(f"claim {job.epoch} by {worker}: step {state.step}")
        return JobSnapshot(running, Member(config, state))

    def _keep_vocabulary(self, job: Job, config: RunConfig) -> None:
        """Keep the vocabulary that the tokenizer of the job learned. The table has it."""
        context = self._context
        if config.tokenizer.vocabulary_sha256 is not None and context.training.vocabulary(config) is None:
            vocabulary = context.retry(lambda: stored_plan(context.store, job.experiment)).vocabulary
            if vocabulary is not None:
                context.training.keep_vocabulary(vocabulary)

    def _load_cell(self, job: Job, config: RunConfig) -> None:
        context = self._context
        if needs_code(config.model.cell):
            code = context.retry(lambda: stored_plan(context.store, job.experiment)).experiment.code
            load_cells([config.model.cell], code, allowed=context.options.allow_code)

    def _refuse_unseen_checkpoint(self, running: RunningJob) -> None:
        """Raise CheckpointError if another host wrote the checkpoint, which is not lost: do not train it again."""
        store, retry, job = self._context.store, self._context.retry, running.job
        history = retry(lambda: store.events(job.id, limit=None))
        # Workers that claimed the job at this step wrote no checkpoint; the last owner before the first of them did.
        first = next(n for n, event in enumerate(history) if event.detail == f"step {job.step}")
        hosts = {record.id: record.host for record in retry(store.workers)}
        host = next((hosts.get(event.worker_id) for event in reversed(history[:first]) if event.worker_id), None)
        if host is not None and host != host_name():
            raise CheckpointError(
                f"a worker on host {host} has trained job {job.id} to step {job.step}, but host {host_name()} cannot "
                f"see its checkpoint: there is none in {running.run_dir}; share the results folder between the hosts, "
                "or give the shared folder with --results"
            )
