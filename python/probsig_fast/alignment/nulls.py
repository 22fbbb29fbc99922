"""What the correlation of cosines would be if embeddings belonged to other tokens."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..arguments import integer, read_only
from ..kernels.contract import Kernels
from ..pool import WorkerPool
from .gram.centred import Centred, centre_rows
from .gram.compared import Compared
from .gram.comparison import Matrix, comparison
from .gram.cross import cross_norm
from .gram.devices import runner_for
from .gram.exact_nulls import MOST_GROUPS, free_variance, mean_within_groups
from .gram.moments import CosineMoments, cancels, combine, cosine_moments
from .gram.pairwise import covariance_by_pairs
from .prepared import AnySignature, SignatureTerms
from .strata import equal_groups

_NAN = float("nan")
#: Correlations that differ by less are equal up to rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Null:
    """R_cos beside what it is for permuted tokens; prints as a small table.

    Attributes:
        draws: how many permutations were drawn.
        bands: within how many bands of equal frequency tokens were permuted; None: freely.
        seed: of the draws.
        observed: R_cos itself, from -1 to 1; NaN where it is undefined, and so is all else then.
        mean, deviation: of the values drawn; the deviation has draws - 1 below the line, and is NaN
            for one draw.
        exact_mean: over all permutations, in closed form: 0 for free ones; within bands what
            frequency alone makes of R_cos (NaN for more than 2048 bands).
        exact_deviation: over all K! permutations, in closed form; NaN within bands.
        values: R_cos of each draw, float64 [draws].
        tokens: K, the rows compared: enough support, and not zero in either matrix.
        signature: its name.
        min_support: the least support of a row, the signature's own bound included.
        centred: whether a mean was subtracted from the embedding.
    """

    draws: int
    bands: int | None
    seed: int
    observed: float
    mean: float
    deviation: float
    exact_mean: float
    exact_deviation: float
    values: NDArray[np.float64] = dataclasses.field(repr=False)
    tokens: int
    signature: str
    min_support: int
    centred: bool

    @property
    def z(self) -> float:
        """(observed - mean) / deviation of the draws; NaN if all draws are equal."""
        return _over(self.observed - self.mean, self.deviation)

    @property
    def exact_z(self) -> float:
        """The same, over all permutations: it depends on no draw. NaN within bands."""
        return _over(self.observed - self.exact_mean, self.exact_deviation)

    @property
    def p_value(self) -> float:
        """(1 + draws with |r| >= |observed|) / (1 + draws): two-sided, and never below
        1 / (1 + draws). Values equal up to rounding are equal."""
        if math.isnan(self.observed):
            return _NAN
        as_large = np.abs(self.values) >= abs(self.observed) - _ROUNDING
        return (1 + int(as_large.sum())) / (1 + self.draws)

    def __str__(self) -> str:
        how = "freely" if self.bands is None else f"within {self.bands:,} bands of frequency"
        lines = [
            (f"R_cos(W, {self.signature})", f"{self.observed:.6f}"),
            ("W", "centred" if self.centred else "raw"),
            ("min_support", f"{self.min_support:,}"),
            ("tokens", f"{self.tokens:,}"),
            ("permuted", f"{how}, {self.draws:,} draws, seed {self.seed}"),
            ("mean of draws", f"{self.mean:.6f}"),
            ("their deviation", f"{self.deviation:.6f}"),
            ("z", f"{self.z:.2f}"),
            ("p, two-sided", f"{self.p_value:.3g}"),
        ]
        if self.bands is None:
            lines.append(("deviation of all", f"{self.exact_deviation:.6f}, z {self.exact_z:.2f}"))
        else:
            lines.append(("mean of all", f"{self.exact_mean:.6f}"))
        width = max(len(name) for name, _ in lines)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)


def permutation_null(
    W: Matrix,
    signature: AnySignature,
    min_support: int = 0,
    centre: bool = False,
    draws: int = 20,
    bands: int | None = None,
    seed: int = 0,
    threads: int | None = None,
    device: torch.device | str | None = None,
) -> Null:
    """R_cos with the embedding's rows given to other tokens at random (a Mantel test).

    For a permutation pi of the K rows compared, G_ij becomes G_pi(i)pi(j): both matrices keep all
    their cosines, and only their covariance changes. Of the centred unit rows E~ and P (THEORY,
    section 4) it is, at each draw,

        Cov = |P'Pi E~|^2 + 2K sum u_pi(i) v_i - sum a_pi(i) b_i - (sum a)(sum b) / (K (K - 1))

    Frequent tokens are alike in embedding and signature, which alone makes a correlation. `bands`
    is the harder null: tokens trade places only with those of about the same support.

    Over all permutations within bands, the mean has the covariance of cosines each of which is
    replaced by the mean between its two bands. Over all K! free ones the mean is 0, and the
    variance, with A the sum of g_ij^2 over i != j, R that of the squared row sums, alpha = R_g /
    A_g, beta = R_h / A_h, and (K)_n = K (K - 1) ... (K - n + 1):

        2 / (K)_2 + 4 (alpha - 1)(beta - 1) / (K)_3 + 4 (1 - 2 alpha)(1 - 2 beta) / (K)_4

    Args:
        W, signature, min_support, centre, threads, device: as in `cosine_correlation`.
        draws: how many permutations; from 1.
        bands: None, or into how many groups of equal number the tokens are cut by support (ties:
            by id), as `frequency_strata` does. No more than tokens: then nothing is permuted.
        seed: of NumPy's default generator. The same draws for any `threads` and device.

    Raises:
        As `cosine_correlation`; also ArgumentError for `draws` or `bands` below 1, a `seed` below
            0.

    Cost: that of `cosine_correlation`, and O(nnz d) for each draw; where its terms cancel,
    O(K^2 d) for each.

    Example:
        >>> import numpy as np
        >>> import probsig_fast as ps
        >>> tokens = np.array([0, 1, 2, 3, 0, 2, 1, 3, 0, 1, 1, 2], np.uint16)
        >>> phi = ps.count(tokens, vocab_size=4).phi_next()
        >>> null = permutation_null(np.eye(4)[[0, 0, 1, 2]] + 0.5, phi, draws=9)
        >>> null.values.size, null.exact_mean
        (9, 0.0)
    """
    draws, seed = integer("draws", draws, 1), integer("seed", seed, 0)
    bands = None if bands is None else integer("bands", bands, 1)
    with comparison(W, signature, min_support, centre, threads, device) as found:
        return null_of(found.rows, centre, draws, bands, seed, found.kernels, found.pool)


def null_of(
    compared: Compared,
    centre: bool,
    draws: int,
    bands: int | None,
    seed: int,
    kernels: Kernels,
    pool: WorkerPool,
) -> Null:
    """Of rows whose mean is subtracted in place. That changes no correlation: it may be called
    again with them."""
    signature, embedding = compared.signature, compared.embedding
    terms = signature.terms(compared.tokens, kernels, pool)
    moments = cosine_moments(embedding, terms, kernels, pool)
    values = np.full(draws, _NAN)
    exact = (_NAN, _NAN)
    if not math.isnan(moments.pearson):
        e = centre_rows(embedding)  # they are centred: this only tells of them
        draw = _Draw(embedding, e, terms, moments, kernels, pool)
        groups = equal_groups(signature.support[compared.tokens], bands or 1)
        orders = _orders(groups, np.random.default_rng(seed))
        values = np.array([draw.pearson(next(orders)) for _ in range(draws)])
        exact = draw.exact(None if bands is None else groups)
    return Null(
        draws,
        bands,
        seed,
        moments.pearson,
        float(values.mean()),
        float(values.std(ddof=1)) if draws > 1 else _NAN,
        *exact,
        read_only(values),
        compared.tokens.size,
        signature.name,
        signature.min_support,
        centre,
    )


def _orders(
    groups: Sequence[NDArray[np.int64]], rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Permutations, without end: row `order[i]` of the embedding goes to row i."""
    while True:
        order = np.empty(sum(group.size for group in groups), np.int64)
        for group in groups:
            order[group] = rng.permutation(group)
        yield order


