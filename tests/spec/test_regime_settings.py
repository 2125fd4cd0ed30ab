"""Settings of the recurrent cells and of the BPTT regime: how long a run is, how fast it learns, what is refused."""

import re

import pytest

from rnnlab.errors import SpecError
from rnnlab.spec.cell_settings import CELL_SETTINGS
from rnnlab.spec.experiment_toml import experiment_toml
from rnnlab.spec.grid import enumerate_configs
from rnnlab.spec.regime_settings import BpttSettings
from rnnlab.spec.run_config import RunConfig, run_config_from_json
from rnnlab.spec.settings import Scalar
from tests.spec.examples import CORPUS, configs_of, parse

BPTT = """\
name = "windows"
corpus = "generated"

[model]
cell = "gru-reset-before"
update_gate = "replaces"
embedding_size = 4

[training]
regime = "bptt"
batch_size = 10
block_size = 8
iterations = 100
optimizer = "adamw"
learning_rate = 1e-3

[grid]
state_size = [8, 16]
"""
EPOCHS = BPTT.replace("iterations = 100", 'sampling = "stride-1"\nepoch_windows = 95\nepochs = 3')
CARRIED = EPOCHS.replace("stride-1", "contiguous").replace("95", "100")


def first(text: str) -> RunConfig:
    return configs_of(text)[0]


def training_of(text: str) -> BpttSettings:
    training = first(text).training
    assert isinstance(training, BpttSettings)
    return training


@pytest.mark.parametrize("cell", CELL_SETTINGS)
def test_every_cell_can_be_named_and_its_canonical_json_gives_it_back(cell: str) -> None:
    text = BPTT.replace('cell = "gru-reset-before"\nupdate_gate = "replaces"', f'cell = "{cell}"')
    if cell == "gated":
        with pytest.raises(SpecError, match='cell "gated" needs regime = "online"'):
            configs_of(text)
        return
    config = first(text)
    assert config.model.cell == cell
    assert run_config_from_json(config.canonical_json).hash == config.hash
    assert config.group_key.startswith(f"{cell}-L1-S8-")


def test_hash_of_a_recurrent_config_never_changes() -> None:
    """Another hash would orphan tables and run folders: a change here needs a migration."""
    assert first(BPTT).canonical_json == (
        '{"corpus":{"name":"somewhere","sha256":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},'
        '"evaluation":{"windows":64},"model":{"cell":"gru-reset-before","embedding_size":4,"n_layers":1,'
        '"recurrent_init":"default","skip":"none","start_state":"zero","state_size":8,"update_gate":"replaces",'
        '"weight_init":"torch"},"seed":0,"split":{"test":0.05,"train":0.9,"validation":0.05},'
        '"tokenizer":{"kind":"bytes"},"training":{"batch_size":10,"block_size":8,"carry_state":false,"clip_norm":0.0,'
        '"epoch_windows":0,"epochs":0,"held_out_next":0,"held_out_share":0.0,"iterations":100,"learning_rate":0.001,'
        '"loss_at":"every","optimizer":"adamw","record_every":50,"regime":"bptt","sampling":"random","schedule":"",'
        '"weight_decay":0.01}}'
    )


def test_an_exported_run_is_the_same_run() -> None:
    for text in (BPTT, EPOCHS, CARRIED):
        original = first(text)
        (again,) = enumerate_configs(parse(experiment_toml(original, "again", "title")), original.corpus)
        assert again.hash == original.hash


def test_length_and_rates() -> None:
    assert first(BPTT).target_steps == 100
    assert first(EPOCHS).target_steps == 30  # 95 windows by tens: ten steps an epoch, the last on five windows
    assert first(EPOCHS.replace("epochs = 3", "epochs = 3\nheld_out_share = 0.2")).target_steps == 24
    text = EPOCHS.replace("epochs = 3", 'schedule = "2@1e-2,1@0.5"').replace("learning_rate = 1e-3", "")
    assert first(text).target_steps == 30
    rates = [training_of(text).learning_rate_at(step) for step in (0, 19, 20, 29, 30, 1000)]
    assert rates == [0.01, 0.01, 0.5, 0.5, 0.5, 0.5]
    assert training_of(BPTT).learning_rate_at(7) == 0.001
    assert training_of(BPTT).train_tokens_needed == 9
    assert training_of(EPOCHS).train_tokens_needed == 94 + 9
    assert training_of(EPOCHS.replace("stride-1", "non-overlapping")).train_tokens_needed == 95 * 8 + 1


