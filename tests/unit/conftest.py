"""What the tests of the experiment file, the planning and the command line share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rnnlab.queue.database import open_database
from rnnlab.queue.store import Store

SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

SMALL = """\
name = "small"
corpus = "generated"
seed = 0

[model]
cell = "gated"
state_size = 4

[training]
batch_size = 2
window_length = 11
windows = 2
learning_rate = 1e-3
record_every = 5

[grid]
n_layers = [1, 2]
use_forget_gate = [false, true]

[[rounds]]
name = "refine"
select = { by = "min_loss", best_fraction = 0.5 }
set = { windows = 3 }

[[rounds.vary]]

[[rounds.vary]]
set = { state_size = 6 }

[[rounds]]
name = "replicate"
select = { by = "min_loss", top = 2 }
set = { windows = 2 }
seeds = 3
"""


@pytest.fixture
def small_toml() -> str:
    """An experiment of four jobs on the generated text, with two later rounds: four jobs, then six."""
    return SMALL


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of corpora of its own for one test."""
    folder = tmp_path / "data folder"
    monkeypatch.setenv("RNNLAB_DATA", str(folder))
    return folder


@pytest.fixture
def published() -> Path:
    """The folder of dynamics_round1.csv to dynamics_round3.csv. They are not part of the project."""
    folder = SHARED_DATA / "reference"
    if not folder.is_dir():
        pytest.skip("needs the published results in ../shared/data/reference beside the checkout")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty job table."""
    engine = open_database(tmp_path / "rnnlab.db", create=True)
    yield Store(engine)
    engine.dispose()
