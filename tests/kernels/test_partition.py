"""The models of an operation are found from the memory that it accesses."""

import pytest
import torch

from rnnlab.kernels.lowering import lower
from rnnlab.kernels.operations import UnsupportedOperationError
from rnnlab.kernels.partition import partition
from rnnlab.kernels.tracing import trace

_M = 4


def test_parts_of_some_models_are_found_by_way_of_what_they_touch() -> None:
    whole, some, weights = torch.randn(_M, 3, 8), torch.randn(2, 3, 8), torch.randn(1, 8, 8)
    one = torch.randn(1, 3, 8)

    def function() -> None:
        one.add_(1)  # its model is found only through the last operation
        whole.mul_(2)
        torch.add(whole[1:3], 1, out=some)
        some[1:].mul_(3)
        torch.bmm(whole[3:], weights, out=one)

    assert partition(lower(trace(function), _M), _M) == [3, 0, 1, 2, 3]


def test_columns_and_steps_of_one_tensor_belong_to_its_models() -> None:
    x = torch.randn(_M, 5, 3, 8)

    def function() -> None:
        torch.mul(x[:, 0, :, :4], 2, out=x[:, 1, :, 4:])
        torch.add(x[2:, 2], x[2:, 1], out=x[2:, 3])

    assert partition(lower(trace(function), _M), _M) == [0, 2]


def test_what_all_models_read_connects_nothing() -> None:
    x, number = torch.randn(_M, 3), torch.ones(())
    assert partition(lower(trace(lambda: torch.add(number, x, out=x)), _M), _M) == [0]


def test_a_planted_connection_of_two_models_is_found() -> None:
    x = torch.randn(_M, 3, 8)

    def function() -> None:
        x.mul_(2)
        torch.add(x[:2], x[1:3], out=x[:2])

    with pytest.raises(UnsupportedOperationError, match="2 independent parts for 4 models"):
        partition(lower(trace(function), _M), _M)


def test_models_in_another_order_are_refused() -> None:
    x, y = torch.randn(_M, 3), torch.randn(2, 3)

    def function() -> None:
        x.mul_(2)
        y[:1].add_(x[3:])
        y[1:].add_(x[:1])
        y.mul_(2)

    with pytest.raises(UnsupportedOperationError, match="not consecutive"):
        partition(lower(trace(function), _M), _M)


def test_a_result_that_models_share_is_refused() -> None:
    x, y = torch.randn(_M, 3), torch.zeros(3)
    with pytest.raises(UnsupportedOperationError, match="share the result"):
        partition(lower(trace(lambda: torch.add(x, 1, out=y.expand(_M, 3))), _M), _M)
