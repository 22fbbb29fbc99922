"""The kernels that list sets and spans, each by itself, against plain Python and the reference."""

from __future__ import annotations

from collections import Counter
from itertools import combinations_with_replacement, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_support import (
    DTYPES,
    RUNNING,
    Cells,
    check_array,
    check_block,
    check_same,
    chunks,
    dtypes,
    span_sums,
)
from numpy.typing import NDArray

from probsig_fast.kernels import reference, registry
from probsig_fast.kernels.contract import Block, Chunk, Kernels, Sets, Spans


@pytest.fixture(scope="session")
def kernels(backend: str) -> Kernels:
    return registry.choose(backend).load()


def check_spans(
    indptr: NDArray[np.int64], bounds: NDArray[np.uint32], expected: list[list[tuple[int, int]]]
) -> None:
    check_array(indptr, np.cumsum([0, *map(len, expected)]), np.int64)
    assert bounds.shape == (indptr[-1], 2)
    check_array(bounds, [list(span) for row in expected for span in row], np.uint32)


# Chunks: spans of prefixes, and sets


def runs_of(chunk: Chunk) -> list[range]:
    ends = chunk.run_ends.tolist()
    return [range(a, b) for a, b in zip(chunk.run_starts.tolist(), ends, strict=True)]


@given(chunk=chunks(), length=st.integers(1, 12) | st.just(2**20))
def test_prefix_spans(kernels: Kernels, chunk: Chunk, length: int) -> None:
    tokens = chunk.tokens.tolist()
    expected: list[list[tuple[int, int]]] = [[] for _ in chunk.histogram]
    for run in runs_of(chunk):
        for i in run:
            labels = [t for t in run if i < t <= i + length]
            again = [t for t in labels if tokens[t] == tokens[i]]
            if i < chunk.core:
                last = again[0] if again else max(labels, default=i)
                expected[tokens[i]].append((i + 1, last + 1))
    spans = kernels.prefix_spans(chunk, length, RUNNING)
    assert isinstance(spans, Spans)
    check_spans(spans.indptr, spans.bounds, expected)
    check_array(spans.ids, tokens, chunk.tokens.dtype)
    check_array(spans.id_weights, [], np.int64)
    check_array(spans.span_weights, [], np.int64)


@given(chunk=chunks(), length=st.integers(1, 12))
def test_the_sums_of_prefix_spans(kernels: Kernels, chunk: Chunk, length: int) -> None:
    """Labels whose prefix holds x, the last x of which the chunk's core holds."""
    tokens = chunk.tokens.tolist()
    expected: Counter[tuple[int, int]] = Counter()
    for run in runs_of(chunk):
        for t in run:
            latest = {tokens[i]: i for i in run if t - length <= i < t}
            expected.update((x, tokens[t]) for x, i in latest.items() if i < chunk.core)
    spans = kernels.prefix_spans(chunk, length, RUNNING)
    size = chunk.histogram.size
    check_block(span_sums(kernels, [spans], size, 0, size), expected, size)


@given(chunk=chunks(), multiplicity=st.booleans())
def test_sequence_sets(kernels: Kernels, chunk: Chunk, multiplicity: bool) -> None:
    tokens, _, starts, ends, histogram = chunk
    sets = kernels.sequence_sets(tokens, starts, ends, histogram.size, multiplicity, RUNNING)
    assert isinstance(sets, Sets)
    expected = [Counter(tokens[run].tolist()) for run in runs_of(chunk)]
    check_array(sets.indptr, np.cumsum([0, *map(len, expected)]), np.int64)
    check_array(sets.ids, [x for held in expected for x in sorted(held)], tokens.dtype)
    counts = [held[x] for held in expected for x in sorted(held)] if multiplicity else []
    check_array(sets.multiplicity, counts, np.int64)


@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 18, 63, 64, 65, 1_000, 5_000])
@pytest.mark.parametrize("vocab_size", [64, 65, 4_097, 65_536])
def test_sets_of_any_size(kernels: Kernels, size: int, vocab_size: int) -> None:
    rng = np.random.default_rng(size)
    tokens = rng.integers(0, vocab_size, 3 * size).astype(np.uint16)
    tokens[size : 2 * size] = vocab_size - 1
    starts = np.arange(3) * size
    for multiplicity in (False, True):
        arguments = tokens, starts, starts + size, vocab_size, multiplicity, RUNNING
        check_same(kernels.sequence_sets(*arguments), reference.sequence_sets(*arguments))


