"""The sums of a block's rows and columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..contract import Block
from ._arrays import frozen
from ._entries import check_entries, checked_bounds
from ._jit import kernel


def block_sums(block: Block, columns: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    checked_bounds(block)
    check_entries(block.indices, block.data, columns)
    row_sums, column_sums = np.zeros(block.indptr.size - 1, np.int64), np.zeros(columns, np.int64)
    seen = _add(
        frozen(block.indptr, np.int64),
        frozen(block.indices, np.int32),
        frozen(block.data, np.int32 if block.data.dtype == np.int32 else np.int64),
        row_sums,
        column_sums,
    )
    if seen < 0:
        raise OverflowError("a sum of counts passed 2^63 - 1")
    return row_sums, column_sums


@kernel
def _add(
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    data: NDArray[np.integer],
    row_sums: NDArray[np.int64],
    column_sums: NDArray[np.int64],
) -> np.int64:
    """Below 0 if a sum passed 63 bits: two numbers of 63 bits give at most 64, which is negative
    then, and looked at before more is added."""
    total, seen = np.int64(0), np.int64(0)
    for row in range(row_sums.size):
        row_sum = np.int64(0)
        for k in range(indptr[row], indptr[row + 1]):
            count = np.int64(data[k])
            row_sum += count
            seen |= row_sum
            column_sums[indices[k]] += count
        row_sums[row] = row_sum
        total += row_sum
        seen |= total
        if seen < 0:
            break
    return seen
