"""A check of any cell, built-in or a user's own: whether it has the properties that training in cohorts needs.

    from rnnlab.testing import check_cell

    def test_my_cell() -> None:
        assert check_cell(MyCell) == []

Shapes: M models, B batch rows, T steps of a window, N symbols read at once, I inputs of a map, S state size,
V vocabulary, P numbers that a step needs of its input.
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
_STEPS = 4  # optimizer steps of a run: two epochs of two windows
_TOKENS = 200
_COHORT_SIZES = (1, 2, 3, 5)
# A state size that is no multiple of the processor's vectors, and one that is; symbols as inputs, and an embedding.
_STACKS: tuple[dict[str, object], ...] = (
    {"n_layers": 1, "state_size": 33},
    {"n_layers": 2, "state_size": 16, "embedding_size": 5, "skip": "concat", "start_state": "learned"},
)


def check_cell(cell: type[Cell]) -> list[str]:
    """The problems of a cell: a sentence for each property that it does not have; an empty list for a correct cell.

    The check takes some seconds. Afterwards torch has the same number of threads as before.
    """
    return [problem for _, problem in verdicts(cell) if problem is not None]


def verdicts(cell: type[Cell]) -> Iterator[tuple[str, str | None]]:
    """Each checked property with its problem or None. If the shapes are wrong, nothing else is checked."""
    name = register_class(cell)
    stacks = [_settings(name, stack) for stack in _STACKS]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for title, check in _CHECKS.items():
            problem = _first_problem(check, stacks)
            yield title, problem
            if problem is not None and title in _PREREQUISITES:
                return
    finally:
        torch.set_num_threads(threads)


def _first_problem(check: Callable[[RecurrentSettings], str | None], stacks: Sequence[RecurrentSettings]) -> str | None:
    for settings in stacks:
        try:
            problem = check(settings)
        except Exception as error:
            said = " ".join(str(error).split())
            problem = (
                f"{type(error).__name__} was raised: {said}. A common cause is state that a cell keeps between steps, "
                "in itself or in its module: all state must be in the result of step()"
            )
        if problem is not None:
            return problem
    return None


def _settings(name: str, stack: dict[str, object]) -> RecurrentSettings:
    table = settings_table(name)
    assert table is not None
    settings = table.model_validate({"cell": name, **stack})
    assert not isinstance(settings, GatedSettings)
    return settings


def _has_all_gradients(settings: RecurrentSettings) -> str | None:
    shapes = parameter_shapes(settings, _V)
    generator = torch.Generator().manual_seed(0)
    # Not the initial values: a gate that starts at zero would hide the gradients of what it gates.
    drawn = [
        {name: x + 0.1 * torch.randn(x.shape, generator=generator) for name, x in initial_parameters(shapes, m).items()}
        for m in range(2)
    ]
    model = RecurrentCohort([settings] * 2, drawn, _V, _CPU)
    ids_MTB = torch.randint(0, _V, (2, _T, _B), generator=generator)
    logits_MTBV, _ = model.window(ids_MTB, model.initial_state(_B))
    if not logits_MTBV.isfinite().all():
        return "the outputs of a new model are not finite: check step() for divisions by zero, logarithms and roots"
    loss = torch.nn.functional.cross_entropy(logits_MTBV.flatten(0, 2), ids_MTB.roll(1, 1).flatten())
    names = list(model.parameters)
    gradients = torch.autograd.grad(loss, list(model.parameters.values()), allow_unused=True)
    for name, gradient in zip(names, gradients, strict=True):
        if gradient is None or not gradient.any():
            return (
                f"no gradient reaches the parameter {name}: remove a parameter that neither project() nor step() "
                "uses, and do not use detach() or .data"
            )
        if not gradient.isfinite().all():
            return f"the gradient of {name} is not finite: check step() for divisions by zero and roots of zero"
    return None


def _is_causal(settings: RecurrentSettings) -> str | None:
    """Checks by gradients which inputs the output of one model, row and step depends on."""
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
            "the output of a step depends on later inputs: project() gets a whole window at once and must treat each "
            "symbol independently of the others"
        )
    if depends_MTB[1 - m].any():
        return (
            "the output of one model depends on the inputs of another: nothing may be summed, averaged or normalized "
            "over dimension 0, the models of the cohort"
        )
    if depends_MTB[m, :, [row for row in range(_B) if row != b]].any():
        return (
            "the output of one row depends on the inputs of another row of the batch: nothing may be summed, averaged "
            "or normalized over dimension 1"
        )
    if not depends_MTB[m, t, b]:
        return (
            "the output of a step does not depend on its input: step() must use the result of project(), not detached"
        )
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
    """The checkpoints of the members after at most `steps` steps together."""
    tokens = torch.randint(0, _V, (_TOKENS,), generator=torch.Generator().manual_seed(1))
    cohort = Cohort(members, tokens, _V, _CPU)
    cohort.run_block(steps, threads)
    torch.set_num_threads(1)
    return [checkpoint.encode(member.config, member.state) for member in cohort.members()]


def _fresh(settings: RecurrentSettings, seeds: Sequence[int]) -> list[Member]:
    return [Member(config, fresh_state(config, _V)) for config in (_config(settings, seed) for seed in seeds)]


def _is_repeatable(settings: RecurrentSettings) -> str | None:
    if _trained(_fresh(settings, [0])) == _trained(_fresh(settings, [0])):
        return None
    return (
        "the same run trained twice gives different bits: a cell must not draw random numbers, and must not count or "
        "remember anything outside of its state"
    )


def _is_independent_of_cohorts(settings: RecurrentSettings) -> str | None:
    alone = [_trained(_fresh(settings, [seed]))[0] for seed in range(max(_COHORT_SIZES))]
    for size in _COHORT_SIZES:
        if _trained(_fresh(settings, range(size))) != alone[:size]:
            return (
                f"a model in a cohort of {size} gets other bits than alone: use rnnlab.cells.logistic, not "
                "torch.sigmoid; use only tanh, plain arithmetic and the products bmm and baddbmm; and call "
                ".contiguous() on an expanded tensor before a product"
            )
    return None


class _Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Watches for expanded factors of products, also in gradients. The sizes that change bits differ by machine."""

    expanded = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket in (torch.ops.aten.bmm, torch.ops.aten.baddbmm):
            for x in args[-2:]:
                self.expanded |= any(size > 1 and step == 0 for size, step in zip(x.shape, x.stride(), strict=True))
        return func(*args, **(kwargs or {}))