@pytest.mark.parametrize("dtype", DTYPES, ids=["uint16", "uint32"])
def test_a_long_chunk(kernels: Kernels, dtype: Any) -> None:
    """Many short runs, then one that is longer than any piece that kernels work in."""
    rng = np.random.default_rng(1)
    size, vocab_size = 1_500_000, 60_000
    tokens = np.minimum(rng.zipf(1.2, size) - 1, vocab_size - 1).astype(dtype)
    edges = np.unique(np.concatenate([[3], rng.integers(0, 200_000, 9_000), [size - 3]]))
    core = size - 40_000
    histogram = np.bincount(tokens[:core], minlength=vocab_size)
    chunk = Chunk(tokens, core, edges[:-1], edges[1:], histogram)
    for length in (1, 64, 2**20):
        expected = reference.prefix_spans(chunk, length, RUNNING)
        check_same(kernels.prefix_spans(chunk, length, RUNNING), expected)
    for multiplicity in (False, True):
        arguments = tokens, edges[:-1], edges[1:], vocab_size, multiplicity, RUNNING
        check_same(kernels.sequence_sets(*arguments), reference.sequence_sets(*arguments))


# set_spans


def triangle_of(sets: Sets) -> Cells:
    """Sets that hold both x and x' >= x."""
    cells: Counter[tuple[int, int]] = Counter()
    for begin, end in pairwise(sets.indptr.tolist()):
        cells.update(combinations_with_replacement(sets.ids[begin:end].tolist(), 2))
    return cells


@given(chunk=chunks())
def test_set_spans(kernels: Kernels, chunk: Chunk) -> None:
    tokens, _, starts, ends, histogram = chunk
    size = histogram.size
    sets = reference.sequence_sets(tokens, starts, ends, size, False, RUNNING)
    block = span_sums(kernels, [kernels.set_spans(sets, size)], size, 0, size)
    check_block(block, triangle_of(sets), size)


@pytest.mark.parametrize("dtype", DTYPES, ids=["uint16", "uint32"])
@pytest.mark.parametrize("n_sets", [40, 511, 1_000])
def test_set_spans_of_many_sets(kernels: Kernels, dtype: Any, n_sets: int) -> None:
    """Some tokens are in most sets, most in few; parts of unlike sizes add up."""
    rng = np.random.default_rng(n_sets)
    size, expected, parts = 1_000, Counter[tuple[int, int]](), []
    for n in (n_sets, 7, n_sets + 200):
        frequent = rng.random(40 * n) < 0.5
        tokens = np.where(frequent, rng.integers(0, 100, 40 * n), rng.integers(100, size, 40 * n))
        starts = np.arange(n) * 40
        arguments = tokens.astype(dtype), starts, starts + 40, size, False, RUNNING
        sets = reference.sequence_sets(*arguments)
        expected.update(triangle_of(sets))
        parts.append(kernels.set_spans(sets, size))
    check_block(span_sums(kernels, parts, size, 0, size), expected, size)


# group_spans


@given(
    rows=st.lists(st.integers(0, 6), max_size=40), dtype=dtypes, more=st.sampled_from([0, 1, 90])
)
def test_group_spans(kernels: Kernels, rows: list[int], dtype: Any, more: int) -> None:
    spans = [(2**32 - 1 - k, k) for k in range(len(rows))]  # any pair is moved, not looked at
    expected: list[list[tuple[int, int]]] = [[] for _ in range(7 + more)]
    for row, span in zip(rows, spans, strict=True):
        expected[row].append(span)
    bounds = np.array(spans, np.uint32).reshape(-1, 2)
    check_spans(*kernels.group_spans(np.array(rows, dtype), bounds, 7 + more), expected)


def test_kernels_return_where_the_flag_is_set(kernels: Kernels) -> None:
    tokens = np.arange(3_000, dtype=np.uint16) % 50
    edges = np.arange(0, 3_001, 100)
    chunk = Chunk(tokens, 2_900, edges[:-1], edges[1:], np.full(50, 60))
    cancelled = np.ones(1, np.uint8)
    assert isinstance(kernels.prefix_spans(chunk, 5, cancelled), Spans)
    sets = kernels.sequence_sets(tokens, edges[:-1], edges[1:], 50, True, cancelled)
    assert isinstance(sets, Sets)
    spans = reference.prefix_spans(chunk, 5, RUNNING)
    assert isinstance(span_sums(kernels, [spans], 50, 0, 50, cancelled), Block)


