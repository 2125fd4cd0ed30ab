"""A check of any cell, built-in or a user's own: what a cell must be to be trained in cohorts.

    from rnnlab.testing import check_cell

    def test_my_cell() -> None:
        assert check_cell(MyCell) == []

Shapes: M models, B batch rows, T steps of a window, I inputs, S state size, V vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from rnnlab.models.cells import Cell
from rnnlab.models.initialization import initial_parameters
from rnnlab.models.own_cells import cell_class, register_class, shape_error
from rnnlab.models.recurrent.recurrent_cohort import RecurrentCohort, parameter_shapes
from rnnlab.spec.cell_settings import GatedSettings, RecurrentSettings, settings_table
from rnnlab.spec.run_config import RunConfig, parse_run_config
from rnnlab.training import checkpoint
from rnnlab.training.cohort import Cohort, Member
from rnnlab.training.run_state import fresh_state

_CPU = torch.device("cpu")
_V, _B, _T = 11, 3, 4
_STEPS = 4  # optimiser steps of a run: twice as many as windows follow each other
_TOKENS = 200
_SIZES = (1, 2, 3, 5)  # of cohorts
# Sizes that fill no vector of the processor, and sizes that do; symbols as inputs, and an embedding.
_STACKS: tuple[dict[str, object], ...] = (
    {"n_layers": 1, "state_size": 33},
    {"n_layers": 2, "state_size": 16, "embedding_size": 5, "skip": "concat", "start_state": "learned"},
)


def check_cell(cell: type[Cell]) -> list[str]:
    """What a cell does that it must not do: a sentence for each property that it lacks, none for a good cell.

    It takes some seconds. The number of torch's threads is as it was afterwards.
    """
    return [complaint for _, complaint in verdicts(cell) if complaint is not None]


def verdicts(cell: type[Cell]) -> Iterator[tuple[str, str | None]]:
    """Each property that was checked, with what is wrong or None. Without the right shapes nothing else is checked."""
    name = register_class(cell)
    stacks = [_settings(name, stack) for stack in _STACKS]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for title, check in _CHECKS.items():
            complaint = _first_complaint(check, stacks)
            yield title, complaint
            if complaint is not None and title in _FIRST:
                return
    finally:
        torch.set_num_threads(threads)


def _first_complaint(
    check: Callable[[RecurrentSettings], str | None], stacks: Sequence[RecurrentSettings]
) -> str | None:
    for settings in stacks:
        try:
            complaint = check(settings)
        except Exception as error:
            said = " ".join(str(error).split())
            complaint = (
                f"{type(error).__name__} was raised: {said}. State that a cell keeps between steps, in itself or in "
                "its module, is a usual cause: all state must be in what step() returns"
            )
        if complaint is not None:
            return complaint
    return None


def _settings(name: str, stack: dict[str, object]) -> RecurrentSettings:
    table = settings_table(name)
    assert table is not None
    settings = table.model_validate({"cell": name, **stack})
    assert not isinstance(settings, GatedSettings)
    return settings


def _has_its_gradients(settings: RecurrentSettings) -> str | None:
    shapes = parameter_shapes(settings, _V)
    generator = torch.Generator().manual_seed(0)
    # Beside their initial values, where a gate that begins at zero would hide the gradients of what it gates.
    drawn = [
        {name: x + 0.1 * torch.randn(x.shape, generator=generator) for name, x in initial_parameters(shapes, m).items()}
        for m in range(2)
    ]
    model = RecurrentCohort([settings] * 2, drawn, _V, _CPU)
    ids_MTB = torch.randint(0, _V, (2, _T, _B), generator=generator)
    logits_MTBV, _ = model.window(ids_MTB, model.initial_state(_B))
    if not logits_MTBV.isfinite().all():
        return "the outputs of a fresh model are not finite: look for divisions by zero, logarithms and roots in step()"
    loss = torch.nn.functional.cross_entropy(logits_MTBV.flatten(0, 2), ids_MTB.roll(1, 1).flatten())
    names = list(model.parameters)
    gradients = torch.autograd.grad(loss, list(model.parameters.values()), allow_unused=True)
    for name, gradient in zip(names, gradients, strict=True):
        if gradient is None or not gradient.any():
            return (
                f"no gradient reaches the parameter {name}: leave a parameter out that neither project() nor step() "
                "uses, and do not detach() it or use its .data"
            )
        if not gradient.isfinite().all():
            return f"the gradient of {name} is not finite: look for divisions by zero and roots of zero in step()"
    return None


def _is_causal(settings: RecurrentSettings) -> str | None:
    """By gradients: what the output of one model, row and step depends on."""
    cell, n_inputs, m, t, b = cell_class(settings.cell)(settings), 5, 1, 1, 2
    generator = torch.Generator().manual_seed(0)
    drawn = [initial_parameters(cell.parameters(n_inputs), seed) for seed in range(2)]
    w = {name: torch.stack([own[name] for own in drawn]) for name in drawn[0]}
    x_MTBI = torch.randn(2, _T, _B, n_inputs, generator=generator).requires_grad_()
    p_MNP = cell.project(w, x_MTBI.flatten(1, 2))
    state = tuple(torch.zeros(2, _B, settings.state_size) for _ in range(cell.n_states))
    outputs = []
    for p_MBP in p_MNP.view(2, _T, _B, -1).unbind(1):
        state = cell.step(w, p_MBP, state)
        outputs.append(state[0])
    (gradient,) = torch.autograd.grad(outputs[t][m, b].sum(), x_MTBI)
    depends_MTB = (gradient != 0).any(dim=3)
    if depends_MTB[:, t + 1 :].any():
        return (
            "the output of a step depends on later inputs: project() sees a whole window at once and must treat each "
            "of its symbols by itself"
        )
    if depends_MTB[1 - m].any():
        return (
            "the output of one model depends on the inputs of another: nothing may be summed, averaged or normalised "
            "over dimension 0, the models of the cohort"
        )
    if depends_MTB[m, :, [row for row in range(_B) if row != b]].any():
        return (
            "the output of one row depends on the inputs of another row of the batch: nothing may be summed, averaged "
            "or normalised over dimension 1"
        )
    if not depends_MTB[m, t, b]:
        return "the output of a step does not depend on its input: step() must use what project() gave, undetached"
    return None


def _config(settings: RecurrentSettings, seed: int) -> RunConfig:
    """A short run whose state is carried from window to window."""
    training = {"regime": "bptt", "batch_size": _B, "block_size": _T, "sampling": "contiguous", "carry_state": True}
    training |= {"epoch_windows": _STEPS // 2 * _B, "epochs": 2, "learning_rate": 0.01, "record_every": 1}
    return parse_run_config(
        {
            "corpus": {"name": "none", "sha256": "0" * 64},
            "tokenizer": {"kind": "bytes"},
            "split": {},
            "evaluation": {},
            "model": settings.model_dump(),
            "training": training,
            "seed": seed,
        }
    )


def _trained(members: list[Member], threads: int = 1, steps: int = _STEPS) -> list[bytes]:
    """The checkpoints of the members, trained together for at most so many steps."""
    tokens = torch.randint(0, _V, (_TOKENS,), generator=torch.Generator().manual_seed(1))
    cohort = Cohort(members, tokens, _V, _CPU)
    cohort.run_block(steps, threads)
    torch.set_num_threads(1)
    return [checkpoint.encode(member.config, member.state) for member in cohort.members()]


def _fresh(settings: RecurrentSettings, seeds: Sequence[int]) -> list[Member]:
    return [Member(config, fresh_state(config, _V)) for config in (_config(settings, seed) for seed in seeds)]


def _repeats_itself(settings: RecurrentSettings) -> str | None:
    if _trained(_fresh(settings, [0])) == _trained(_fresh(settings, [0])):
        return None
    return (
        "the same run trained twice gives different bits: a cell must not draw random numbers, nor count or remember "
        "anything outside of its state"
    )


def _is_the_same_in_a_cohort(settings: RecurrentSettings) -> str | None:
    alone = [_trained(_fresh(settings, [seed]))[0] for seed in range(max(_SIZES))]
    for size in _SIZES:
        if _trained(_fresh(settings, range(size))) != alone[:size]:
            return (
                f"a model in a cohort of {size} gets other bits than alone: use rnnlab.models.numerics.logistic, not "
                "torch.sigmoid, keep to tanh, plain arithmetic and the products bmm and baddbmm, and make a tensor "
                "that was expanded .contiguous() before a product"
            )
    return None


class _Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Looks at every product, of the gradients too. Sizes that show other bits differ from machine to machine."""

    expanded = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket in (torch.ops.aten.bmm, torch.ops.aten.baddbmm):
            for x in args[-2:]:
                self.expanded |= any(size > 1 and step == 0 for size, step in zip(x.shape, x.stride(), strict=True))
        return func(*args, **(kwargs or {}))


