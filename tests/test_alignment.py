"""`alignment` and the kernel `gram_squares` against brute force in extended precision."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import probsig_fast as ps
from probsig_fast.errors import ArgumentError, ArgumentTypeError, BackendError, MissingExtraError
from probsig_fast.kernels import reference, registry
from probsig_fast.kernels.contract import Rows

torch = pytest.importorskip("torch", reason="alignment needs torch")

from probsig_fast.alignment import CosineCorrelation, cosine_correlation, moments  # noqa: E402

TOLERANCE = 1e-12


def signature_of(counts: Any, name: str = "phi_test", **fields: Any) -> ps.Signature:
    """The rows of a dense matrix of counts as a signature."""
    counts = np.asarray(counts, np.int64)
    rows, columns = np.nonzero(counts)
    indptr = np.searchsorted(rows, np.arange(len(counts) + 1)).astype(np.int64)
    return ps.Signature(
        name,
        "column | row",
        indptr,
        columns.astype(np.int32),
        counts[rows, columns],
        counts.sum(axis=1),
        counts.shape[1],
        **fields,
    )


@dataclasses.dataclass
class Expected:
    pearson: float
    tokens: int
    mean_embedding: float
    mean_signature: float


def brute_force(W: Any, counts: Any, min_support: int = 0, centre: bool = False) -> Expected:
    """The definition, in extended precision, with both cosine matrices whole."""
    W, counts = np.asarray(W, np.longdouble), np.asarray(counts, np.longdouble)
    passing = counts.sum(axis=1) >= min_support
    if centre and passing.any():
        W = W - W[passing].mean(axis=0)
        W[np.abs(W).max(axis=1, initial=0) < 1e-15] = 0
    kept = passing & (counts != 0).any(axis=1) & (W != 0).any(axis=1)
    tokens = int(kept.sum())
    if tokens < 2:
        return Expected(math.nan, tokens, math.nan, math.nan)
    outside = ~np.eye(tokens, dtype=bool)
    g, h = (unit(x[kept]) @ unit(x[kept]).T for x in (W, counts))
    g, h = g[outside], h[outside]
    dg, dh = g - g.mean(), h - h.mean()
    if tokens < 3 or dg.std() < 1e-15 or dh.std() < 1e-15:
        pearson = math.nan
    else:
        pearson = float((dg * dh).sum() / np.sqrt((dg * dg).sum() * (dh * dh).sum()))
    return Expected(pearson, tokens, float(g.mean()), float(h.mean()))


def unit(rows: NDArray[Any]) -> NDArray[Any]:
    return rows / np.sqrt((rows * rows).sum(axis=1, keepdims=True))


def check(
    W: Any, counts: Any, min_support: int = 0, centre: bool = False, **options: Any
) -> CosineCorrelation:
    """`cosine_correlation` agrees with brute force."""
    dense = W.detach().to(torch.float64).numpy() if isinstance(W, torch.Tensor) else W
    expected = brute_force(dense, counts, min_support, centre)
    options = {"backend": "reference", "threads": 1} | options
    result = cosine_correlation(W, signature_of(counts), min_support, centre, **options)
    assert result.tokens == expected.tokens
    assert result.pairs == expected.tokens * (expected.tokens - 1) // 2
    figures = (result.pearson, result.mean_embedding_cosine, result.mean_signature_cosine)
    wanted = (expected.pearson, expected.mean_embedding, expected.mean_signature)
    assert figures == pytest.approx(wanted, abs=TOLERANCE, rel=0, nan_ok=True)
    return result


def random_counts(rng: np.random.Generator, rows: int, columns: int) -> NDArray[np.int64]:
    return rng.poisson(0.5, (rows, columns)) * rng.integers(1, 50, (rows, columns))


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
        monkeypatch.setattr(moments, "_BLOCK_ELEMENTS", 80 * 7)
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
    assert check(W, counts) == check(W[kept], counts[kept])


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
    assert cosine_correlation(np.repeat(W, rows, 0), signature, centre=True).tokens == 0


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
    result = check(rng.standard_normal((5, 3)), random_counts(rng, 5, 5), 10**9, True)
    assert (result.tokens, result.mean_rows) == (0, 0)
    assert math.isnan(result.mean_embedding_cosine)


# What is taken for W


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float16", "bfloat16", "float32", "float64"])
def test_tensors(rng: np.random.Generator, backend: str, dtype: str) -> None:
    W = torch.from_numpy(rng.standard_normal((40, 6)) + 1.0).to(getattr(torch, dtype))
    counts = random_counts(rng, 40, 20)
    before = W.clone()
    plain = check(W, counts, 0, True, backend=backend)
    assert torch.equal(W.double(), before.double())
    wide = torch.nn.Parameter(W.double())
    for same in (torch.nn.Parameter(W), wide, wide * 1, W.T.contiguous().T):
        assert cosine_correlation(same, signature_of(counts), 0, True, 1, backend) == plain


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_arrays(rng: np.random.Generator, dtype: type) -> None:
    W = (rng.standard_normal((40, 6)) + 1.0).astype(dtype)
    counts = random_counts(rng, 40, 20)
    W.flags.writeable = False
    plain = check(W, counts, 0, True)
    reversed_twice = np.ascontiguousarray(W[::-1])[::-1]
    tensor = torch.from_numpy(W.copy())
    for same in (np.asfortranarray(W), reversed_twice, tensor, W.astype(np.float64)):
        assert cosine_correlation(same, signature_of(counts), 0, True, 1, "reference") == plain


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
    monkeypatch.setattr(moments, "_BLOCK_ELEMENTS", 100 * 300)
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


# Printing and errors


def test_it_prints_as_a_table() -> None:
    result = CosineCorrelation(0.0791234, 2594, 3363121, 0.0001, 0.1, "phi_next", 2000, True, 2600)
    assert str(result).splitlines() == [
        "R_cos(W, phi_next)       0.079123",
        "W                        centred, mean of 2,600 rows",
        "min_support              2,000",
        "tokens                   2,594",
        "pairs                    3,363,121",
        "mean cosine of W         0.000100",
        "mean cosine of phi_next  0.100000",
    ]
    nothing = dataclasses.replace(result, pearson=math.nan, centred=False, mean_rows=0)
    assert "R_cos(W, phi_next)       nan" in str(nothing)
    assert "raw" in str(nothing)


SIGNATURE = signature_of(np.eye(4, dtype=np.int64) + 1)
GOOD = np.arange(12.0).reshape(4, 3)


def with_value(value: float) -> NDArray[np.float64]:
    W = GOOD.copy()
    W[2, 1] = value
    return W


@pytest.mark.parametrize(
    ("W", "message"),
    [
        (GOOD[0], r"W: expected 2 dimensions \[V, d\], got shape \(3,\)"),
        (GOOD[None], r"W: expected 2 dimensions \[V, d\], got shape \(1, 4, 3\)"),
        (GOOD[:3], r"W: expected 4 rows, as phi_test has, got 3$"),
        (
            np.ones((6, 3)),
            r"W: expected 4 rows, as phi_test has, got 6; "
            r"rows beyond the tokenizer can be cut with W\[:4\]",
        ),
        (with_value(math.nan), "W: expected finite values, got nan in row 2"),
        (with_value(-math.inf), "W: expected finite values, got -inf in row 2"),
        (torch.from_numpy(with_value(math.inf)).half(), "W: .* got inf in row 2"),
        (with_value(math.nan).astype(np.float16), "W: .* got nan in row 2"),
    ],
)
def test_values_of_w_that_cannot_be_used(W: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        cosine_correlation(W, SIGNATURE)


@pytest.mark.parametrize(
    ("W", "got"),
    [
        (GOOD.astype(np.int64), "NumPy int64"),
        (GOOD.astype(complex), "NumPy complex128"),
        (torch.from_numpy(GOOD).int(), r"torch\.int32"),
        (torch.from_numpy(GOOD).to(torch.complex64), r"torch\.complex64"),
        (torch.from_numpy(GOOD).to_sparse(), r"torch\.float64, torch\.sparse_coo"),
        (GOOD.tolist(), "list"),
        (torch.nn.Embedding(4, 3), "Embedding"),
        (None, "NoneType"),
    ],
)
def test_types_of_w_that_cannot_be_used(W: Any, got: str) -> None:
    expected = f"W: expected a dense torch tensor or NumPy array of real floats, got {got}$"
    with pytest.raises(ArgumentTypeError, match=expected):
        cosine_correlation(W, SIGNATURE)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"min_support": -1}, ArgumentError, "min_support: expected at least 0, got -1"),
        ({"min_support": 2.5}, ArgumentTypeError, "min_support: expected an int, got float 2.5"),
        ({"threads": 0}, ArgumentError, "threads: expected at least 1, got 0"),
        ({"centre": 1}, ArgumentTypeError, "centre: expected a bool, got int 1"),
        ({"backend": "gpu"}, BackendError, "backend: expected one of .*, got 'gpu'"),
    ],
)
def test_other_arguments_that_cannot_be_used(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        cosine_correlation(GOOD, SIGNATURE, **options)


def test_signatures_that_cannot_be_used() -> None:
    counts = ps.count(np.array([0, 1, 2, 3], np.uint16), vocab_size=4, backend="reference")
    with pytest.raises(ArgumentTypeError, match=r"a Signature, got Counts; .*counts\.phi_next"):
        cosine_correlation(GOOD, counts)  # type: ignore[arg-type]
    with pytest.raises(ArgumentTypeError, match=r"signature: expected a Signature, got ndarray$"):
        cosine_correlation(GOOD, GOOD)  # type: ignore[arg-type]
    damaged = dataclasses.replace(SIGNATURE, indices=SIGNATURE.indices + 1)
    with pytest.raises(ArgumentError, match="signature: expected columns from 0 to 3, got 1 to 4"):
        cosine_correlation(GOOD, damaged)


def test_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("probsig_fast.alignment")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"needs torch.*probsig-fast\[torch\]"):
        import probsig_fast.alignment  # noqa: F401


def test_the_package_does_not_load_torch() -> None:
    code = "import sys, probsig_fast; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
