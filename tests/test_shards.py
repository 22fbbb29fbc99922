"""The jackknife over shards against brute force; sums of shards against counts of the whole."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import probsig_fast as ps
from probsig_fast.errors import ArgumentError, ArgumentTypeError, CountOverflowError

torch = pytest.importorskip("torch", reason="alignment needs torch")

from alignment_support import brute_force, random_counts, signature_of  # noqa: E402

from probsig_fast.alignment import cosine_correlation, joint  # noqa: E402
from probsig_fast.alignment.shards import difference, shard_interval, sum_of  # noqa: E402

#: Student's 97.5 % quantiles, from a printed table, by degrees of freedom.
QUANTILES = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 9: 2.262}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20250920)


def dense(signature: ps.Signature) -> NDArray[np.int64]:
    counts = np.zeros(signature.shape, np.int64)
    rows = np.repeat(np.arange(signature.shape[0]), np.diff(signature.indptr))
    counts[rows, signature.indices] = signature.counts
    return counts


def same(a: ps.Signature, b: ps.Signature) -> None:
    """Array by array."""
    for field in dataclasses.fields(a):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if isinstance(x, np.ndarray):
            np.testing.assert_array_equal(x, y)
        else:
            assert x == y


def check(
    W: Any, shards: list[NDArray[np.int64]], min_support: int = 0, centre: bool = False
) -> Any:
    signatures = [signature_of(each) for each in shards]
    result = shard_interval(W, signatures, min_support, centre, threads=1)
    whole = np.sum(shards, axis=0)
    estimate = brute_force(W, whole, min_support, centre).pearson
    others = [brute_force(W, whole - each, min_support, centre).pearson for each in shards]
    n = len(shards)
    error = math.sqrt((n - 1) / n * sum((r - sum(others) / n) ** 2 for r in others))
    assert result.error == pytest.approx(error, abs=1e-12)
    reach = QUANTILES[n - 1] * error
    assert (result.low, result.high) == pytest.approx(
        (estimate - reach, estimate + reach), abs=1e-11 + 6e-4 * error
    )
    assert (result.low + result.high) / 2 == pytest.approx(estimate, abs=1e-12)
    assert (result.level, result.over, result.units) == (0.95, "shards", n)
    return result


@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize("shards", [2, 3, 5, 10])
def test_random_cases(rng: np.random.Generator, shards: int, centre: bool) -> None:
    W = rng.standard_normal((30, 6)) + 0.5
    counts = [random_counts(rng, 30, 12) for _ in range(shards)]
    check(W, counts, 0, centre)
    # Each sum has its own tokens.
    bound = int(np.median(np.sum(counts, axis=0).sum(axis=1)) * (shards - 1) / shards)
    check(W, counts, bound, centre)


def test_the_bound_is_for_sums(rng: np.random.Generator) -> None:
    """Tokens pass with less in every shard; tokens of one shard alone are gone without it."""
    W = rng.standard_normal((8, 3))
    counts = [random_counts(rng, 8, 9) + 4 for _ in range(3)]
    for k, each in enumerate(counts):
        each[5:] = 0
        each[5 + k] = rng.integers(1, 400, 9)
    check(W, counts, 90)


def test_equal_shards(rng: np.random.Generator) -> None:
    """To leave one out changes no probability: no error."""
    counts = random_counts(rng, 20, 9) + 1
    result = check(rng.standard_normal((20, 4)), [counts] * 3)
    assert result.error == pytest.approx(0.0, abs=1e-14)


def corpus_shards(
    rng: np.random.Generator, relation: Any = None
) -> tuple[ps.Counts, list[ps.Counts]]:
    """Of documents that end in token 0, so that no pair is cut."""
    texts = [np.append(rng.integers(1, 40, rng.integers(5, 900)), 0) for _ in range(7)]
    texts = [text.astype(np.uint16) for text in texts]
    options = {"vocab_size": 40, "eos": 0, "count_eos": False, "backend": "reference"}
    relations = () if relation is None else (relation,)
    whole = ps.count(np.concatenate(texts), *relations, **options)
    return whole, [ps.count(text, *relations, **options) for text in texts]


@pytest.mark.parametrize("name", ["phi_next", "psi_pre"])
def test_shards_of_a_corpus_add_up(rng: np.random.Generator, name: str) -> None:
    whole, parts = corpus_shards(rng)
    shards = [getattr(part, name)() for part in parts]
    total = sum_of(shards)
    same(total, getattr(whole, name)())
    for k in range(len(parts)):
        rest = difference(total, shards[k])
        same(rest, sum_of([shard for j, shard in enumerate(shards) if j != k]))
    W = rng.standard_normal((40, 6))
    result = shard_interval(W, shards)
    middle = (result.low + result.high) / 2
    assert middle == pytest.approx(cosine_correlation(W, getattr(whole, name)()).pearson)


def test_scaled_counts_add_up(rng: np.random.Generator) -> None:
    whole, parts = corpus_shards(rng, ps.Window(2, "harmonic", "symmetric"))
    shards = [part.row_conditional() for part in parts]
    assert shards[0].weight_scale > 1
    same(sum_of(shards), whole.row_conditional())


def test_joint_signatures(rng: np.random.Generator) -> None:
    """Their parts add up, each for itself."""
    W = rng.standard_normal((40, 6))
    whole, parts = corpus_shards(rng)
    shards = [joint(part.phi_next(), part.psi_pre()) for part in parts]
    result = shard_interval(W, shards)
    others = []
    for k in range(len(parts)):
        rest = [part for j, part in enumerate(parts) if j != k]
        sums = [
            sum_of([getattr(part, name)() for part in rest]) for name in ("phi_next", "psi_pre")
        ]
        others.append(cosine_correlation(W, joint(*sums)).pearson)
    assert result.error == pytest.approx(math.sqrt(6 / 7 * 7 * np.var(others)))
    estimate = cosine_correlation(W, joint(whole.phi_next(), whole.psi_pre())).pearson
    assert (result.low + result.high) / 2 == pytest.approx(estimate)


def test_token_strings_stay() -> None:
    strings = ("a", "b", "c")
    shards = [signature_of(np.eye(3) + k, token_strings=strings) for k in range(2)]
    total = sum_of(shards)
    assert total.token_strings == difference(total, shards[0]).token_strings == strings


def test_narrow_counts_do_not_wrap() -> None:
    """Counts may be kept in int32."""
    large = dataclasses.replace(
        signature_of(np.full((3, 2), 2**31 - 1)), counts=np.full(6, 2**31 - 1, np.int32)
    )
    assert (dense(sum_of([large] * 4)) == 4 * (2**31 - 1)).all()


@pytest.mark.parametrize("support", [False, True])
def test_sums_beyond_int64(support: bool) -> None:
    counts = np.ones((3, 2), np.int64)
    shard = signature_of(counts if support else counts * (2**62 + 1))
    shard = dataclasses.replace(shard, support=np.full(3, 2**62 + 1 if support else 1))
    with pytest.raises(CountOverflowError, match=r"phi_test up to 2\^63 - 1, got more"):
        shard_interval(np.eye(3), [shard] * 2)
    fits = dataclasses.replace(shard, counts=shard.counts // 2, support=shard.support // 2)
    assert (sum_of([fits] * 3).support == 3 * fits.support).all()


def test_undefined_correlations(rng: np.random.Generator) -> None:
    """Of the whole, or without a shard."""
    alike = np.ones((5, 4), np.int64)
    other = rng.integers(1, 9, (5, 4))
    W = rng.standard_normal((5, 3))
    for shards in ([alike, alike], [alike, other], [other, 9 - other]):
        result = shard_interval(W, [signature_of(each) for each in shards])
        assert np.isnan([result.low, result.high, result.error]).all()


SHARDS = [signature_of(np.eye(4, dtype=np.int64) + k) for k in (1, 2, 3)]


def changed(**fields: Any) -> list[ps.Signature]:
    return [*SHARDS[:2], dataclasses.replace(SHARDS[2], **fields)]


@pytest.mark.parametrize(
    ("shards", "error", "message"),
    [
        (SHARDS[:1], ArgumentError, "shards: expected at least 2, got 1"),
        ([], ArgumentError, "shards: expected at least 2, got 0"),
        (SHARDS[0], ArgumentTypeError, "shards: expected a sequence of Signatures, got Signature"),
        (iter(SHARDS), ArgumentTypeError, "expected a sequence of Signatures, got list_iterator"),
        ([*SHARDS, None], ArgumentTypeError, "shards: expected Signatures, got NoneType"),
        (changed(name="psi"), ArgumentError, "expected name phi_test as in shard 0, got psi in s"),
        (changed(weight_scale=6), ArgumentError, "weight_scale 1 as in shard 0, got 6 in shard 2"),
        (changed(n_columns=5), ArgumentError, r"shape \(4, 4\) as in shard 0, got \(4, 5\) in sh"),
        (changed(min_support=2), ArgumentError, "to the sums.*, got shard 2 with min_support 2"),
        (changed(indices=SHARDS[2].indices + 1), ArgumentError, "signature: expected columns from"),
        (
            [*SHARDS, joint(*SHARDS[:2])],
            ArgumentError,
            r"name phi_test as in shard 0, got phi_test and phi_test in shard 3",
        ),
    ],
)
def test_shards_that_cannot_be_used(shards: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        shard_interval(np.eye(4) + 0.5, shards)


def test_bounds_that_leave_too_little() -> None:
    W = np.arange(12.0).reshape(4, 3)
    with pytest.raises(ArgumentError, match=r"^min_support: expected at least 3 tokens"):
        shard_interval(W, SHARDS, 100)
    with pytest.raises(ArgumentError, match="shards: without shard 1: min_support: expected at"):
        shard_interval(W, SHARDS, 19)
