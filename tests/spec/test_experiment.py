"""Every mistake in an experiment file is one line that names the key, the value and what is allowed."""

import re
import tomllib
from pathlib import Path

import pytest

from rnnlab.errors import SpecError
from rnnlab.spec.experiment import renamed
from rnnlab.spec.grid import enumerate_configs
from rnnlab.spec.library import built_in_names, find_experiment, library_dir, load_experiment
from tests.spec.examples import CORPUS, configs_of, parse
from tests.support.paths import ROOT

AXIS = "n_layers = [1, 2]"
RATE = "learning_rate = 1e-3"
ROUND = '[[rounds]]\nname = "more"\nselect = { top = 1 }\n'

ONE_RUN = "[[reproduction.runs]]\nname = 'one'\n"
REPRODUCTION = "[reproduction]\nsource = 'here'\ntolerance = 0.05\nbecause = 'so'\n" + ONE_RUN
# (what stands in the file, what is written instead, what the complaint says after the file's name)
MISTAKES = [
    # The top of the file
    ("seed = 0", "sede = 0", "unknown key sede: known keys are name, title, corpus, "),
    ('name = "small"', "", "name is missing: it is required"),
    ('name = "small"', 'name = "My Run"', 'name = "My Run": must be lower-case letters, digits, - and _, at most 64'),
    ('name = "small"', "name = 3", "name = 3: must be a string in quotes"),
    ('name = "small"', "name = 2024-02-03", "name = 2024-02-03: must be a string in quotes"),
    ("seed = 0", "seed = -1", "seed = -1: must be at least 0"),
    ("seed = 0", "seed = 0.5", "seed = 0.5: must be a whole number"),
    ("seed = 0", 'seed = "0"', 'seed = "0": must be a whole number'),
    # Corpus, tokenizer, split
    ('corpus = "generated"', "", "corpus is missing: it is required"),
    ('corpus = "generated"', 'corpus = ""', 'corpus.name = "": must be a non-empty string'),
    ('corpus = "generated"', "corpus = 3", "corpus: 3 is not a corpus: give a name, a file, or { name = ..."),
    ('corpus = "generated"', "corpus = {}", "corpus.name is missing: it is required"),
    ('"generated"', '{ name = "a", sha256 = "12" }', 'corpus.sha256 = "12": must be 64 hexadecimal digits in lower'),
    ('"generated"', '{ name = "a", url = "b" }', "unknown key corpus.url: known keys are name, sha256"),
    (
        "seed = 0",
        'tokenizer = { kind = "words" }',
        'tokenizer.kind = "words": must be "bytes", "characters", "letters" or "bpe"',
    ),
    ("seed = 0", "tokenizer = { kind = 3 }", 'tokenizer.kind = "3": must be "bytes", "characters", "letters" or "bpe"'),
    ("seed = 0", 'tokenizer = { kind = "bpe" }', "tokenizer.vocab_size is missing: it is required"),
    (
        "seed = 0",
        'tokenizer = { kind = "bpe", vocab_size = 256 }',
        "tokenizer.vocab_size = 256: must be at least 257",
    ),
    (
        "seed = 0",
        'tokenizer = { kind = "bpe", vocab_size = 65537 }',
        "tokenizer.vocab_size = 65537: must be at most 65,536",
    ),
    (
        "seed = 0",
        'tokenizer = { kind = "bpe", vocab_size = 512, padding = true }',
        "unknown key tokenizer.padding: known keys are kind, vocabulary, vocab_size",
    ),
    ("seed = 0", "tokenizer = { padding = true }", "unknown key tokenizer.padding: known keys are kind"),
    (
        "seed = 0",
        'tokenizer = { kind = "characters", padding = 1 }',
        "tokenizer.padding = 1: must be true or false",
    ),
    (
        "seed = 0",
        'tokenizer = { kind = "characters", vocabulary = "12" }',
        'tokenizer.vocabulary = "12": must be 64 hexadecimal digits in lower case',
    ),
    ("seed = 0", 'tokenizer = "bytes"', 'tokenizer = "bytes": must be a table: { key = value }'),
    ("seed = 0", "split = { train = 0.5 }", "split: train + validation + test = 0.6, but the fractions must add up"),
    ("seed = 0", "split = { train = 1.0 }", "split.train = 1.0: must be less than 1"),
    ("seed = 0", "split = { validation = 0 }", "split.validation = 0: must be greater than 0"),
    ("seed = 0", "evaluation = { windows = 0 }", "evaluation.windows = 0: must be at least 1"),
    # Settings that all runs share
    ('cell = "gated"', 'cell = "elman"', 'model.cell = "elman": known cells are gated, rnn, lstm, '),
    ('cell = "gated"', "cell = 3", "model.cell = 3: known cells are gated"),
    (
        'cell = "gated"',
        'cell = ["gated"]',
        'model.cell = ["gated"]: must be a number, a string in quotes, true or false',
    ),
    ('cell = "gated"', "layers = 2", "model.layers: unknown setting 'layers': cell 'gated' has cell, n_layers, "),
    ('cell = "gated"', "windows = 2", "model.windows: set windows in [training], not in [model]"),
    ('cell = "gated"', "seed = 2", "model.seed: set seed as an axis of [grid] or at the top of the file, not in"),
    (
        RATE,
        RATE + "\nuse_residual = true",
        "training.use_residual: set use_residual in [model], not in [training]",
    ),
    ("state_size = 4", "state_size = 16385", "model.state_size = 16385: must be at most 16,384"),
    ("state_size = 4", 'state_size = "4"', 'model.state_size = "4": must be a whole number'),
    ("state_size = 4", "state_size = true", "model.state_size = true: must be a whole number"),
    ("state_size = 4", "", "model.state_size is missing: set it, or make it an axis of [grid]"),
    ("state_size = 4", "state_size = 4\nuse_residual = 1", "model.use_residual = 1: must be true or false"),
    (RATE, "", "training.learning_rate is missing: set it, or make it an axis of [grid]"),
    (RATE, "learning_rate = 0", "training.learning_rate = 0: must be greater than 0"),
    (RATE, "learning_rate = 11", "training.learning_rate = 11: must be at most 10"),
    (RATE, "learning_rate = nan", "training.learning_rate = nan: must be a finite number"),
    (RATE, "learning_rate = inf", "training.learning_rate = inf: must be a finite number"),
    (RATE, 'learning_rate = "fast"', 'training.learning_rate = "fast": must be a number'),
    ("windows = 2", "windows = 1.0", "training.windows = 1.0: must be a whole number"),
    ("windows = 2", "windows = 2_000_000_000", "training.windows = 2000000000: must be at most 1,000,000,000"),
    ("window_length = 11", "window_length = 1", "training.window_length = 1: must be at least 2"),
    (RATE, RATE + '\noptimizer = "sgd"', 'training.optimizer = "sgd": must be "adam"'),
    # The grid
    (f"{AXIS}\nuse_forget_gate = [false, true]", "", "[grid] is empty: give at least one axis, for example "),
    (AXIS, "n_layers = []", "grid.n_layers is empty: give at least one value"),
    (AXIS, "n_layers = 3", "grid.n_layers = 3: must be a list: [...]"),
    (AXIS, "n_layers = [0, 1]", "grid.n_layers = 0: must be at least 1"),
    (AXIS, "n_layers = [1, 65]", "grid.n_layers = 65: must be at most 64"),
    (AXIS, "n_layers = [1, 2.0]", "grid.n_layers = 2.0: must be a whole number"),
    (AXIS, "n_layers = [[1]]", "grid.n_layers entry 1 = [1]: must be a number, a string in quotes, true or false"),
    (AXIS, f"{AXIS}\nuse_old_state = [0, 1]", "grid.use_old_state = 0: must be true or false"),
    (AXIS, "n_layers = [1, 2, 1]", "grid.n_layers contains a value twice: 1, 2, 1"),
    (AXIS, f"{AXIS}\nlayers = [1]", "grid.layers: unknown setting 'layers': cell 'gated' has cell, n_layers, "),
    (AXIS, f"{AXIS}\nstate_size = [4]", "state_size is both an axis of [grid] and a fixed setting: remove one of them"),
    (AXIS, f"{AXIS}\nseed = [0, -1]", "grid.seed = -1: must be at least 0"),
    # Skip rules
    ("[grid]", "[[skip]]\nwhen = {}\n[grid]", "skip entry 1: when = {}: must be a non-empty list or table"),
    ("[grid]", '[[skip]]\nbecause = "so"\n[grid]', "skip entry 1: when is missing: it is required"),
    ("[grid]", "[[skip]]\nwhen = { layers = 1 }\n[grid]", "skip entry 1: when.layers: unknown setting 'layers'"),
    (
        "[grid]",
        "[[skip]]\nwhen = { n_layers = 1 }\n[[skip]]\nwhen = { state_size = 4 }\n[grid]",
        "skip entry 2: when.state_size: [grid] has no axis of this name; axes are n_layers, use_forget_gate",
    ),
    (
        "[grid]",
        "[[adjust]]\nwhen = { state_size = 4 }\nset = { use_old_state = true }\n[grid]",
        "adjust entry 1: when.state_size: [grid] has no axis of this name; axes are n_layers, use_forget_gate",
    ),
    (
        "[grid]",
        "[[adjust]]\nwhen = { n_layers = 1 }\nset = { use_forget_gate = true }\n[grid]",
        "adjust entry 1: set.use_forget_gate: use_forget_gate is an axis of [grid]: skip points instead",
    ),
    (
        "[grid]",
        "[[adjust]]\nwhen = { n_layers = 1 }\nset = { state_size = 0 }\n[grid]",
        "adjust entry 1: set.state_size = 0: must be at least 1",
    ),
    ("[grid]", REPRODUCTION + "set = {}\n[grid]", "reproduction.runs entry 1: reported is missing: it is required"),
    (
        "[grid]",
        REPRODUCTION + "set = { state_size = 0 }\nreported = { min_loss = 1.5 }\n[grid]",
        "reproduction run 'one': set.state_size = 0: must be at least 1",
    ),
    (
        "[grid]",
        REPRODUCTION.replace("0.05", "5") + "set = {}\nreported = { min_loss = 1.5 }\n[grid]",
        "reproduction.tolerance = 5: must be less than 1",
    ),
    (
        "[grid]",
        REPRODUCTION + "set = {}\nreported = { x = 1.0 }\n" + ONE_RUN + "set = {}\nreported = { x = 1.0 }\n[grid]",
        "reproduction: two runs are called 'one': give each run a unique name",
    ),
    ("[grid]", "[[skip]]\nwhen = { n_layers = '1' }\n[grid]", 'skip entry 1: when.n_layers = "1": must be a whole'),
    ("[grid]", "[[skip]]\nwhen = { n_layers = [] }\n[grid]", "skip entry 1: when.n_layers is empty: give at least"),
    (
        "[grid]",
        "[skip]\nwhen = { n_layers = 1 }\n[grid]",
        "skip = {when = {n_layers = 1}}: must be a list: [...], or [[",
    ),
    # Rounds: found now, not when the round before is done
    ("[grid]", '[[rounds]]\nname = "more"\n[grid]', "rounds entry 1: select is missing: it is required"),
    ("[grid]", ROUND.replace("{ top = 1 }", "{}") + "[grid]", "rounds entry 1: select: give exactly one of best_frac"),
    (
        "best_fraction = 0.5",
        'below = 2.0, pareto = "seconds"',
        "rounds entry 1: select: give exactly one of best_fraction, top, below and pareto, not below and pareto",
    ),
    ("best_fraction = 0.5", "below = nan", "rounds entry 1: select.below = nan: must be a finite number"),
    ("best_fraction = 0.5", "below = '2'", 'rounds entry 1: select.below = "2": must be a number'),
    (
        "best_fraction = 0.5",
        'pareto = "size"',
        'rounds entry 1: select.pareto = "size": must be "parameters" or "seconds"',
    ),
    ("[grid]", ROUND.replace("top = 1", "top = 0") + "[grid]", "rounds entry 1: select.top = 0: must be at least 1"),
    ("best_fraction = 0.5", "best_fraction = 1.5", "rounds entry 1: select.best_fraction = 1.5: must be at most 1"),
    (
        "best_fraction = 0.5",
        "best = 0.5",
        "unknown key rounds entry 1: select.best: known keys are by, best_fraction, ",
    ),
    ("seeds = 3", "seeds = 0", "rounds entry 2: seeds = 0: must be at least 1"),
    (
        'name = "refine"',
        'name = "replicate"',
        "rounds are explore, replicate, replicate: each round must have a unique name",
    ),
    (
        'name = "refine"',
        'name = "explore"',
        "rounds are explore, explore, replicate: each round must have a unique name",
    ),
    ("set = { windows = 3 }", "set = { windows = 0 }", "round refine: set.windows = 0: must be at least 1"),
    ("set = { windows = 3 }", "set = { lr = 1 }", "round refine: set.lr: unknown setting 'lr': cell 'gated' has "),
    ("set = { windows = 3 }", "keep = { n_layers = 'a' }", 'round refine: keep.n_layers = "a": must be a whole number'),
    ("set = { state_size = 6 }", "set = { state_size = 0 }", "round refine: vary entry 2: set.state_size = 0: must be"),
    ("set = { state_size = 6 }", "when = { n_layers = 1.5 }", "round refine: vary entry 2: when.n_layers = 1.5: must"),
    # Analysis and scales
    ("[grid]", "[analysis]\nthreshold = nan\n[grid]", "analysis.threshold = nan: must be a finite number"),
    ("[grid]", "[analysis]\nmetric = 1\n[grid]", "analysis.metric = 1: must be a string in quotes"),
    ("[grid]", "[analysis]\nfocus = { width = 1 }\n[grid]", "analysis.focus.width: unknown setting 'width'"),
    ("[grid]", "[scale.tiny]\nwidth = { 1 = 2 }\n[grid]", "scale.tiny.width: unknown setting 'width'"),
    ("[grid]", "[scale.tiny]\nwindows = { 2 = 0 }\n[grid]", "scale.tiny.windows = 0: must be at least 1"),
    ("[grid]", "[scale.tiny]\nwindows = 3\n[grid]", "scale.tiny.windows = 3: must be a table: { key = value }"),
]


