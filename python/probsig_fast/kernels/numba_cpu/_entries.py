"""Checks of entries that may come from a damaged file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..contract import Block


def check_entries(indices: NDArray[np.int32], data: NDArray[np.integer], columns: int) -> None:
    """Raises IndexError: an index that is not below `columns`. ValueError: a count below 1."""
    if not indices.size:
        return
    for index in (indices.min(), indices.max()):
        if not 0 <= index < columns:
            raise IndexError(
                f"counts: expected column ids from 0 to {columns - 1}, got {index}: damaged"
            )
    if data.min() < 1:
        raise ValueError(f"counts: expected counts above 0, got {data.min()}: damaged")


def checked_bounds(block: Block) -> NDArray[np.int64]:
    """`indptr`, after a look whether it fits the entries: blocks may be files."""
    bounds = block.indptr
    size = min(block.indices.size, block.data.size)
    if bounds[0] != 0 or bounds[-1] > size or (bounds[1:] < bounds[:-1]).any():
        raise ValueError(f"indptr: expected to rise from 0 to at most {size}: damaged")
    return bounds
