"""Strong pairs against brute force over all pairs."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="alignment needs torch")

from alignment_support import random_counts, signature_of  # noqa: E402
from strong_pairs_support import check  # noqa: E402

from probsig_fast.alignment import (  # noqa: E402
    cosine_correlation,
    strong_pairs,
)
from probsig_fast.alignment.gram import (  # noqa: E402
    cosines,
    devices,
    work,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20250920)


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 7 x 7, so that pairs come in pieces and the bar is raised often."""
    monkeypatch.setattr(devices, "_HOST_BLOCK", 4 * 7 * 7)


@st.composite
def small_cases(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.int64], Any, int]:
    rows, d, columns = draw(st.integers(0, 9)), draw(st.integers(1, 5)), draw(st.integers(1, 5))
    values = st.integers(-2, 2)
    W = draw(st.lists(values, min_size=rows * d, max_size=rows * d))
    counts = draw(st.lists(st.integers(0, 2), min_size=rows * columns, max_size=rows * columns))
    return (
        np.array(W, np.float64).reshape(rows, d) / 8,
        np.array(counts, np.int64).reshape(rows, columns),
        draw(st.sampled_from([1e-9, 0.001, 0.07, 0.1, 0.3, 0.5, 0.9, 1.0, 1])),
        draw(st.integers(0, 4)),
    )


@given(small_cases())
def test_small_cases(case: tuple[Any, Any, Any, int]) -> None:
    """With many ties, equal rows and zero rows."""
    check(*case)


@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize("fraction", [0.001, 0.05, 1])
@pytest.mark.parametrize(("rows", "d"), [(3, 2), (30, 7), (90, 33)])
def test_random_cases(
    rng: np.random.Generator, rows: int, d: int, fraction: float, centre: bool
) -> None:
    W = rng.standard_normal((rows, d)) + 2 * rng.standard_normal(d)
    check(W, random_counts(rng, rows, 30) + np.eye(rows, 30, dtype=np.int64), fraction, 0, centre)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("fraction", [0.001, 0.02, 0.4, 1])