@pytest.mark.parametrize(("old", "new", "complaint"), MISTAKES, ids=[new[:60] for _, new, _ in MISTAKES])
def test_mistake(small_toml: str, old: str, new: str, complaint: str) -> None:
    assert old in small_toml
    with pytest.raises(SpecError) as caught:
        parse(small_toml.replace(old, new, 1))
    line = str(caught.value)
    assert line.startswith(f"x.toml: {complaint}")
    assert "\n" not in line
    # Words of the library that checks, which mean nothing to who wrote the file.
    assert not re.search(r"(?i)input should|valid (string|integer|number|dictionary)|instance of|pydantic|Error", line)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (
            "[training]",
            "[trainin]",
            r"^x\.toml: unknown key trainin: known keys are .*; did you mean training\? \(and 1",
        ),
        ("n_layers = [1, 2]", "n_layer = [1, 2]", r"grid\.n_layer: unknown setting .*; did you mean n_layers\?$"),
        ("top = 2", "topp = 2", r"unknown key rounds entry 2: select\.topp: .*; did you mean top\?"),
        ("seed = 0", "zzz = 0", r"unknown key zzz: known keys are [a-z, ]*$"),
        ("[model]", 'code = { a = { file = "x", source = "y" } }\n[model]', 'code.a = "a": must be 64 hexadecimal'),
    ],
)
def test_near_misses(small_toml: str, old: str, new: str, complaint: str) -> None:
    with pytest.raises(SpecError, match=complaint):
        parse(small_toml.replace(old, new, 1))


