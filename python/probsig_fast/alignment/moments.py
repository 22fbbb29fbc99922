"""Sums over pairs i != j of two cosine matrices, from their factors (THEORY, section 4).

E [K, d] is dense and P [K, W] sparse, both with unit rows; G = EE' and H = PP' are never formed.
On the CPU every sum has an order that E and P fix alone, so no figure depends on the number of
threads; on a CUDA device the order is that of its libraries' products.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ..device import is_device_array
from ..kernels.contract import Kernels, Rows
from ..pool import WorkerPool
from .centred import Centred, centre_rows, describe_rows
from .devices import Runner, block_elements, runner_for, tile_elements
from .rows import NOISE
from .sparse import SparseRows, sparse_rows
from .work import Range, Tile, ranges, steps, tiles

if TYPE_CHECKING:
    import scipy.sparse

#: Rows of E that one product sums over.
_BLOCK_ROWS = 4096
#: Cov is formed pair by pair where it is smaller than its terms by more than this factor. Below,
#: the correlation's error stays within 1e-13.
_CANCELLED = 256.0


@dataclass(frozen=True)
class CosineMoments:
    """Of the off-diagonal elements of G and H.

    Attributes:
        tokens: K.
        mean_embedding, mean_signature: of G and of H.
        covariance, variance_embedding, variance_signature: sums (not means) over the K (K - 1)
            ordered pairs of the products of deviations from the means. A variance that is rounding
            and nothing else is 0, and so is the covariance then.
    """

    tokens: int
    mean_embedding: float
    mean_signature: float
    covariance: float
    variance_embedding: float
    variance_signature: float

    @property
    def pearson(self) -> float:
        """Cov / sqrt(Var Var); NaN if a variance is 0, as for fewer than two pairs."""
        norm = math.sqrt(self.variance_embedding) * math.sqrt(self.variance_signature)
        if self.tokens < 3 or norm == 0.0:
            return float("nan")
        return min(1.0, max(-1.0, self.covariance / norm))


def cosine_moments(
    embedding: torch.Tensor, signature: scipy.sparse.csr_array, kernels: Kernels, pool: WorkerPool
) -> CosineMoments:
    """The moments of the cosines of unit rows. Products with E run where E is.

    Args:
        embedding: E, float64 [K, d], K at least 2. It is centred in place.
        signature: P, float64 [K, W].

    Cost: see `cosine_correlation`.
    """
    columns = signature.T.tocsr()  # P' [W, K]
    e, p = centre_rows(embedding), describe_rows(signature)
    runner = runner_for(embedding.device, pool)
    try:
        variance_p = _signature_variance(signature, columns, p, kernels, pool)
    finally:
        kernels.release()  # the products may need the memory
    variance_e = _embedding_variance(embedding, e, runner)
    covariance = 0.0
    if variance_e and variance_p:
        covariance, terms = _covariance(embedding, e, columns, p, runner)
        if terms > _CANCELLED * math.sqrt(variance_e) * math.sqrt(variance_p):
            rows = sparse_rows(signature, embedding.device)
            covariance = _pairwise_covariance(embedding, e, rows, p, runner)
    return CosineMoments(e.tokens, e.mean_cosine, p.mean_cosine, covariance, variance_e, variance_p)


def _signature_variance(
    rows: scipy.sparse.csr_array,
    columns: scipy.sparse.csr_array,
    p: Centred,
    kernels: Kernels,
    pool: WorkerPool,
) -> float:
    """Var_H = sum over i != j of (p_i.p_j - mean)^2. Nothing cancels, so it is right for any P."""
    p_rows, p_columns = kernels.load_rows(_as_rows(rows)), kernels.load_rows(_as_rows(columns))
    if is_device_array(p_rows.values):
        pieces = [(0, p.tokens)]  # a device shares out the rows itself
    else:
        additions = np.diff(columns.indptr)[rows.indices].astype(np.int64)
        pieces = ranges(np.concatenate([[0], np.cumsum(additions)])[rows.indptr])

    def squares(piece: Range) -> NDArray[np.float64]:
        return kernels.gram_squares(p_rows, p_columns, p.mean_cosine, *piece, pool.cancel)

    variance = math.fsum(np.concatenate(list(pool.map(squares, pieces))))
    # Sums of positive products round by their own size. |q|^2, the mean of all H, stands for it:
    # it is not 0 where all rows are orthogonal, but their mean cosine is, up to rounding.
    return _unless_rounding(variance, p.pairs * (NOISE * p.square) ** 2)


def _embedding_variance(embedding: torch.Tensor, e: Centred, runner: Runner) -> float:
    """Var_G = |E~'E~|^2 + 2K u.u - sum a_i^2 - (sum a)^2 / (K (K - 1)), or pair by pair.

    Up to 2 d rows may be nearly orthogonal; the diagonal would then be all of |E~'E~|^2, and
    pairs cost no more than E~'E~. More rows cannot: |E~'E~|^2 >= (sum |e~|^2)^2 / d.
    """
    if e.tokens <= 2 * embedding.shape[1]:
        variance = _pairwise_variance(embedding, e, runner)
    else:
        variance = _combine(_gram_norm(embedding, runner), e, e)
    return _unless_rounding(variance, e.pairs * NOISE**2)


def _unless_rounding(variance: float, noise: float) -> float:
    return variance if variance > noise else 0.0


def _covariance(
    embedding: torch.Tensor,
    e: Centred,
    columns: scipy.sparse.csr_array,
    p: Centred,
    runner: Runner,
) -> tuple[float, float]:
    """Cov = |P'E~|^2 + 2K u.v - sum a_i b_i - (sum a)(sum b) / (K (K - 1)), and the size of the
    terms against which it is rounded (those of P are differences of terms of size 1).

    P'E~ stands for P~'E~, which is the same, as the rows of E~ sum to 0.
    """
    product = _product_norm(columns, embedding, runner)
    along = math.sqrt(math.fsum(np.square(e.along)))
    terms = product + 2.0 * e.tokens * along + math.fsum(np.abs(e.diagonal))
    return _combine(product, e, p), terms


def _combine(product: float, x: Centred, y: Centred) -> float:
    """The sum over i != j of the products of two cosines' deviations, from |X~'Y~|^2."""
    return math.fsum(
        (
            product,
            2.0 * x.tokens * math.fsum(x.along * y.along),
            -math.fsum(x.diagonal * y.diagonal),
            -math.fsum(x.diagonal) * math.fsum(y.diagonal) / x.pairs,
        )
    )


def _gram_norm(embedding: torch.Tensor, runner: Runner) -> float:
    """|E~'E~|^2."""

    def gram(rows: Range) -> torch.Tensor:
        block = embedding[slice(*rows)]
        return block.T @ block

    total = embedding.new_zeros((embedding.shape[1],) * 2)
    for block in runner.map(gram, steps(len(embedding), _BLOCK_ROWS)):
        total += block
    return _square_sum(total)


