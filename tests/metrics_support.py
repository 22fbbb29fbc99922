"""Brute force for the tests of `alignment_metrics`: each definition, in extended precision."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from alignment_support import signature_of, unit
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="alignment needs torch")

from probsig_fast.alignment import (  # noqa: E402
    AlignmentMetrics,
    alignment_metrics,
    cosine_correlation,
)

TOLERANCE = 1e-11
#: Deviations below are rounding of extended precision.
_ROUNDING = 1e-15


@dataclasses.dataclass
class Expected:
    pearson: float
    cka: float
    debiased: float
    error: float
    per_token: NDArray[np.float64]
    tokens: NDArray[np.int64]


def pearson(x: NDArray[Any], y: NDArray[Any]) -> float:
    x, y = x - x.mean(), y - y.mean()
    if x.std() < _ROUNDING or y.std() < _ROUNDING:
        return math.nan
    return float((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()))


def of_pairs(g: NDArray[Any], h: NDArray[Any]) -> float:
    outside = ~np.eye(len(g), dtype=bool)
    return pearson(g[outside], h[outside]) if len(g) > 2 else math.nan


def cka(g: NDArray[Any], h: NDArray[Any]) -> float:
    centre = np.eye(len(g), dtype=np.longdouble) - np.longdouble(1) / len(g)
    g, h = centre @ g @ centre, centre @ h @ centre
    return float((g * h).sum() / np.sqrt((g * g).sum() * (h * h).sum()))


def hsic(g: NDArray[Any], h: NDArray[Any]) -> Any:
    """The unbiased estimator, of matrices without their diagonals."""
    n = len(g)
    outside = ~np.eye(n, dtype=bool)
    g, h = g * outside, h * outside
    trace = (g * h).sum()
    sums = g.sum() * h.sum() / ((n - 1) * (n - 2))
    return (trace + sums - 2 * (g.sum(axis=0) @ h.sum(axis=0)) / (n - 2)) / (n * (n - 3))


def debiased(g: NDArray[Any], h: NDArray[Any]) -> float:
    if len(g) < 4:
        return math.nan
    own = hsic(g, g), hsic(h, h)
    # Of terms of size 1 or so, what is smaller is rounding: U-centring may leave nothing.
    if min(own) <= 1e-16:
        return math.nan
    return float(hsic(g, h) / np.sqrt(own[0] * own[1]))


def jackknife(g: NDArray[Any], h: NDArray[Any]) -> float:
    n = len(g)
    without = np.array(
        [of_pairs(*(np.delete(np.delete(x, i, 0), i, 1) for x in (g, h))) for i in range(n)]
    )
    return float(np.sqrt((n - 1) / n * np.square(without - without.mean()).sum()))


def of_rows(W: NDArray[Any], features: NDArray[Any], tokens: NDArray[np.int64]) -> Expected:
    g, h = (unit(rows) @ unit(rows).T for rows in (W, features))
    per_token = [pearson(np.delete(g[i], i), np.delete(h[i], i)) for i in range(len(g))]
    r = of_pairs(g, h)
    undefined = math.isnan(r)
    return Expected(
        r,
        math.nan if undefined else cka(g, h),
        math.nan if undefined else debiased(g, h),
        jackknife(g, h),
        np.array(per_token),
        tokens,
    )


def brute_force(
    W: NDArray[Any], counts: NDArray[Any], min_support: int = 0, centre: bool = False
) -> Expected:
    W, counts = np.asarray(W, np.longdouble), np.asarray(counts, np.longdouble)
    finite = np.isfinite(W).all(axis=1)
    passing = (counts.sum(axis=1) >= min_support) & finite
    if centre:
        W = W - W[passing].mean(axis=0)
        W[np.abs(W).max(axis=1) < 1e-15] = 0
    kept = np.flatnonzero(passing & (counts != 0).any(axis=1) & (W != 0).any(axis=1))
    return of_rows(W[kept], counts[kept], kept)


def agree(result: AlignmentMetrics, expected: Expected) -> None:
    interval = result.interval
    figures = (result.correlation.pearson, result.cka, result.debiased_cka, interval.error)
    wanted = (expected.pearson, expected.cka, expected.debiased, expected.error)
    assert figures == pytest.approx(wanted, abs=TOLERANCE, rel=0, nan_ok=True)
    reach = 1.959963984540054 * expected.error
    assert (interval.low, interval.high) == pytest.approx(
        (expected.pearson - reach, expected.pearson + reach), abs=TOLERANCE, rel=0, nan_ok=True
    )
    tokens = expected.tokens
    assert (interval.level, interval.over, interval.units) == (0.95, "tokens", tokens.size)
    np.testing.assert_array_equal(result.per_token.tokens, tokens)
    np.testing.assert_allclose(
        result.per_token.correlation, expected.per_token, rtol=0, atol=TOLERANCE
    )


def check(
    W: NDArray[Any],
    counts: NDArray[Any],
    min_support: int = 0,
    centre: bool = False,
    **options: Any,
) -> AlignmentMetrics:
    """`alignment_metrics` agrees with brute force."""
    options = {"backend": "reference", "threads": 1} | options
    result = alignment_metrics(W, signature_of(counts), min_support, centre, **options)
    agree(result, brute_force(W, counts, min_support, centre))
    plain = cosine_correlation(W, signature_of(counts), min_support, centre, **options)
    for name in ("tokens", "pairs", "signature", "min_support", "centred", "mean_rows", "dropped"):
        assert getattr(result.correlation, name) == getattr(plain, name)
    assert result.correlation.pearson == pytest.approx(plain.pearson, abs=1e-12, nan_ok=True)
    return result
