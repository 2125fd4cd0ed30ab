"""Which jobs a worker claims, and how many."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rnnlab.errors import TakenForDeadError, WorkerStoppedError
from rnnlab.queue.claiming import Among
from rnnlab.queue.job import Job, WorkerRecord
from rnnlab.queue.liveness import host_name
from rnnlab.queue.store import Store
from rnnlab.spec.run_config import RunConfig
from rnnlab.training.cohort_size.default_size import LARGEST_COHORT
from rnnlab.training.cohort_size.tuning import CohortSizes
from rnnlab.training.resources import threads_for
from rnnlab.worker.active_cohort import Team
from rnnlab.worker.retry_policy import Patience
from rnnlab.worker.worker_options import WorkerOptions


@dataclass(frozen=True)
class Live:
    """Live workers, this one included; each at least 1."""

    everywhere: int  # they share the jobs
    here: int  # those on this host: they share its cores

    @classmethod
    def of(cls, records: Sequence[WorkerRecord]) -> "Live":
        """Count them."""
        here = sum(record.host == host_name() for record in records)
        return cls(max(1, len(records)), max(1, here))


class Claims:
    """The claims of one worker. Every claim is one transaction; jobs of one call have one group key."""

    def __init__(
        self,
        store: Store,
        worker_id: str,
        options: WorkerOptions,
        patience: Patience,
        sizes: CohortSizes,
        config_of: Callable[[Job], RunConfig],
    ) -> None:
        """`config_of`: the config of a claimed job, after which a cohort of it can be measured."""
        self.worker_id = worker_id
        self._sizes = sizes
        self._config_of = config_of
        self._patience = patience
        self._store = store
        self._options = options
        self._largest: dict[str, int] = {}  # by group key, where the memory was not enough for more
        self._wanted: dict[str, int] = {}  # by group key: the size of cohorts, as long as there are jobs enough

    def begun_by_others(self, teams: list[Team], ended: int, live: Live) -> list[Job]:
        """Jobs that were released, or whose worker died: they have the right of way, above the cohort's size."""
        if teams and self._largest:
            return []  # memory is short here: one cohort at a time
        return self._cohort(teams, ended, live, Among.STARTED)

    def next_cohort(self, teams: list[Team], ended: int, live: Live) -> list[Job]:
        """The first job there is, and others of its group up to a cohort."""
        return self._cohort(teams, ended, live, Among.UNSUSPECTED)

    def suspect(self, ended: int) -> list[Job]:
        """A job whose workers died so often that it may be what kills them: for a worker that holds nothing else."""
        return self._claim(self._allowed(1, [], ended), None, Among.SUSPECTED)

    def refill(self, team: Team, teams: list[Team], ended: int, live: Live) -> list[Job]:
        """Jobs for the free places of a team."""
        if len(team.places) >= self._wanted.get(team.group_key, LARGEST_COHORT):
            return []  # asked at every block of every worker
        room = self._size_for(team.places[0].config, teams, live) - len(team.places)
        return self._claim(self._allowed(room, teams, ended), team.group_key, Among.UNSUSPECTED)

    def jobs_allowed(self, teams: list[Team], ended: int) -> bool:
        """Whether --max-jobs lets this worker claim another job. `ended`: jobs that it has ended."""
        return self._allowed(1, teams, ended) > 0

    def at_most(self, group_key: str, size: int) -> None:
        """From now on claim no larger cohorts of this group: the memory was not enough."""
        self._largest[group_key] = max(1, size)

    def _cohort(self, teams: list[Team], ended: int, live: Live, among: Among) -> list[Job]:
        first = self._claim(self._allowed(1, teams, ended), None, among)
        if not first:
            return []
        config = self._config_of(first[0])
        more = min(self._size_for(config, teams, live), self._allowed(1_000_000, teams, ended)) - 1
        return first + self._claim(more, config.group_key, among)

    def _allowed(self, limit: int, teams: list[Team], ended: int) -> int:
        if self._options.max_jobs is None:
            return limit
        return min(limit, self._options.max_jobs - ended - sum(len(team.places) for team in teams))

    def _claim(self, limit: int, group_key: str | None, among: Among) -> list[Job]:
        if limit < 1:
            return []
        try:
            return self._patience(
                lambda: self._store.claim(
                    self.worker_id,
                    limit,
                    group_key=group_key,
                    among=among,
                    experiment=self._options.experiment,
                )
            )
        except WorkerStoppedError as error:
            raise TakenForDeadError(str(error)) from error

    def _size_for(self, config: RunConfig, teams: list[Team], live: Live) -> int:
        """What suits the device and its memory, but not more than this worker's share of what is left."""
        resident = sum(len(team.places) for team in teams)
        largest = self._options.cohort_size or LARGEST_COHORT
        at_most = largest * live.everywhere  # with more than that, nobody's share limits anything
        pending = self._patience(lambda: self._store.pending_count(self._options.experiment, at_most=at_most))
        share = -(-(pending + resident + 1) // live.everywhere)
        limit = min(share, self._largest.get(config.group_key, share))
        if limit <= 1:
            return 1
        wanted = self._options.cohort_size or self._sizes.size_for(config, threads_for(config, live.here))
        self._wanted[config.group_key] = min(wanted, self._largest.get(config.group_key, wanted))
        return min(wanted, limit)
