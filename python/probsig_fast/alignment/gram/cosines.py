"""The cosines of all pairs of rows, by tiles, and of single pairs to the last bit.

A tile may be rounded otherwise on another device, or in a tile cut otherwise. The cosine of a pair
may not: pairs are compared by it, and equal rows must tie. So both kinds have `exact`, of which no
device changes a bit, and tiles are within `slack` of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ...csr import Csr, scipy_csr
from ...pool import WorkerPool
from .compared import Compared
from .devices import Runner
from .inputs import BLOCK_ELEMENTS, rows_at_once
from .rows import kept_rows, root_, square_sums, tree_sum
from .sparse import sparse_rows
from .work import Range, Tile, pieces, steps

_EPSILON = float(np.finfo(np.float64).eps)


class Cosines(Protocol):
    """Of K rows.

    Attributes:
        slack: how far a tile's cosines may be from the exact ones; 0: they are the same.
    """

    slack: float

    def tile(self, tile: Tile) -> torch.Tensor:
        """float64, on the device."""

    def exact(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """The cosines of pairs of rows, int64 [n] each: float64 [n], on the device."""


class EmbeddingCosines:
    """e_i.e_j of unit rows E, float64 [K, d]; exactly: the `tree_sum` of the products."""

    def __init__(self, units: torch.Tensor, runner: Runner) -> None:
        self._units, self._runner = units, runner
        # However the d products are added, each order rounds by less than d eps / 2.
        self.slack = (units.shape[1] + 8) * _EPSILON

    def tile(self, tile: Tile) -> torch.Tensor:
        return self._units[slice(*tile.rows)] @ self._units[slice(*tile.columns)].T

    def exact(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        def products(pairs: Range) -> torch.Tensor:
            chosen = slice(*pairs)
            return tree_sum(self._units[first[chosen]].mul_(self._units[second[chosen]]), 1)

        found = self._runner.map(products, steps(len(first), rows_at_once(self._units)))
        return torch.cat([first.new_empty(0).double(), *found])


class SignatureCosines:
    """n_i.n_j / sqrt(|n_i|^2 |n_j|^2) of rows of counts, none of them zero, [K, W].

    Products of integers add up without rounding, in any order, while sums stay within 2^53. Beyond,
    what `exact` adds up, on the CPU, is taken for exact.
    """

    def __init__(self, counts: Csr, device: torch.device, pool: Runner) -> None:
        values = counts.stored.astype(np.float64)
        squares = square_sums(values, counts.indptr)
        longest = int(np.diff(counts.indptr).max())
        self.slack = 0.0 if squares.max() <= 2.0**53 else (longest + 8) * _EPSILON
        self._matrix, self._pool = scipy_csr(counts, values), pool
        self._rows = sparse_rows(self._matrix, device)
        self._squares = torch.from_numpy(squares).to(device)

    def tile(self, tile: Tile) -> torch.Tensor:
        squares = self._squares[slice(*tile.rows), None] * self._squares[slice(*tile.columns)]
        return self._rows.gram(tile).div_(root_(squares))

    def exact(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """On the CPU, by the pool: a pair takes no more than a look at its rows' entries."""
        i, j = first.cpu().numpy(), second.cpu().numpy()
        lengths = np.diff(self._matrix.indptr)
        entries = np.concatenate([[0], np.cumsum((lengths[i] + lengths[j]).astype(np.int64))])

        def products(pairs: Range) -> NDArray[np.float64]:
            chosen = slice(*pairs)
            common = self._matrix[i[chosen]].multiply(self._matrix[j[chosen]])
            sums: NDArray[np.float64] = common.sum(axis=1)
            return sums

        found = self._pool.map(products, pieces(entries, BLOCK_ELEMENTS))
        sums = np.concatenate([np.empty(0), *found])
        squares = self._squares[first] * self._squares[second]
        return torch.from_numpy(sums).to(squares.device).div_(root_(squares))


class JointCosines:
    """The mean of the cosines of several signatures' rows."""

    def __init__(self, parts: Sequence[Cosines]) -> None:
        self._parts = parts
        # A sum of cosines rounds; equal pairs still tie, as it does so in a fixed order.
        self.slack = max(part.slack for part in parts)

    def tile(self, tile: Tile) -> torch.Tensor:
        return self._mean([part.tile(tile) for part in self._parts])

    def exact(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return self._mean([part.exact(first, second) for part in self._parts])

    def _mean(self, cosines: Sequence[torch.Tensor]) -> torch.Tensor:
        total, *others = cosines
        for each in others:
            total += each
        return total.div_(len(cosines))


def signature_cosines(compared: Compared, pool: WorkerPool) -> Cosines:
    """Of the signature's rows that are compared, on the embedding's device."""
    device = compared.embedding.device
    parts = [
        SignatureCosines(kept_rows(part, compared.tokens), device, pool)
        for part in compared.signature.parts
    ]
    return parts[0] if len(parts) == 1 else JointCosines(parts)
