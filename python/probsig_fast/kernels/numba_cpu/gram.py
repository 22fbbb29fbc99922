"""Squares of the Gram matrix of sparse rows, row by row, without forming it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..contract import Rows
from ._arrays import frozen
from ._jit import kernel

#: Terms summed before they join the total: one long sum of like terms would round one way.
_PART = 512


class Matrix(NamedTuple):
    """`Rows` with unsigned indices, which need no check for Python's negative ones."""

    indptr: NDArray[np.int64]
    indices: NDArray[np.uint32]
    values: NDArray[np.float64]


def gram_squares(
    rows: Rows,
    columns: Rows,
    shift: float,
    row_begin: int,
    row_end: int,
    cancel: NDArray[np.uint8],
) -> NDArray[np.float64]:
    sums, shares = np.zeros((2, rows.indptr.size - 1), np.float64)
    places = np.full(columns.indptr.size - 1, -1, np.int64)
    by_row, by_column = matrix(rows), matrix(columns)
    flag = frozen(cancel, np.uint8)
    _fill(by_row, by_column, float(shift), row_begin, row_end, sums, places, shares, flag)
    return shares


def gram_row_squares(
    rows: Rows,
    columns: Rows,
    shift: float,
    chosen: NDArray[np.int64],
    cancel: NDArray[np.uint8],
) -> NDArray[np.float64]:
    sums, ignored = np.zeros((2, rows.indptr.size - 1), np.float64)
    result = np.zeros(chosen.size, np.float64)
    ids, flag = frozen(chosen, np.int64), frozen(cancel, np.uint8)
    _fill_rows(matrix(rows), matrix(columns), float(shift), ids, sums, ignored, result, flag)
    return result


def matrix(rows: Rows) -> Matrix:
    indices = frozen(rows.indices, np.int32).view(np.uint32)
    return Matrix(frozen(rows.indptr, np.int64), indices, frozen(rows.values, np.float64))


@kernel
def _fill(
    rows: Matrix,
    columns: Matrix,
    shift: float,
    row_begin: int,
    row_end: int,
    sums: NDArray[np.float64],
    places: NDArray[np.int64],
    shares: NDArray[np.float64],
    cancel: NDArray[np.uint8],
) -> None:
    """Pairs j < i only; `places` is where row i's entry in each column is, -1 for not yet known."""
    for i in range(row_begin, row_end):
        if cancel[0]:
            return
        for entry in range(rows.indptr[i], rows.indptr[i + 1]):
            c = np.int64(rows.indices[entry])
            begin, end = columns.indptr[c], columns.indptr[c + 1]
            if places[c] < 0:
                places[c] = begin + np.searchsorted(columns.indices[begin:end], np.uint32(i))
            _add_column(sums, columns, begin, places[c], rows.values[entry])
            places[c] += 1
        shares[i] += _fold(sums, shares, i, shift)


@kernel
def _fill_rows(
    rows: Matrix,
    columns: Matrix,
    shift: float,
    chosen: NDArray[np.int64],
    sums: NDArray[np.float64],
    ignored: NDArray[np.float64],
    result: NDArray[np.float64],
    cancel: NDArray[np.uint8],
) -> None:
    for k in range(chosen.size):
        if cancel[0]:
            return
        i = chosen[k]
        for entry in range(rows.indptr[i], rows.indptr[i + 1]):
            c = np.int64(rows.indices[entry])
            _add_column(sums, columns, columns.indptr[c], columns.indptr[c + 1], rows.values[entry])
        sums[i] = shift  # so that j = i adds exactly 0
        result[k] = _fold(sums, ignored, sums.size, shift)


@kernel
def _add_column(
    sums: NDArray[np.float64], columns: Matrix, begin: int, end: int, value: float
) -> None:
    for entry in range(begin, end):
        sums[columns.indices[entry]] += value * columns.values[entry]


@kernel
def _fold(sums: NDArray[np.float64], shares: NDArray[np.float64], size: int, shift: float) -> float:
    """The sum over j < size of (sums[j] - shift)^2, each of which joins shares[j]; clears them."""
    total = 0.0
    for begin in range(0, size, _PART):
        end = min(begin + _PART, size)
        total += _fold_part(sums[begin:end], shares[begin:end], shift)
    sums[:size] = 0.0
    return total


@kernel
def _fold_part(sums: NDArray[np.float64], shares: NDArray[np.float64], shift: float) -> float:
    for j in range(sums.size):  # no sum over j: a loop that needs no order
        sums[j] = (sums[j] - shift) ** 2
        shares[j] += sums[j]
    # Four sums, as each addition would wait for the one before.
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    whole = sums.size - sums.size % 4
    for j in range(0, whole, 4):
        a += sums[j]
        b += sums[j + 1]
        c += sums[j + 2]
        d += sums[j + 3]
    for j in range(whole, sums.size):
        a += sums[j]
    return (a + b) + (c + d)
