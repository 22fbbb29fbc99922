"""Squares of the Gram matrix of sparse rows, row by row, without forming it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..contract import Rows
from ._arrays import frozen
from ._jit import kernel

#: A row of fewer additions than one for so many rows lists the sums it touched; a longer one looks
#: at all of them, which costs about a quarter as much each (EPYC of family 26).
_ROWS_PER_ADDITION = 4
#: Terms summed before they join the total: one long sum of like terms would round one way.
_PART = 512


class Matrix(NamedTuple):
    """`Rows` with unsigned indices, which need no check for Python's negative ones."""

    indptr: NDArray[np.int64]
    indices: NDArray[np.uint32]
    values: NDArray[np.float64]


class Sums(NamedTuple):
    """Work space of one row of PP'.

    Attributes:
        values: float64 [rows], all 0 between rows.
        marks: int32 [rows], the last listed row that touched each.
        touched: uint32 [rows + 1]; one longer than needed, as it is written to before it is known
            that one is new.
    """

    values: NDArray[np.float64]
    marks: NDArray[np.int32]
    touched: NDArray[np.uint32]


def gram_squares(
    rows: Rows,
    columns: Rows,
    shift: float,
    row_begin: int,
    row_end: int,
    cancel: NDArray[np.uint8],
) -> NDArray[np.float64]:
    n_rows = rows.indptr.size - 1
    sums = Sums(
        np.zeros(n_rows, np.float64),
        np.full(n_rows, -1, np.int32),
        np.empty(n_rows + 1, np.uint32),
    )
    result = np.zeros(row_end - row_begin, np.float64)
    _fill(
        matrix(rows),
        matrix(columns),
        float(shift),
        row_begin,
        sums,
        result,
        frozen(cancel, np.uint8),
    )
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
    sums: Sums,
    result: NDArray[np.float64],
    cancel: NDArray[np.uint8],
) -> None:
    for k in range(result.size):
        if cancel[0]:
            return
        i = row_begin + k
        additions = 0
        for entry in range(rows.indptr[i], rows.indptr[i + 1]):
            column = np.int64(rows.indices[entry])
            additions += columns.indptr[column + 1] - columns.indptr[column]
        if additions < sums.values.size // _ROWS_PER_ADDITION:
            result[k] = _listed_squares(i, shift, sums, _add_listed(i, rows, columns, sums))
        else:
            _add(i, rows, columns, sums.values)
            result[k] = _squares(i, shift, sums.values)


@kernel
def _add(i: int, rows: Matrix, columns: Matrix, values: NDArray[np.float64]) -> None:
    """values[j] = p_i . p_j."""
    for entry in range(rows.indptr[i], rows.indptr[i + 1]):
        column = np.int64(rows.indices[entry])
        value = rows.values[entry]
        for other in range(columns.indptr[column], columns.indptr[column + 1]):
            values[columns.indices[other]] += value * columns.values[other]


@kernel
def _squares(i: int, shift: float, values: NDArray[np.float64]) -> float:
    """sum over j != i of (values[j] - shift)^2; clears `values`."""
    values[i] = shift  # so that j = i adds exactly 0
    total = 0.0
    for begin in range(0, values.size, _PART):
        total += _part_squares(values[begin : begin + _PART], shift)
    values[:] = 0.0
    return total


@kernel
def _part_squares(values: NDArray[np.float64], shift: float) -> float:
    # Four sums, as each addition would wait for the one before.
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    whole = values.size - values.size % 4
    for j in range(0, whole, 4):
        a += (values[j] - shift) ** 2
        b += (values[j + 1] - shift) ** 2
        c += (values[j + 2] - shift) ** 2
        d += (values[j + 3] - shift) ** 2
    for j in range(whole, values.size):
        a += (values[j] - shift) ** 2
    return (a + b) + (c + d)


@kernel
def _add_listed(i: int, rows: Matrix, columns: Matrix, sums: Sums) -> int:
    """As `_add`; how many different j are in `touched`.

    A sum may pass through 0, so it cannot be its own mark.
    """
    values, marks, touched = sums
    count = 0
    for entry in range(rows.indptr[i], rows.indptr[i + 1]):
        column = np.int64(rows.indices[entry])
        value = rows.values[entry]
        for other in range(columns.indptr[column], columns.indptr[column + 1]):
            j = columns.indices[other]
            touched[count] = j
            count += marks[j] != i  # no branch: the first touch is unpredictable
            marks[j] = i
            values[j] += value * columns.values[other]
    return count


@kernel
def _listed_squares(i: int, shift: float, sums: Sums, count: int) -> float:
    """As `_squares` for the first `count` in `touched`; all other values are 0."""
    values, touched = sums.values, sums.touched
    total = 0.0
    untouched = values.size - 1
    for begin in range(0, count, _PART):
        part = 0.0
        for k in range(begin, min(begin + _PART, count)):
            j = touched[k]
            if j != i:
                part += (values[j] - shift) ** 2
                untouched -= 1
            values[j] = 0.0
        total += part
    return total + untouched * shift**2
