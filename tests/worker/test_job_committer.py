"""What a worker commits, and that it leaves jobs to their new owners."""

from collections.abc import Sequence
from typing import Any

import pytest

from rnnlab.errors import WorkerStoppedError
from rnnlab.files import Workspace
from rnnlab.queue.claim_statements import Among
from rnnlab.queue.job import Job, Status
from rnnlab.queue.store import Store
from rnnlab.training.cohort import Member
from rnnlab.training.context import TrainingContext
from rnnlab.worker.job_committer import JobCommitter
from rnnlab.worker.job_loader import JobLoader
from rnnlab.worker.running_job import JobSnapshot
from rnnlab.worker.worker_context import JobCounts, WorkerContext
from tests.support.store import register
from tests.support.worker_context import RecordingView

TRACE = "Traceback (most recent call last):\nRuntimeError: boom\n"


@pytest.fixture
def committer(context: WorkerContext) -> JobCommitter:
    return JobCommitter(context)


def job(store: Store, job_id: int) -> Job:
    found = store.job(job_id)
    assert found is not None
    return found


def begun(context: WorkerContext, number: int, *, trained: bool = False) -> list[JobSnapshot]:
    """Jobs that the worker has claimed, before their first step or after their last."""
    loader = JobLoader(context)
    snapshots = [loader.resume(loader.load(claimed)) for claimed in context.store.claim(context.worker_id, number)]
    if not trained:
        return snapshots
    cohort = context.training.cohort([snapshot.member for snapshot in snapshots])
    while not cohort.any_finished:
        cohort.run_block(100, 1)
    return [JobSnapshot(snapshot.running, member) for snapshot, member in zip(snapshots, cohort.members(), strict=True)]


def take_over(store: Store, snapshot: JobSnapshot) -> Job:
    """Let another worker own the job."""
    register(store, "other")
    assert store.release([snapshot.running.job.claim]) == [snapshot.running.job.claim]
    (taken,) = store.claim("other", 1, among=Among.STARTED)
    assert taken.id == snapshot.running.job.id
    return taken


def log_of(snapshot: JobSnapshot) -> str:
    return (snapshot.running.run_dir / "log.txt").read_text(encoding="utf-8")


def test_failures_are_counted_when_the_budget_is_used_up(
    store: Store, context: WorkerContext, committer: JobCommitter, view: RecordingView
) -> None:
    (snapshot,) = begun(context, 1)
    committer.fail(snapshot.running, TRACE)
    log = snapshot.running.run_dir / "log.txt"
    assert view.messages == [f"job 1 raised an exception and is pending again: RuntimeError: boom; traceback in {log}"]
    assert context.counts == JobCounts(finished=0, failed=0)
    (snapshot,) = begun(context, 1)
    committer.fail(snapshot.running, TRACE)
    assert view.messages[1:] == [f"job 1 failed: RuntimeError: boom; traceback in {log}"]
    assert context.counts == JobCounts(finished=0, failed=1)
    assert context.counts.ended == 1
    assert (job(store, 1).status, job(store, 1).error) == (Status.FAILED, TRACE)
    assert log_of(snapshot).count(TRACE) == 2


def test_a_failure_of_a_stale_claim_leaves_the_job_to_its_new_owner(
    store: Store, context: WorkerContext, committer: JobCommitter, view: RecordingView
) -> None:
    (snapshot,) = begun(context, 1)
    taken = take_over(store, snapshot)
    committer.fail(snapshot.running, TRACE)
    assert job(store, 1) == taken
    assert context.counts.failed == 0
    (message,) = view.messages
    assert message.startswith("job 1 was taken over by another worker: ")
    assert message.endswith("; left to its new owner")


def test_a_finished_cohort_is_evaluated_and_committed(
    store: Store, context: WorkerContext, committer: JobCommitter, view: RecordingView, workspace: Workspace
) -> None:
    snapshots = begun(context, 2, trained=True)
    for snapshot in snapshots:
        snapshot.running.seconds = 3.0
    committer.finish(snapshots, 1)
    assert view.done == [1, 2]
    assert context.counts == JobCounts(finished=2, failed=0)
    for done in (job(store, 1), job(store, 2)):
        assert (done.status, done.step) == (Status.DONE, done.target_steps)
        assert done.seconds > 3.0
        assert done.result is not None
        assert (workspace.results_dir / done.result["checkpoint"]).is_file()
        curve = store.curve(done.id)
        assert curve is not None
        assert curve.steps == list(snapshots[0].member.state.curve_steps) != []
    assert "finished: {" in log_of(snapshots[0])


def test_a_finish_of_a_stale_claim_leaves_the_job_to_its_new_owner(
    store: Store, context: WorkerContext, committer: JobCommitter, view: RecordingView
) -> None:
    snapshots = begun(context, 2, trained=True)
    taken = take_over(store, snapshots[0])
    committer.finish(snapshots, 1)
    assert job(store, 1) == taken
    assert job(store, 2).status is Status.DONE
    assert view.done == [2]
    assert context.counts == JobCounts(finished=1, failed=0)
    assert view.messages == ["job 1 was taken over by another worker; left to its new owner"]


