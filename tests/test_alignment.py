"""R_cos against brute force in extended precision."""

from __future__ import annotations

import dataclasses
import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import probsig_fast as ps
from probsig_fast.errors import ArgumentError
from probsig_fast.kernels import reference

torch = pytest.importorskip("torch", reason="alignment needs torch")

from alignment_support import TOLERANCE, brute_force, check, random_counts, signature_of  # noqa: E402

from probsig_fast.alignment import (  # noqa: E402
    Dropped,
    cosine_correlation,
)
from probsig_fast.alignment.gram import (  # noqa: E402
    devices,
    moments,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20250920)


# The figure


@st.composite
def small_cases(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.int64], int, bool]:
    rows, d, columns = draw(st.integers(0, 9)), draw(st.integers(0, 4)), draw(st.integers(1, 6))
    values = st.integers(-3, 3)
    W = draw(st.lists(values, min_size=rows * d, max_size=rows * d))
    counts = draw(st.lists(st.integers(0, 3), min_size=rows * columns, max_size=rows * columns))
    return (
        np.array(W, np.float64).reshape(rows, d) / 8,
        np.array(counts, np.int64).reshape(rows, columns),
        draw(st.integers(0, 5)),
        draw(st.booleans()),
    )


@given(small_cases())
def test_small_cases(case: tuple[Any, Any, int, bool]) -> None:
    check(*case)


@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize(("rows", "d"), [(3, 2), (12, 40), (60, 7), (60, 100), (200, 8)])
def test_random_cases(
    rng: np.random.Generator, backend: str, rows: int, d: int, centre: bool
) -> None:
    W = rng.standard_normal((rows, d)) + 2 * rng.standard_normal(d)
    result = check(W, random_counts(rng, rows, 30), 0, centre, backend=backend)
    assert abs(result.pearson) <= 1
    assert result.centred is centre
    assert result.mean_rows == (rows if centre else 0)


@pytest.mark.parametrize("spread", [1e-1, 3e-2, 1e-3])
@pytest.mark.parametrize("rows", [12, 150])
def test_embeddings_with_a_large_common_direction(
    rng: np.random.Generator, rows: int, spread: float
) -> None:
    """(mean / sd)^2 of the cosines of W is about spread^-4: 1e4, 1e6, 1e12."""
    W = rng.standard_normal(20) + spread * rng.standard_normal((rows, 20))
    for centre in (False, True):
        check(W, random_counts(rng, rows, 30), 0, centre)


def test_nearly_constant_signatures(rng: np.random.Generator) -> None:
    counts = rng.integers(1, 5, 40) * 300 + random_counts(rng, 100, 40)
    check(rng.standard_normal((100, 10)), counts)
    check(3.0 + rng.standard_normal((100, 10)), counts)


@pytest.mark.parametrize("large", [1, 10**3, 10**6])
@pytest.mark.parametrize(("rows", "d"), [(6, 40), (60, 8)])
def test_nearly_orthogonal_signatures(
    rng: np.random.Generator, rows: int, d: int, large: int
) -> None:
    """All but a few pairs of cosine 0: the diagonal would swamp them."""
    counts = np.eye(rows, dtype=np.int64) * large
    counts[[0, 2, 4], [1, 3, 1]] = 1, 1, 2
    check(rng.standard_normal((rows, d)), counts)


def test_nearly_orthogonal_embeddings(rng: np.random.Generator) -> None:
    W = np.eye(40) + 1e-5 * rng.standard_normal((40, 40))
    check(W, random_counts(rng, 40, 30))