def _product_norm(
    columns: scipy.sparse.csr_array, embedding: torch.Tensor, runner: Runner
) -> float:
    """|P'E~|^2, of some rows of P' at a time."""
    at_most = max(1, block_elements(embedding.device) // max(1, embedding.shape[1]))
    transposed = sparse_rows(columns, embedding.device)

    def norm(rows: Range) -> float:
        return _square_sum(transposed.times(rows, embedding))

    pieces = ranges(columns.indptr.astype(np.int64), at_most)
    return math.fsum(runner.map(norm, pieces))


def _pairwise_variance(embedding: torch.Tensor, e: Centred, runner: Runner) -> float:
    """Var_G from its pairs: O(K^2 d)."""
    deviations = _deviations(embedding, e)

    def squares(tile: Tile) -> float:
        return _square_sum(deviations(tile))

    return _over_pairs(squares, embedding, runner)


def _pairwise_covariance(
    embedding: torch.Tensor, e: Centred, signature: SparseRows, p: Centred, runner: Runner
) -> float:
    """Cov from its pairs: O(K^2 d), and PP'."""
    deviations = _deviations(embedding, e)

    def products(tile: Tile) -> float:
        cosines = signature.gram(tile) - p.mean_cosine
        return float(cosines.mul_(deviations(tile)).sum())

    return _over_pairs(products, embedding, runner)


def _over_pairs(term: Callable[[Tile], float], embedding: torch.Tensor, runner: Runner) -> float:
    """The sum of a symmetric matrix, from the tiles of its upper triangle."""
    cut = tiles(len(embedding), tile_elements(embedding.device))
    sums = runner.map(term, cut)
    return math.fsum(
        value if tile.diagonal else 2 * value for tile, value in zip(cut, sums, strict=True)
    )


def _deviations(embedding: torch.Tensor, e: Centred) -> Callable[[Tile], torch.Tensor]:
    """A function that gives G - its mean in a tile, with 0 on the diagonal."""
    along = torch.from_numpy(e.along).to(embedding.device)

    def deviations(tile: Tile) -> torch.Tensor:
        rows, columns = slice(*tile.rows), slice(*tile.columns)
        block = embedding[rows] @ embedding[columns].T
        block += along[columns]
        block += (along[rows] - e.rest)[:, None]
        return block.fill_diagonal_(0.0) if tile.diagonal else block

    return deviations


def _square_sum(block: torch.Tensor) -> float:
    """Overwrites the block."""
    return float(block.square_().sum())


def _as_rows(matrix: scipy.sparse.csr_array) -> Rows:
    return Rows(
        matrix.indptr.astype(np.int64),
        matrix.indices.astype(np.int32, copy=False),
        matrix.data,
    )
