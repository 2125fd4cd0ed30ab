"""The operations that a function asks of torch, collected without computing them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


@dataclass(frozen=True)
class Call:
    """One traced operation of torch."""

    name: str  # without namespace, overload and trailing underscore: "add" for aten::add_.Tensor
    args: tuple[Any, ...]  # positional arguments, in the order of torch's schema
    options: dict[str, Any]  # keyword arguments, without the output tensor
    out: Tensor  # the tensor that takes the result


class _Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Collects operations. One that writes to a given tensor is not executed; others only allocate their result."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[Call] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled here. The default makes torch import its compiler first, which takes a second."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = dict(kwargs or {})
        schema = func._schema
        written = [
            (position, argument)
            for position, argument in enumerate(schema.arguments)
            if argument.alias_info is not None and argument.alias_info.is_write
        ]
        if not written:
            result = func(*args, **options)
            is_view = any(one.alias_info is not None for one in schema.returns)
            if not is_view and not _only_allocates(schema.name):
                self._add_call(schema.name, args, options, result)
            return result
        position, argument = written[0]
        out = options.pop(argument.name) if argument.name in options else args[position]
        self._add_call(schema.name, args, options, out)
        return out

    def _add_call(self, name: str, args: tuple[Any, ...], options: dict[str, Any], out: Any) -> None:
        self.calls.append(Call(name.removeprefix("aten::").rstrip("_"), tuple(args), options, out))


def _only_allocates(name: str) -> bool:
    return name.startswith(("aten::empty", "aten::new_empty"))


@torch.no_grad()
def trace(function: Callable[[], object]) -> list[Call]:
    """The operations of `function`, in order. No tensor that `function` uses is changed.

    `function` must do the same operations on the same memory each time that it is called.
    """
    tracer = _Tracer()
    with tracer:
        function()
    return tracer.calls
