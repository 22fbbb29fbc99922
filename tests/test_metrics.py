"""`alignment_metrics` against brute force in extended precision: each definition as it stands."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from probsig_fast.errors import ArgumentError

torch = pytest.importorskip("torch", reason="alignment needs torch")

from alignment_support import random_counts, signature_of, unit  # noqa: E402
from metrics_support import (  # noqa: E402
    agree,
    check,
    of_rows,
)

from probsig_fast.alignment import (  # noqa: E402
    AlignmentMetrics,
    Interval,
    PerToken,
    alignment_metrics,
    cosine_correlation,
    joint,
    linear_cka,
    per_token_correlation,
    prepare,
    prepared,
)
from probsig_fast.alignment.gram import (  # noqa: E402
    devices,
    moments,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20250920)


# The figures


@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize(("rows", "d"), [(4, 2), (12, 40), (40, 7), (40, 60), (90, 8)])
def test_random_cases(
    rng: np.random.Generator, backend: str, rows: int, d: int, centre: bool
) -> None:
    W = rng.standard_normal((rows, d)) + rng.standard_normal(d)
    counts = random_counts(rng, rows, 30) + np.eye(rows, 30, dtype=np.int64)
    counts[:, 0] += 1
    check(W, counts, 0, centre, backend=backend)


@st.composite
def small_cases(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rows, d, columns = draw(st.integers(3, 9)), draw(st.integers(1, 4)), draw(st.integers(1, 5))
    values = st.integers(-2, 2)
    W = draw(st.lists(values, min_size=rows * d, max_size=rows * d))
    counts = draw(st.lists(st.integers(0, 2), min_size=rows * columns, max_size=rows * columns))
    W = np.array(W, np.float64).reshape(rows, d)
    counts = np.array(counts, np.int64).reshape(rows, columns)
    W[:3, 0], counts[:3, 0] = 1.0, 1  # three tokens at least are compared
    return W, counts


@given(small_cases())
def test_small_cases(case: tuple[Any, Any]) -> None:
    """With equal rows, cosines all equal, and figures that are undefined."""
    check(*case)


@pytest.mark.parametrize("spread", [1e-1, 1e-2])
def test_embeddings_with_a_large_common_direction(rng: np.random.Generator, spread: float) -> None:
    W = rng.standard_normal(20) + spread * rng.standard_normal((60, 20))
    for centre in (False, True):
        check(W, random_counts(rng, 60, 30) + 1, 0, centre)


@pytest.mark.parametrize("large", [1, 1000])
def test_nearly_orthogonal_signatures(rng: np.random.Generator, large: int) -> None:
    counts = np.eye(40, dtype=np.int64) * large + rng.poisson(0.05, (40, 40))
    check(rng.standard_normal((40, 6)), counts)


def test_both_ways(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """From factors, and pair by pair in tiles."""
    W, counts = rng.standard_normal((50, 6)) + 0.5, random_counts(rng, 50, 30) + 1
    for factor, few in ((0.0, True), (math.inf, False)):
        monkeypatch.setattr(moments, "_CANCELLED", factor)
        monkeypatch.setattr(moments, "few_rows", lambda embedding, few=few: few)
        monkeypatch.setattr(devices, "_HOST_BLOCK", 4 * 13 * 13)
        check(W, counts)


def test_three_rows(rng: np.random.Generator) -> None:
    """A correlation of three pairs; nothing can be left out, and no estimator is unbiased."""
    result = check(rng.standard_normal((3, 4)), random_counts(rng, 3, 9) + 1)
    assert not math.isnan(result.correlation.pearson)
    assert not math.isnan(result.cka)
    assert np.isnan([result.debiased_cka, result.interval.low, result.interval.error]).all()


def test_its_own_signature(rng: np.random.Generator) -> None:
    counts = random_counts(rng, 40, 30) + 1
    result = check(counts.astype(np.float64), counts)
    figures = (result.correlation.pearson, result.cka, result.debiased_cka)
    assert figures == pytest.approx((1.0, 1.0, 1.0), abs=1e-12)
    assert result.interval.error == pytest.approx(0.0, abs=1e-7)
    np.testing.assert_allclose(result.per_token.correlation, 1.0)
    assert result.per_token.mean == pytest.approx(1.0)


def test_nothing_in_common(rng: np.random.Generator) -> None:
    """CKA is biased upwards; its unbiased form is not."""
    results = [
        alignment_metrics(rng.standard_normal((60, 20)), signature_of(random_counts(rng, 60, 30)))
        for _ in range(10)
    ]
    assert min(each.cka for each in results) > 0.2
    assert abs(np.mean([each.debiased_cka for each in results])) < 0.05
    assert abs(np.mean([each.correlation.pearson for each in results])) < 0.05


def test_the_interval_holds_the_true_value(rng: np.random.Generator) -> None:
    """Of tokens drawn from the same population, most intervals hold what all of it gives."""
    mixing = rng.standard_normal((12, 5))

    def drawn(tokens: int) -> tuple[Any, Any]:
        counts = rng.multinomial(80, rng.dirichlet(np.full(12, 0.4), tokens))
        return counts @ mixing / 80 + 0.1 * rng.standard_normal((tokens, 5)), signature_of(counts)

    true = cosine_correlation(*drawn(3000)).pearson
    intervals = [alignment_metrics(*drawn(60)).interval for _ in range(60)]
    held = sum(each.low <= true <= each.high for each in intervals)
    assert held >= 48


@pytest.mark.parametrize("own", [10**3, 10**5])
def test_a_token_with_hardly_anything_in_common(
    rng: np.random.Generator, backend: str, own: int
) -> None:
    """What sums leave of its signature's spread would be rounding, and is made from its row."""
    counts = np.pad(random_counts(rng, 40, 12) + 1, ((0, 0), (0, 1)))
    counts[7] = 0
    counts[7, 3], counts[7, 12] = 1, own
    result = check(rng.standard_normal((40, 6)) + 1, counts, backend=backend)
    assert not np.isnan(result.per_token.correlation).any()


