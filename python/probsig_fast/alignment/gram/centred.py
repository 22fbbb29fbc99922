"""Unit rows less their mean, and what their cosines are made of (THEORY, section 4)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from .rows import row_squares, square_sums

if TYPE_CHECKING:
    import scipy.sparse


@dataclass(frozen=True)
class Centred:
    """Unit rows x_i = x~_i + m with m their mean, and what their cosines are made of:

        x_i.x_j = |m|^2 + x~_i.x~_j + u_i + u_j,  u_i = x~_i.m

    Without |m|^2 these sum to 0 over all i and j, the diagonal included.

    Attributes:
        along: u, float64 [K].
        diagonal: a_i = |x~_i|^2 + 2 u_i, float64 [K]: what the diagonal has beyond |m|^2.
        square: |m|^2.
    """

    along: NDArray[np.float64]
    diagonal: NDArray[np.float64]
    square: float

    @property
    def tokens(self) -> int:
        return self.along.size

    @property
    def pairs(self) -> int:
        """Ordered pairs i != j."""
        return self.tokens * (self.tokens - 1)

    @property
    def rest(self) -> float:
        """The mean over i != j of x_i.x_j - |m|^2."""
        return -math.fsum(self.diagonal) / self.pairs

    @property
    def row_deviations(self) -> NDArray[np.float64]:
        """sum over j != i of x_i.x_j less its mean over all pairs, float64 [K]."""
        deviations: NDArray[np.float64] = self.tokens * (self.along - self.rest) - (
            self.diagonal - self.rest
        )
        return deviations

    @property
    def mean_cosine(self) -> float:
        """The mean over i != j of x_i.x_j."""
        return self.square + self.rest


def centre_rows(rows: torch.Tensor) -> Centred:
    """Subtract the mean of the rows from them, in place: at least one row, on any device."""
    mean = rows.new_zeros(rows.shape[1])
    for _ in range(2):  # the second time takes away what rounding left of the sum of the rows
        rest = rows.mean(dim=0)
        rows -= rest
        mean += rest
    squares = row_squares(rows).cpu().numpy()
    # |x_i| = 1 gives 2 u_i = mean |x~|^2 - |x~_i|^2. Where all rows are nearly alike, x~_i.m would
    # be rounding: a unit row of float64 is one to 1e-16, and u_i is of the order of |x~_i|^2.
    mean_square = math.fsum(squares) / len(rows)
    along = (mean_square - squares) / 2
    return Centred(along, np.full(len(rows), mean_square), float(mean.square().sum()))


def describe_rows(rows: scipy.sparse.csr_array) -> Centred:
    """The same of sparse rows, none of them empty, which stay as they are: x~ would be dense."""
    mean = np.bincount(rows.indices, rows.data, minlength=rows.shape[1]) / rows.shape[0]
    square = float(np.square(mean).sum())
    squares = square_sums(rows.data, rows.indptr)
    return Centred(rows @ mean - square, squares - square, square)
