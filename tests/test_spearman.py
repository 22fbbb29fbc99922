"""Spearman's correlation of cosines against SciPy's, over whole cosine matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from probsig_fast.errors import ArgumentError, ArgumentTypeError

torch = pytest.importorskip("torch", reason="alignment needs torch")

from alignment_support import random_counts, signature_of  # noqa: E402
from strong_pairs_support import embedding_cosines, signature_cosines  # noqa: E402

from probsig_fast.alignment import Spearman, joint, prepare, spearman  # noqa: E402


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20250920)


def ranks_agree(g: NDArray[np.float64], h: NDArray[np.float64]) -> float:
    """Cosines that are equal but for rounding are equal."""
    above = np.triu_indices(len(g), 1)
    g, h = (np.round(each[above], 12) for each in (g, h))
    if np.ptp(g) == 0 or np.ptp(h) == 0:
        return math.nan
    return float(scipy.stats.spearmanr(g, h).statistic)


def check(
    W: NDArray[Any],
    counts: NDArray[Any],
    min_support: int = 0,
    centre: bool = False,
    **options: Any,
) -> Spearman:
    """All pairs: the value is that of the whole matrices."""
    options = {"threads": 1} | options
    result = spearman(W, signature_of(counts), min_support, centre, **options)
    W = np.asarray(W, np.float64)
    passing = counts.sum(axis=1) >= min_support
    if centre:
        wide = W.astype(np.longdouble)
        W = (wide - wide[passing].mean(axis=0)).astype(np.float64)
    kept = passing & (counts != 0).any(axis=1) & (W != 0).any(axis=1)
    expected = ranks_agree(embedding_cosines(W[kept]), signature_cosines(counts[kept]))
    assert result.value == pytest.approx(expected, abs=1e-12, nan_ok=True)
    tokens = int(kept.sum())
    assert (result.error, result.pairs) == (0.0, tokens * (tokens - 1) // 2)
    assert not result.sampled
    return result


@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize("min_support", [0, 150])
@pytest.mark.parametrize(("rows", "d"), [(20, 2), (60, 9), (30, 40)])
def test_random_cases(
    rng: np.random.Generator, rows: int, d: int, min_support: int, centre: bool
) -> None:
    W, counts = rng.standard_normal((rows, d)) + 0.5, random_counts(rng, rows, 20)
    W[3] = 0.0
    check(W, counts, min_support, centre)


@st.composite
def small_cases(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rows, d, columns = draw(st.integers(3, 8)), draw(st.integers(1, 4)), draw(st.integers(1, 5))
    values = st.integers(-2, 2)
    W = draw(st.lists(values, min_size=rows * d, max_size=rows * d))
    counts = draw(st.lists(st.integers(0, 2), min_size=rows * columns, max_size=rows * columns))
    W = np.array(W, np.float64).reshape(rows, d)
    counts = np.array(counts, np.int64).reshape(rows, columns)
    W[:3, 0], counts[:3, 0] = 3.0, 1  # three tokens at least are compared
    return W, counts


@given(small_cases())
def test_small_cases(case: tuple[Any, Any]) -> None:
    """With many ties, in both."""
    check(*case)


def test_equal_rows(rng: np.random.Generator) -> None:
    """Pairs of equal rows tie, and take their mean rank."""
    W = np.repeat(rng.standard_normal((6, 5)), 7, axis=0)[rng.permutation(42)]
    counts = np.repeat(random_counts(rng, 7, 9) + 1, 6, axis=0)[rng.permutation(42)]
    check(W, counts)


def test_proportional_rows(rng: np.random.Generator) -> None:
    """Their cosines with another row are equal, but for rounding."""
    W = rng.standard_normal((36, 5))
    counts = np.repeat(random_counts(rng, 6, 9) + 1, 6, axis=0)
    scales = rng.integers(1, 50, (36, 1))
    check(W, counts * scales)
    check(W * 2.0 ** rng.integers(-3, 4, (36, 1)), counts * scales)


def test_only_the_order_counts(rng: np.random.Generator) -> None:
    counts = random_counts(rng, 30, 20) + 1
    assert check(counts.astype(np.float64), counts).value == pytest.approx(1.0)
    # Cosines in the plane fall as the angle grows, however the angles are spread.
    angles = np.sort(rng.uniform(0, 0.5, 12))
    W = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    wider = np.round(1e7 * np.stack([np.cos(2 * angles), np.sin(2 * angles)], axis=1))
    assert spearman(W, signature_of(wider)).value == pytest.approx(1.0, abs=1e-9)


def test_undefined_correlations(rng: np.random.Generator) -> None:
    counts = random_counts(rng, 9, 20) + 1
    for W, rows in (
        (np.ones((9, 3)), counts),
        (rng.standard_normal((9, 3)), np.eye(9, dtype=np.int64)),
        (rng.standard_normal((9, 3)), np.ones((9, 5), np.int64)),
    ):
        assert math.isnan(spearman(W, signature_of(rows)).value)


# Samples


def correlated(rng: np.random.Generator, rows: int) -> tuple[Any, Any]:
    """An embedding that follows its signature in part."""
    kinds = rng.dirichlet(np.full(12, 0.3), 40)
    counts = np.stack([rng.multinomial(60, kinds[k]) for k in rng.integers(0, 40, rows)])
    W = counts @ rng.standard_normal((12, 6)) / 60 + 0.3 * rng.standard_normal((rows, 6))
    return W, signature_of(counts)


def test_a_sample_is_within_its_error(rng: np.random.Generator) -> None:
    W, signature = correlated(rng, 1500)
    exact = spearman(W, signature)
    assert not exact.sampled
    assert exact.value > 0.2
    samples = [spearman(W, signature, pairs=20_000, seed=seed) for seed in range(12)]
    away = np.array([(each.value - exact.value) / each.error for each in samples])
    assert np.abs(away).max() < 4.0
    assert np.sqrt(np.square(away).mean()) < 2.0
    for each in samples:
        assert each.sampled
        assert 0 < each.error < 0.1
        assert 15_000 < each.pairs <= 20_000


def test_larger_samples_err_less(rng: np.random.Generator) -> None:
    W, signature = correlated(rng, 2500)
    errors = [
        np.mean([spearman(W, signature, pairs=pairs, seed=seed).error for seed in range(4)])
        for pairs in (2_000, 50_000)
    ]
    assert errors[1] < errors[0] / 2


def test_what_is_sampled(rng: np.random.Generator) -> None:
    """All pairs up to the number given, and blocks of tokens beyond."""
    W, signature = correlated(rng, 46)
    whole = spearman(W, signature, pairs=1035)
    assert (whole.pairs, whole.sampled) == (1035, False)
    assert spearman(W, signature) == whole
    part = spearman(W, signature, pairs=1034)
    assert part.sampled
    assert part.pairs == 16  # 16 disjoint blocks of two tokens


def test_seeds_and_threads(rng: np.random.Generator) -> None:
    W, signature = correlated(rng, 400)
    options: dict[str, Any] = {"pairs": 5000, "seed": 7, "centre": True}
    results = {spearman(W, signature, threads=threads, **options) for threads in (1, 2, 3)}
    assert len(results) == 1
    assert spearman(W, signature, **(options | {"seed": 8})) not in results


def test_prepared_and_joint_signatures(rng: np.random.Generator) -> None:
    W = rng.standard_normal((40, 6))
    first, second = random_counts(rng, 40, 20) + 1, random_counts(rng, 40, 31) + 1
    signatures = signature_of(first), signature_of(second, "psi_test")
    assert spearman(W, prepare(signatures[0])) == check(W, first)
    h = (signature_cosines(first) + signature_cosines(second)) / 2
    expected = ranks_agree(embedding_cosines(W), h)
    assert spearman(W, joint(*signatures)).value == pytest.approx(expected, abs=1e-12)


SIGNATURE = signature_of(np.eye(4, dtype=np.int64) + 1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"pairs": 999}, ArgumentError, "pairs: expected at least 1000, got 999"),
        ({"pairs": 1e6}, ArgumentTypeError, "pairs: expected an int, got float 1000000.0"),
        ({"seed": -1}, ArgumentError, "seed: expected at least 0, got -1"),
        ({"seed": None}, ArgumentTypeError, "seed: expected an int, got NoneType None"),
        ({"min_support": 9}, ArgumentError, "min_support: expected at least 3 tokens"),
    ],
)
def test_arguments_that_cannot_be_used(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        spearman(np.eye(4) + 0.5, SIGNATURE, **options)


@pytest.mark.gpu
def test_on_cuda(rng: np.random.Generator) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU: torch sees none")
    W, signature = correlated(rng, 1500)
    for pairs in (5000, 4_000_000):
        expected = spearman(W, signature, centre=True, pairs=pairs)
        found = spearman(torch.from_numpy(W).to("cuda"), signature, centre=True, pairs=pairs)
        assert found.pairs == expected.pairs
        assert (found.value, found.error) == pytest.approx(
            (expected.value, expected.error), abs=1e-6
        )
