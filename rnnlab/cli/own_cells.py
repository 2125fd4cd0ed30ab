"""Own cells on the command line: permission to run them, their first trial, and `rnnlab check-cell`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rnnlab.planning import Plan


def try_cells(plan: "Plan", *, allowed: bool) -> None:
    """Load the own cells of an experiment, if it has any, and try each on a small model.

    Raises CellError, in one line, if they may not be run (nothing was executed then), cannot be loaded, or are not what
    a cell must be.
    """
    if plan.experiment.code:  # torch is not imported for nothing
        _load_and_try(plan, allowed=allowed)


def _load_and_try(plan: "Plan", *, allowed: bool) -> None:
    from rnnlab.models.own import check_shapes, load_cells
    from rnnlab.spec.cells import OwnSettings

    load_cells(plan.experiment.kinds.cells, plan.experiment.code, allowed=allowed)
    tried = set()
    for config in plan.first_round:
        if isinstance(config.model, OwnSettings) and config.model.cell not in tried:
            tried.add(config.model.cell)
            check_shapes(config.model)
