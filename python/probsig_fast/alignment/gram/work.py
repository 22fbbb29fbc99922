"""How work is cut into pieces. No cut depends on the number of threads, so no sum does."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Range = tuple[int, int]

#: Pieces of work for the threads, whatever their number.
_TASKS = 128


class Tile(NamedTuple):
    """Of the upper triangle of a symmetric matrix: a square on the diagonal, or beyond it.

    Attributes:
        rows, columns: [begin, end).
    """

    rows: Range
    columns: Range

    @property
    def diagonal(self) -> bool:
        return self.rows == self.columns


def steps(rows: int, at_most: int) -> list[Range]:
    return [(begin, min(begin + at_most, rows)) for begin in range(0, rows, at_most)]


def ranges(work: NDArray[np.int64], at_most: int | None = None) -> list[Range]:
    """Row ranges of about equal work, `work` being its running sum [rows + 1], of no more than
    `at_most` rows."""
    rows = work.size - 1
    shares = np.searchsorted(work, work[-1] * np.arange(1, _TASKS) // _TASKS)
    cuts = np.unique(np.concatenate([np.arange(0, rows, at_most or rows), shares, [rows]]))
    return list(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True))


def pieces(work: NDArray[np.int64], size: int) -> list[Range]:
    """Row ranges of no more work than `size` and that of a row, likewise."""
    starts = np.searchsorted(work, np.arange(0, work[-1], size))
    cuts = np.unique(np.concatenate([starts, [work.size - 1]]))
    return list(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True))


def tiles(rows: int, elements: int) -> list[Tile]:
    """The upper triangle of [rows, rows], by rows, in tiles of at most so many elements."""
    cuts = steps(rows, max(1, math.isqrt(elements)))
    return [Tile(a, b) for k, a in enumerate(cuts) for b in cuts[k:]]
