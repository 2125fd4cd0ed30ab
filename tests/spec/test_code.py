"""Own cells in the experiment file: their names, their code, the run configs they give. Nothing is executed."""

from pathlib import Path

import pytest

from rnnlab.errors import SpecError
from rnnlab.files import sha256_hex
from rnnlab.spec.experiment_toml import experiment_toml
from rnnlab.spec.grid import enumerate_configs
from rnnlab.spec.library import find_experiment, load_experiment
from rnnlab.spec.run_config import run_config_from_json
from rnnlab.spec.scale import scaled
from tests.spec.examples import CORPUS, parse

SOURCE = "raise SystemExit('nobody runs this')\r\n"
HASH = sha256_hex(SOURCE.encode())
TEXT = """\
name = "own"
corpus = "generated"

[model]
state_size = 4

[training]
regime = "bptt"
batch_size = 3
block_size = 5
iterations = 4
learning_rate = 1e-2

[grid]
cell = ["rnn", "mine.py:Minimal", "mine.py:Other"]

[[skip]]
when = { cell = "mine.py:Other" }

[[rounds]]
name = "refine"
select = { top = 1 }
set = { cell = "mine.py:Minimal" }

[analysis]
focus = { cell = "mine.py:Minimal" }

[scale.tiny]
state_size = { "4" = 2 }
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_bytes(SOURCE.encode())
    (tmp_path / "own.toml").write_text(TEXT)
    return tmp_path / "own.toml"


def test_the_name_has_the_hash_wherever_the_cell_stands(path: Path) -> None:
    experiment = load_experiment(path)
    name = f"Minimal@{HASH}"
    assert experiment.grid["cell"] == ["rnn", name, f"Other@{HASH}"]
    assert experiment.skip[0].when == {"cell": f"Other@{HASH}"}
    assert experiment.rounds[0].set == experiment.analysis.focus == {"cell": name}
    assert {key: (file.file, file.source) for key, file in experiment.code.items()} == {HASH: ("mine.py", SOURCE)}
    assert scaled(experiment, "tiny").code == experiment.code


def test_the_run_config_of_an_own_cell(path: Path) -> None:
    rnn, own = enumerate_configs(load_experiment(path), CORPUS)
    assert (
        f'"model":{{"cell":"Minimal@{HASH}","embedding_size":0,"n_layers":1,"recurrent_init":"default","skip":"none",'
        '"start_state":"zero","state_size":4,"weight_init":"torch"}' in own.canonical_json
    )
    assert run_config_from_json(own.canonical_json) == own
    assert own.group_key.startswith(f"Minimal@{HASH[:12]}-L1-S4-")
    (path.parent / "mine.py").write_text(SOURCE + "# another text")
    rnn_again, changed = enumerate_configs(load_experiment(path), CORPUS)
    assert rnn_again == rnn
    assert changed.hash != own.hash
    assert changed.group_key != own.group_key


def test_an_exported_run_has_its_code(path: Path) -> None:
    experiment = load_experiment(path)
    rnn, own = enumerate_configs(experiment, CORPUS)
    again = parse(experiment_toml(own, "again", "", experiment.code))
    assert again.code == experiment.code
    assert enumerate_configs(again, CORPUS) == [own]
    assert "[code" not in experiment_toml(rnn, "again", "", experiment.code)


def test_experiments_without_own_cells_have_no_code() -> None:
    assert find_experiment("dynamics").code == {}


def test_a_setting_that_own_cells_lack_is_named(path: Path) -> None:
    single = TEXT.replace('cell = ["rnn", "mine.py:Minimal", "mine.py:Other"]', "seed = [0]")
    single = single.replace("[model]\n", '[model]\ncell = "mine.py:Minimal"\nlinear = "joint"\n')
    path.write_text(single.replace('[[skip]]\nwhen = { cell = "mine.py:Other" }\n', ""))
    with pytest.raises(
        SpecError, match=rf"model\.linear: unknown setting 'linear': cell 'Minimal@{HASH[:12]}' has n_l"
    ):
        load_experiment(path)
