"""Frequency strata against brute force."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import probsig_fast as ps
from probsig_fast.errors import ArgumentError, ArgumentTypeError, BackendError

torch = pytest.importorskip("torch", reason="alignment needs torch")

from alignment_support import random_counts, signature_of, unit  # noqa: E402

from probsig_fast.alignment import (  # noqa: E402
    cosine_correlation,
    joint,
    prepare,
    prepared,
)
from probsig_fast.alignment.gram import (  # noqa: E402
    devices,
)
from probsig_fast.alignment.strata import (  # noqa: E402
    Stratum,
    equal_groups,
    frequency_strata,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20250920)


def brute_force(
    W: NDArray[Any], counts: NDArray[Any], strata: int, min_support: int, centre: bool
) -> list[tuple[Any, ...]]:
    """The figures of each stratum, from whole cosine matrices."""
    wide = np.asarray(W, np.longdouble)
    support = counts.sum(axis=1)
    passing = support >= min_support
    if centre:
        wide = wide - wide[passing].mean(axis=0)
    kept = np.flatnonzero(passing & (counts != 0).any(axis=1) & (wide != 0).any(axis=1))
    order = sorted(kept.tolist(), key=lambda token: (support[token], token))
    each, larger = divmod(len(order), strata)
    found = []
    for k in range(strata):
        size = each + (k < larger)
        group, order = order[:size], order[size:]
        if group:
            figures = correlation(wide[group], counts[group].astype(np.longdouble))
            found.append((support[group[0]], support[group[-1]], size, *figures))
    return found


def correlation(W: NDArray[Any], counts: NDArray[Any]) -> tuple[float, float, float]:
    outside = ~np.eye(len(W), dtype=bool)
    if not outside.any():
        return (math.nan,) * 3
    g, h = ((unit(rows) @ unit(rows).T)[outside] for rows in (W, counts))
    dg, dh = g - g.mean(), h - h.mean()
    r = (dg * dh).sum() / np.sqrt((dg**2).sum() * (dh**2).sum()) if len(W) > 2 else math.nan
    return float(r), float(g.mean()), float(h.mean())


def check(
    W: NDArray[Any],
    counts: NDArray[Any],
    strata: int = 4,
    min_support: int = 0,
    centre: bool = False,
    **options: Any,
) -> tuple[Stratum, ...]:
    options = {"threads": 1} | options
    result = frequency_strata(W, signature_of(counts), strata, min_support, centre, **options)
    expected = brute_force(W, counts, strata, min_support, centre)
    assert len(result) == len(expected)
    for stratum, (least, most, tokens, *figures) in zip(result, expected, strict=True):
        assert (stratum.least_support, stratum.most_support) == (least, most)
        assert (stratum.tokens, stratum.pairs) == (tokens, tokens * (tokens - 1) // 2)
        found = (
            stratum.pearson,
            stratum.mean_embedding_cosine,
            stratum.mean_signature_cosine,
        )
        assert found == pytest.approx(figures, abs=1e-12, rel=0, nan_ok=True)
    return result


@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize("strata", [1, 2, 4, 7])
@pytest.mark.parametrize(("rows", "d"), [(28, 3), (61, 9), (30, 40)])
def test_random_cases(
    rng: np.random.Generator, backend: str, rows: int, d: int, strata: int, centre: bool
) -> None:
    W, counts = rng.standard_normal((rows, d)) + 1.0, random_counts(rng, rows, 20) + 1
    check(W, counts, strata, 0, centre, backend=backend)
    check(W, counts, strata, 200, centre, backend=backend)


def test_ties_go_by_id(rng: np.random.Generator) -> None:
    support = [6, 10, 6, 2, 8, 6, 3, 9, 6, 6, 4, 6]
    counts = np.array([rng.multinomial(each, np.full(9, 1 / 9)) for each in support])
    result = check(rng.standard_normal((12, 4)), counts, 3)
    assert [(each.least_support, each.most_support) for each in result] == [(2, 6), (6, 6), (6, 10)]


def test_one_stratum_is_the_whole(rng: np.random.Generator) -> None:
    W, counts = rng.standard_normal((30, 5)), random_counts(rng, 30, 12)
    W[[0, 5]] = 0
    counts[[5, 9, 29]] = 0
    for centre in (False, True):
        (stratum,) = check(W, counts, 1, 40, centre)
        plain = cosine_correlation(W, signature_of(counts), 40, centre)
        assert stratum.pearson == plain.pearson
        assert (stratum.tokens, stratum.pairs) == (plain.tokens, plain.pairs)
        assert stratum.mean_embedding_cosine == plain.mean_embedding_cosine


@pytest.mark.parametrize("strata", [2, 3, 5, 9, 10**9])
def test_few_tokens(rng: np.random.Generator, strata: int) -> None:
    """Strata of two tokens and of one: no correlation, and no more strata than tokens."""
    W, counts = rng.standard_normal((5, 3)), random_counts(rng, 5, 9) + 1
    if strata > 5:
        result = frequency_strata(W, signature_of(counts), strata)
        assert result == check(W, counts, 5)
    else:
        result = check(W, counts, strata)
    assert sum(each.tokens for each in result) == 5
    small = [each for each in result if each.tokens < 3]
    assert all(math.isnan(each.pearson) for each in small)
    assert small


def test_undefined_in_one_stratum_only(rng: np.random.Generator) -> None:
    """Rare tokens all alike, as those of one count are."""
    W, counts = rng.standard_normal((20, 5)), random_counts(rng, 20, 9) + 1
    counts[:10] = np.eye(9, dtype=np.int64)[0]
    first, second = frequency_strata(W, signature_of(counts), 2)
    assert math.isnan(first.pearson)
    assert first.mean_signature_cosine == pytest.approx(1.0)
    assert not math.isnan(second.pearson)


def test_groups() -> None:
    groups = equal_groups(np.array([3, 1, 2, 2, 9, 2]), 4)
    assert [group.tolist() for group in groups] == [[1, 2], [3, 5], [0], [4]]
    assert [group.tolist() for group in equal_groups(np.array([2, 1]), 9)] == [[1], [0]]


def test_scaled_support(rng: np.random.Generator) -> None:
    """It is told in unscaled counts."""
    tokens = rng.integers(0, 9, 400).astype(np.uint16)
    counts = ps.count(tokens, ps.Window(2, "harmonic", "symmetric"), vocab_size=9)
    signature = counts.row_conditional()
    assert signature.weight_scale > 1
    W = rng.standard_normal((9, 4))
    result = frequency_strata(W, signature, 3, 10)
    support = np.sort(signature.support) / signature.weight_scale
    assert [each.least_support for each in result] == support[::3].tolist()
    assert [each.most_support for each in result] == support[2::3].tolist()
    whole = signature_of([[1, 2], [2, 3], [4, 1]])
    assert {type(each.least_support) for each in frequency_strata(W[:3], whole, 1)} == {int}


def test_threads_change_no_bit(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_HOST_BLOCK", 4 * 7 * 7)
    W, signature = rng.standard_normal((80, 9)), signature_of(random_counts(rng, 80, 30) + 1)
    before = W.copy()
    results = {frequency_strata(W, signature, centre=True, threads=n) for n in (1, 2, 3)}
    assert len(results) == 1
    np.testing.assert_array_equal(W, before)


def test_prepared_and_joint_signatures(rng: np.random.Generator) -> None:
    W = rng.standard_normal((40, 6))
    first, second = random_counts(rng, 40, 20) + 1, random_counts(rng, 40, 31) + 1
    signatures = signature_of(first), signature_of(second, "psi_test")
    assert frequency_strata(W, prepare(signatures[0])) == check(W, first)
    units = [unit(each.astype(np.float64)) for each in (first, second)]
    least = np.minimum(first.sum(axis=1), second.sum(axis=1))
    result = frequency_strata(W, joint(*signatures), 2)
    for stratum, group in zip(result, equal_groups(least, 2), strict=True):
        side_by_side = np.concatenate([each[group] for each in units], axis=1)
        expected = correlation(W[group], side_by_side)
        assert stratum.pearson == pytest.approx(expected[0], abs=1e-12)
        assert stratum.most_support == least[group].max()


def test_a_prepared_signature_keeps_its_products(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For another W, and not for other strata or other tokens."""
    counts, embeddings = random_counts(rng, 40, 20) + 1, rng.standard_normal((4, 40, 6))
    embeddings[3, np.argsort(counts.sum(axis=1))[-1]] = 0.0
    kept, computed = prepare(signature_of(counts), 150), []
    original = prepared._gram_squares
    monkeypatch.setattr(prepared, "_gram_squares", lambda *of: computed.append(of) or original(*of))
    cases = zip(embeddings[[0, 1, 1, 2, 3]], (3, 3, 2, 3, 1), (3, 0, 2, 0, 1), strict=True)
    for W, strata, new in cases:
        computed.clear()
        found = frequency_strata(W, kept, strata)
        assert len(computed) == new
        assert found == frequency_strata(W, signature_of(counts), strata, 150)
        for stratum in found:
            assert not math.isnan(stratum.pearson)


