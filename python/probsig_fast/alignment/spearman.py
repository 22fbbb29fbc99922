"""Spearman's rank correlation of the cosines of pairs: of all, or of whole blocks of tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..arguments import integer
from ..pool import WorkerPool
from .gram.compared import Compared
from .gram.comparison import Matrix, comparison
from .gram.cosines import signature_cosines
from .gram.work import Tile
from .prepared import AnySignature

#: So many blocks give their spread to a fifth or so, and leave each thousands of pairs.
_BLOCKS = 16
#: Cosines are ranked by so many steps from 0 to 1: rounding must not tell equal ones apart.
_GRID = 2.0**40


@dataclass(frozen=True)
class Spearman:
    """Of cos(W_i, W_j) and cos(phi_i, phi_j) over pairs i < j.

    Attributes:
        value: from -1 to 1; NaN where all cosines of one kind are equal.
        error: the standard error where pairs were sampled; 0 where all were taken.
        pairs: how many it is of.
        sampled: whether there are more.
    """

    value: float
    error: float
    pairs: int
    sampled: bool


def spearman(
    W: Matrix,
    signature: AnySignature,
    min_support: int = 0,
    centre: bool = False,
    pairs: int = 4_000_000,
    seed: int = 0,
    threads: int | None = None,
    device: torch.device | str | None = None,
) -> Spearman:
    """Pearson's correlation of the ranks of both cosines; ties, such as the many signatures that
    share nothing, take their mean rank.

    All pairs where there are no more than `pairs`. Else 16 blocks of tokens are drawn, disjoint and
    of equal size, and all pairs inside a block are taken, which sparse rows make far cheaper than
    single pairs; the error is that of the jackknife over blocks (its ranks left as they are).

    Args:
        W, signature, min_support, centre, threads, device: as in `cosine_correlation`.
        pairs: how many at most, at least 1,000; some 80 bytes each while they are ranked.
        seed: of the draw.

    Raises: as `cosine_correlation`; ArgumentError for `pairs` below 1,000.

    Example:
        >>> import numpy as np
        >>> import probsig_fast as ps
        >>> tokens = np.random.default_rng(0).integers(0, 9, 2_000)
        >>> phi = ps.count(tokens, vocab_size=9).phi_next()
        >>> spearman(phi.to_scipy().toarray(), phi)
        Spearman(value=1.0, error=0.0, pairs=36, sampled=False)
    """
    pairs = integer("pairs", pairs, 1000)
    seed = integer("seed", seed, 0)
    with comparison(W, signature, min_support, centre, threads, device) as found:
        rows = found.rows
        blocks = [
            _pair_cosines(rows.subset(block), found.pool)
            for block in _blocks(rows.tokens.size, pairs, seed)
        ]
    return _correlate([g for g, _ in blocks], [h for _, h in blocks])


def _blocks(tokens: int, pairs: int, seed: int) -> list[NDArray[np.int64]]:
    """Places of tokens: one block of all, or several drawn ones."""
    if math.comb(tokens, 2) <= pairs:
        return [np.arange(tokens)]
    size = min(tokens // _BLOCKS, (1 + math.isqrt(1 + 8 * pairs // _BLOCKS)) // 2)
    drawn = np.random.default_rng(seed).permutation(tokens)[: _BLOCKS * size]
    return [np.sort(block) for block in drawn.reshape(_BLOCKS, size)]


def _pair_cosines(
    rows: Compared, pool: WorkerPool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of W and of the signature, over the pairs i < j."""
    size = rows.tokens.size
    g = rows.embedding @ rows.embedding.T
    h = signature_cosines(rows, pool).tile(Tile((0, size), (0, size)))
    above = np.triu(np.ones((size, size), bool), 1)
    return g.cpu().numpy()[above], h.cpu().numpy()[above]


def _correlate(g: list[NDArray[np.float64]], h: list[NDArray[np.float64]]) -> Spearman:
    """Of blocks of pairs, ranked together."""
    sizes = np.array([block.size for block in g])
    starts = np.cumsum(sizes) - sizes
    x, y = (_ranks(np.round(np.concatenate(each) * _GRID)) for each in (g, h))
    # Ranks have the mean 0, so that a block's part of each sum tells what leaving it out does.
    sums = np.stack([np.add.reduceat(each, starts) for each in (x, y, x * x, y * y, x * y)])
    value = float(_pearson(sums.sum(axis=1), sizes.sum()))
    if len(g) == 1:
        return Spearman(value, 0.0, int(sizes.sum()), False)
    without = _pearson(sums.sum(axis=1, keepdims=True) - sums, sizes.sum() - sizes)
    spread = math.fsum(np.square(without - without.mean()))
    error = math.sqrt((len(g) - 1) / len(g) * spread)
    return Spearman(value, error, int(sizes.sum()), True)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Less their mean, over their number."""
    from scipy.stats import rankdata

    ranks: NDArray[np.float64] = rankdata(values)
    return (ranks - (values.size + 1) / 2) / values.size


def _pearson(sums: NDArray[np.float64], n: NDArray[np.int64]) -> NDArray[np.float64]:
    """From the sums of x, y, x^2, y^2, xy; NaN where x or y is constant."""
    x, y, xx, yy, xy = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation: NDArray[np.float64] = (xy - x * y / n) / np.sqrt(
            (xx - x * x / n) * (yy - y * y / n)
        )
    return np.clip(correlation, -1.0, 1.0)