def test_an_exception_in_the_evaluation_fails_its_job_alone(
    store: Store,
    context: WorkerContext,
    committer: JobCommitter,
    view: RecordingView,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    snapshots = begun(context, 3, trained=True)
    guilty = snapshots[1].running.config
    results = TrainingContext.results

    def evaluate(self: TrainingContext, finished: Sequence[Member], max_threads: int) -> list[dict[str, Any]]:
        if any(member.config == guilty for member in finished):
            raise RuntimeError("boom")
        return results(self, finished, max_threads)

    monkeypatch.setattr(TrainingContext, "results", evaluate)
    committer.finish(snapshots, 1)
    assert [job(store, n).status for n in (1, 2, 3)] == [Status.DONE, Status.PENDING, Status.DONE]
    assert "RuntimeError: boom" in (job(store, 2).error or "")
    assert view.done == [1, 3]
    assert context.counts == JobCounts(finished=2, failed=0)


def test_a_final_checkpoint_that_cannot_be_written_ends_the_worker(
    store: Store, context: WorkerContext, committer: JobCommitter
) -> None:
    (snapshot,) = begun(context, 1, trained=True)
    block(snapshot)
    with pytest.raises(WorkerStoppedError, match=r"^cannot write the final checkpoint of job 1 to .*free some space"):
        committer.finish([snapshot], 1)
    assert job(store, 1).status is Status.RUNNING
    assert context.counts.ended == 0


def block(snapshot: JobSnapshot) -> None:
    """Make it impossible to write to the run folder, as a full disk does."""
    folder = snapshot.running.run_dir
    (folder / "log.txt").unlink()
    folder.rmdir()
    folder.write_text("a file where the folder should be")


def test_checkpoints_are_committed_with_step_time_and_curve(
    store: Store, context: WorkerContext, committer: JobCommitter
) -> None:
    snapshots = begun(context, 2, trained=True)
    written = committer.checkpoint(snapshots, [1.5, 2.5])
    assert (written.committed, written.unwritten, list(written.lost), list(written.failed)) == (2, 0, [], [])
    assert [(job(store, n).status, job(store, n).step, job(store, n).seconds) for n in (1, 2)] == [
        (Status.RUNNING, snapshots[0].member.state.step, 1.5),
        (Status.RUNNING, snapshots[1].member.state.step, 2.5),
    ]
    curve = store.curve(1)
    assert curve is not None
    assert curve.series["ema_loss"] == list(snapshots[0].member.state.curve_ema_loss)
    assert JobLoader(context).resume(snapshots[0].running).member.state.step == snapshots[0].member.state.step


def test_a_checkpoint_of_a_stale_claim_leaves_the_job_to_its_new_owner(
    store: Store, context: WorkerContext, committer: JobCommitter, view: RecordingView
) -> None:
    snapshots = begun(context, 2, trained=True)
    taken = take_over(store, snapshots[1])
    written = committer.checkpoint(snapshots, [1.0, 1.0])
    assert list(written.lost) == [snapshots[1].running]
    assert written.committed == 1
    assert job(store, 2) == taken
    assert view.messages == ["job 2 was taken over by another worker; left to its new owner"]


def test_a_checkpoint_that_cannot_be_written_is_skipped(
    store: Store, context: WorkerContext, committer: JobCommitter, view: RecordingView, workspace: Workspace
) -> None:
    snapshots = begun(context, 2, trained=True)
    block(snapshots[0])
    written = committer.checkpoint(snapshots, [1.0, 1.0])
    assert (written.committed, written.unwritten) == (1, 1)
    assert [job(store, n).step for n in (1, 2)] == [0, snapshots[1].member.state.step]
    (message,) = view.messages
    assert message.startswith(f"cannot write checkpoints of 1 jobs in {workspace.results_dir} (")
    committer.release([snapshot.running for snapshot in snapshots], written.unwritten)
    assert view.messages[1:] == [
        "2 jobs are released with a checkpoint of their current step, except 1 that have only the previous one"
    ]


def test_a_checkpoint_that_raises_an_exception_is_returned_with_its_traceback(
    store: Store, context: WorkerContext, committer: JobCommitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshots = begun(context, 1)

    def write(*_: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("rnnlab.training.checkpoint.write", write)
    written = committer.checkpoint(snapshots, [1.0])
    ((running, trace),) = written.failed
    assert running is snapshots[0].running
    assert trace.endswith("RuntimeError: boom\n")
    assert (written.committed, job(store, 1).status) == (0, Status.RUNNING)


def test_a_request_is_applied_once_and_only_if_there_is_one(
    store: Store, context: WorkerContext, committer: JobCommitter, view: RecordingView
) -> None:
    first, second, third = begun(context, 3)
    store.pause([1])
    store.cancel([2])
    assert committer.apply_request(first.running)
    assert committer.apply_request(second.running)
    assert not committer.apply_request(third.running)
    assert [job(store, n).status for n in (1, 2, 3)] == [Status.PAUSED, Status.CANCELLED, Status.RUNNING]
    assert view.messages == ["job 1 is paused", "job 2 is cancelled"]
    assert log_of(first).endswith(" paused on request\n")


def test_a_request_for_a_stale_claim_is_left_to_the_new_owner(
    store: Store, context: WorkerContext, committer: JobCommitter, view: RecordingView
) -> None:
    (snapshot,) = begun(context, 1)
    taken = take_over(store, snapshot)
    store.pause([taken.id])
    assert committer.apply_request(snapshot.running)  # the worker must stop training it
    assert job(store, 1).status is Status.RUNNING
    assert view.messages[0].endswith("; left to its new owner")


def test_only_valid_claims_are_released(
    store: Store, context: WorkerContext, committer: JobCommitter, view: RecordingView
) -> None:
    snapshots = begun(context, 3)
    taken = take_over(store, snapshots[0])
    committer.release([snapshot.running for snapshot in snapshots], 0)
    assert job(store, 1) == taken
    assert [job(store, n).status for n in (2, 3)] == [Status.PENDING] * 2
    assert view.messages == ["2 jobs are released with a checkpoint of their current step"]
    committer.release([], 0)
    assert len(view.messages) == 1
