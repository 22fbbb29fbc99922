"""Sums over pairs i != j of two cosine matrices, from their factors (THEORY, section 4).

E [K, d] is dense and P [K, W] sparse, both with unit rows; G = EE' and H = PP' are never formed.
Every sum has an order that E and P fix alone, so no figure depends on the number of threads.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from ..kernels.contract import Kernels, Rows
from ..pool import WorkerPool
from .rows import NOISE

if TYPE_CHECKING:
    import scipy.sparse

Result = TypeVar("Result")

#: Pieces of work for the threads, whatever their number.
_TASKS = 128
#: Elements of a dense block (32 MiB of float64).
_BLOCK_ELEMENTS = 2**22
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


@dataclass(frozen=True)
class _Centred:
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
    def mean_cosine(self) -> float:
        """The mean over i != j of x_i.x_j."""
        return self.square + self.rest


def cosine_moments(
    embedding: NDArray[np.float64],
    signature: scipy.sparse.csr_array,
    kernels: Kernels,
    pool: WorkerPool,
) -> CosineMoments:
    """The moments of the cosines of unit rows.

    Args:
        embedding: E, float64 [K, d], K at least 2. It is centred in place.
        signature: P, float64 [K, W].

    Cost: see `cosine_correlation`.
    """
    columns = signature.T.tocsr()  # P' [W, K]
    e, p = _centre(embedding), _describe(signature)
    with _single_threaded_torch():
        variance_p = _signature_variance(signature, columns, p, kernels, pool)
        variance_e = _embedding_variance(embedding, e, pool)
        covariance = 0.0
        if variance_e and variance_p:
            covariance, terms = _covariance(embedding, e, columns, p, pool)
            if terms > _CANCELLED * math.sqrt(variance_e) * math.sqrt(variance_p):
                covariance = _pairwise_covariance(embedding, e, signature, columns, p, pool)
    return CosineMoments(e.tokens, e.mean_cosine, p.mean_cosine, covariance, variance_e, variance_p)


def _centre(rows: NDArray[np.float64]) -> _Centred:
    """Subtract the mean of the rows from them, in place."""
    mean = np.zeros(rows.shape[1])
    for _ in range(2):  # the second time takes away what rounding left of the sum of the rows
        rest = rows.mean(axis=0)
        rows -= rest
        mean += rest
    squares = np.einsum("ij,ij->i", rows, rows)
    # |x_i| = 1 gives 2 u_i = mean |x~|^2 - |x~_i|^2. Where all rows are nearly alike, x~_i.m would
    # be rounding: a unit row of float64 is one to 1e-16, and u_i is of the order of |x~_i|^2.
    mean_square = math.fsum(squares) / len(rows)
    along = (mean_square - squares) / 2
    return _Centred(along, np.full(len(rows), mean_square), float(np.square(mean).sum()))


def _describe(rows: scipy.sparse.csr_array) -> _Centred:
    """The same of sparse rows, none of them empty, which stay as they are: x~ would be dense."""
    mean = np.bincount(rows.indices, rows.data, minlength=rows.shape[1]) / rows.shape[0]
    square = float(np.square(mean).sum())
    norms = np.add.reduceat(np.square(rows.data), rows.indptr[:-1])
    return _Centred(rows @ mean - square, norms - square, square)


def _signature_variance(
    rows: scipy.sparse.csr_array,
    columns: scipy.sparse.csr_array,
    p: _Centred,
    kernels: Kernels,
    pool: WorkerPool,
) -> float:
    """Var_H = sum over i != j of (p_i.p_j - mean)^2. Nothing cancels, so it is right for any P."""
    p_rows, p_columns = _as_rows(rows), _as_rows(columns)
    additions = np.diff(p_columns.indptr)[p_rows.indices]
    work = np.concatenate([[0], np.cumsum(additions)])[p_rows.indptr]
    p_rows, p_columns = kernels.load_rows(p_rows), kernels.load_rows(p_columns)

    def squares(begin: int, end: int) -> NDArray[np.float64]:
        return kernels.gram_squares(p_rows, p_columns, p.mean_cosine, begin, end, pool.cancel)

    variance = math.fsum(np.concatenate(_over(pool, squares, _ranges(work))))
    # Sums of positive products round by their own size. |q|^2, the mean of all H, stands for it:
    # it is not 0 where all rows are orthogonal, but their mean cosine is, up to rounding.
    return _unless_rounding(variance, p.pairs * (NOISE * p.square) ** 2)


def _embedding_variance(embedding: NDArray[np.float64], e: _Centred, pool: WorkerPool) -> float:
    """Var_G = |E~'E~|^2 + 2K u.u - sum a_i^2 - (sum a)^2 / (K (K - 1)), or pair by pair.

    Up to 2 d rows may be nearly orthogonal; the diagonal would then be all of |E~'E~|^2, and
    pairs cost no more than E~'E~. More rows cannot: |E~'E~|^2 >= (sum |e~|^2)^2 / d.
    """
    if e.tokens <= 2 * embedding.shape[1]:
        variance = _pairwise_variance(embedding, e, pool)
    else:
        variance = _combine(_gram_norm(embedding, pool), e, e)
    return _unless_rounding(variance, e.pairs * NOISE**2)


def _unless_rounding(variance: float, noise: float) -> float:
    return variance if variance > noise else 0.0


def _covariance(
    embedding: NDArray[np.float64],
    e: _Centred,
    columns: scipy.sparse.csr_array,
    p: _Centred,
    pool: WorkerPool,
) -> tuple[float, float]:
    """Cov = |P'E~|^2 + 2K u.v - sum a_i b_i - (sum a)(sum b) / (K (K - 1)), and the size of the
    terms against which it is rounded (those of P are differences of terms of size 1).

    P'E~ stands for P~'E~, which is the same, as the rows of E~ sum to 0.
    """
    product = _product_norm(columns, embedding, pool)
    along = math.sqrt(math.fsum(np.square(e.along)))
    terms = product + 2.0 * e.tokens * along + math.fsum(np.abs(e.diagonal))
    return _combine(product, e, p), terms


def _combine(product: float, x: _Centred, y: _Centred) -> float:
    """The sum over i != j of the products of two cosines' deviations, from |X~'Y~|^2."""
    return math.fsum(
        (
            product,
            2.0 * x.tokens * math.fsum(x.along * y.along),
            -math.fsum(x.diagonal * y.diagonal),
            -math.fsum(x.diagonal) * math.fsum(y.diagonal) / x.pairs,
        )
    )


def _gram_norm(embedding: NDArray[np.float64], pool: WorkerPool) -> float:
    """|E~'E~|^2."""
    rows = torch.from_numpy(embedding)

    def gram(begin: int, end: int) -> NDArray[np.float64]:
        block: NDArray[np.float64] = (rows[begin:end].T @ rows[begin:end]).numpy()
        return block

    total = np.zeros((embedding.shape[1],) * 2)
    for block in pool.map(lambda range_: gram(*range_), _steps(len(embedding), _BLOCK_ROWS)):
        total += block
    return float(np.square(total).sum())


