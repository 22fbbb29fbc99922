"""Permutation nulls against brute force: whole cosine matrices, their rows permuted."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from probsig_fast.errors import ArgumentError, ArgumentTypeError

torch = pytest.importorskip("torch", reason="alignment needs torch")

from alignment_support import random_counts, signature_of, unit  # noqa: E402

from probsig_fast.alignment import (  # noqa: E402
    cosine_correlation,
    joint,
    nulls,
    prepare,
)
from probsig_fast.alignment.gram import (  # noqa: E402
    cross,
    devices,
    moments,
    sparse,
)
from probsig_fast.alignment.nulls import Null, permutation_null  # noqa: E402
from probsig_fast.alignment.strata import equal_groups  # noqa: E402


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20250920)


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> list[NDArray[np.int64]]:
    """The permutations drawn."""
    drawn = []
    original = nulls._orders

    def orders(*arguments: Any) -> Any:
        for order in original(*arguments):
            drawn.append(order)
            yield order

    monkeypatch.setattr(nulls, "_orders", orders)
    return drawn


def cosines(rows: NDArray[Any]) -> NDArray[Any]:
    units = unit(np.asarray(rows, np.longdouble))
    return units @ units.T


def pearson(g: NDArray[Any], h: NDArray[Any]) -> float:
    outside = ~np.eye(len(g), dtype=bool)
    g, h = g[outside], h[outside]
    g, h = g - g.mean(), h - h.mean()
    return float((g * h).sum() / np.sqrt((g * g).sum() * (h * h).sum()))


def permuted(g: NDArray[Any], h: NDArray[Any], orders: Any) -> NDArray[np.float64]:
    return np.array([pearson(g[np.ix_(order, order)], h) for order in orders])


def check(
    spy: list[NDArray[np.int64]],
    W: NDArray[Any],
    counts: NDArray[Any],
    centre: bool = False,
    **options: Any,
) -> Null:
    """All rows compared: draws are what brute force finds for the same permutations."""
    spy.clear()
    result = permutation_null(W, signature_of(counts), 0, centre, **options)
    assert len(spy) == result.draws == result.values.size
    wide = np.asarray(W, np.longdouble)
    g, h = cosines(wide - wide.mean(axis=0) if centre else wide), cosines(counts)
    expected = permuted(g, h, spy)
    observed = pearson(g, h)
    np.testing.assert_allclose(result.values, expected, rtol=0, atol=1e-12)
    assert result.observed == pytest.approx(observed, abs=1e-12)
    assert result.mean == pytest.approx(expected.mean(), abs=1e-12)
    assert result.tokens == len(W)
    as_large = (np.abs(expected) > abs(observed) - 1e-11).sum()
    assert result.p_value == (1 + as_large) / (1 + result.draws)
    if result.draws > 1:
        assert result.deviation == pytest.approx(expected.std(ddof=1), abs=1e-12)
    return result


@pytest.mark.parametrize("bands", [None, 1, 4])
@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize(("rows", "d"), [(12, 3), (40, 5), (30, 60)])
def test_draws(
    rng: np.random.Generator, spy: Any, rows: int, d: int, centre: bool, bands: int | None
) -> None:
    W = rng.standard_normal((rows, d)) + rng.standard_normal(d)
    result = check(spy, W, random_counts(rng, rows, 20) + 1, centre, draws=7, bands=bands, seed=3)
    assert result.z == pytest.approx((result.observed - result.mean) / result.deviation)
    assert (result.draws, result.bands, result.seed, result.centred) == (7, bands, 3, centre)
    assert math.isnan(result.exact_deviation) == (bands is not None)


@pytest.mark.parametrize("always", [0.0, 1e300])
def test_pairs_or_factors(
    rng: np.random.Generator, spy: Any, monkeypatch: pytest.MonkeyPatch, always: float
) -> None:
    """The covariance pair by pair is that of the factors."""
    monkeypatch.setattr(moments, "_CANCELLED", always)
    monkeypatch.setattr(devices, "_HOST_BLOCK", 4 * 13 * 13)
    check(spy, rng.standard_normal((50, 6)) + 0.3, random_counts(rng, 50, 20) + 1, draws=5)


@pytest.mark.parametrize("bands", [None, 3])
def test_terms_that_cancel(rng: np.random.Generator, spy: Any, bands: int | None) -> None:
    """Rows that are nearly alike, and signatures that share almost nothing."""
    near = rng.standard_normal(20) + 1e-3 * rng.standard_normal((40, 20))
    check(spy, near, random_counts(rng, 40, 20) + 1, draws=5, bands=bands)
    sparse_rows = 1000 * np.eye(40, 60, dtype=np.int64) + rng.poisson(0.05, (40, 60))
    check(spy, rng.standard_normal((40, 50)), sparse_rows, draws=5, bands=bands)


@pytest.mark.parametrize("rows", [3, 4, 5, 6])
def test_the_exact_null(rng: np.random.Generator, rows: int) -> None:
    """Its mean and deviation are those over all permutations."""
    for _ in range(3):
        W, counts = rng.standard_normal((rows, 3)) + 0.5, random_counts(rng, rows, 9) + 1
        everything = permuted(cosines(W), cosines(counts), itertools.permutations(range(rows)))
        result = permutation_null(W, signature_of(counts), draws=2)
        assert everything.mean() == pytest.approx(0.0, abs=1e-12)
        assert result.exact_mean == 0.0
        assert result.exact_deviation == pytest.approx(everything.std(), abs=1e-12)
        assert result.exact_z == pytest.approx(result.observed / everything.std())


def within(groups: list[NDArray[np.int64]]) -> Any:
    """All permutations within groups."""
    for parts in itertools.product(*(itertools.permutations(group) for group in groups)):
        order = np.empty(sum(group.size for group in groups), np.int64)
        for group, part in zip(groups, parts, strict=True):
            order[group] = part
        yield order


@pytest.mark.parametrize(("rows", "bands"), [(3, 2), (6, 2), (7, 3), (8, 4), (9, 8), (9, 9)])
def test_the_exact_mean_within_bands(rng: np.random.Generator, rows: int, bands: int) -> None:
    """Where tokens of about the same frequency are alike, it is not 0."""
    for _ in range(3):
        counts = random_counts(rng, rows, 9) + 1
        W = rng.standard_normal((rows, 3)) + counts.sum(axis=1, keepdims=True) ** [0.5, 0.1, 0.7]
        groups = equal_groups(counts.sum(axis=1), bands)
        expected = permuted(cosines(W), cosines(counts), within(groups)).mean()
        result = permutation_null(W, signature_of(counts), draws=2, bands=bands)
        assert result.exact_mean == pytest.approx(expected, abs=1e-12)
        assert math.isnan(result.exact_deviation)
        assert math.isnan(result.exact_z)
        if bands == rows:
            assert result.exact_mean == pytest.approx(result.observed, abs=1e-12)


def test_draws_within_bands_are_about_their_mean(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    frequent = np.arange(60) > 40
    counts, W = random_counts(rng, 60, 30) + 1, rng.standard_normal((60, 4))
    counts[frequent, 0] += 1000
    W[frequent, 0] += 3.0
    result = permutation_null(W, signature_of(counts), draws=300, bands=5)
    error = result.deviation / math.sqrt(300)
    assert abs(result.exact_mean) > 10 * error  # it says something
    assert abs(result.mean - result.exact_mean) < 4 * error
    one = permutation_null(W, signature_of(counts), draws=2, bands=1)
    assert one.exact_mean == pytest.approx(0.0, abs=1e-12)
    monkeypatch.setattr(nulls, "MOST_GROUPS", 4)
    assert math.isnan(permutation_null(W, signature_of(counts), draws=2, bands=5).exact_mean)


def test_free_draws_are_of_the_exact_null(rng: np.random.Generator) -> None:
    W, counts = rng.standard_normal((5, 3)), random_counts(rng, 5, 9) + 1
    everything = permuted(cosines(W), cosines(counts), itertools.permutations(range(5)))
    result = permutation_null(W, signature_of(counts), draws=1500)
    assert abs(result.mean) < 4 * everything.std() / math.sqrt(1500)
    assert result.deviation == pytest.approx(everything.std(), rel=0.08)
    as_large = np.abs(everything) > abs(result.observed) - 1e-11
    assert result.p_value == pytest.approx(as_large.mean(), abs=0.05)
    distances = np.abs(result.values[:, None] - everything).min(axis=1)
    assert distances.max() < 1e-12
    for r in np.unique(everything.round(9)):  # all are drawn
        assert np.abs(result.values - r).min() < 1e-8


def test_many_tokens(rng: np.random.Generator) -> None:
    """The closed form, where permutations are too many for anything else."""
    W, counts = rng.standard_normal((60, 4)) + 0.5, random_counts(rng, 60, 30) + 1
    result = permutation_null(W, signature_of(counts), draws=400)
    assert result.deviation == pytest.approx(result.exact_deviation, rel=0.12)


def test_bands(rng: np.random.Generator, spy: Any) -> None:
    """Tokens trade places within groups of equal number by support, ties by id."""
    counts = np.zeros((11, 12), np.int64)
    counts[:, 0] = [5, 9, 5, 1, 7, 5, 2, 8, 5, 5, 3]
    counts[np.arange(11), 1 + np.arange(11)] = 1
    check(spy, rng.standard_normal((11, 4)), counts, draws=40, bands=3)
    groups = [{3, 6, 10, 0}, {2, 5, 8, 9}, {4, 7, 1}]
    moved = np.array(spy)
    for group in groups:
        for token in group:
            assert set(moved[:, token].tolist()) == group
    for order in spy:
        assert set(order.tolist()) == set(range(11))


@pytest.mark.parametrize("bands", [30, 31, 10**6])
def test_bands_of_one_token(rng: np.random.Generator, spy: Any, bands: int) -> None:
    W, counts = rng.standard_normal((30, 6)), random_counts(rng, 30, 20) + 1
    result = check(spy, W, counts, draws=3, bands=bands)
    assert result.values == pytest.approx(result.observed, abs=1e-13)
    assert result.p_value == 1.0
    assert math.isnan(result.z)
    plain = cosine_correlation(W, signature_of(counts))
    assert result.observed == plain.pearson


def test_a_clear_case(rng: np.random.Generator) -> None:
    counts = random_counts(rng, 60, 30) + 1
    W = counts / np.sqrt(counts.sum(axis=1, keepdims=True))
    result = permutation_null(W, signature_of(counts), draws=99)
    assert result.observed == pytest.approx(1.0)
    assert result.p_value == 0.01
    assert result.z > 10
    assert result.exact_z > 10


def test_the_sign_does_not_matter() -> None:
    """Two-sided, and values equal up to rounding are equal."""
    values = np.array([0.3, -0.5, 0.5 - 1e-14, 0.1, -0.6])
    null = Null(5, None, 0, 0.5, values.mean(), 1.0, 0.0, 1.0, values, 9, "phi", 0, False)
    assert null.p_value == 4 / 6
    assert dataclasses.replace(null, observed=-0.5).p_value == 4 / 6
    assert dataclasses.replace(null, observed=0.7).p_value == 1 / 6


def test_one_draw(rng: np.random.Generator, spy: Any) -> None:
    counts = random_counts(rng, 9, 20) + 1
    result = check(spy, rng.standard_normal((9, 3)), counts, draws=1)
    assert math.isnan(result.deviation)
    assert math.isnan(result.z)
    assert result.mean == result.values[0]


def test_undefined_correlations(rng: np.random.Generator) -> None:
    for W, counts in (
        (np.ones((9, 3)), random_counts(rng, 9, 20) + 1),
        (rng.standard_normal((9, 3)), np.ones((9, 5), np.int64)),
        (rng.standard_normal((9, 3)), np.eye(9, dtype=np.int64)),
    ):
        for bands in (None, 3):
            result = permutation_null(W, signature_of(counts), draws=4, bands=bands)
            assert result.values.size == 4
            assert np.isnan(result.values).all()
            figures = (result.observed, result.mean, result.deviation, result.z, result.p_value)
            assert np.isnan([*figures, result.exact_deviation, result.exact_z]).all()


def test_seeds_and_threads(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_HOST_BLOCK", 4 * 13 * 13)
    W, signature = rng.standard_normal((80, 9)), signature_of(random_counts(rng, 80, 30) + 1)
    before = W.copy()
    for bands in (None, 5):
        values = [
            permutation_null(W, signature, 0, True, 4, bands, 7, threads).values
            for threads in (1, 2, 3)
        ]
        for other in values[1:]:
            np.testing.assert_array_equal(values[0], other)
        other = permutation_null(W, signature, 0, True, 4, bands, 8).values
        assert not np.isin(other, values[0]).any()
        longer = permutation_null(W, signature, 0, True, 6, bands, 7).values
        np.testing.assert_array_equal(longer[:4], values[0])
    np.testing.assert_array_equal(W, before)
    with pytest.raises(ValueError, match="read-only"):
        values[0][0] = 1.0


def test_rows_are_those_of_the_correlation(rng: np.random.Generator) -> None:
    W, counts = rng.standard_normal((30, 5)), random_counts(rng, 30, 12)
    W[[0, 5]] = 0
    counts[[5, 9, 29]] = 0
    signature = signature_of(counts)
    for centre in (False, True):
        result = permutation_null(W, signature, 40, centre, 3)
        plain = cosine_correlation(W, signature, 40, centre)
        assert (result.observed, result.tokens) == (plain.pearson, plain.tokens)
        assert (result.signature, result.min_support, result.centred) == ("phi_test", 40, centre)


def test_prepared_and_joint_signatures(rng: np.random.Generator) -> None:
    W = rng.standard_normal((40, 6))
    first, second = random_counts(rng, 40, 20) + 1, random_counts(rng, 40, 31) + 1
    signatures = signature_of(first), signature_of(second, "psi_test")
    prepared = prepare(joint(*signatures))
    g, h = cosines(W), (cosines(first) + cosines(second)) / 2
    orders = nulls._orders(equal_groups(prepared.support, 4), np.random.default_rng(1))
    expected = permuted(g, h, itertools.islice(orders, 5))
    for signature in (prepared, joint(*signatures), prepared):
        result = permutation_null(W, signature, draws=5, bands=4, seed=1)
        np.testing.assert_allclose(result.values, expected, rtol=0, atol=1e-12)
        assert result.signature == "phi_test+psi_test"


SIGNATURE = signature_of(np.eye(4, dtype=np.int64) + np.tri(4, dtype=np.int64))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"draws": 0}, ArgumentError, "draws: expected at least 1, got 0"),
        ({"draws": 2.0}, ArgumentTypeError, "draws: expected an int, got float 2.0"),
        ({"bands": 0}, ArgumentError, "bands: expected at least 1, got 0"),
        ({"bands": "10"}, ArgumentTypeError, "bands: expected an int, got str '10'"),
        ({"seed": -1}, ArgumentError, "seed: expected at least 0, got -1"),
        ({"seed": None}, ArgumentTypeError, "seed: expected an int, got NoneType None"),
        ({"min_support": 9}, ArgumentError, "min_support: expected at least 3 tokens"),
    ],
)
def test_arguments_that_cannot_be_used(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        permutation_null(np.eye(4) + 0.5, SIGNATURE, **options)


def test_it_prints_as_a_table() -> None:
    null = Null(
        *(20, None, 0, 0.0791234, 0.001, 0.004, 0.0, 0.005),
        *(np.zeros(20), 2594, "phi_next", 2000, True),
    )
    assert str(null).splitlines() == [
        "R_cos(W, phi_next)  0.079123",
        "W                   centred",
        "min_support         2,000",
        "tokens              2,594",
        "permuted            freely, 20 draws, seed 0",
        "mean of draws       0.001000",
        "their deviation     0.004000",
        "z                   19.53",
        "p, two-sided        0.0476",
        "deviation of all    0.005000, z 15.82",
    ]
    banded = str(dataclasses.replace(null, bands=10, centred=False))
    assert "within 10 bands of frequency, 20 draws, seed 0" in banded
    assert "raw" in banded
    assert banded.splitlines()[-1] == "mean of all         0.000000"


# On a device


@pytest.mark.parametrize("pairwise", [False, True])
def test_as_on_a_device(
    rng: np.random.Generator, spy: Any, monkeypatch: pytest.MonkeyPatch, pairwise: bool
) -> None:
    """What runs on a CUDA device, on the CPU: torch's sparse products, in the caller's thread."""
    cpu = torch.device("cpu")
    monkeypatch.setattr(moments, "_CANCELLED", 0.0 if pairwise else 1e9)
    monkeypatch.setattr(sparse, "HostRows", lambda matrix: sparse.DeviceRows(matrix, cpu))
    monkeypatch.setattr(devices.WorkerPool, "map", lambda pool, *of: map(*of))
    monkeypatch.setattr(devices, "_HOST_BLOCK", 4 * 13 * 13)
    monkeypatch.setattr(nulls, "cross_norm", lambda columns, e, *_: cross._device_norm(columns, e))
    for bands in (None, 4):
        W, counts = rng.standard_normal((70, 9)) + 1.0, random_counts(rng, 70, 30) + 1
        check(spy, W, counts, True, draws=3, bands=bands)


@pytest.mark.gpu
@pytest.mark.parametrize("bands", [None, 10])
def test_on_cuda(rng: np.random.Generator, bands: int | None) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU: torch sees none")
    W, counts = rng.standard_normal((3000, 64)) + 0.5, random_counts(rng, 3000, 400)
    near = rng.standard_normal(64) + 1e-2 * W
    for rows in (W, near):  # the second is pair by pair
        signature = signature_of(counts)
        expected = permutation_null(rows, signature, 50, True, 5, bands)
        found = permutation_null(torch.from_numpy(rows).to("cuda"), signature, 50, True, 5, bands)
        np.testing.assert_allclose(found.values, expected.values, rtol=0, atol=1e-10)
        assert found.p_value == expected.p_value
