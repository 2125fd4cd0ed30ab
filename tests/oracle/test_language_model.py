"""The torch module of a trained run: against the training engine, against torch.nn, and as a torch module.

Shapes: B batch rows, T steps of a window, S state size, V vocabulary.
"""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnnlab.data.characters import CharacterTokenizer
from rnnlab.data.tokenizer import ByteTokenizer
from rnnlab.errors import UsageError
from rnnlab.models.factory import count_parameters, make_cohort
from rnnlab.models.own_cells import load_cells
from rnnlab.spec.cell_settings import CELL_SETTINGS, GatedSettings, ModelSettings, settings_table
from rnnlab.spec.code import read_cell
from rnnlab.training.evaluation.symbol_losses import stepwise_losses
from rnnlab.training.language_model import LanguageModel
from rnnlab.training.run_state import fresh_state
from tests.support.models import bptt_config, run_config
from tests.support.paths import ROOT

_EXAMPLES = ROOT / "docs" / "examples"
_B, _T, _S = 3, 7, 6
_LETTERS = CharacterTokenizer(tuple("abcdefghij"))
_V = _LETTERS.vocabulary_size
_GATES = {f"use_{gate}_gate": True for gate in ("input", "forget", "output", "state")}
_RICH = {"embedding_size": 4, "skip": "add", "start_state": "learned"}
_VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{cell: (cell, {}) for cell in CELL_SETTINGS},
    **{f"{cell}, rich": (cell, _RICH) for cell in CELL_SETTINGS if cell != "gated"},
    "gated, all gates": ("gated", {**_GATES, "use_old_state": True}),
    "concat": ("lstm", {"skip": "concat", "start_state": "learned"}),
    "joint": ("rnn", {"linear": "joint"}),
    "own": ("own", _RICH),
}


def _settings(variant: str) -> ModelSettings:
    cell, more = _VARIANTS[variant]
    name = _own_cell() if cell == "own" else cell
    table = settings_table(name)
    assert table is not None
    return table.model_validate({"cell": name, "n_layers": 2, "state_size": _S, **more})


def _own_cell() -> str:
    """The documented example, loaded like a user's cell."""
    name, file = read_cell("minimal_cell.py:Minimal", _EXAMPLES)
    load_cells([name], {file.sha256: file}, allowed=True)
    return name


def _trained(settings: ModelSettings, tokenizer: Any = _LETTERS) -> tuple[LanguageModel, dict[str, Tensor]]:
    """A model with parameters as after training: no start state is zero."""
    if isinstance(settings, GatedSettings):
        config = run_config(settings)
    else:
        config = bptt_config(settings, iterations=1, learning_rate=1e-2)
    generator = torch.Generator().manual_seed(4)
    parameters = {
        name: value + 0.3 * torch.randn(value.shape, generator=generator)
        for name, value in fresh_state(config, tokenizer.vocabulary_size).parameters.items()
    }
    return LanguageModel(config, tokenizer, parameters), parameters


def _tokens(length: int = _T) -> Tensor:
    return torch.randint(0, _V, (_B, length), generator=torch.Generator().manual_seed(2))


def _mean_loss(model: LanguageModel, windows_BT: Tensor) -> Tensor:
    logits_BTV, _ = model(windows_BT[:, :-1])
    return nn.functional.cross_entropy(logits_BTV.flatten(0, 1), windows_BT[:, 1:].flatten())


@pytest.mark.parametrize("variant", _VARIANTS)
def test_its_loss_is_what_the_engine_measures_and_its_parameters_can_be_trained(variant: str) -> None:
    settings = _settings(variant)
    model, parameters = _trained(settings)
    assert not model.training
    assert sum(p.numel() for p in model.parameters()) == count_parameters(settings, _V)
    engine = make_cohort([settings], [parameters], _V, torch.device("cpu"))
    losses_E = stepwise_losses(engine, _tokens())[0]
    for window_W, expected in zip(_tokens(), losses_E, strict=True):
        assert _mean_loss(model, window_W.unsqueeze(0)).item() == pytest.approx(expected.item(), rel=1e-5)

    # The state continues: two pieces give the same as the whole.
    whole, end = model(_tokens())
    assert whole.shape == (_B, _T, _V)
    first, state = model(_tokens()[:, :3])
    second, other_end = model(_tokens()[:, 3:], state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole)
    torch.testing.assert_close(other_end, end)
    assert [tuple(h_BS.shape) for h_BS in end] == [(_B, _S)] * len(model.initial_state(_B))

    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    before = _mean_loss(model, _tokens()).item()
    for _ in range(20):
        optimizer.zero_grad()
        torch.autograd.backward(_mean_loss(model, _tokens()))
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        optimizer.step()
    after = _mean_loss(model, _tokens()).item()
    assert after < 0.9 * before
    # The run's own parameters are unchanged, and another module can load the trained ones by their names.
    assert stepwise_losses(make_cohort([settings], [parameters], _V, torch.device("cpu")), _tokens())[0].equal(losses_E)
    fresh, _ = _trained(settings)
    assert fresh.load_state_dict(copy.deepcopy(model).state_dict()).missing_keys == []
    assert _mean_loss(fresh.double(), _tokens()).item() == pytest.approx(after, rel=1e-5)