SIGNATURE = signature_of(np.eye(4, dtype=np.int64) + 1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"strata": 0}, ArgumentError, "strata: expected at least 1, got 0"),
        ({"strata": 2.0}, ArgumentTypeError, "strata: expected an int, got float 2.0"),
        ({"centre": 1}, ArgumentTypeError, "centre: expected a bool, got int 1"),
        ({"backend": "gpu"}, BackendError, "backend: expected one of .*, got 'gpu'"),
        ({"min_support": 9}, ArgumentError, "min_support: expected at least 3 tokens"),
    ],
)
def test_arguments_that_cannot_be_used(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        frequency_strata(np.eye(4) + 0.5, SIGNATURE, **options)


def test_it_prints_as_a_line() -> None:
    stratum = Stratum(2000, 31415, 1500, 1124250, 0.03125, 0.001, 0.2)
    assert str(stratum) == (
        "support 2,000 to 31,415: 1,500 tokens, 1,124,250 pairs, R_cos 0.031250, "
        "mean cosines 0.001000 and 0.200000"
    )


@pytest.mark.gpu
def test_on_cuda(rng: np.random.Generator) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU: torch sees none")
    W, signature = rng.standard_normal((900, 64)) + 0.5, signature_of(random_counts(rng, 900, 400))
    expected = frequency_strata(W, signature, 3, 50, True)
    found = frequency_strata(torch.from_numpy(W).to("cuda"), signature, 3, 50, True)
    for there, here in zip(found, expected, strict=True):
        assert there.tokens == here.tokens
        assert there.pearson == pytest.approx(here.pearson, abs=1e-10)