# Undefined figures


def test_constant_rows(rng: np.random.Generator) -> None:
    counts = random_counts(rng, 9, 20) + 1
    for W, rows in (
        (np.ones((9, 3)), counts),
        (rng.standard_normal((9, 3)), np.ones((9, 5), np.int64)),
        (rng.standard_normal((9, 3)), np.eye(9, dtype=np.int64)),
    ):
        result = alignment_metrics(W, signature_of(rows))
        interval = result.interval
        figures = (result.correlation.pearson, result.cka, result.debiased_cka)
        assert np.isnan([*figures, interval.low, interval.high, interval.error]).all()
        assert np.isnan(result.per_token.correlation).all()
        assert math.isnan(result.per_token.mean)


@pytest.mark.parametrize("others", [8, 60])
def test_a_token_as_far_from_all_others(rng: np.random.Generator, others: int) -> None:
    """Its own correlation is undefined, and no other."""
    angles = rng.uniform(0, 2 * math.pi, others)
    around = np.stack([np.cos(angles), np.sin(angles), np.full(others, 0.7)], axis=1)
    W = np.concatenate([around, [[0, 0, 1]]])
    result = check(W, random_counts(rng, others + 1, 30) + 1)
    assert math.isnan(result.per_token.correlation[-1])
    assert not np.isnan(result.per_token.correlation[:-1]).any()
    assert result.per_token.mean == pytest.approx(result.per_token.correlation[:-1].mean())


@pytest.mark.parametrize("rows", [10, 60])
def test_a_signature_that_shares_nothing(rng: np.random.Generator, rows: int) -> None:
    """All its cosines are 0."""
    counts = random_counts(rng, rows, 30) + 1
    counts[4] = 0
    counts[:, 7] = 0
    counts[4, 7] = 5
    result = check(rng.standard_normal((rows, 4)) + 0.5, counts)
    assert np.isnan(result.per_token.correlation[4])
    assert np.isnan(result.per_token.correlation).sum() == 1


def test_a_figure_that_rests_on_one_token(rng: np.random.Generator) -> None:
    """Without the axis all cosines of the other three are equal: no interval, and nothing is left
    of G once the means of its rows are gone."""
    angles = 2 * math.pi * np.arange(3) / 3
    W = np.stack([np.cos(angles), np.sin(angles), np.ones(3)], axis=1)
    W = np.concatenate([W, [[0, 0, 1]]])
    counts = random_counts(rng, 4, 9) + 1
    result = alignment_metrics(W, signature_of(counts))
    assert not math.isnan(result.correlation.pearson)
    assert math.isnan(result.debiased_cka)
    assert math.isnan(result.interval.error)


# Rows, and what they are compared with


def test_rows_that_are_not_compared(rng: np.random.Generator) -> None:
    W, counts = rng.standard_normal((30, 5)) + 0.3, random_counts(rng, 30, 12)
    W[[0, 5, 6]] = 0
    W[2, 1], W[9, 0] = math.nan, math.inf
    counts[[5, 9, 29]] = 0
    counts[[0, 2, 6], 0] += 100
    for centre in (False, True):
        result = check(W, counts, 40, centre)
        dropped = result.correlation.dropped
        unseen = (counts.sum(axis=1) < 40).sum()
        assert (dropped.unseen, dropped.not_finite) == (unseen, 1)
        assert dropped.zero == (0 if centre else 2)
        assert result.correlation.tokens == 30 - unseen - 1 - dropped.zero
        assert result.per_token.tokens.size == result.correlation.tokens


def test_joint_signatures(rng: np.random.Generator) -> None:
    """As dense rows side by side, each part's of unit length."""
    W = rng.standard_normal((40, 6)) + 0.3
    counts = [random_counts(rng, 40, width) + 1 for width in (20, 31)]
    counts[0][3] = 0
    counts[1][8] = 0
    signatures = joint(signature_of(counts[0]), signature_of(counts[1], "psi_test"))
    for min_support in (0, 250):
        support = np.minimum(*(each.sum(axis=1) for each in counts))
        kept = np.flatnonzero((support >= min_support) & (support > 0))
        assert 3 < kept.size < 39
        halves = [unit(each[kept].astype(np.longdouble)) for each in counts]
        beside = np.concatenate(halves, axis=1)
        result = alignment_metrics(W, signatures, min_support)
        agree(result, of_rows(W[kept].astype(np.longdouble), beside, kept))
        assert result.correlation.signature == "phi_test+psi_test"
        assert result.correlation.min_support == min_support


