"""The kernels `gram_squares`, `gram_row_squares` and `product_squares` against dense products."""

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


def squares_of(dense: NDArray[np.float64], shift: float) -> NDArray[np.float64]:
    """The sums over j != i, by brute force in extended precision."""
    exact = dense.astype(np.longdouble)
    squares = np.square(exact @ exact.T - shift)
    np.fill_diagonal(squares, 0)
    return squares.sum(axis=1).astype(np.float64)


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_gram_squares(rng: np.random.Generator, backend: str, shift: float) -> None:
    kernels = registry.choose(backend).load()
    running = np.zeros(1, np.uint8)
    for dense in gram_cases(rng):
        arrays = sparse_rows(dense), sparse_rows(dense.T)
        n, expected = len(dense), squares_of(dense, shift)
        result = kernels.gram_squares(*arrays, shift, 0, n, running)
        assert result.dtype == np.float64
        np.testing.assert_allclose(result, expected, rtol=1e-13, atol=1e-300)
        again = kernels.gram_squares(*arrays, shift, 0, n, running)
        np.testing.assert_array_equal(again, result)
        shares = [
            kernels.gram_squares(*arrays, shift, begin, end, running)
            for begin, end in ((0, n // 3), (n // 3, n // 3), (n // 3, n))
        ]
        np.testing.assert_allclose(sum(shares), expected, rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_gram_row_squares(rng: np.random.Generator, backend: str, shift: float) -> None:
    kernels = registry.choose(backend).load()
    running = np.zeros(1, np.uint8)
    for dense in gram_cases(rng):
        arrays, expected = (sparse_rows(dense), sparse_rows(dense.T)), squares_of(dense, shift)
        n = len(dense)
        for chosen in (np.arange(n), np.arange(0), rng.permutation(n)[: n // 2 + 1]):
            result = kernels.gram_row_squares(*arrays, shift, chosen, running)
            assert result.dtype == np.float64
            np.testing.assert_allclose(result, expected[chosen], rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("width", [1, 7, 33])
def test_product_squares(rng: np.random.Generator, backend: str, width: int) -> None:
    kernels = registry.choose(backend).load()
    running = np.zeros(1, np.uint8)
    for dense in gram_cases(rng):
        columns, x = sparse_rows(dense.T), rng.standard_normal((len(dense), width))
        product = dense.T.astype(np.longdouble) @ x
        squares = np.square(product).sum(axis=1)
        n = len(squares)
        for begin, end in ((0, n), (n // 3, n // 2), (n, n)):
            norm, none = kernels.product_squares(columns, x, begin, end, False, running)
            assert norm == pytest.approx(float(squares[begin:end].sum()), rel=1e-13, abs=1e-300)
            assert none.shape == (0,)
            same, shares = kernels.product_squares(columns, x, begin, end, True, running)
            assert same == norm
            part = dense[:, begin:end] @ product[begin:end]
            wanted = np.asarray((part * x).sum(axis=1), np.float64)
            np.testing.assert_allclose(shares, wanted, rtol=0, atol=1e-12 * (abs(norm) + 1e-300))


def test_indices_outside_are_refused(rng: np.random.Generator, backend: str) -> None:
    columns = sparse_rows(rng.random((4, 9)))
    kernels = registry.choose(backend).load()
    with pytest.raises(IndexError):
        kernels.product_squares(columns, rng.random((8, 3)), 0, 4, True, np.zeros(1, np.uint8))


def test_cancelled_kernels_return(rng: np.random.Generator, backend: str) -> None:
    dense = rng.random((50, 20))
    kernels = registry.choose(backend).load()
    cancelled = np.ones(1, np.uint8)
    arrays = sparse_rows(dense), sparse_rows(dense.T)
    assert kernels.gram_squares(*arrays, 0.1, 10, 50, cancelled).shape == (50,)
    assert kernels.gram_row_squares(*arrays, 0.1, np.arange(7), cancelled).shape == (7,)
    x = rng.random((50, 3))
    assert kernels.product_squares(arrays[1], x, 0, 20, True, cancelled)[1].shape == (50,)