def test_weight_decay_that_is_left_out_is_torchs() -> None:
    for optimizer, decay in (("sgd", 0.0), ("adam", 0.0), ("adamw", 0.01)):
        text = BPTT.replace('"adamw"', f'"{optimizer}"')
        assert training_of(text).weight_decay == decay
        assert training_of(text.replace("iterations", "weight_decay = 0.5\niterations")).weight_decay == 0.5
    assert training_of(BPTT.replace("iterations", "weight_decay = 0.0\niterations")).weight_decay == 0.0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("iterations", 7),
        ("learning_rate", 0.5),
        ("weight_decay", 0.5),
        ("clip_norm", 1.0),
        ("record_every", 3),
        ("seed", 9),
    ],
)
def test_settings_that_share_a_cohort(name: str, value: Scalar) -> None:
    changed = first(BPTT).with_settings({name: value})
    assert changed.hash != first(BPTT).hash
    assert changed.group_key == first(BPTT).group_key


@pytest.mark.parametrize(
    ("name", "value"),
    [("block_size", 9), ("skip", "add"), ("start_state", "learned"), ("update_gate", "keeps"), ("cell", "rnn")],
)
def test_settings_that_do_not(name: str, value: Scalar) -> None:
    assert first(BPTT).with_settings({name: value}).group_key != first(BPTT).group_key


def test_cells_as_an_axis() -> None:
    cells = '[grid]\ncell = ["rnn", "gru-reset-before", "loop-add"]'
    text = BPTT.replace('cell = "gru-reset-before"\nupdate_gate = "replaces"\n', "").replace("[grid]", cells)
    assert [config.model.cell for config in configs_of(text)] == [
        cell for cell in ("rnn", "gru-reset-before", "loop-add") for _ in range(2)
    ]
    # A setting that some of the cells lack is refused where it does not fit, unless a rule leaves that out.
    axis = text.replace("[grid]", '[grid]\nupdate_gate = ["keeps", "replaces"]')
    with pytest.raises(SpecError, match=r"at update_gate = \"keeps\", cell = \"rnn\", .*unknown setting 'update_gate'"):
        configs_of(axis)


def test_another_cell_leaves_settings_behind_that_it_does_not_know() -> None:
    changed = first(BPTT).with_settings({"cell": "lstm", "linear": "joint"})
    assert changed.model.model_dump() == {
        **first(BPTT.replace('update_gate = "replaces"', "")).model.model_dump(exclude={"update_gate"}),
        "cell": "lstm",
        "linear": "joint",
    }


