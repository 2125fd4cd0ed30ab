"""What torch would do, written down instead of done."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


@dataclass(frozen=True)
class Call:
    """One operation of torch, its name without namespace, overload and underscore."""

    name: str
    args: tuple[Any, ...]
    options: dict[str, Any]
    out: Tensor  # where the result goes


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Operations that write to a given tensor are not done; others only make the tensor that they return."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[Call] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled here: without this torch imports its compiler first, which takes a second."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = dict(kwargs or {})
        schema = func._schema
        written = [
            (place, argument)
            for place, argument in enumerate(schema.arguments)
            if argument.alias_info is not None and argument.alias_info.is_write
        ]
        if not written:
            result = func(*args, **options)
            is_view = any(one.alias_info is not None for one in schema.returns)
            if not is_view and not _makes_memory(schema.name):
                self._note(schema.name, args, options, result)
            return result
        place, argument = written[0]
        out = options.pop(argument.name) if argument.name in options else args[place]
        self._note(schema.name, args, options, out)
        return out

    def _note(self, name: str, args: tuple[Any, ...], options: dict[str, Any], out: Any) -> None:
        self.calls.append(Call(name.removeprefix("aten::").rstrip("_"), tuple(args), options, out))


def _makes_memory(name: str) -> bool:
    return name.startswith(("aten::empty", "aten::new_empty"))


@torch.no_grad()
def record(function: Callable[[], object]) -> list[Call]:
    """The operations of `function`, which does the same to the same memory each time. No tensor of it is changed."""
    recorder = _Recorder()
    with recorder:
        function()
    return recorder.calls
