"""Partition: which model each part of an operation belongs to.

Two parts that access the same memory belong to one model; memory that all models share is only read. So the models are
the connected components of a graph of parts and memory. That each model has its own memory is not assumed: it is found.
"""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from rnnlab.kernels.operations import Operation, UnsupportedOperationError


def partition(operations: Sequence[Operation], n_models: int) -> list[int]:
    """The index of the first model of each operation; an operation's models are consecutive.

    Raises UnsupportedOperationError if the operations do not fall into `n_models` independent parts.
    """
    nodes = np.cumsum([0, *(one.n_models for one in operations)])  # the first part of each operation
    starts, ends, owners = [], [], []
    for operation, node in zip(operations, nodes, strict=False):
        for operand in operation.accessed():
            begin = operand.part_addresses(operation.n_models)
            starts.append(begin)
            ends.append(begin + operand.span_bytes)
            owners.append(node + np.arange(len(begin)))
        if len(operation.out.part_addresses(operation.n_models)) == 0:
            raise UnsupportedOperationError("the models share the result of an operation")
    label = _component_labels(np.concatenate(starts), np.concatenate(ends), np.concatenate(owners), int(nodes[-1]))
    whole = [node for operation, node in zip(operations, nodes, strict=False) if operation.n_models == n_models]
    if not whole or label.max() + 1 != n_models:
        raise UnsupportedOperationError(f"the program has {label.max() + 1} independent parts for {n_models} models")
    model_of_label = np.empty(n_models, dtype=np.int64)
    model_of_label[label[whole[0] : whole[0] + n_models]] = np.arange(n_models)
    models = model_of_label[label]
    firsts = models[nodes[:-1]]
    expected = np.concatenate([first + np.arange(one.n_models) for first, one in zip(firsts, operations, strict=True)])
    if not np.array_equal(models, expected):
        raise UnsupportedOperationError("the models of an operation are not consecutive")
    return [int(first) for first in firsts]


def _component_labels(starts: np.ndarray, ends: np.ndarray, owners: np.ndarray, n_owners: int) -> np.ndarray:
    """A label for each owner of memory intervals: equal if intervals overlap, directly or through other owners."""
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
