"""`rnnlab.cells`, the stable place of what a user's own cell needs, and the places that stored cells import."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

import rnnlab.cells
from rnnlab.models import cells, initialise, numerics
from rnnlab.models.own_cells import cell_class, load_cells
from rnnlab.spec.cell_settings import OwnSettings
from rnnlab.spec.code import CodeFile
from rnnlab.spec.run_config import RunConfig
from rnnlab.training.cohort import Cohort, Member
from rnnlab.training.run_state import fresh_state
from tests.support.models import VOCABULARY, bptt_config, random_tokens

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "minimal_cell.py"
NEW_IMPORT = "from rnnlab.cells import Cell, Parameter, State, Weights, logistic\n"
OLD_IMPORTS = (
    "from rnnlab.models.cells import Cell, State, Weights\n"
    "from rnnlab.models.initialise import Parameter\n"
    "from rnnlab.models.numerics import logistic\n"
)


def _trained(source: str) -> dict[str, Tensor]:
    """The parameters of a short run with the class Minimal of this source, loaded as from a job table."""
    code = CodeFile(file="minimal_cell.py", source=source)
    name = f"Minimal@{code.sha256}"
    load_cells([name], {code.sha256: code}, allowed=True)
    config = _config(name)
    cohort = Cohort(
        [Member(config, fresh_state(config, VOCABULARY))], random_tokens(400), VOCABULARY, torch.device("cpu")
    )
    while cohort.steps[0] < 5:
        cohort.run_block(5, 1)
    return cohort.members()[0].state.parameters


def test_a_cell_with_the_old_imports_gives_the_same_bits() -> None:
    source = EXAMPLE.read_text(encoding="utf-8")
    assert NEW_IMPORT in source
    new, old = _trained(source), _trained(source.replace(NEW_IMPORT, OLD_IMPORTS))
    assert list(new) == list(old)
    for name, value in new.items():
        assert torch.equal(value, old[name]), name
    initial = fresh_state(_config(_name(source)), VOCABULARY)
    assert not torch.equal(new["head.weight"], initial.parameters["head.weight"])  # it was trained


def _config(cell: str) -> RunConfig:
    settings = OwnSettings(cell=cell, n_layers=1, state_size=7)
    return bptt_config(settings, iterations=5, learning_rate=0.01)


def _name(source: str) -> str:
    return f"Minimal@{CodeFile(file='minimal_cell.py', source=source).sha256}"


@pytest.mark.parametrize("name", rnnlab.cells.__all__)
def test_public_names_are_those_of_the_stored_places(name: str) -> None:
    public = getattr(rnnlab.cells, name)
    old = next(module for module in (cells, initialise, numerics) if hasattr(module, name))
    assert getattr(old, name) is public


def test_stored_cells_find_the_names_that_they_import() -> None:
    for name in ("CELLS", "Cell", "Parameter", "State", "Weights", "affine", "initialization", "logistic"):
        assert hasattr(cells, name), name
    assert issubclass(cell_class("gru-reset-before"), rnnlab.cells.Cell)
