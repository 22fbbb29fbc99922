"""R_cos where |PP'|^2 takes too long: from some of its rows, with the error that brings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ..arguments import integer
from .functional import CosineCorrelation, correlation_of
from .gram.centred import describe_rows
from .gram.comparison import Comparison, Matrix, comparison
from .gram.moments import cosine_moments
from .gram.rows import unit_rows
from .gram.work import Range, steps
from .prepared import AnySignature, SignatureTerms, as_rows

if TYPE_CHECKING:
    import scipy.sparse

#: Rows of a piece of work: one takes milliseconds where it matters.
_PIECE = 16


@dataclass(frozen=True)
class SampledCorrelation:
    """R_cos whose signature's variance was estimated.

    Attributes:
        correlation: as of `cosine_correlation`; its `pearson` is the estimate, all else exact.
        error: its standard error, from the spread of the rows drawn; 0 if all rows were.
        rows: how many rows were drawn.
    """

    correlation: CosineCorrelation
    error: float
    rows: int

    def __str__(self) -> str:
        drawn = f"+- {self.error:.6f}, from {self.rows:,} rows of the signature's Gram matrix"
        return f"{self.correlation}\nstandard error  {drawn}"


def sampled_correlation(
    W: Matrix,
    signature: AnySignature,
    rows: int = 500,
    min_support: int = 0,
    centre: bool = False,
    seed: int = 0,
    threads: int | None = None,
    backend: str | None = None,
    device: torch.device | str | None = None,
) -> SampledCorrelation:
    """An estimate of `cosine_correlation` for signatures of 10^8 entries and more.

    Of R_cos = Cov / sqrt(Var_G Var_H) the covariance and Var_G are exact, and so is the part of
    Var_H that lies between rows. What lies within rows,

        sum over j != i of (H_ij - mean_i)^2,

    is summed for a simple random sample of n of the K rows i, without replacement, and scaled by
    K / n. Its standard error, with the finite population's correction 1 - n / K, becomes that of
    R_cos to first order: |R_cos| / 2 times the relative error of Var_H.

    Args:
        rows: n, at least 2; K or more takes all rows.
        seed: of the sample.
        others: as in `cosine_correlation`.

    Raises: as `cosine_correlation`; ArgumentError for fewer than two rows.

    Cost: as `cosine_correlation`, with n / K of the Gram matrix (not of its half).
    """
    rows = integer("rows", rows, 2)
    seed = integer("seed", seed, 0)
    with comparison(W, signature, min_support, centre, threads, device, backend) as found:
        tokens = found.rows.tokens.size
        chosen = np.random.default_rng(seed).permutation(tokens)[:rows]
        terms, relative = _terms(found, np.sort(chosen).astype(np.int64))
        moments = cosine_moments(found.rows.embedding, terms, found.kernels, found.pool)
    correlation = correlation_of(found.rows, moments, centre)
    error = abs(correlation.pearson) * relative / 2
    return SampledCorrelation(correlation, error, chosen.size)


def _terms(found: Comparison, chosen: NDArray[np.int64]) -> tuple[SignatureTerms, float]:
    """The signature's terms, their squares estimated, and the relative error of their sum."""
    rows = unit_rows(found.rows.signature.parts, found.rows.tokens)
    columns, p = rows.T.tocsr(), describe_rows(rows)
    between = np.square(p.row_deviations) / (p.tokens - 1)
    within = _row_squares(found, rows, columns, p.mean_cosine, chosen) - between[chosen]
    squares = between + within.mean()
    left = 1.0 - chosen.size / p.tokens
    error = p.tokens * math.sqrt(left * float(within.var(ddof=1)) / chosen.size)
    total = math.fsum(squares)
    return SignatureTerms(rows, columns, p, squares), error / total if total > 0 else math.nan


def _row_squares(
    found: Comparison,
    rows: scipy.sparse.csr_array,
    columns: scipy.sparse.csr_array,
    shift: float,
    chosen: NDArray[np.int64],
) -> NDArray[np.float64]:
    kernels, pool = found.kernels, found.pool
    p_rows, p_columns = kernels.load_rows(as_rows(rows)), kernels.load_rows(as_rows(columns))

    def squares(piece: Range) -> NDArray[np.float64]:
        return kernels.gram_row_squares(
            p_rows, p_columns, shift, chosen[slice(*piece)], pool.cancel
        )

    try:
        return np.concatenate(list(pool.map(squares, steps(chosen.size, _PIECE))))
    finally:
        kernels.release()  # what comes next may need the memory
