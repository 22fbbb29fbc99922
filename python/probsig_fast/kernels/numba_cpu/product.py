"""The product of a sparse matrix with a dense one, of which only squares are kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..contract import Rows
from ._arrays import frozen
from ._jit import kernel
from .gram import Matrix, matrix

#: Independent sums of a dot product: the compiler may keep them in vector registers.
_LANES = 16


def product_squares(
    columns: Rows,
    dense: NDArray[np.float64],
    begin: int,
    end: int,
    shares: bool,
    cancel: NDArray[np.uint8],
) -> tuple[float, NDArray[np.float64]]:
    entries = columns.indices[columns.indptr[begin] : columns.indptr[end]]
    if entries.size and not 0 <= entries.min() <= entries.max() < dense.shape[0]:
        raise IndexError(f"indices: expected from 0 to {dense.shape[0] - 1}, got one outside")
    result = np.zeros(dense.shape[0] if shares else 0, np.float64)
    sums, lanes = np.empty(dense.shape[1]), np.empty(_LANES)
    dense, cancel = frozen(dense, np.float64), frozen(cancel, np.uint8)
    return _fill(matrix(columns), dense, begin, end, sums, lanes, result, cancel), result


@kernel
def _fill(
    columns: Matrix,
    dense: NDArray[np.float64],
    begin: int,
    end: int,
    sums: NDArray[np.float64],
    lanes: NDArray[np.float64],
    shares: NDArray[np.float64],
    cancel: NDArray[np.uint8],
) -> float:
    total = 0.0
    for c in range(begin, end):
        if cancel[0]:
            break
        sums[:] = 0.0
        first, last = columns.indptr[c], columns.indptr[c + 1]
        for entry in range(first, last):
            _add_scaled(sums, dense[columns.indices[entry]], columns.values[entry])
        total += _dot(sums, sums, lanes)
        if shares.size:
            for entry in range(first, last):
                i = columns.indices[entry]
                shares[i] += columns.values[entry] * _dot(sums, dense[i], lanes)
    return total


@kernel
def _add_scaled(sums: NDArray[np.float64], row: NDArray[np.float64], factor: float) -> None:
    for k in range(sums.size):
        sums[k] += factor * row[k]


@kernel
def _dot(a: NDArray[np.float64], b: NDArray[np.float64], lanes: NDArray[np.float64]) -> float:
    lanes[:] = 0.0
    whole = a.size - a.size % _LANES
    for k in range(0, whole, _LANES):
        for lane in range(_LANES):
            lanes[lane] += a[k + lane] * b[k + lane]
    total = 0.0
    for k in range(whole, a.size):
        total += a[k] * b[k]
    for lane in range(_LANES):
        total += lanes[lane]
    return total
