"""The same sums pair by pair, where those from factors would cancel: O(K^2 d), in tiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from .centred import Centred
from .devices import Runner, tile_elements
from .sparse import sparse_rows
from .work import Tile, tiles

if TYPE_CHECKING:
    import scipy.sparse

_Term = Callable[[Tile], torch.Tensor]


def variance_by_pairs(embedding: torch.Tensor, e: Centred, runner: Runner) -> NDArray[np.float64]:
    """sum over j != i of (G_ij - mean)^2, float64 [K]."""
    deviations = _deviations(embedding, e)

    def squares(tile: Tile) -> torch.Tensor:
        return deviations(tile).square_()

    return _row_sums(squares, embedding, runner)


def covariance_by_pairs(
    embedding: torch.Tensor,
    e: Centred,
    signature: scipy.sparse.csr_array,
    p: Centred,
    runner: Runner,
) -> NDArray[np.float64]:
    """sum over j != i of the products of deviations, float64 [K]; forms PP' too."""
    deviations = _deviations(embedding, e)
    rows = sparse_rows(signature, embedding.device)

    def products(tile: Tile) -> torch.Tensor:
        return (rows.gram(tile) - p.mean_cosine).mul_(deviations(tile))

    return _row_sums(products, embedding, runner)


def _row_sums(term: _Term, embedding: torch.Tensor, runner: Runner) -> NDArray[np.float64]:
    """The row sums of a symmetric matrix, from the tiles of its upper triangle."""

    def sums(tile: Tile) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        block = term(tile)
        return block.sum(1).cpu().numpy(), block.sum(0).cpu().numpy()

    cut = tiles(len(embedding), tile_elements(embedding.device))
    total = np.zeros(len(embedding))
    for tile, (by_row, by_column) in zip(cut, runner.map(sums, cut), strict=True):
        total[slice(*tile.rows)] += by_row
        if not tile.diagonal:
            total[slice(*tile.columns)] += by_column
    return total


def _deviations(embedding: torch.Tensor, e: Centred) -> _Term:
    """A function that gives G - its mean in a tile, with 0 on the diagonal."""
    along = torch.from_numpy(e.along).to(embedding.device)

    def deviations(tile: Tile) -> torch.Tensor:
        rows, columns = slice(*tile.rows), slice(*tile.columns)
        block = embedding[rows] @ embedding[columns].T
        block += along[columns]
        block += (along[rows] - e.rest)[:, None]
        return block.fill_diagonal_(0.0) if tile.diagonal else block

    return deviations