@dataclass(frozen=True)
class _Draw:
    """What no permutation changes: E~, and the moments but for the covariance."""

    embedding: torch.Tensor
    e: Centred
    terms: SignatureTerms
    moments: CosineMoments
    kernels: Kernels
    pool: WorkerPool

    def pearson(self, order: NDArray[np.int64]) -> float:
        return self._correlation(self._covariance(order))

    def exact(self, groups: Sequence[NDArray[np.int64]] | None) -> tuple[float, float]:
        """The mean and the deviation over all permutations, as far as they are known."""
        e, p, m = self.e, self.terms.centred, self.moments
        if groups is None:
            variance = free_variance(e, p, m.variance_embedding, m.variance_signature)
            return 0.0, math.sqrt(variance)
        if len(groups) > MOST_GROUPS:
            return _NAN, _NAN
        mean = mean_within_groups(self.embedding, e, self.terms.rows, p, groups)
        return self._correlation(mean), _NAN

    def _correlation(self, covariance: float) -> float:
        return dataclasses.replace(self.moments, covariance=covariance).pearson

    def _covariance(self, order: NDArray[np.int64]) -> float:
        e, p, m = self.e, self.terms.centred, self.moments
        columns = self.terms.columns
        # Row order[i] of E~ meets p_i: the columns say so, and E~ need not be copied.
        permuted = type(columns)(
            (columns.data, order.astype(columns.indices.dtype)[columns.indices], columns.indptr),
            shape=columns.shape,
        )
        norm = cross_norm(permuted, self.embedding, self.kernels, self.pool)
        if not cancels(norm, e, m.variance_embedding, m.variance_signature):
            return combine(norm, Centred(e.along[order], e.diagonal[order], e.square), p)
        rows = self.terms.rows[np.argsort(order)]
        runner = runner_for(self.embedding.device, self.pool)
        return math.fsum(covariance_by_pairs(self.embedding, e, rows, p, runner))


def _over(difference: float, deviation: float) -> float:
    return difference / deviation if deviation > _ROUNDING else _NAN