def _product_norm(
    columns: scipy.sparse.csr_array, embedding: NDArray[np.float64], pool: WorkerPool
) -> float:
    """|P'E~|^2, of some rows of P' at a time. SciPy's product releases the GIL."""

    def norm(begin: int, end: int) -> float:
        return float(np.square(columns[begin:end] @ embedding).sum())

    entries = columns.indptr.astype(np.int64)
    return math.fsum(_over(pool, norm, _ranges(entries, _rows_at_once(embedding.shape[1]))))


def _pairwise_variance(embedding: NDArray[np.float64], e: _Centred, pool: WorkerPool) -> float:
    """Var_G from its pairs, some rows at a time: O(K^2 d)."""

    def squares(begin: int, end: int) -> float:
        return float(np.square(_deviations(embedding, e, begin, end)).sum())

    return math.fsum(_over(pool, squares, _steps(e.tokens, _rows_at_once(e.tokens))))


def _pairwise_covariance(
    embedding: NDArray[np.float64],
    e: _Centred,
    signature: scipy.sparse.csr_array,
    columns: scipy.sparse.csr_array,
    p: _Centred,
    pool: WorkerPool,
) -> float:
    """Cov from its pairs, some rows at a time: O(K^2 d), and PP' by SciPy."""

    def products(begin: int, end: int) -> float:
        cosines = (signature[begin:end] @ columns).toarray()
        cosines -= p.mean_cosine
        cosines *= _deviations(embedding, e, begin, end)
        return float(cosines.sum())

    return math.fsum(_over(pool, products, _steps(e.tokens, _rows_at_once(e.tokens))))


def _deviations(
    embedding: NDArray[np.float64], e: _Centred, begin: int, end: int
) -> NDArray[np.float64]:
    """G - its mean in rows [begin, end), with 0 on the diagonal: float64 [end - begin, K]."""
    rows = torch.from_numpy(embedding)
    block: NDArray[np.float64] = (rows[begin:end] @ rows.T).numpy()
    block += e.along
    block += (e.along[begin:end] - e.rest)[:, None]
    block[np.arange(end - begin), np.arange(begin, end)] = 0.0
    return block


def _as_rows(matrix: scipy.sparse.csr_array) -> Rows:
    return Rows(
        matrix.indptr.astype(np.int64),
        matrix.indices.astype(np.int32, copy=False),
        matrix.data,
    )


# Work for the threads


def _rows_at_once(row_size: int) -> int:
    return max(1, _BLOCK_ELEMENTS // max(1, row_size))


def _steps(rows: int, at_most: int) -> list[tuple[int, int]]:
    return [(begin, min(begin + at_most, rows)) for begin in range(0, rows, at_most)]


def _ranges(work: NDArray[np.int64], at_most: int | None = None) -> list[tuple[int, int]]:
    """Row ranges of about equal work, `work` being its running sum [rows + 1], of no more than
    `at_most` rows. They do not depend on the number of threads."""
    rows = work.size - 1
    shares = np.searchsorted(work, work[-1] * np.arange(1, _TASKS) // _TASKS)
    cuts = np.unique(np.concatenate([np.arange(0, rows, at_most or rows), shares, [rows]]))
    return list(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True))


def _over(
    pool: WorkerPool, function: Callable[[int, int], Result], ranges: list[tuple[int, int]]
) -> list[Result]:
    return list(pool.map(lambda range_: function(*range_), ranges))


_torch_lock = threading.Lock()
_torch_users = 0
_torch_threads = 1


@contextmanager
def _single_threaded_torch() -> Iterator[None]:
    """Torch uses one thread a product, in threads begun inside: the pool's do the rest.

    Both because a product's rounding depends on its threads, and because they would be too many.
    The number of threads is the process's, so concurrent users share the change.
    """
    global _torch_users, _torch_threads
    with _torch_lock:
        if _torch_users == 0:
            _torch_threads = torch.get_num_threads()
            torch.set_num_threads(1)
        _torch_users += 1
    try:
        yield
    finally:
        with _torch_lock:
            _torch_users -= 1
            if _torch_users == 0:
                torch.set_num_threads(_torch_threads)
