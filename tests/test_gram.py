"""The kernel `gram_squares` against the dense product."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from probsig_fast.kernels import registry
from probsig_fast.kernels.contract import Rows


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20250920)


# The kernel


def sparse_rows(dense: NDArray[np.float64]) -> Rows:
    rows, columns = np.nonzero(dense)
    indptr = np.searchsorted(rows, np.arange(len(dense) + 1)).astype(np.int64)
    return Rows(indptr, columns.astype(np.int32), dense[rows, columns])


def gram_cases(rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """Rows short and long beside each other, empty ones, and products that cancel to 0."""
    for rows, columns, filled in ((1, 1, 1.0), (7, 5, 0.5), (600, 40, 0.01), (530, 30, 0.3)):
        dense = rng.standard_normal((rows, columns)) * (rng.random((rows, columns)) < filled)
        dense[rows // 2] = 0
        dense[0] = rng.standard_normal(columns)
        yield dense
        yield abs(dense)
    signs = rng.integers(-1, 2, (400, 300)) * (rng.random((400, 300)) < 0.012)
    yield signs.astype(np.float64)


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_gram_squares(rng: np.random.Generator, backend: str, shift: float) -> None:
    kernels = registry.choose(backend).load()
    running = np.zeros(1, np.uint8)
    for dense in gram_cases(rng):
        rows, columns = sparse_rows(dense), sparse_rows(dense.T)
        n = len(dense)
        exact = dense.astype(np.longdouble)
        squares = np.square(exact @ exact.T - shift)
        np.fill_diagonal(squares, 0)
        result = kernels.gram_squares(rows, columns, shift, 0, n, running)
        assert result.dtype == np.float64
        np.testing.assert_allclose(
            result, squares.sum(axis=1).astype(np.float64), rtol=1e-13, atol=1e-300
        )
        pieces = [
            kernels.gram_squares(rows, columns, shift, begin, end, running)
            for begin, end in ((0, n // 3), (n // 3, n // 3), (n // 3, n))
        ]
        assert np.array_equal(np.concatenate(pieces), result)


def test_a_cancelled_kernel_returns(rng: np.random.Generator, backend: str) -> None:
    dense = rng.random((50, 20))
    kernels = registry.choose(backend).load()
    cancelled = np.ones(1, np.uint8)
    arrays = sparse_rows(dense), sparse_rows(dense.T)
    assert kernels.gram_squares(*arrays, 0.1, 10, 50, cancelled).shape == (40,)
