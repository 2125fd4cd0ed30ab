"""Prepares an experiment for training: finds it and its corpus, validates both, and tries its own cells."""

from pathlib import Path

from rnnlab.plans.plan import Plan, make_plan
from rnnlab.spec.library import find_experiment
from rnnlab.spec.metrics import check_metrics


def prepare(experiment: str, corpus: str | None, scale: str | None, *, allow_code: bool) -> Plan:
    """The plan of a built-in experiment, or of an experiment file, completely validated.

    Own cells are loaded, and each is tried on a small model.

    Raises SpecError or CorpusError, in one line, for an invalid experiment or corpus; CellError if its cells are code
    that may not be run (in which case nothing was executed), cannot be loaded, or are invalid.
    """
    found = find_experiment(experiment, scale)
    check_metrics(found)
    plan = make_plan(found, corpus, folder=Path(experiment).parent)
    if plan.experiment.code:  # import torch only if needed
        _try_cells(plan, allowed=allow_code)
    return plan


def _try_cells(plan: Plan, *, allowed: bool) -> None:
    from rnnlab.models.own_cells import check_shapes, load_cells
    from rnnlab.spec.cell_settings import OwnSettings

    load_cells(plan.experiment.setting_schema.cells, plan.experiment.code, allowed=allowed)
    tried = set()
    for config in plan.first_round:
        if isinstance(config.model, OwnSettings) and config.model.cell not in tried:
            tried.add(config.model.cell)
            check_shapes(config.model)
