"""Sums of blocks: a few rows at a time, and of these two blocks at a time, the smallest first."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..contract import Block
from ._arrays import Entries, frozen
from ._entries import check_entries, checked_bounds
from ._jit import kernel

#: Entries taken at a time: few enough to be cached from one sum to the next.
_ENTRIES = 2**16

_OVERFLOW = np.int64(-1)
_ONE = np.uint64(1)


class Rows(NamedTuple):
    """Some rows of a block; `indptr` begins at 0, and all arrays are read-only."""

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    data: NDArray[np.int64]


def merge(blocks: list[Block], columns: int) -> Block:
    # total[i]: entries of all blocks in the first i rows.
    total = np.zeros(blocks[0].indptr.size, np.int64)
    for block in blocks:
        total += checked_bounds(block)
    indptr = np.zeros(total.size, np.int64)
    # Room for all: what stays unused of it was never touched, and takes no memory.
    entries = Entries(int(total[-1]))
    cuts = _cuts(total)
    for low, high in itertools.pairwise(cuts):
        _append_sum(
            [_rows(block, low, high, columns) for block in blocks],
            indptr[low : high + 1],
            entries,
        )
    return entries.block(indptr)


def _cuts(total: NDArray[np.int64]) -> list[int]:
    """Where to cut the rows: pieces of at most `_ENTRIES`, but of at least one row."""
    cuts = [0]
    while cuts[-1] < total.size - 1:
        fitting = int(np.searchsorted(total, total[cuts[-1]] + _ENTRIES, side="right")) - 1
        cuts.append(max(fitting, cuts[-1] + 1))
    return cuts


def _rows(block: Block, low: int, high: int, columns: int) -> Rows:
    bounds = block.indptr[low : high + 1]
    begin, end = int(bounds[0]), int(bounds[-1])
    indices = frozen(block.indices[begin:end], np.int32)
    data = frozen(block.data[begin:end], np.int64)
    check_entries(indices, data, columns)
    rows = Rows(frozen(bounds - begin, np.int64), indices, data)
    fall = _first_fall(rows)
    if fall:
        raise ValueError(
            "counts: expected column ids that rise within a row, "
            f"got {indices[fall]} after {indices[fall - 1]}: damaged"
        )
    return rows


def _append_sum(rows: list[Rows], indptr: NDArray[np.int64], entries: Entries) -> None:
    """Append the sum; `indptr` receives where its rows begin."""
    while len(rows) > 2:
        rows.sort(key=lambda some: some.data.size)
        rows[:2] = [_sum(*rows[:2])]
    nothing = Rows(
        frozen(np.zeros(indptr.size), np.int64),
        frozen(np.empty(0), np.int32),
        frozen(np.empty(0), np.int64),
    )
    first, second = [*rows, nothing, nothing][:2]
    entries.used = _checked(
        _add(first, second, indptr, entries.indices, entries.data, entries.used)
    )


def _sum(first: Rows, second: Rows) -> Rows:
    size = first.data.size + second.data.size
    indptr = np.zeros(first.indptr.size, np.int64)
    indices, data = np.empty(size, np.int32), np.empty(size, np.int64)
    used = _checked(_add(first, second, indptr, indices, data, 0))
    return Rows(
        frozen(indptr, np.int64), frozen(indices[:used], np.int32), frozen(data[:used], np.int64)
    )


def _checked(used: np.int64) -> int:
    if used == _OVERFLOW:
        raise OverflowError("a sum of counts passed 2^63 - 1")
    return int(used)


@kernel
def _first_fall(rows: Rows) -> int:
    """The first entry whose index is not above the one before it in its row; 0 if there is none."""
    for row in range(rows.indptr.size - 1):
        begin, end = rows.indptr[row] + 1, rows.indptr[row + 1]
        falls = False
        for k in range(begin, end):  # without a way out, so that it becomes vectors
            falls |= rows.indices[k] <= rows.indices[k - 1]
        if falls:
            for k in range(begin, end):
                if rows.indices[k] <= rows.indices[k - 1]:
                    return k
    return 0


@kernel
def _add(
    first: Rows,
    second: Rows,
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    data: NDArray[np.int64],
    used: int,
) -> np.int64:
    """Append the sum of the rows, with room for all entries of both.

    Returns how many entries there are now, or `_OVERFLOW`.
    """
    place = np.uint64(used)
    seen = np.int64(0)
    indptr[0] = used
    for row in range(indptr.size - 1):
        i, i_end = np.uint64(first.indptr[row]), np.uint64(first.indptr[row + 1])
        j, j_end = np.uint64(second.indptr[row]), np.uint64(second.indptr[row + 1])
        while i < i_end and j < j_end:
            left, right = first.indices[i], second.indices[j]
            takes_left, takes_right = np.uint64(left <= right), np.uint64(right <= left)
            total = first.data[i] + second.data[j]
            # A branch on which comes next would be hard to foresee. So all three counts are
            # written, the right one last to `place`, the others one further, to be overwritten.
            indices[place] = min(left, right)
            data[place] = total
            data[place + takes_right] = first.data[i]
            data[place + takes_left] = second.data[j]
            # Two numbers below 2^63 whose sum passes it: it is negative.
            seen |= total & -np.int64(takes_left & takes_right)
            place += _ONE
            i += takes_left
            j += takes_right
        for k in range(i, i_end):
            indices[place], data[place] = first.indices[k], first.data[k]
            place += _ONE
        for k in range(j, j_end):
            indices[place], data[place] = second.indices[k], second.data[k]
            place += _ONE
        indptr[row + 1] = place
    return _OVERFLOW if seen < 0 else np.int64(place)
