"""The cohort against the textbook module, and the textbook module against the plain equations."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from rnnlab.models.factory import count_parameters
from rnnlab.models.gated.gated_cohort import GatedCohort, parameter_shapes
from rnnlab.models.gated.online_step import OnlineStep
from rnnlab.models.initialization import initial_parameters
from rnnlab.models.reference import GatedLanguageModel, GatedLayer
from rnnlab.models.step_inputs import load_inputs
from rnnlab.spec.cell_settings import GatedSettings
from tests.support.models import all_gate_settings

Array = npt.NDArray[np.float64]
_S, _B, _V, _L = 8, 5, 11, 2


def _assert_close(actual: Tensor, expected: Tensor, tolerance: float, what: str) -> None:
    assert actual.shape == expected.shape, what
    assert (actual - expected).abs().max().item() <= tolerance, what


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_outputs_and_gradients_of_all_96_combinations_equal_the_textbook_model(
    dtype: torch.dtype, tolerance: float
) -> None:
    members = all_gate_settings(_L, _S)
    assert len(members) == 96
    parameters = [initial_parameters(parameter_shapes(one, _V), seed, dtype) for seed, one in enumerate(members)]
    cohort = GatedCohort(members, parameters, _V, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    ids_MB = torch.randint(0, _V, (96, _B), generator=generator)
    targets_MB = torch.randint(0, _V, (96, _B), generator=generator)
    state = [torch.randn(96, _B, _S, dtype=dtype, generator=generator) for _ in range(_L)]

    logits_MBV, next_state = cohort.step(ids_MB, state)
    gradients = {name: torch.full_like(parameter, torch.nan) for name, parameter in cohort.parameters.items()}
    online = OnlineStep(cohort, gradients, _B)
    for mine, given in zip(online.hidden, state, strict=True):
        mine.copy_(given)
    load_inputs(online.inputs, online.data(ids_MB[None], targets_MB[None], torch.ones(1, 96)), 0)
    online.run()
    loss_M = online.loss_M
    for mine, expected in zip(online.hidden, next_state, strict=True):
        assert torch.equal(mine, expected)  # evaluation and training run the same forward pass
    for m, settings in enumerate(members):
        plain = GatedLanguageModel(settings, _V).to(dtype)
        plain.load_cohort_parameters(parameters[m])
        logits_BV, plain_following = plain(ids_MB[m], [h_MBS[m] for h_MBS in state])
        _assert_close(logits_MBV[m], logits_BV, tolerance, f"logits of {settings}")
        for mine, expected in zip(next_state, plain_following, strict=True):
            _assert_close(mine[m], expected, tolerance, f"next state of {settings}")
            assert not mine.requires_grad
        loss = torch.nn.functional.cross_entropy(logits_BV, targets_MB[m])
        torch.autograd.backward(loss)
        _assert_close(loss_M[m], loss.detach(), tolerance, f"loss of {settings}")
        # The gradient has the layout of the parameters, so the same function converts it for the textbook module.
        own = {name: gradients[name][cohort.subsets[name].members.index(m)] for name in parameters[m]}
        translated = GatedLanguageModel(settings, _V).to(dtype)
        translated.load_cohort_parameters(own)
        for (name, expected_parameter), mine_parameter in zip(
            plain.named_parameters(), translated.parameters(), strict=True
        ):
            expected_gradient = expected_parameter.grad
            if expected_gradient is None:
                expected_gradient = torch.zeros_like(expected_parameter)
            _assert_close(mine_parameter.detach(), expected_gradient, tolerance, f"gradient of {name}, {settings}")


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def _published_layer(use: GatedSettings, layer: GatedLayer, x: Array, h: Array) -> tuple[Array, Array]:
    """The published equations of the dynamics experiment, in float64 numpy."""

    def linear(name: str, inputs: Array) -> Array:
        module = getattr(layer, name)
        return np.asarray(inputs @ module.weight.detach().numpy().T + module.bias.detach().numpy())

    c = np.concatenate([x, h], axis=1)
    x_, h_ = x, h
    if use.use_input_gate:
        x_ = _sigmoid(linear("input_gate_x", c)) * x
        h_ = _sigmoid(linear("input_gate_h", c)) * h
        c = np.concatenate([x_, h_], axis=1)
    n = np.tanh(linear("candidate", c))
    if use.use_state_gate:
        g = _sigmoid(linear("state_gate", np.concatenate([c, n], axis=1)))
        n = g * n + (1 - g) * h
    if use.use_forget_gate:
        n = _sigmoid(linear("forget_gate", np.concatenate([c, n], axis=1))) * n
    chosen = [(n, use.use_new_state), (h_, use.use_old_state), (x, use.use_residual)]
    y = np.concatenate([part for part, wanted in chosen if wanted], axis=1)
    o = linear("output", y)
    if use.use_output_gate:
        return o * _sigmoid(linear("output_gate", np.concatenate([o, y], axis=1))), n
    return o * _sigmoid(o), n


@pytest.mark.parametrize("settings", all_gate_settings(1, _S), ids=lambda one: one.model_dump_json()[30:])
def test_the_textbook_layer_is_the_published_equation(settings: GatedSettings) -> None:
    torch.manual_seed(0)
    layer = GatedLayer(settings).double()
    x, h = torch.randn(_B, _S, dtype=torch.float64), torch.randn(_B, _S, dtype=torch.float64)
    output, next_state = layer(x, h)
    expected_output, expected_following = _published_layer(settings, layer, x.numpy(), h.numpy())
    np.testing.assert_allclose(output.detach().numpy(), expected_output, rtol=0, atol=1e-14)
    np.testing.assert_allclose(next_state.detach().numpy(), expected_following, rtol=0, atol=1e-14)


def test_no_gradient_flows_back_in_time() -> None:
    settings = all_gate_settings(2, _S)[-1]
    parameters = initial_parameters(parameter_shapes(settings, _V), 0)
    cohort = GatedCohort([settings], [parameters], _V, torch.device("cpu"))
    first = torch.tensor([[1, 2]])
    _, state = cohort.step(first, cohort.initial_state(2))
    assert all(h.grad_fn is None for h in state)


def test_the_parameter_count_is_that_of_the_textbook_model() -> None:
    for settings in all_gate_settings(3, 6):
        plain = GatedLanguageModel(settings, 17)
        assert count_parameters(settings, 17) == sum(parameter.numel() for parameter in plain.parameters())


def test_initial_parameters_depend_on_seed_and_name_alone_and_have_the_scale_of_torch_linear() -> None:
    with_gate = GatedSettings(n_layers=1, state_size=64, use_forget_gate=True)
    without = GatedSettings(n_layers=1, state_size=64)
    rich, poor = (initial_parameters(parameter_shapes(one, 256), 3) for one in (with_gate, without))
    assert all(torch.equal(rich[name], value) for name, value in poor.items())
    other_seed = initial_parameters(parameter_shapes(without, 256), 4)
    assert all(not torch.equal(other_seed[name], value) for name, value in poor.items())
    linear = torch.nn.Linear(128, 64)
    assert rich["layers.0.candidate.weight"].abs().max() <= 128**-0.5
    torch.testing.assert_close(rich["layers.0.candidate.weight"].std(), linear.weight.detach().std(), rtol=0.05, atol=0)