@pytest.mark.parametrize("regime", ["", 'regime = "online"\n', 'regime = "bptt"\n'])
def test_cells_of_two_regimes_make_two_experiments(small_toml: str, regime: str) -> None:
    text = small_toml.replace('cell = "gated"\n', "").replace(AXIS, f'{AXIS}\ncell = ["lstm", "gated"]')
    with pytest.raises(SpecError) as caught:
        parse(text.replace("[training]\n", f"[training]\n{regime}"))
    assert str(caught.value) == (
        'x.toml: cell "lstm" needs regime = "bptt", cell "gated" needs "online": define two experiments: '
        "one job table holds both, and `rnnlab compare` compares them"
    )


def test_several_mistakes_are_counted(small_toml: str) -> None:
    with pytest.raises(SpecError, match=r"^x\.toml: seed = -1: must be at least 0 \(and 2 more\)$"):
        parse(small_toml.replace("seed = 0", "seed = -1\nsede = 0").replace("[1, 2]", "[nan, 2]"))


def test_settings_that_do_not_go_together(small_toml: str) -> None:
    """Each is legal, the point of the grid is not."""
    text = small_toml.replace(AXIS, f"{AXIS}\nuse_residual = [true, false]\nuse_new_state = [true, false]")
    with pytest.raises(SpecError) as caught:
        configs_of(text)
    assert str(caught.value) == (
        "experiment small, at n_layers = 1, use_residual = false, use_new_state = false, use_forget_gate = false: "
        "model: one of use_new_state, use_old_state, use_residual must be true: the layer has no output"
    )
    rule = "[[skip]]\nwhen = { use_residual = false, use_new_state = false }\n"
    assert len(configs_of(text.replace("[grid]", f"{rule}[grid]"))) == 12


