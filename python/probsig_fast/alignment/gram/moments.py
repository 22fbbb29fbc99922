"""Sums over pairs i != j of two cosine matrices, from their factors (THEORY, section 4).

E [K, d] is dense and P [K, W] sparse, both with unit rows; G = EE' and H = PP' are never formed.
On the CPU every sum has an order that E and P fix alone, so no figure depends on the number of
threads; on a CUDA device the order is that of its libraries' products.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ...kernels.contract import Kernels
from ...pool import WorkerPool
from ..prepared import SignatureTerms
from .centred import Centred, centre_rows
from .cross import cross_norm, cross_sums
from .devices import Runner, runner_for
from .pairwise import covariance_by_pairs, variance_by_pairs
from .rows import NOISE, square_sum
from .work import Range, steps

#: Rows of E that one product sums over.
_BLOCK_ROWS = 4096
#: Columns of a panel of E~'E~ at the least.
_NARROWEST = 64
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


@dataclass(frozen=True)
class PairSums:
    """Of the deviations g and h of G and H from their means, sums over j != i: float64 [K] each.

    Attributes:
        moments: the totals.
        e, p: the rows of E and P, centred.
        products, embedding_squares, signature_squares: of g h, g^2, h^2.
    """

    moments: CosineMoments
    e: Centred
    p: Centred
    products: NDArray[np.float64]
    embedding_squares: NDArray[np.float64]
    signature_squares: NDArray[np.float64]


def cosine_moments(
    embedding: torch.Tensor, terms: SignatureTerms, kernels: Kernels, pool: WorkerPool
) -> CosineMoments:
    """The moments of the cosines of unit rows. Products with E run where E is.

    Args:
        embedding: E, float64 [K, d], K at least 2. It is centred in place.

    Cost: see `cosine_correlation`.
    """
    e, p = centre_rows(embedding), terms.centred
    runner = runner_for(embedding.device, pool)
    if few_rows(embedding):
        variance_e = math.fsum(variance_by_pairs(embedding, e, runner))
    else:
        variance_e = combine(_whole_square_sum(_gram(embedding, runner)), e, e)
    norm = cross_norm(terms.columns, embedding, kernels, pool)
    variance_e = _unless_rounding(variance_e, e.pairs * NOISE**2)
    variance_p = _unless_rounding(math.fsum(terms.squares), terms.noise)
    covariance = 0.0
    if variance_e and variance_p:
        covariance = combine(norm, e, p)
        if cancels(norm, e, variance_e, variance_p):
            covariance = math.fsum(covariance_by_pairs(embedding, e, terms.rows, p, runner))
    return CosineMoments(e.tokens, e.mean_cosine, p.mean_cosine, covariance, variance_e, variance_p)


def pair_sums(
    embedding: torch.Tensor, terms: SignatureTerms, kernels: Kernels, pool: WorkerPool
) -> PairSums:
    """As `cosine_moments`, row by row. Twice its products with E."""
    e, p = centre_rows(embedding), terms.centred
    runner = runner_for(embedding.device, pool)
    if few_rows(embedding):
        squares = variance_by_pairs(embedding, e, runner)
    else:
        squares = _row_squares(embedding, e, runner)
    norm, shares = cross_sums(terms.columns, embedding, kernels, pool)
    variance_e = _unless_rounding(math.fsum(squares), e.pairs * NOISE**2)
    variance_p = _unless_rounding(math.fsum(terms.squares), terms.noise)
    products = np.zeros(e.tokens)
    if variance_e and variance_p:
        products = _row_products(shares, terms, e)
        if cancels(norm, e, variance_e, variance_p):
            products = covariance_by_pairs(embedding, e, terms.rows, p, runner)
    moments = CosineMoments(
        e.tokens, e.mean_cosine, p.mean_cosine, math.fsum(products), variance_e, variance_p
    )
    return PairSums(moments, e, p, products, squares, terms.squares)


def few_rows(embedding: torch.Tensor) -> bool:
    """Up to 2 d rows may be nearly orthogonal; the diagonal would then be all of |E~'E~|^2, and
    pairs cost no more than E~'E~. More rows cannot: |E~'E~|^2 >= (sum |e~|^2)^2 / d."""
    return len(embedding) <= 2 * embedding.shape[1]


def cancels(norm: float, e: Centred, variance_e: float, variance_p: float) -> bool:
    """Whether |P'E~|^2 and what is taken from it are so large that their difference is rounding:
    the terms of P are differences of terms of size 1."""
    along = math.sqrt(math.fsum(np.square(e.along)))
    terms = norm + 2.0 * e.tokens * along + math.fsum(np.abs(e.diagonal))
    return terms > _CANCELLED * math.sqrt(variance_e) * math.sqrt(variance_p)


def combine(product: float, x: Centred, y: Centred) -> float:
    """The sum over i != j of the products of two cosines' deviations, from |X~'Y~|^2:

    |X~'Y~|^2 + 2K u.v - sum a_i b_i - (sum a)(sum b) / (K (K - 1))
    """
    return math.fsum(
        (
            product,
            2.0 * x.tokens * math.fsum(x.along * y.along),
            -math.fsum(x.diagonal * y.diagonal),
            -math.fsum(x.diagonal) * math.fsum(y.diagonal) / x.pairs,
        )
    )


def _row_products(
    shares: NDArray[np.float64], terms: SignatureTerms, e: Centred
) -> NDArray[np.float64]:
    """sum over j != i of g_ij h_ij = p_i'(P'E~)e~_i + p_i.(P'u) + K (u_i - r)(v_i - s)
    - (a_i - r)(b_i - s), with r and s the means less |m|^2 and |q|^2.

    Sums over all j of e~_j, p~_j, u_j and v_j are 0, and P'E~ stands for P~'E~.
    """
    p = terms.centred
    along = terms.rows @ (terms.columns @ e.along)
    u, v = e.along - e.rest, p.along - p.rest
    a, b = e.diagonal - e.rest, p.diagonal - p.rest
    products: NDArray[np.float64] = shares + along + e.tokens * u * v - a * b
    return products


def _row_squares(embedding: torch.Tensor, e: Centred, runner: Runner) -> NDArray[np.float64]:
    """The same of E with itself: e~_i'(E~'E~)e~_i + 2 e~_i.(E~'u) + u.u + K (u_i - r)^2
    - (a_i - r)^2."""
    along = torch.from_numpy(e.along).to(embedding.device)
    # x'Ax = 2 x'Tx, T being A's upper triangle with half of its diagonal.
    half = _gram(embedding, runner)
    half.diagonal().mul_(0.5)
    towards = embedding.T @ along

    def quadratic(rows: Range) -> NDArray[np.float64]:
        block = embedding[slice(*rows)]
        total = block @ towards
        for begin, end in _panels(len(half)):
            product = block[:, :end] @ half[:end, begin:end]
            total += product.mul_(block[:, begin:end]).sum(1)
        return 2.0 * total.cpu().numpy()

    forms = np.concatenate(list(runner.map(quadratic, steps(len(embedding), _BLOCK_ROWS))))
    u, a = e.along - e.rest, e.diagonal - e.rest
    squares: NDArray[np.float64] = forms + math.fsum(np.square(e.along)) + e.tokens * u**2 - a**2
    return squares


def _gram(embedding: torch.Tensor, runner: Runner) -> torch.Tensor:
    """E~'E~, [d, d]: its upper triangle, and 0 below."""

    panels = _panels(embedding.shape[1])

    def gram(rows: Range) -> list[torch.Tensor]:
        block = embedding[slice(*rows)]
        return [block[:, :end].T @ block[:, begin:end] for begin, end in panels]

    total = embedding.new_zeros((embedding.shape[1],) * 2)
    for found in runner.map(gram, steps(len(embedding), _BLOCK_ROWS)):
        for (begin, end), panel in zip(panels, found, strict=True):
            total[:end, begin:end] += panel
    return total.triu_()


def _panels(d: int) -> list[Range]:
    """Column ranges, of which an upper triangle needs but the rows above and beside them: with four
    of them five eighths of all products. Narrow ones would be slow."""
    return steps(d, max(_NARROWEST, -(-d // 4)))


def _whole_square_sum(upper: torch.Tensor) -> float:
    """|A|^2 of a symmetric matrix, from its upper triangle, which is overwritten."""
    diagonal = float(upper.diagonal().square().sum())
    return 2.0 * square_sum(upper) - diagonal


def _unless_rounding(variance: float, noise: float) -> float:
    return variance if variance > noise else 0.0