def test_prepared_signatures(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same figures, and the signature's own products are computed once."""
    W, counts = rng.standard_normal((40, 6)) + 0.3, random_counts(rng, 40, 20)
    counts[:, 0] += 1
    signature = signature_of(counts)
    calls = []
    original = prepared._gram_squares
    monkeypatch.setattr(prepared, "_gram_squares", lambda *of: calls.append(of) or original(*of))
    kept = prepare(signature, 50)
    for each in (W, 2 * W + 1, W):
        for centre in (False, True):
            result = alignment_metrics(each, kept, centre=centre)
            assert len(calls) == 1
            assert alignment_metrics(each, kept, 30, centre).cka == result.cka
            other = alignment_metrics(each, signature, 50, centre)
            assert same(result, other)
            calls.pop()
    alignment_metrics(W, kept, 60)
    assert len(calls) == 2  # other rows


def same(a: AlignmentMetrics, b: AlignmentMetrics) -> bool:
    """To the last bit."""
    return (
        (a.correlation, a.interval, a.cka, a.debiased_cka)
        == (b.correlation, b.interval, b.cka, b.debiased_cka)
        and np.array_equal(a.per_token.tokens, b.per_token.tokens)
        and np.array_equal(a.per_token.correlation, b.per_token.correlation)
    )


def test_threads_change_no_bit(
    rng: np.random.Generator, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_HOST_BLOCK", 4 * 13 * 13)
    counts = random_counts(rng, 80, 30) + 1
    for d in (9, 60):
        W = rng.standard_normal((80, d))
        first, *others = (
            alignment_metrics(W, signature_of(counts), 0, True, threads, backend)
            for threads in (1, 2, 3)
        )
        assert all(same(first, other) for other in others)


def test_parts_of_it(rng: np.random.Generator) -> None:
    W, signature = rng.standard_normal((20, 4)), signature_of(random_counts(rng, 20, 9) + 1)
    result = alignment_metrics(W, signature, centre=True)
    assert linear_cka(W, signature, centre=True) == result.cka
    assert linear_cka(W, signature, debiased=True, centre=True) == result.debiased_cka
    own = per_token_correlation(W, signature, centre=True)
    np.testing.assert_array_equal(own.correlation, result.per_token.correlation)


def test_too_few_rows(rng: np.random.Generator) -> None:
    signature = signature_of(np.eye(4, dtype=np.int64) + 1)
    message = (
        "min_support: expected at least 3 tokens that have it in phi_test, got 0 with 7 or more; "
        "the largest support is 5"
    )
    with pytest.raises(ArgumentError, match=message):
        alignment_metrics(np.eye(4), signature, 7)
    W = np.diag([1.0, 1.0, 0.0, math.nan])
    with pytest.raises(ArgumentError, match="got 2 of 4: 1 not finite, 1 zero"):
        alignment_metrics(W, signature)


def test_it_prints_as_a_table(rng: np.random.Generator) -> None:
    W, signature = rng.standard_normal((20, 4)), signature_of(random_counts(rng, 20, 9) + 1)
    result = alignment_metrics(W, signature)
    interval = Interval(0.01, 0.25, 0.06, 0.95, "tokens", 20)
    per_token = PerToken(np.arange(3), np.array([0.25, math.nan, 0.75]))
    changed = dataclasses.replace(
        result, interval=interval, cka=0.5, debiased_cka=math.nan, per_token=per_token
    )
    assert str(changed) == "\n".join(
        [
            str(result.correlation),
            "jackknife over tokens                   0.010000 to 0.250000 (95 %)",
            "linear CKA                              0.500000",
            "debiased CKA                            nan",
            "mean over tokens of their correlations  0.500000",
        ]
    )


@pytest.mark.gpu
@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize(("rows", "d"), [(900, 64), (200, 300)])
def test_on_cuda(rng: np.random.Generator, rows: int, d: int, centre: bool) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU: torch sees none")
    W, signature = rng.standard_normal((rows, d)) + 0.5, signature_of(random_counts(rng, rows, 300))
    expected = alignment_metrics(W, signature, 50, centre)
    found = alignment_metrics(torch.from_numpy(W).to("cuda"), signature, 50, centre)
    for one, other in ((found.cka, expected.cka), (found.debiased_cka, expected.debiased_cka)):
        assert one == pytest.approx(other, abs=1e-10)
    assert found.interval.error == pytest.approx(expected.interval.error, abs=1e-10)
    np.testing.assert_allclose(
        found.per_token.correlation, expected.per_token.correlation, rtol=0, atol=1e-10
    )
