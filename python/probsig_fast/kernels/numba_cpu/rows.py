"""One row of counts at a time: a dense accumulator, and how it becomes sorted sparse entries."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ._arrays import Counts
from ._jit import kernel, trailing_zeros

#: Up to so many columns are sorted by insertion; more go through the bitmap, which costs a pass
#: over columns / 4096 words.
_SHORT = 16

_ONE = np.uint64(1)
_SIX = np.uint64(6)
_LOW_SIX = np.uint64(63)


class Row(NamedTuple):
    """Work space of one row. All zero between rows, but for `touched`.

    Attributes:
        counts: uint32 or uint64 [columns].
        touched: uint32; the columns whose counts are not 0, in order of appearance. One longer
            than there are such columns, as it is written to before it is known that one is new.
        words: uint64, a bit a column; only used while entries are written.
        tops: uint64, a bit a word of `words` that is not 0.
    """

    counts: NDArray[np.uint32] | NDArray[np.uint64]
    touched: NDArray[np.uint32]
    words: NDArray[np.uint64]
    tops: NDArray[np.uint64]


def empty_row(columns: int, dtype: DTypeLike, touched: int) -> Row:
    """A row that at most `touched` different columns will be written to."""
    words = columns // 64 + 1
    return Row(
        np.zeros(columns, dtype),
        np.empty(touched + 1, np.uint32),
        np.zeros(words, np.uint64),
        np.zeros(words // 64 + 1, np.uint64),
    )


@kernel
def write_row(
    row: Row,
    n_touched: int,
    scale: int,
    indices: NDArray[np.int32],
    data: Counts,
    used: int,
) -> int:
    """Append the row's entries, sorted, with counts times `scale`; clear the row.

    Returns how many entries there are now.
    """
    if n_touched <= _SHORT:
        _sort_by_insertion(row.touched, n_touched)
    else:
        _sort_by_bits(row, n_touched)
    counts, touched = row.counts, row.touched
    for i in range(n_touched):
        column = touched[i]
        indices[used + i] = column
        data[used + i] = np.int64(counts[column]) * scale
        counts[column] = 0
    return used + n_touched


@kernel
def _sort_by_insertion(values: NDArray[np.uint32], size: int) -> None:
    for i in range(1, size):
        value = values[i]
        j = i
        while j > 0 and values[j - 1] > value:
            values[j] = values[j - 1]
            j -= 1
        values[j] = value


@kernel
def _sort_by_bits(row: Row, n_touched: int) -> None:
    _, touched, words, tops = row
    for i in range(n_touched):
        column = np.uint64(touched[i])
        word = column >> _SIX
        words[word] |= _ONE << (column & _LOW_SIX)
        tops[word >> _SIX] |= _ONE << (word & _LOW_SIX)
    size = np.uint64(0)
    for top in range(tops.size):
        marked = tops[top]
        tops[top] = 0
        while marked:
            word = np.uint64(top) << _SIX | trailing_zeros(marked)
            marked &= marked - _ONE
            bits = words[word]
            words[word] = 0
            while bits:
                # Two at a time, as most words of a sparse row hold one or two: whether there is
                # a second is then no branch, which would be hard to foresee.
                touched[size] = word << _SIX | trailing_zeros(bits)
                bits &= bits - _ONE
                touched[size + _ONE] = word << _SIX | trailing_zeros(bits)
                size += _ONE + np.uint64(bits != 0)
                bits &= bits - np.uint64(bits != 0)
