"""Brute force for the tests of `alignment`: the definition, with both cosine matrices whole."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import probsig_fast as ps
from probsig_fast.errors import ArgumentError

torch = pytest.importorskip("torch", reason="alignment needs torch")

from probsig_fast.alignment import CosineCorrelation, cosine_correlation  # noqa: E402

TOLERANCE = 1e-12


def signature_of(counts: Any, name: str = "phi_test", **fields: Any) -> ps.Signature:
    """The rows of a dense matrix of counts as a signature."""
    counts = np.asarray(counts, np.int64)
    rows, columns = np.nonzero(counts)
    indptr = np.searchsorted(rows, np.arange(len(counts) + 1)).astype(np.int64)
    return ps.Signature(
        name,
        "column | row",
        indptr,
        columns.astype(np.int32),
        counts[rows, columns],
        counts.sum(axis=1),
        counts.shape[1],
        **fields,
    )


@dataclasses.dataclass
class Expected:
    pearson: float
    tokens: int
    mean_embedding: float
    mean_signature: float


def brute_force(W: Any, counts: Any, min_support: int = 0, centre: bool = False) -> Expected:
    """The definition, in extended precision, with both cosine matrices whole."""
    W, counts = np.asarray(W, np.longdouble), np.asarray(counts, np.longdouble)
    passing = counts.sum(axis=1) >= min_support
    if centre and passing.any():
        W = W - W[passing].mean(axis=0)
        W[np.abs(W).max(axis=1, initial=0) < 1e-15] = 0
    kept = passing & (counts != 0).any(axis=1) & (W != 0).any(axis=1)
    tokens = int(kept.sum())
    if tokens < 2:
        return Expected(math.nan, tokens, math.nan, math.nan)
    outside = ~np.eye(tokens, dtype=bool)
    g, h = (unit(x[kept]) @ unit(x[kept]).T for x in (W, counts))
    g, h = g[outside], h[outside]
    dg, dh = g - g.mean(), h - h.mean()
    if tokens < 3 or dg.std() < 1e-15 or dh.std() < 1e-15:
        pearson = math.nan
    else:
        pearson = float((dg * dh).sum() / np.sqrt((dg * dg).sum() * (dh * dh).sum()))
    return Expected(pearson, tokens, float(g.mean()), float(h.mean()))


def unit(rows: NDArray[Any]) -> NDArray[Any]:
    return rows / np.sqrt((rows * rows).sum(axis=1, keepdims=True))


def check(
    W: Any, counts: Any, min_support: int = 0, centre: bool = False, **options: Any
) -> CosineCorrelation | None:
    """`cosine_correlation` agrees with brute force; None where it must refuse."""
    dense = W.detach().to(torch.float64).numpy() if isinstance(W, torch.Tensor) else W
    expected = brute_force(dense, counts, min_support, centre)
    options = {"backend": "reference", "threads": 1} | options
    if expected.tokens < 3:
        with pytest.raises(ArgumentError, match="expected at least 3"):
            cosine_correlation(W, signature_of(counts), min_support, centre, **options)
        return None
    result = cosine_correlation(W, signature_of(counts), min_support, centre, **options)
    assert result.tokens == expected.tokens
    assert result.pairs == expected.tokens * (expected.tokens - 1) // 2
    figures = (result.pearson, result.mean_embedding_cosine, result.mean_signature_cosine)
    wanted = (expected.pearson, expected.mean_embedding, expected.mean_signature)
    assert figures == pytest.approx(wanted, abs=TOLERANCE, rel=0, nan_ok=True)
    return result


def random_counts(rng: np.random.Generator, rows: int, columns: int) -> NDArray[np.int64]:
    return rng.poisson(0.5, (rows, columns)) * rng.integers(1, 50, (rows, columns))
