"""Which model each part of an operation belongs to.

Two parts that touch the same memory belong to one model; what the models share is only read. So the models are what
hangs together through memory, and that each has memory of its own is not assumed but found.
"""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from rnnlab.kernels.operations import NotNativeError, Operation


def first_models(operations: Sequence[Operation], n_models: int) -> list[int]:
    """The first model of each operation; its models follow one another.

    Raises NotNativeError where the models do not fall apart.
    """
    nodes = np.cumsum([0, *(one.models for one in operations)])  # the first part of each operation
    starts, ends, owners = [], [], []
    for operation, node in zip(operations, nodes, strict=False):
        for operand in operation.touched():
            begin = operand.starts(operation.models)
            starts.append(begin)
            ends.append(begin + operand.own_bytes)
            owners.append(node + np.arange(len(begin)))
        if len(operation.out.starts(operation.models)) == 0:
            raise NotNativeError("a result that the models share")
    label = _connected(np.concatenate(starts), np.concatenate(ends), np.concatenate(owners), int(nodes[-1]))
    whole = [node for operation, node in zip(operations, nodes, strict=False) if operation.models == n_models]
    if not whole or label.max() + 1 != n_models:
        raise NotNativeError(f"{label.max() + 1} independent parts of {n_models} models")
    model = np.empty(n_models, dtype=np.int64)  # of each label
    model[label[whole[0] : whole[0] + n_models]] = np.arange(n_models)
    models = model[label]
    firsts = models[nodes[:-1]]
    expected = np.concatenate([first + np.arange(one.models) for first, one in zip(firsts, operations, strict=True)])
    if not np.array_equal(models, expected):
        raise NotNativeError("models of one operation that do not follow one another")
    return [int(first) for first in firsts]


def _connected(starts: np.ndarray, ends: np.ndarray, owners: np.ndarray, n_owners: int) -> np.ndarray:
    """A label for each owner of intervals: equal for those whose intervals overlap, directly or through others."""
    order = np.argsort(starts, kind="stable")
    reach = np.maximum.accumulate(ends[order])
    begins = np.concatenate([[True], starts[order][1:] >= reach[:-1]])
    region = np.empty(len(starts), dtype=np.int64)
    region[order] = np.cumsum(begins) - 1
    n_regions = int(region.max()) + 1
    size = n_owners + n_regions
    links = coo_array((np.ones(len(owners), dtype=np.int8), (owners, n_owners + region)), shape=(size, size))
    _, label = connected_components(links, directed=False)
    return np.unique(label[:n_owners], return_inverse=True)[1]