@pytest.mark.parametrize(
    ("cell", "module"), [("rnn", nn.RNN), ("lstm", nn.LSTM), ("gru-reset-after", nn.GRU)], ids=lambda one: str(one)
)
def test_outputs_and_gradients_equal_torch_nn_with_copied_weights(cell: str, module: type[nn.RNNBase]) -> None:
    model, parameters = _trained(_settings(cell))
    theirs = module(_V, _S, num_layers=2, batch_first=True)  # type: ignore[call-arg, arg-type]
    head = nn.Linear(_S, _V)
    with torch.no_grad():
        for layer in range(2):
            for ours, name in (("input", "ih"), ("recurrent", "hh")):
                getattr(theirs, f"weight_{name}_l{layer}").copy_(parameters[f"layers.{layer}.{ours}.weight"].T)
                getattr(theirs, f"bias_{name}_l{layer}").copy_(parameters[f"layers.{layer}.{ours}.bias"])
        head.weight.copy_(parameters["head.weight"].T)
        head.bias.copy_(parameters["head.bias"])
    outputs_BTS, _ = theirs(nn.functional.one_hot(_tokens(), _V).float())
    expected = head(outputs_BTS)
    logits_BTV, _ = model(_tokens())
    torch.testing.assert_close(logits_BTV, expected, rtol=1e-5, atol=1e-6)
    for logits in (logits_BTV, expected):
        torch.autograd.backward(nn.functional.cross_entropy(logits.flatten(0, 1), _tokens().flatten()))
    weight = model.network.get_parameter("layers/0/recurrent/weight")
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad.T, theirs.get_parameter("weight_hh_l0").grad, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("variant", ["gated, all gates", "gru-reset-before, rich", "concat"])
def test_what_is_drawn_follows_the_probabilities_of_the_model(variant: str) -> None:
    model, _ = _trained(_settings(variant))
    threads, generator_state = torch.get_num_threads(), torch.get_rng_state()
    text = model.generate("abc", length=500, temperature=0.7, seed=5)
    assert torch.get_num_threads() == threads
    assert torch.get_rng_state().equal(generator_state)
    assert model.generate("abc", length=500, temperature=0.7, seed=5) == text
    assert model.generate("abc", length=500, temperature=0.7, seed=6) != text
    assert (text[:3], len(text)) == ("abc", 503)
    # Each symbol's count is within five standard deviations of the sum of its probabilities.
    ids_T = model.encode(text)
    with torch.no_grad():
        logits_BTV, _ = model(ids_T.unsqueeze(0))
    p_TV = torch.softmax(logits_BTV[0, 2:-1].double() / 0.7, dim=1)
    counts_V = torch.bincount(ids_T[3:], minlength=_V)
    assert ((counts_V - p_TV.sum(0)).abs() < 5 * (p_TV * (1 - p_TV)).sum(0).sqrt()).all()
    likeliest = model.encode(model.generate("abc", length=20, temperature=0))
    with torch.no_grad():
        logits_BTV, _ = model(likeliest.unsqueeze(0))
    assert logits_BTV[0, 2:-1].argmax(dim=1).equal(likeliest[3:])


def test_texts_and_wrong_arguments() -> None:
    model, _ = _trained(_settings("rnn"))
    assert model.encode("bad").tolist() == [1, 0, 3]
    assert model.encode("bad").dtype == torch.int64
    assert model.decode(model.encode("bad")) == model.decode([1, 0, 3]) == "bad"
    assert model.generate("bad", length=0) == "bad"
    as_bytes, _ = _trained(_settings("rnn"), ByteTokenizer())
    assert as_bytes.encode("ä").tolist() == as_bytes.encode(b"\xc3\xa4").tolist() == [0xC3, 0xA4]
    assert as_bytes.decode([0xC3, 0xA4, 0xC3]) == "ä�"
    with pytest.raises(UsageError, match=r"the character 'z' .* is not in the vocabulary"):
        model.encode("z")
    with pytest.raises(ValueError, match="token id 10 must be in"):
        model.decode([10])
    for wrong in ({"length": -1}, {"temperature": -1.0}, {"temperature": float("nan")}, {"seed": -1}):
        with pytest.raises(UsageError, match="each must be a number of at least 0"):
            model.generate("bad", **wrong)
    with pytest.raises(UsageError, match="prime is empty"):
        model.generate("")
    for shape in ((3,), (2, 0), (1, 2, 3)):
        with pytest.raises(ValueError, match="give integers"):
            model(torch.zeros(shape, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"tokens are torch\.float32"):
        model(torch.zeros(1, 2))
    logits_BTV, _ = model(torch.tensor([[1, 0]], dtype=torch.uint8))
    torch.testing.assert_close(logits_BTV, model(torch.tensor([[1, 0]]))[0])


def test_the_state_of_a_gated_model_is_detached_at_every_symbol() -> None:
    model, _ = _trained(_settings("gated, all gates"))
    _, end = model(_tokens())
    assert not any(h_BS.requires_grad for h_BS in end)
    _, end = _trained(_settings("rnn"))[0](_tokens())
    assert all(h_BS.requires_grad for h_BS in end)