def test_inputs_are_not_written_to(kernels: Kernels) -> None:
    tokens = np.random.default_rng(3).integers(0, 40, 1_000).astype(np.uint32)
    edges = np.arange(0, 1_001, 50)
    chunk = Chunk(tokens, 900, edges[:-1], edges[1:], np.bincount(tokens, minlength=40))
    arrays = [each for each in chunk if isinstance(each, np.ndarray)]
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    spans = kernels.prefix_spans(chunk, 20, RUNNING)
    kernels.sequence_sets(tokens, chunk.run_starts, chunk.run_ends, 40, True, RUNNING)
    kernels.group_spans(tokens[: len(spans.bounds)], spans.bounds, 40)
    assert all(map(np.array_equal, arrays, before))


@pytest.mark.parametrize("dtype", DTYPES, ids=["uint16", "uint32"])
@pytest.mark.parametrize("n_sets", [511, 512, 700, 4_200])
def test_pairs_of_tokens_in_many_sets(kernels: Kernels, dtype: Any, n_sets: int) -> None:
    """Frequent tokens, which a backend may count otherwise, among rare ones."""
    rng = np.random.default_rng(n_sets)
    if kernels is reference and n_sets > 700:
        pytest.skip("the definition takes half a minute, and knows no frequent tokens")
    size = 400
    often = rng.random(size) < 0.4
    held = rng.random((n_sets, size)) < np.where(often, rng.random(size), 0.01)
    held[:, [0, size - 1]] = True
    indptr = np.concatenate([[0], np.cumsum(held.sum(axis=1))])
    sets = Sets(indptr, np.nonzero(held)[1].astype(dtype), np.empty(0, np.int64))
    both = np.triu(held.astype(float).T @ held.astype(float)).astype(np.int64)  # exact, and fast
    spans = kernels.set_spans(sets, size)
    for begin, end in ((0, size), (0, 1), (37, 38), (100, 333), (size - 1, size)):
        block = span_sums(kernels, [spans, spans], size, begin, end)
        rows, columns = np.nonzero(both[begin:end])
        assert np.array_equal(block.indices, columns)
        assert np.array_equal(block.data, 2 * both[begin:end][rows, columns])
        assert np.array_equal(np.diff(block.indptr), np.count_nonzero(both[begin:end], axis=1))


def check_pairs(kernels: Kernels, held: NDArray[np.bool_], dtype: Any, parts: int) -> None:
    """The sums of all pairs of tokens in sets, `held` [sets, tokens], which come in parts."""
    size = held.shape[1]
    summands = []
    for some in np.array_split(held, parts):
        indptr = np.concatenate([[0], np.cumsum(some.sum(axis=1))])
        sets = Sets(indptr, np.nonzero(some)[1].astype(dtype), np.empty(0, np.int64))
        summands.append(kernels.set_spans(sets, size))
    both = np.triu(held.astype(np.float64).T @ held)  # exact: whole numbers below 2^53
    for begin, end in ((0, size // 3), (size // 3, size)):
        block = span_sums(kernels, summands, size, begin, end)
        rows, columns = np.nonzero(both[begin:end])
        assert np.array_equal(block.indices, columns)
        assert np.array_equal(block.data, both[begin:end][rows, columns])
        assert np.array_equal(np.diff(block.indptr), np.count_nonzero(both[begin:end], axis=1))


@pytest.mark.parametrize("dtype", DTYPES, ids=["uint16", "uint32"])
@pytest.mark.parametrize(
    ("n_sets", "n_tokens", "parts"),
    [(600, 1_300, 1), (3_000, 1_025, 3), (66_000, 90, 2), (140_000, 70, 1)],
)
def test_pairs_of_many_frequent_tokens(
    kernels: Kernels, dtype: Any, n_sets: int, n_tokens: int, parts: int
) -> None:
    """More of them than are counted at once; counts past 16 bits; rare tokens between them."""
    rng = np.random.default_rng(n_sets)
    share = np.where(rng.random(n_tokens) < 0.8, rng.random(n_tokens) * 0.1, 3 / n_sets)
    share[rng.integers(0, n_tokens, 9)] = 1.0
    held = rng.random((n_sets, n_tokens)) < share
    check_pairs(kernels, held, dtype, parts)


def test_pairs_of_tokens_of_few_columns_and_of_many(kernels: Kernels) -> None:
    """Rows that are summed without a list of their columns, and rows with one."""
    rng = np.random.default_rng(5)
    held = rng.random((700, 4_000)) < np.where(np.arange(4_000) % 50 == 3, 0.2, 0.002)
    check_pairs(kernels, held, np.uint16, 2)


def test_sets_too_many_for_one_sum(
    backend: str, kernels: Kernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "native_cpu":
        monkeypatch.setattr("probsig_fast.kernels.native_sets._MOST_SETS", 700)
    held = np.random.default_rng(7).random((2_000, 90)) < 0.3
    check_pairs(kernels, held, np.uint32, 5)
