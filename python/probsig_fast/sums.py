"""Sums of counts that are exact, or an error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from .errors import CountOverflowError


def _slices(size: int) -> Iterator[slice]:
    """[0, size) in pieces, so that temporaries over them take no memory worth a word."""
    for begin in range(0, size, 2**20):
        yield slice(begin, min(begin + 2**20, size))


def checked_total(data: NDArray[np.int64]) -> int:
    """The sum of all counts. Raises CountOverflowError: past 2^63 - 1."""
    # In halves of 32 bits, which cannot wrap.
    high = sum(int((data[piece] >> 32).sum()) for piece in _slices(data.size))
    low = sum(int((data[piece] & 0xFFFFFFFF).sum()) for piece in _slices(data.size))
    total = (high << 32) + low
    if total >= 2**63:
        raise CountOverflowError(f"counts: expected a total of at most 2^63 - 1, got {total}")
    return total


def exact_sum(arrays: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The sum of arrays of one shape, none negative. Raises CountOverflowError: past 2^63 - 1."""
    total = np.zeros_like(arrays[0])
    for array in arrays:
        total = total + array
        if (total < 0).any():
            raise CountOverflowError("counts: a sum passed 2^63 - 1")
    return total


def row_sum(indptr: NDArray[np.int64], data: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sum of each CSR row; their total must be below 2^63."""
    sums = np.zeros(indptr.size - 1, np.int64)
    rows = np.flatnonzero(np.diff(indptr))
    if rows.size:
        sums[rows] = np.add.reduceat(data, indptr[rows])
    return sums


def column_sum(
    columns: int, indices: NDArray[np.int32], data: NDArray[np.int64], total: int
) -> NDArray[np.int64]:
    """The sum of each column; `total`, of all counts, must be below 2^63."""
    sums = np.zeros(columns, np.int64)
    for piece in _slices(indices.size):
        if total < 2**53:  # every partial sum is then exact in float64, and bincount is fast
            sums += np.bincount(indices[piece], data[piece], columns).astype(np.int64)
        else:
            np.add.at(sums, indices[piece], data[piece])
    return sums
