"""All exact figures of one embedding and one signature, from one pass over their pairs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .functional import CosineCorrelation, correlation_of
from .gram.centred import Centred
from .gram.comparison import Comparison, Matrix, comparison
from .gram.devices import runner_for
from .gram.moments import PairSums, pair_sums
from .gram.rows import NOISE
from .gram.single_rows import row_correlations
from .prepared import AnySignature

_NAN = float("nan")
#: Of the normal distribution: 95 % lie within so many standard errors.
_WITHIN = 1.959963984540054
#: A difference of float64 sums that is smaller beside them has fewer than ten digits.
_CLEAR = 1e-5


@dataclass(frozen=True)
class Interval:
    """Where R_cos lies, by leaving out one unit after the other (the jackknife).

    Attributes:
        low, high: the ends.
        error: the standard error.
        level: the share of such intervals that hold the true value.
        over: what the units are: "tokens" or "shards".
        units: how many there are.
    """

    low: float
    high: float
    error: float
    level: float
    over: str
    units: int


@dataclass(frozen=True, eq=False)
class PerToken:
    """For each token i, the correlation over j != i of cos(W_i, W_j) with cos(phi_i, phi_j).

    Attributes:
        tokens: int64 [K], ascending.
        correlation: float64 [K]; NaN where all cosines of a token are equal up to rounding.
    """

    tokens: NDArray[np.int64]
    correlation: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Over the tokens where it is defined; NaN if it is nowhere."""
        defined = self.correlation[~np.isnan(self.correlation)]
        return float(defined.mean()) if defined.size else _NAN


@dataclass(frozen=True, eq=False)
class AlignmentMetrics:
    """What `alignment_metrics` finds; prints as a small table.

    Attributes:
        correlation: R_cos and what it is of.
        interval: its jackknife interval over tokens.
        cka: linear CKA of unit rows, 0 to 1.
        debiased_cka: its unbiased form, about 0 where nothing is common; at most 1.
        per_token: each token's own correlation.
    """

    correlation: CosineCorrelation
    interval: Interval
    cka: float
    debiased_cka: float
    per_token: PerToken

    def __str__(self) -> str:
        interval, per_token = self.interval, self.per_token
        lines = [
            ("jackknife over tokens", f"{interval.low:.6f} to {interval.high:.6f} (95 %)"),
            ("linear CKA", f"{self.cka:.6f}"),
            ("debiased CKA", f"{self.debiased_cka:.6f}"),
            ("mean over tokens of their correlations", f"{per_token.mean:.6f}"),
        ]
        width = max(len(name) for name, _ in lines)
        return "\n".join(
            [str(self.correlation), *(f"{name:<{width}}  {value}" for name, value in lines)]
        )


def alignment_metrics(
    W: Matrix,
    signature: AnySignature,
    min_support: int = 0,
    centre: bool = False,
    threads: int | None = None,
    backend: str | None = None,
    device: torch.device | str | None = None,
) -> AlignmentMetrics:
    """R_cos with its interval, each token's correlation, and linear CKA, plain and debiased.

    With G_ij = cos(W_i, W_j), H_ij = cos(phi_i, phi_j), C = I - 11'/K (THEORY, section 4):

        R_cos        Pearson's correlation of G_ij and H_ij over i != j
        per token    the same over j != i for one i
        CKA          <CGC, CHC> / (|CGC| |CHC|)
        debiased     HSIC(G, H) / sqrt(HSIC(G, G) HSIC(H, H)), HSIC the unbiased estimator of Song
                     et al. (2012), which takes no notice of the diagonal; NaN below four rows
        interval     R_cos +- 1.96 standard errors of the jackknife, each token left out in turn:
                     not from resampled tokens, as one drawn twice makes a pair of cosine 1

    Args, Raises: as in `cosine_correlation`.

    Cost: that of `cosine_correlation`, its products with W twice over.

    Example:
        >>> import numpy as np
        >>> import probsig_fast as ps
        >>> tokens = np.random.default_rng(0).integers(0, 9, 2_000)
        >>> phi = ps.count(tokens, vocab_size=9).phi_next()
        >>> result = alignment_metrics(phi.to_scipy().toarray(), phi)
        >>> round(result.correlation.pearson, 6), round(result.cka, 6)
        (1.0, 1.0)
    """
    with comparison(W, signature, min_support, centre, threads, device, backend) as found:
        return metrics_of(found, centre)


def metrics_of(found: Comparison, centre: bool) -> AlignmentMetrics:
    """The same of rows that are being compared; their embedding is centred in place."""
    rows = found.rows
    sums = pair_sums(rows.embedding, found.terms(), found.kernels, found.pool)
    return AlignmentMetrics(
        correlation_of(rows, sums.moments, centre),
        _jackknife(sums),
        _cka(sums),
        _debiased_cka(sums),
        PerToken(rows.tokens, _per_token(found, sums)),
    )


def per_token_correlation(W: Matrix, signature: AnySignature, **options: Any) -> PerToken:
    """`alignment_metrics(...).per_token`, which see."""
    return alignment_metrics(W, signature, **options).per_token