def _is_independent_of_threads(settings: RecurrentSettings) -> str | None:
    members = _fresh(settings, range(max(_COHORT_SIZES)))
    products = _Products()  # type: ignore[no-untyped-call]
    with products:
        once = _trained(members)
    if products.expanded:
        return (
            "a product has an expanded tensor, for which torch does not use the kernel that gives the same bits with "
            "any number of threads: call .contiguous() on the tensor before the product"
        )
    if _trained(members, threads=2) != once:
        return (
            "2 threads give other bits than one: use only tanh, plain arithmetic and the products bmm and baddbmm, "
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
                f"a run resumed from its checkpoint after step {steps} ends with other bits than an uninterrupted "
                "run: everything that a cell remembers must be in the state that step() returns"
            )
    return None


_CHECKS: dict[str, Callable[[RecurrentSettings], str | None]] = {
    "shapes": shape_error,
    "finite gradients that reach every parameter": _has_all_gradients,
    "causality": _is_causal,
    "the same bits twice": _is_repeatable,
    "the same bits in cohorts of 1, 2, 3 and 5": _is_independent_of_cohorts,
    "the same bits with 1 and 2 threads": _is_independent_of_threads,
    "the same bits after a stop": _resumes,
}
_PREREQUISITES = ("shapes",)  # if one of these fails, the others are not checked
