"""Brute force for the tests of `strong_pairs`: the definition, with all pairs at once."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
from alignment_support import signature_of, unit
from numpy.typing import NDArray

from probsig_fast.errors import ArgumentError

torch = pytest.importorskip("torch", reason="alignment needs torch")

from probsig_fast.alignment import StrongPairs, strong_pairs  # noqa: E402


class Expected(NamedTuple):
    """The cosines [n] of all pairs i < j [n, 2], in order, and which of them are at the top."""

    tokens: int

    ids: NDArray[np.int64]
    g: NDArray[np.float64]
    h: NDArray[np.float64]
    by_g: NDArray[np.int64]
    by_h: NDArray[np.int64]


def halves(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum over the last dimension, in the documented order."""
    while terms.shape[-1] > 1:
        half = -(-terms.shape[-1] // 2)
        rest = terms[..., half:]
        terms = np.concatenate(
            [terms[..., : rest.shape[-1]] + rest, terms[..., rest.shape[-1] : half]], axis=-1
        )
    return terms.sum(axis=-1)


def embedding_cosines(W: NDArray[Any]) -> NDArray[np.float64]:
    scaled = np.ldexp(W, -np.frexp(np.abs(W).max(axis=1))[1][:, None])
    units = scaled / np.sqrt(halves(scaled * scaled))[:, None]
    return halves(units[:, None] * units)


def signature_cosines(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    exact = counts.astype(object)  # Python's integers
    products = (exact @ exact.T).astype(np.float64)
    squares = np.diag(products)
    return products / np.sqrt(squares[:, None] * squares)


def brute_force(
    W: NDArray[Any], counts: NDArray[Any], fraction: Any, min_support: int = 0, centre: bool = False
) -> Expected:
    """Centred, the order of cosines that are equal but for rounding is not to be relied on."""
    W = np.asarray(W, np.float64)
    passing = counts.sum(axis=1) >= min_support
    if centre and passing.any():
        wide = W.astype(np.longdouble)
        W = (wide - wide[passing].mean(axis=0)).astype(np.float64)
    kept = np.flatnonzero(passing & (counts != 0).any(axis=1) & (W != 0).any(axis=1))
    i, j = np.triu_indices(kept.size, 1)
    g, h = embedding_cosines(W[kept])[i, j], signature_cosines(counts[kept])[i, j]
    top = math.ceil(Fraction(str(fraction)) * i.size)
    by_g, by_h = (np.argsort(-cosines, kind="stable")[:top] for cosines in (g, h))
    return Expected(kept.size, np.stack([kept[i], kept[j]], axis=1), g, h, by_g, by_h)


def check(
    W: Any,
    counts: NDArray[Any],
    fraction: Any = 0.1,
    min_support: int = 0,
    centre: bool = False,
    **options: Any,
) -> StrongPairs | None:
    """`strong_pairs` agrees with brute force: the very pairs, in order, and their cosines; None
    where it must refuse."""
    expected = brute_force(W, counts, fraction, min_support, centre)
    options = {"keep": 10**6, "threads": 1} | options
    if expected.tokens < 3:
        with pytest.raises(ArgumentError, match="expected at least 3"):
            strong_pairs(W, signature_of(counts), fraction, min_support, centre, **options)
        return None
    result = strong_pairs(W, signature_of(counts), fraction, min_support, centre, **options)
    tolerance = 1e-13 if centre else 0.0
    for found, chosen, own in (
        (result.by_embedding, expected.by_g, expected.g),
        (result.by_signature, expected.by_h, expected.h),
    ):
        ids = np.array([pair[:2] for pair in found.pairs], np.int64).reshape(-1, 2)
        np.testing.assert_array_equal(ids, expected.ids[chosen])
        g, h = np.array([pair[2:4] for pair in found.pairs]).reshape(-1, 2).T
        np.testing.assert_allclose(g, expected.g[chosen], rtol=0, atol=tolerance)
        np.testing.assert_array_equal(h, expected.h[chosen])
        figures = (found.least, found.mean_embedding_cosine, found.mean_signature_cosine)
        wanted = (own[chosen].min(initial=np.inf), mean(g), mean(h))
        wanted = wanted if chosen.size else (math.nan,) * 3
        assert figures == pytest.approx(wanted, abs=1e-13, rel=0, nan_ok=True)
    assert result.top == expected.by_g.size
    assert result.pairs == len(expected.ids)
    assert result.overlap == np.intersect1d(expected.by_g, expected.by_h).size
    means = (result.mean_embedding_cosine, result.mean_signature_cosine)
    assert means == pytest.approx(
        (mean(expected.g), mean(expected.h)), abs=1e-12, rel=0, nan_ok=True
    )
    return result


def mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else math.nan


__all__ = ["Expected", "brute_force", "check", "mean", "unit"]