def test_both_ways_to_the_covariance(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    W, counts = rng.standard_normal((80, 12)) + 1.0, random_counts(rng, 80, 30)
    for factor in (0.0, math.inf):
        monkeypatch.setattr(moments, "_CANCELLED", factor)
        monkeypatch.setattr(devices, "_HOST_BLOCK", 80 * 7)
        check(W, counts)


def test_its_own_signature(rng: np.random.Generator) -> None:
    counts = random_counts(rng, 40, 30) + 1
    result = check(counts.astype(np.float64), counts)
    assert result.pearson == pytest.approx(1.0, abs=1e-14)
    assert check(counts / counts.sum(axis=1, keepdims=True), counts).pearson <= 1.0


def test_rows_keep_their_scale_to_themselves(rng: np.random.Generator) -> None:
    W, counts = rng.standard_normal((30, 5)), random_counts(rng, 30, 20)
    plain = cosine_correlation(W, signature_of(counts))
    scaled = np.ldexp(W, rng.integers(-900, 900, (30, 1)))
    assert cosine_correlation(scaled, signature_of(counts)) == plain


def test_relabelled_tokens_and_rotated_embeddings(rng: np.random.Generator) -> None:
    W, counts = rng.standard_normal((50, 6)) + 1.0, random_counts(rng, 50, 50)
    order, turn = rng.permutation(50), np.linalg.qr(rng.standard_normal((6, 6)))[0]
    for centre in (False, True):
        expected = cosine_correlation(W, signature_of(counts), centre=centre).pearson
        moved = signature_of(counts[order][:, order])
        result = cosine_correlation(W[order] @ turn, moved, centre=centre).pearson
        assert result == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize("name", ["phi_next", "psi_pre"])
def test_signatures_of_counts(rng: np.random.Generator, backend: str, name: str) -> None:
    tokens = (rng.integers(0, 40, 3000) * rng.random(3000)).astype(np.uint16)
    counts = ps.count(tokens, vocab_size=45, sequence_length=64, backend="reference")
    dense = counts.to_scipy().toarray()
    W = rng.standard_normal((45, 9)) + 1.0
    for min_support in (0, 20):
        signature = getattr(counts, name)(min_support=min_support)
        result = cosine_correlation(W, signature, min_support=10, backend=backend)
        expected = brute_force(W, dense if name == "phi_next" else dense.T, max(min_support, 10))
        assert result.signature == name
        assert result.min_support == max(min_support, 10)
        assert result.tokens == expected.tokens < 40
        assert result.pearson == pytest.approx(expected.pearson, abs=TOLERANCE)


def test_min_support_is_in_unscaled_counts(rng: np.random.Generator) -> None:
    counts = random_counts(rng, 30, 8)
    W = rng.standard_normal((30, 4))
    scaled = signature_of(counts * 2520, weight_scale=2520)
    result = cosine_correlation(W, scaled, min_support=60, centre=True)
    expected = brute_force(W, counts, 60, True)
    assert 3 < result.tokens == expected.tokens < 30
    assert result.pearson == pytest.approx(expected.pearson, abs=TOLERANCE)


def test_the_mean_is_of_all_rows_with_enough_support(rng: np.random.Generator) -> None:
    """Of those too whose embedding or signature is zero."""
    counts = random_counts(rng, 30, 12)
    counts[3] = counts[11] = 0
    W = 1.0 + rng.standard_normal((30, 5))
    W[7] = 0
    assert check(W, counts, 0, True).mean_rows == 30
    supported = int((counts.sum(axis=1) >= 1).sum())
    assert check(W, counts, 1, True).mean_rows == supported < 30


def test_zero_rows_are_dropped_from_both(rng: np.random.Generator) -> None:
    W, counts = rng.standard_normal((20, 6)), random_counts(rng, 20, 12) + 1
    W[[0, 5]] = 0
    counts[[5, 9, 19]] = 0
    assert check(W, counts).tokens == 16
    kept = np.delete(np.arange(20), [0, 5, 9, 19])
    both, plain = check(W, counts), check(W[kept], counts[kept])
    assert both.dropped == Dropped(unseen=3, not_finite=0, zero=1)
    assert dataclasses.replace(both, dropped=Dropped()) == plain


@pytest.mark.parametrize("centre", [False, True])
def test_rows_that_are_not_finite_are_dropped_from_both(
    rng: np.random.Generator, centre: bool
) -> None:
    W, counts = rng.standard_normal((20, 6)), random_counts(rng, 20, 12) + 1
    W[3, 0], W[5, 1], W[7, 5] = np.nan, np.nan, -np.inf
    counts[3] = 0
    kept = np.delete(np.arange(20), [3, 5, 7])
    for same in (W, torch.from_numpy(W), torch.from_numpy(W).float().double()):
        result = cosine_correlation(same, signature_of(counts), centre=centre)
        assert result.dropped == Dropped(unseen=1, not_finite=2, zero=0)
        plain = check(np.asarray(same)[kept], counts[kept], 0, centre)
        figures = (result.pearson, result.mean_embedding_cosine, result.tokens, result.mean_rows)
        wanted = (plain.pearson, plain.mean_embedding_cosine, 17, 17 * centre)
        assert figures == pytest.approx(wanted, abs=TOLERANCE, rel=0)


def test_rows_of_stored_zeros_are_dropped() -> None:
    signature = ps.Signature(
        "phi_test",
        "column | row",
        np.arange(5),
        np.array([0, 1, 2, 0], np.int32),
        np.array([0, 3, 3, 3]),
        np.array([0, 3, 3, 3]),
        3,
    )
    assert cosine_correlation(np.eye(4), signature).tokens == 3


def test_rows_equal_to_the_mean_are_dropped(rng: np.random.Generator) -> None:
    W = rng.standard_normal((9, 5)) + 7
    W[4] = np.delete(W, 4, axis=0).mean(axis=0)  # equal to the mean but for rounding
    counts = random_counts(rng, 9, 8) + 1
    assert cosine_correlation(W, signature_of(counts), centre=True).tokens == 8
    assert check(W, counts, 0, False).tokens == 9


# Where it is undefined


@pytest.mark.parametrize("rows", [3, 4, 17, 50, 300])
@pytest.mark.parametrize("d", [1, 2, 30, 100])
def test_embeddings_all_alike(rng: np.random.Generator, rows: int, d: int) -> None:
    signature = signature_of(random_counts(rng, rows, 10) + 1)
    W = rng.standard_normal((1, d))
    for scale in (np.ones((rows, 1)), rng.random((rows, 1)) + 0.1):
        result = cosine_correlation(W * scale, signature)
        assert math.isnan(result.pearson)
        assert result.tokens == rows
        assert result.mean_embedding_cosine == pytest.approx(1.0, abs=1e-14)
    with pytest.raises(ArgumentError, match=f"W: .* got 0 of {rows}: 0 not finite, {rows} zero"):
        cosine_correlation(np.repeat(W, rows, 0), signature, centre=True)


@pytest.mark.parametrize("rows", [3, 4, 17, 50])
@pytest.mark.parametrize("d", [50, 100])
def test_orthogonal_embeddings(rng: np.random.Generator, rows: int, d: int) -> None:
    signature = signature_of(random_counts(rng, rows, 10) + 1)
    orthogonal = np.linalg.qr(rng.standard_normal((d, d)))[0][:rows]
    lengths = rng.random((rows, 1)) + 0.1
    simplex = orthogonal - orthogonal.mean(axis=0)
    for W in (np.eye(rows, d), orthogonal, orthogonal * lengths, simplex):
        assert math.isnan(cosine_correlation(W, signature).pearson)


@pytest.mark.parametrize("rows", [3, 4, 17, 50])
def test_signatures_all_alike_or_orthogonal(rng: np.random.Generator, rows: int) -> None:
    W = rng.standard_normal((rows, 5))
    alike = rng.integers(1, 1000, 40) * rng.integers(1, 1000, (rows, 1))
    for counts in (alike, np.eye(rows, dtype=np.int64) * rng.integers(1, 99, rows)):
        result = cosine_correlation(W, signature_of(counts))
        assert math.isnan(result.pearson)
        assert result.tokens == rows


def test_modulo_task(rng: np.random.Generator) -> None:
    """y = (z + a1 + a2) mod 10 over the full grid: every anchor sees every label equally often."""
    grid = np.stack(np.meshgrid(*[np.arange(10)] * 3, indexing="ij")).reshape(3, -1)
    counts = np.zeros((30, 10), np.int64)
    for slot in range(3):
        np.add.at(counts, (grid[slot] + 10 * slot, grid.sum(axis=0) % 10), 1)
    result = cosine_correlation(rng.standard_normal((30, 8)), signature_of(counts))
    assert math.isnan(result.pearson)
    assert result.mean_signature_cosine == pytest.approx(1.0, abs=1e-15)


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_too_few_rows(rng: np.random.Generator, rows: int) -> None:
    for centre in (False, True):
        check(rng.standard_normal((rows, 3)), random_counts(rng, rows, 5) + 1, 0, centre)


def test_no_row_with_enough_support(rng: np.random.Generator) -> None:
    signature = signature_of(random_counts(rng, 5, 5) + 1)
    message = f"got 0 with 1,000,000 or more; the largest support is {signature.support.max():,}$"
    with pytest.raises(ArgumentError, match=message):
        cosine_correlation(rng.standard_normal((5, 3)), signature, 10**6, True)


# Threads and backends


def larger_case(rng: np.random.Generator, rows: int, d: int) -> tuple[Any, ps.Signature]:
    counts = rng.poisson(0.02, (rows, 400)) * rng.integers(1, 50, (rows, 400))
    return rng.standard_normal((rows, d)) + 0.5, signature_of(counts)


@pytest.mark.parametrize(("rows", "d"), [(6000, 64), (300, 200)])
def test_threads_change_no_bit(
    rng: np.random.Generator, backend: str, rows: int, d: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "reference":
        rows //= 5
    W, signature = larger_case(rng, rows, d)
    monkeypatch.setattr(moments, "_BLOCK_ROWS", 500)
    monkeypatch.setattr(devices, "_HOST_BLOCK", 100 * 300)
    before = torch.get_num_threads()
    results = set()
    try:
        for torch_threads in (1, 2):
            torch.set_num_threads(torch_threads)
            for threads in (1, 2, 3):
                results.add(cosine_correlation(W, signature, 0, True, threads, backend))
                assert torch.get_num_threads() == torch_threads
    finally:
        torch.set_num_threads(before)
    assert len(results) == 1


def test_backends_agree(rng: np.random.Generator, backend: str) -> None:
    W, signature = larger_case(rng, 900, 20)
    expected = cosine_correlation(W, signature, backend="reference")
    result = cosine_correlation(W, signature, backend=backend)
    assert result.pearson == pytest.approx(expected.pearson, rel=1e-13)


def test_torch_keeps_its_threads_after_a_failure(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise MemoryError("told by a worker")

    monkeypatch.setattr(reference, "gram_squares", fail)
    before = torch.get_num_threads()
    with pytest.raises(MemoryError, match="told by a worker"):
        check(rng.standard_normal((20, 3)), random_counts(rng, 20, 5) + 1)
    assert torch.get_num_threads() == before


def test_no_square_array_is_made(rng: np.random.Generator) -> None:
    rows = 8000
    counts = np.zeros((rows, 50), np.int64)
    counts[np.arange(rows), rng.integers(0, 50, rows)] = 2
    counts[np.arange(rows), rng.integers(0, 50, rows)] = 1
    signature = signature_of(counts)
    W = rng.standard_normal((rows, 4))
    cosine_correlation(W[:9], signature_of(counts[:9]))  # what is loaded or compiled once
    tracemalloc.start()
    try:
        cosine_correlation(W, signature)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * rows**2 / 50
