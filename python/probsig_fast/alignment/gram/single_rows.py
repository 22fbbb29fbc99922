"""Correlations of single rows of two cosine matrices, from the rows themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from .centred import Centred
from .devices import Runner, tile_elements
from .rows import NOISE
from .work import Range, steps

if TYPE_CHECKING:
    import scipy.sparse


def row_correlations(
    embedding: torch.Tensor,
    e: Centred,
    signature: scipy.sparse.csr_array,
    chosen: NDArray[np.int64],
    runner: Runner,
) -> NDArray[np.float64]:
    """Over j != i the correlation of G_ij and H_ij for the rows i = `chosen`, float64; NaN where
    either has no spread. Two passes over each row, so that nothing cancels: O(K d + nnz) a row.

    Args:
        embedding: E~, the centred unit rows that `e` describes.
        signature: P.
    """
    others = signature.T.tocsc()

    def correlations(piece: Range) -> NDArray[np.float64]:
        rows = chosen[slice(*piece)]
        there = torch.from_numpy(rows).to(embedding.device)
        g = (embedding[there] @ embedding.T).cpu().numpy() + e.along  # u_i is the same in a row
        h = (signature[rows] @ others).toarray()
        return _correlate(_spread(g, rows), _spread(h, rows))

    at_once = max(1, tile_elements(embedding.device) // max(1, e.tokens))
    parts = runner.map(correlations, steps(chosen.size, at_once))
    return np.concatenate([np.empty(0), *parts])


def _spread(block: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Deviations from each row's own mean over j != i, and 0 at j = i; overwrites the block."""
    own = np.arange(rows.size), rows
    block[own] = 0.0
    block -= block.sum(axis=1, keepdims=True) / (block.shape[1] - 1)
    block[own] = 0.0
    return block


def _correlate(g: NDArray[np.float64], h: NDArray[np.float64]) -> NDArray[np.float64]:
    products, squares, other_squares = (
        np.einsum("ij,ij->i", *pair) for pair in ((g, h), (g, g), (h, h))
    )
    noise = NOISE**2 * (g.shape[1] - 1)  # cosines are of size 1, and each is rounded
    defined = (squares > noise) & (other_squares > noise)
    norms = np.sqrt(np.where(defined, squares * other_squares, 1.0))
    correlations: NDArray[np.float64] = np.where(defined, products / norms, np.nan)
    return correlations