RATE = "learning_rate = 1e-3"
MISTAKES = [
    (BPTT, 'regime = "bptt"', "", 'cell "gru-reset-before" needs regime = "bptt": set it in [training]'),
    (BPTT, '"gru-reset-before"', '"gated"', 'cell "gated" needs regime = "online": set it in [training]'),
    (BPTT, '"gru-reset-before"', '"gru"', 'model.cell = "gru": known cells are gated, rnn, lstm, gru-reset-before, '),
    (BPTT, '"bptt"', '"tbptt"', 'training.regime = "tbptt": known regimes are online, bptt'),
    (BPTT, "block_size = 8", "block_size = 0", "training.block_size = 0: must be at least 1"),
    (BPTT, "block_size = 8", "", "training.block_size is missing: set it, or make it an axis of [grid]"),
    (
        BPTT,
        "block_size = 8",
        "window_length = 8",
        "training.window_length: unknown setting 'window_length': cell '",
    ),
    (BPTT, '"replaces"', '"forgets"', 'model.update_gate = "forgets": must be "keeps" or "replaces"'),
    (BPTT, "embedding_size = 4", "embedding_size = 1", "model.embedding_size = 1: 1 is too small: give 0 for one-hot "),
    (BPTT, "[8, 16]", "[8, 1]", "grid.state_size = 1: must be at least 2"),
    (BPTT, RATE, "learning_rate = -1", "training.learning_rate = -1: must be at least 0"),
    (BPTT, '"adamw"', '"lion"', 'training.optimizer = "lion": must be "sgd", "adam" or "adamw"'),
    (BPTT, RATE, RATE + "\nclip_norm = -1", "training.clip_norm = -1: must be at least 0"),
    (EPOCHS, "stride-1", "every", 'training.sampling = "every": must be "random", "stride-1", "non-overlapping" or'),
    (EPOCHS, "epochs = 3", 'schedule = "1e-2"', 'training.schedule = "1e-2": "1e-2" is not a schedule: give e'),
    (EPOCHS, "epochs = 3", 'schedule = "1@0"', 'training.schedule = "1@0": "1@0" is not a schedule: give e'),
    (EPOCHS, "epochs = 3", 'schedule = "1@nan"', 'training.schedule = "1@nan": "1@nan" is not a schedule: give e'),
]
CLASHES = [
    (BPTT, "iterations = 100", "", "training: give exactly one of iterations, epochs and schedule"),
    (
        BPTT,
        "iterations = 100",
        "iterations = 1\nepochs = 1",
        "training: give exactly one of iterations, epochs and",
    ),
    (BPTT, RATE, "", "training: give either learning_rate or schedule"),
    (EPOCHS, "epochs = 3", 'schedule = "1@1"', "training: give either learning_rate or schedule"),
    (BPTT, "iterations = 100", "epochs = 1", 'training: sampling = "random" has no epochs: give iterations, or'),
    (
        BPTT,
        "iterations",
        "epoch_windows = 5\niterations",
        'training: sampling = "random" does not support epoch_windows, held',
    ),
    (
        EPOCHS,
        "epoch_windows = 95",
        "",
        'training: sampling = "stride-1" needs epoch_windows, the number of windows per',
    ),
    (EPOCHS, "95", "2\nheld_out_share = 0.9", "training: held_out_share = 0.9 leaves no window to train on"),
    (
        CARRIED,
        "100",
        "95",
        'training: epoch_windows = 95: with sampling = "contiguous" it must be a multiple of',
    ),
    (
        CARRIED,
        "100",
        "100\nheld_out_share = 0.2",
        'training: held_out_share: sampling = "contiguous" does not allow gaps',
    ),
    (
        EPOCHS,
        "95",
        "95\ncarry_state = true",
        'training: carry_state = true needs sampling = "contiguous", in which windows',
    ),
]


def _complaint(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        configs_of(text)
    line = str(caught.value)
    assert "\n" not in line
    assert not re.search(r"(?i)input should|instance of|pydantic|discriminator|Error", line)
    return line


@pytest.mark.parametrize(("text", "old", "new", "complaint"), MISTAKES, ids=[new[:50] for _, _, new, _ in MISTAKES])
def test_mistake(text: str, old: str, new: str, complaint: str) -> None:
    assert old in text
    assert _complaint(text.replace(old, new, 1)).startswith(f"x.toml: {complaint}")


@pytest.mark.parametrize(("text", "old", "new", "complaint"), CLASHES, ids=[new[:50] for _, _, new, _ in CLASHES])
def test_settings_that_do_not_go_together(text: str, old: str, new: str, complaint: str) -> None:
    assert old in text
    assert _complaint(text.replace(old, new, 1)).startswith(f"experiment windows, at state_size = 8: {complaint}")


def test_an_unknown_key_of_a_stored_config_is_named_without_the_names_of_classes() -> None:
    document = first(BPTT).canonical_json.replace('"skip":', '"skipp":')
    with pytest.raises(SpecError, match=r"^unknown key model\.skipp: known keys are n_layers, state_size, embedding_s"):
        run_config_from_json(document)


def test_a_split_may_lack_a_test_part() -> None:
    text = BPTT.replace("[model]", "split = { train = 0.9, validation = 0.1, test = 0 }\n[model]", 1)
    assert first(text).split.test == 0.0
    assert CORPUS.name