def _is_the_same_with_more_threads(settings: RecurrentSettings) -> str | None:
    members = _fresh(settings, range(max(_SIZES)))
    products = _Products()  # type: ignore[no-untyped-call]
    with products:
        once = _trained(members)
    if products.expanded:
        return (
            "a product has an expanded tensor in it, for which torch leaves the kernel that gives the same bits with "
            "any number of threads: make the tensor .contiguous() before the product"
        )
    if _trained(members, threads=2) != once:
        return (
            "2 threads give other bits than one: keep to tanh, plain arithmetic and the products bmm and baddbmm, "
            "whose first dimension is the models"
        )
    return None


def _resumes(settings: RecurrentSettings) -> str | None:
    (whole,) = _trained(_fresh(settings, [0]))
    for steps in range(1, _STEPS):
        (part,) = _trained(_fresh(settings, [0]), steps=steps)
        member = Member(_config(settings, 0), checkpoint.decode(part, "the check").state)
        if _trained([member]) != [whole]:
            return (
                f"a run resumed from its checkpoint after step {steps} ends with other bits than one that never "
                "stopped: what a cell remembers must be in the state that step() returns, not in the cell or its module"
            )
    return None


_CHECKS: dict[str, Callable[[RecurrentSettings], str | None]] = {
    "shapes": shape_error,
    "finite gradients that reach every parameter": _has_its_gradients,
    "causality": _is_causal,
    "the same bits twice": _repeats_itself,
    "the same bits in cohorts of 1, 2, 3 and 5": _is_the_same_in_a_cohort,
    "the same bits with 1 and 2 threads": _is_the_same_with_more_threads,
    "the same bits after a stop": _resumes,
}
_FIRST = ("shapes",)
