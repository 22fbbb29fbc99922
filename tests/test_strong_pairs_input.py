"""What `strong_pairs` takes, refuses and prints; and its figures on real tokens."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import probsig_fast as ps
from probsig_fast.errors import ArgumentError, ArgumentTypeError

torch = pytest.importorskip("torch", reason="alignment needs torch")

from alignment_support import signature_of, unit  # noqa: E402

from probsig_fast.alignment import Dropped, Pair, StrongPairs, TopPairs, strong_pairs  # noqa: E402

SIGNATURE = signature_of(np.eye(4, dtype=np.int64) + 1)
GOOD = np.arange(12.0).reshape(4, 3)

RESULT = StrongPairs(
    0.001,
    1084,
    586_986,
    587,
    53,
    0.127851,
    0.100991,
    TopPairs(0.632039, 0.7, 0.452428, (Pair(16778, 17377, 0.943192, 0.808948),)),
    TopPairs(0.933995, 0.32317, 0.95),
    "phi_next",
    2000,
    False,
    0,
    Dropped(48_068, 0, 0),
)


def test_it_prints_as_a_table() -> None:
    assert str(RESULT).splitlines() == [
        "strong pairs(W, phi_next)  top 0.001 of pairs, 587",
        "W                          raw",
        "min_support                2,000",
        "tokens                     1,084",
        "pairs                      586,986",
        "top by cosine of W         0.632039 and more",
        "  mean cosine of phi_next  0.452428, 4.48 x that of all pairs",
        "  of all pairs             0.100991",
        "top by cosine of phi_next  0.933995 and more",
        "  mean cosine of W         0.323170",
        "  of all pairs             0.127851",
        "top by both                53, 9.03 %",
        "rows left out              48,068 without support, 0 not finite, 0 zero in the embedding",
    ]
    centred = dataclasses.replace(RESULT, centred=True, mean_rows=1100)
    assert "W                          centred, mean of 1,100 rows" in str(centred)
    nothing = dataclasses.replace(RESULT, mean_signature_cosine=math.nan)
    assert "nan" in str(nothing)


def test_ratios() -> None:
    assert RESULT.signature_lift == 0.452428 / 0.100991
    assert RESULT.embedding_lift == 0.32317 / 0.127851
    assert RESULT.overlap_share == 53 / 587


def test_pairs_are_kept_and_have_strings() -> None:
    signature = dataclasses.replace(SIGNATURE, token_strings=["a", "b", "c", "d"])
    result = strong_pairs(GOOD, signature, 1.0, keep=2)
    assert [pair.strings for pair in result.by_embedding.pairs] == [("c", "d"), ("b", "c")]
    assert len(result.by_signature.pairs) == 2
    assert strong_pairs(GOOD, SIGNATURE, keep=0).by_embedding.pairs == ()
    assert strong_pairs(GOOD, SIGNATURE).by_embedding.pairs[0].strings is None


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"fraction": 0}, ArgumentError, "fraction: expected above 0, and at most 1, got 0"),
        ({"fraction": -0.5}, ArgumentError, "fraction: expected above 0, .*, got -0.5"),
        ({"fraction": 1.1}, ArgumentError, "fraction: expected above 0, .*, got 1.1"),
        ({"fraction": float("nan")}, ArgumentError, "fraction: expected above 0, .*, got nan"),
        ({"fraction": True}, ArgumentTypeError, "fraction: expected a float, got bool True"),
        ({"fraction": "0.1"}, ArgumentTypeError, "fraction: expected a float, got str '0.1'"),
        ({"keep": -1}, ArgumentError, "keep: expected at least 0, got -1"),
        ({"min_support": -1}, ArgumentError, "min_support: expected at least 0, got -1"),
        ({"centre": 1}, ArgumentTypeError, "centre: expected a bool, got int 1"),
        ({"threads": 0}, ArgumentError, "threads: expected at least 1, got 0"),
        ({"device": "gpu"}, ArgumentError, "device: expected 'cpu', 'cuda' or 'cuda:N', got 'gpu'"),
    ],
)
def test_arguments_that_cannot_be_used(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        strong_pairs(GOOD, SIGNATURE, **options)


def test_matrices_that_cannot_be_used() -> None:
    with pytest.raises(ArgumentError, match=r"W: expected 4 rows, as phi_test has, got 3$"):
        strong_pairs(GOOD[:3], SIGNATURE)
    with pytest.raises(ArgumentTypeError, match=r"signature: expected a Signature, got ndarray$"):
        strong_pairs(GOOD, GOOD)  # type: ignore[arg-type]


@pytest.mark.slow
def test_real_tokens(shared: Path) -> None:
    """An embedding made of the signature by a random projection, against all pairs at once."""
    zstandard = pytest.importorskip("zstandard")
    with zstandard.open(shared / "data" / "docs.smollm2.u16.bin.zst", "rb") as file:
        tokens = np.frombuffer(file.read(), np.uint16)
    phi = ps.count(tokens, vocab_size=49_152, eos=0).phi_next(min_support=1_500)
    rng = np.random.default_rng(1)
    W = phi.to_scipy() @ rng.standard_normal((49_152, 24)) + 0.05 * rng.standard_normal(
        (49_152, 24)
    )
    result = strong_pairs(W, phi, centre=True)
    kept = phi.tokens
    centred = W[kept] - W[phi.support >= 1_500].mean(axis=0)
    dense = unit(phi.to_scipy()[kept].toarray())
    i, j = np.triu_indices(kept.size, 1)
    g, h = (unit(centred) @ unit(centred).T)[i, j], (dense @ dense.T)[i, j]
    assert (result.tokens, result.top) == (kept.size, -(-i.size // 1000))
    by_g, by_h = (np.argpartition(-each, result.top)[: result.top] for each in (g, h))
    found = (
        result.mean_signature_cosine,
        result.by_embedding.least,
        result.by_embedding.mean_signature_cosine,
        result.by_signature.least,
        result.by_signature.mean_embedding_cosine,
    )
    expected = (h.mean(), g[by_g].min(), h[by_g].mean(), h[by_h].min(), g[by_h].mean())
    assert found == pytest.approx(expected, abs=1e-12)
    assert result.overlap == np.intersect1d(by_g, by_h).size
    assert result.signature_lift > 2