def linear_cka(W: Matrix, signature: AnySignature, debiased: bool = False, **options: Any) -> float:
    """`alignment_metrics(...).cka` or `.debiased_cka`, which see."""
    metrics = alignment_metrics(W, signature, **options)
    return metrics.debiased_cka if debiased else metrics.cka


def _per_token(found: Comparison, sums: PairSums) -> NDArray[np.float64]:
    """From each row's sums; from the row itself where little is left of them beside its mean, as
    for tokens whose signature has hardly anything in common with others."""
    others = sums.e.tokens - 1
    g, h = sums.e.row_deviations, sums.p.row_deviations
    covariance = sums.products - g * h / others
    g_squares = sums.embedding_squares - g * g / others
    h_squares = sums.signature_squares - h * h / others
    clear = _beyond_rounding(g_squares, sums.embedding_squares)
    clear &= _beyond_rounding(h_squares, sums.signature_squares)
    norms = np.sqrt(np.where(clear, g_squares * h_squares, 1.0))
    correlation = covariance / norms
    embedding, terms = found.rows.embedding, found.terms()
    runner = runner_for(embedding.device, found.pool)
    correlation[~clear] = row_correlations(
        embedding, sums.e, terms.rows, np.flatnonzero(~clear), runner
    )
    return np.clip(correlation, -1.0, 1.0)


def _beyond_rounding(
    squares: NDArray[np.float64], taken_from: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which are so large beside what they were taken from, and beside the rounding of terms as
    large as those of other rows, that ten digits of them are right."""
    beyond: NDArray[np.bool_] = squares > _CLEAR * (taken_from + taken_from.mean())
    return beyond


def _jackknife(sums: PairSums) -> Interval:
    """From each row's part of the sums: without token i, those over its pairs go, twice each, and
    the means move by what its deviations were."""
    tokens, r = sums.e.tokens, sums.moments.pearson
    if tokens < 4 or math.isnan(r):
        return Interval(_NAN, _NAN, _NAN, 0.95, "tokens", tokens)
    pairs = (tokens - 1) * (tokens - 2)
    g, h = 2.0 * sums.e.row_deviations, 2.0 * sums.p.row_deviations
    moments = sums.moments
    covariance = moments.covariance - 2.0 * sums.products - g * h / pairs
    variance_g = moments.variance_embedding - 2.0 * sums.embedding_squares - g * g / pairs
    variance_h = moments.variance_signature - 2.0 * sums.signature_squares - h * h / pairs
    noise_g, noise_h = NOISE * moments.variance_embedding, NOISE * moments.variance_signature
    if not (variance_g > noise_g).all() or not (variance_h > noise_h).all():
        return Interval(_NAN, _NAN, _NAN, 0.95, "tokens", tokens)
    without = covariance / np.sqrt(variance_g) / np.sqrt(variance_h)
    deviations = without - without.mean()
    error = math.sqrt((tokens - 1) / tokens * math.fsum(np.square(deviations)))
    return Interval(r - _WITHIN * error, r + _WITHIN * error, error, 0.95, "tokens", tokens)


def _cka(sums: PairSums) -> float:
    """<CGC, CHC> is the sum of products of deviations, the diagonal's too, less what the rows' sums
    make of it: 2 K (u - r).(v - s) - K^2 r s, r and s being the means less |m|^2 and |q|^2."""
    moments = sums.moments
    if not moments.variance_embedding or not moments.variance_signature:
        return _NAN
    cross = _centred_product(moments.covariance, sums.e, sums.p)
    own = _centred_product(moments.variance_embedding, sums.e, sums.e)
    others = _centred_product(moments.variance_signature, sums.p, sums.p)
    return cross / math.sqrt(own) / math.sqrt(others)


def _centred_product(pairs: float, x: Centred, y: Centred) -> float:
    u, v = x.along - x.rest, y.along - y.rest
    diagonal = math.fsum((x.diagonal - x.rest) * (y.diagonal - y.rest))
    tokens = x.tokens
    return math.fsum(
        (pairs, diagonal, -2.0 * tokens * math.fsum(u * v), tokens**2 * x.rest * y.rest)
    )


def _debiased_cka(sums: PairSums) -> float:
    moments, tokens = sums.moments, sums.e.tokens
    if tokens < 4 or not moments.variance_embedding or not moments.variance_signature:
        return _NAN
    g, h = sums.e.row_deviations, sums.p.row_deviations
    # Constants added to all cosines change no U-centred matrix: so deviations do.
    cross = moments.covariance - 2.0 * math.fsum(g * h) / (tokens - 2)
    own = moments.variance_embedding - 2.0 * math.fsum(g * g) / (tokens - 2)
    others = moments.variance_signature - 2.0 * math.fsum(h * h) / (tokens - 2)
    if own <= NOISE * moments.variance_embedding or others <= NOISE * moments.variance_signature:
        return _NAN
    return cross / math.sqrt(own) / math.sqrt(others)
