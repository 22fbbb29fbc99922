"""`sampled_correlation` beside the exact one."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from probsig_fast.errors import ArgumentError, ArgumentTypeError

torch = pytest.importorskip("torch", reason="alignment needs torch")

from alignment_support import random_counts, signature_of  # noqa: E402

from probsig_fast.alignment import cosine_correlation, joint, sampled_correlation  # noqa: E402


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20250920)


@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize("rows", [60, 1000])
def test_all_rows_are_exact(
    rng: np.random.Generator, backend: str, rows: int, centre: bool
) -> None:
    W, signature = rng.standard_normal((60, 7)) + 1, signature_of(random_counts(rng, 60, 20) + 1)
    exact = cosine_correlation(W, signature, 5, centre, backend=backend)
    result = sampled_correlation(W, signature, rows, 5, centre, backend=backend)
    assert (result.rows, result.error) == (exact.tokens, 0.0)
    assert result.correlation.pearson == pytest.approx(exact.pearson, abs=1e-13)
    same = dataclasses.replace(result.correlation, pearson=exact.pearson)
    assert same == exact


def test_the_error_is_what_the_sample_makes(rng: np.random.Generator) -> None:
    """Over many seeds: no bias that matters, and errors of the size that they state."""
    counts = random_counts(rng, 400, 60) * rng.integers(0, 2, (400, 1)) + np.eye(400, 60, dtype=int)
    W = np.log1p(counts) @ rng.standard_normal((60, 9)) + rng.standard_normal((400, 9))
    signature = signature_of(counts)
    exact = cosine_correlation(W, signature).pearson
    results = [sampled_correlation(W, signature, 40, seed=seed) for seed in range(100)]
    errors = np.array([result.error for result in results])
    deviations = np.array([result.correlation.pearson - exact for result in results])
    assert exact > 0.05
    assert abs(deviations.mean()) < 0.4 * errors.mean()
    assert 0.8 < np.sqrt(np.square(deviations).mean()) / errors.mean() < 1.25
    assert (errors > 0).all()


def test_more_rows_make_it_better(rng: np.random.Generator) -> None:
    signature = signature_of(random_counts(rng, 300, 40) + np.eye(300, 40, dtype=int))
    W = rng.standard_normal((300, 5))
    errors = [sampled_correlation(W, signature, rows).error for rows in (10, 100, 299, 300)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == 0.0


def test_it_does_not_depend_on_threads(rng: np.random.Generator) -> None:
    signature = signature_of(random_counts(rng, 200, 40) + 1)
    W = rng.standard_normal((200, 5))
    assert len({sampled_correlation(W, signature, 50, threads=n) for n in (1, 2, 5)}) == 1
    other = sampled_correlation(W, signature, 50, seed=1)
    assert other != sampled_correlation(W, signature, 50)


def test_joint_signatures(rng: np.random.Generator) -> None:
    both = joint(*(signature_of(random_counts(rng, 50, 30) + 1) for _ in range(2)))
    W = rng.standard_normal((50, 5))
    exact = cosine_correlation(W, both).pearson
    assert sampled_correlation(W, both, 50).correlation.pearson == pytest.approx(exact, abs=1e-13)
    assert "standard error" in str(sampled_correlation(W, both, 20))


def test_what_is_undefined(rng: np.random.Generator) -> None:
    result = sampled_correlation(rng.standard_normal((5, 3)), signature_of(np.ones((5, 2))), 3)
    assert math.isnan(result.correlation.pearson)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rows": 1}, ArgumentError, "rows: expected at least 2, got 1"),
        ({"rows": 2.5}, ArgumentTypeError, "rows: expected an int, got float 2.5"),
        ({"seed": -1}, ArgumentError, "seed: expected at least 0, got -1"),
        ({"min_support": 99}, ArgumentError, "min_support: expected at least 3 tokens"),
    ],
)
def test_arguments_that_cannot_be_used(
    options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        sampled_correlation(np.eye(4) + 1, signature_of(np.eye(4) + 1), **options)