def test_skip_rules_that_leave_nothing(small_toml: str) -> None:
    with pytest.raises(SpecError, match=r"^experiment small: the skip rules leave no run of the grid: remove one"):
        configs_of(small_toml.replace("[grid]", "[[skip]]\nwhen = { n_layers = [1, 2] }\n[grid]"))


def test_far_too_large_a_grid_is_refused_at_once(small_toml: str) -> None:
    axis = f"state_size = {list(range(1, 1001))}\nwindows = {list(range(1, 1001))}\n"
    fixed = small_toml.replace("state_size = 4\n", "").replace("windows = 2\nlearning", "learning")
    with pytest.raises(SpecError, match=r"^experiment small: the grid has 4,000,000 points, at most 1,000,000 are"):
        configs_of(fixed.replace(AXIS, f"{AXIS}\n{axis}"))


def test_file_that_is_no_toml(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    for content, complaint in [
        (b"name = ", r"broken\.toml is not a TOML file: Invalid value \(at end of document\)$"),
        (b"\xff\xfe\x00binary", r"broken\.toml is not a TOML file: .*can't decode"),
        (b"a = " + b"[" * 5000, r"broken\.toml is not an experiment file: it is nested too deeply$"),
        (b"", r"broken\.toml: name is missing: it is required \(and 4 more\)$"),
    ]:
        path.write_bytes(content)
        with pytest.raises(SpecError, match=complaint) as caught:
            load_experiment(path)
        assert "\n" not in str(caught.value)


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"^experiment file .*missing\.toml cannot be read: No such file or directory$"):
        load_experiment(tmp_path / "missing.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(SpecError, match=r"^experiment file .*folder\.toml cannot be read: Is a directory$"):
        load_experiment(tmp_path / "folder.toml")


def test_find_experiment(small_toml: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_experiment("demo").name == "demo"
    (tmp_path / "mine.toml").write_text(small_toml)
    assert find_experiment(str(tmp_path / "mine.toml")) == parse(small_toml)
    monkeypatch.chdir(tmp_path)
    assert find_experiment("mine.toml") == parse(small_toml)
    with pytest.raises(
        SpecError, match=r"^no experiment called 'mine': the built-in experiments are demo, dynamics.*; give a file of"
    ):
        find_experiment("mine")
    with pytest.raises(SpecError, match=r"^experiment demo has no scale 'tiny': its file defines none, omit --scale$"):
        find_experiment("demo", "tiny")
    with pytest.raises(SpecError, match=r"^experiment dynamics has no scale '': it has tiny$"):
        find_experiment("dynamics", "")


def test_every_built_in_experiment_enumerates() -> None:
    assert {"demo", "dynamics"} <= set(built_in_names())
    for name in built_in_names():
        experiment = find_experiment(name)
        assert experiment.name == name == (library_dir() / f"{name}.toml").stem
        assert experiment.title
        for one in (experiment, *(find_experiment(name, scale) for scale in experiment.scale)):
            runs = enumerate_configs(one, CORPUS)
            assert len({run.hash for run in runs}) == len(runs)


def test_renamed(small_toml: str) -> None:
    assert renamed(parse(small_toml), "other") == parse(small_toml.replace('"small"', '"other"'))
    with pytest.raises(SpecError, match=r"^the name 'O': name = \"O\": must be lower-case letters"):
        renamed(parse(small_toml), "O")


def test_corpus_as_a_name_and_as_a_table(small_toml: str) -> None:
    assert parse(small_toml.replace('"generated"', '{ name = "generated" }')) == parse(small_toml)


def test_the_stored_form_gives_the_experiment_back(small_toml: str) -> None:
    """What is kept in the job table is read by the same code as the file."""
    from rnnlab.spec.experiment import parse_experiment

    for experiment in (parse(small_toml), *(find_experiment(name) for name in built_in_names())):
        assert parse_experiment(experiment.model_dump(mode="json"), "the table") == experiment


def test_documented_example_is_valid(small_toml: str) -> None:
    """The rounds and the scale that the reference of the experiment file shows."""
    text = (ROOT / "docs" / "experiment-file.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) >= 2
    for block in blocks:
        base = small_toml[: small_toml.index("[[rounds]]")]
        tomllib.loads(base + "\n" + block)
        assert parse(base + "\n" + block)


@pytest.mark.parametrize("named", ["small", "small.toml"])
def test_a_file_extends_another_one(tmp_path: Path, small_toml: str, named: str) -> None:
    (tmp_path / "small.toml").write_text(small_toml)
    (tmp_path / "other.toml").write_text(
        f'extends = "{named}"\nname = "other"\n[training]\nwindows = 7\n[grid]\nn_layers = [3]\n'
    )
    base, other = load_experiment(tmp_path / "small.toml"), load_experiment(tmp_path / "other.toml")
    assert (other.name, other.training) == ("other", {**base.training, "windows": 7})
    assert other.grid == {"n_layers": [3], "use_forget_gate": [False, True]}
    assert (other.model, other.rounds) == (base.model, base.rounds)


def test_a_file_extends_a_built_in_experiment(tmp_path: Path) -> None:
    """From any folder; a file beside it goes first."""
    path = tmp_path / "other.toml"
    path.write_text('extends = "residual"\nname = "other"\n[grid]\nn_layers = [5]\n')
    assert load_experiment(path).grid["n_layers"] == [5]
    assert load_experiment(path).training == find_experiment("residual").training
    (tmp_path / "residual.toml").write_text("not TOML")
    with pytest.raises(SpecError, match=r"residual\.toml is not a TOML file"):
        load_experiment(path)


def test_a_file_that_extends_nothing_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text('extends = "small"\nname = "other"\n')
    with pytest.raises(SpecError, match=r"other\.toml extends .*small\.toml, which does not exist"):
        load_experiment(tmp_path / "other.toml")