@pytest.mark.parametrize("threads", [1, 3])
def test_several_tiles(rng: np.random.Generator, fraction: float, threads: int) -> None:
    counts = random_counts(rng, 61, 12)
    check(rng.standard_normal((61, 9)), counts, fraction, 5, threads=threads)
    check(rng.integers(-1, 2, (61, 3)) / 8, counts // 20, fraction, threads=threads)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("fraction", [0.01, 0.3])
def test_rows_all_alike(rng: np.random.Generator, fraction: float) -> None:
    """Every pair ties: the lowest ids win."""
    W = np.repeat(rng.standard_normal((1, 11)), 40, axis=0)
    counts = rng.integers(1, 5, 6) * rng.integers(1, 9, (40, 1))
    result = check(W, counts, fraction)
    assert result.by_embedding.pairs[0][:2] == result.by_signature.pairs[0][:2] == (0, 1)
    assert {pair.signature_cosine for pair in result.by_signature.pairs} == {1.0}
    assert result.overlap == result.top


@pytest.mark.usefixtures("small_tiles")
def test_cosines_that_differ_in_the_last_bits(rng: np.random.Generator) -> None:
    """A tile cannot tell which is larger."""
    W = np.repeat(rng.standard_normal((1, 20)), 50, axis=0)
    W *= 1 + rng.integers(-2, 3, W.shape) * 2.0**-52
    check(W, random_counts(rng, 50, 5) + 1, 0.02)


@pytest.mark.usefixtures("small_tiles")
def test_signatures_that_share_nothing(rng: np.random.Generator) -> None:
    """Most pairs have cosine 0, and the top reaches into them."""
    counts = np.eye(40, dtype=np.int64)
    counts[[3, 9], [7, 1]] = 2
    result = check(rng.standard_normal((40, 4)), counts, 0.5)
    assert result.by_signature.least == 0.0


@pytest.mark.usefixtures("small_tiles")
def test_counts_whose_products_are_rounded(rng: np.random.Generator) -> None:
    counts = rng.integers(2**29, 2**31, (40, 9))
    counts[rng.random(counts.shape) < 0.3] = 0
    counts[11] = counts[30]
    rows = cosines.SignatureCosines
    slacks = [rows(csr(each), torch.device("cpu"), None).slack for each in (counts, counts // 2**8)]
    assert slacks[0] > 0 == slacks[1]
    result = strong_pairs(rng.standard_normal((40, 6)), signature_of(counts), 0.1)
    assert result.by_signature.pairs[0][:4:3] == (11, 1.0)
    unit = counts / np.sqrt((counts.astype(np.longdouble) ** 2).sum(axis=1, keepdims=True))
    i, j = np.triu_indices(40, 1)
    expected = np.sort((unit @ unit.T)[i, j])[::-1][:78].astype(np.float64)
    found = [pair.signature_cosine for pair in result.by_signature.pairs]
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def csr(counts: NDArray[np.int64]) -> Any:
    signature = signature_of(counts)
    return signature._csr()


def test_fractions_are_decimal(rng: np.random.Generator) -> None:
    W, signature = rng.standard_normal((25, 4)), signature_of(random_counts(rng, 25, 9) + 1)
    for fraction, top in ((0.07, 21), (Fraction(7, 100), 21), (0.0701, 22), (1e-12, 1), (1, 300)):
        result = strong_pairs(W, signature, fraction)
        assert (result.top, result.fraction) == (top, float(fraction))
    assert strong_pairs(W, signature, np.float32(0.5)).top == 150


def test_all_pairs_at_the_top(rng: np.random.Generator) -> None:
    result = check(rng.standard_normal((20, 4)), random_counts(rng, 20, 9) + 1, 1.0)
    assert result.overlap == result.top == result.pairs == 190
    assert result.overlap_share == 1.0
    assert result.signature_lift == pytest.approx(1.0)
    assert result.embedding_lift == pytest.approx(1.0)
    assert result.by_embedding.mean_signature_cosine == pytest.approx(result.mean_signature_cosine)


def test_rows_are_those_of_the_correlation(rng: np.random.Generator) -> None:
    W, counts = rng.standard_normal((30, 5)), random_counts(rng, 30, 12)
    W[[0, 5]] = 0
    counts[[5, 9, 29]] = 0
    for centre in (False, True):
        result = check(W, counts, 0.05, 40, centre)
        other = cosine_correlation(W, signature_of(counts), 40, centre)
        names = ("tokens", "pairs", "mean_embedding_cosine", "mean_signature_cosine")
        for name in (*names, "signature", "min_support", "centred", "mean_rows"):
            assert getattr(result, name) == getattr(other, name)
    assert 3 < result.tokens < 27


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_too_few_rows(rng: np.random.Generator, rows: int) -> None:
    for centre in (False, True):
        W, counts = rng.standard_normal((rows, 3)), random_counts(rng, rows, 5) + 1
        assert check(W, counts, 1, 0, centre) is None


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_types_of_w(rng: np.random.Generator, dtype: type) -> None:
    W, counts = rng.standard_normal((30, 6)).astype(dtype), random_counts(rng, 30, 20)
    before = W.copy()
    plain = check(W, counts)
    np.testing.assert_array_equal(W, before)
    options = {"keep": 10**6}
    for same in (torch.from_numpy(W.copy()), torch.nn.Parameter(torch.from_numpy(W.copy()))):
        assert strong_pairs(same, signature_of(counts), 0.1, **options) == plain


def test_work_is_cut_into_pieces(rng: np.random.Generator) -> None:
    running = np.concatenate([[0], np.cumsum(rng.integers(1, 90, 200))])
    cut = work.pieces(running, 100)
    assert [end for _, end in cut] == [begin for begin, _ in cut[1:]] + [200]
    assert max(running[end] - running[begin] for begin, end in cut) < 100 + 90
    assert work.pieces(running[:2], 10**9) == [(0, 1)]


def test_products_in_pieces(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cosines, "BLOCK_ELEMENTS", 50)
    monkeypatch.setattr("probsig_fast.alignment.gram.inputs.BLOCK_ELEMENTS", 50)
    check(rng.standard_normal((40, 9)), random_counts(rng, 40, 30), 0.2)


@pytest.mark.usefixtures("small_tiles")
def test_threads_change_no_bit(rng: np.random.Generator) -> None:
    W, signature = rng.standard_normal((80, 9)), signature_of(random_counts(rng, 80, 30) + 1)
    before = torch.get_num_threads()
    results = set()
    for threads in (1, 2, 3):
        results.add(strong_pairs(W, signature, 0.03, centre=True, threads=threads))
        assert torch.get_num_threads() == before
    assert len(results) == 1
