"""Each kernel by itself, against the reference and against plain Python."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_support import DTYPES, RUNNING, check_block, chunks, count_type, dtypes
from numpy.typing import NDArray

from probsig_fast.kernels import reference, registry
from probsig_fast.kernels.contract import Block, Chunk, Kernels, Scan, row_range


@pytest.fixture(scope="session")
def kernels(backend: str) -> Kernels:
    return registry.choose(backend).load()


def block_of(cells: dict[tuple[int, int], int], rows: int) -> Block:
    ordered = sorted(cells)
    counts = np.bincount([row for row, _ in ordered], minlength=rows) if ordered else [0] * rows
    return Block(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.array([column for _, column in ordered], np.int32),
        np.array([cells[cell] for cell in ordered], np.int64),
    )


# scan


@given(
    tokens=st.lists(st.sampled_from([0, 1, 2, 3, 7, 9, 65_535]), max_size=40),
    cutting=st.lists(st.sampled_from([0, 3, 7, 65_535]), unique=True).map(sorted),
    vocab_size=st.sampled_from([4, 8, 65_536, 70_000]),
    dtype=dtypes,
    data=st.data(),
)
def test_scan(
    kernels: Kernels,
    tokens: list[int],
    cutting: list[int],
    vocab_size: int,
    dtype: Any,
    data: st.DataObject,
) -> None:
    core = data.draw(st.integers(0, len(tokens)))
    scan = kernels.scan(np.array(tokens, dtype), core, vocab_size, np.array(cutting, dtype))
    assert isinstance(scan, Scan)
    bad = [i for i, t in enumerate(tokens) if t >= vocab_size and t not in cutting]
    assert scan.invalid == (bad[0] if bad else -1)
    if not bad:
        known = Counter(t for t in tokens[:core] if t < vocab_size)
        assert scan.histogram.dtype == scan.cuts.dtype == np.int64
        assert scan.histogram.size == vocab_size
        assert {i: scan.histogram[i] for i in np.flatnonzero(scan.histogram)} == dict(known)
        assert scan.cuts.tolist() == [i for i, t in enumerate(tokens) if t in cutting]


@pytest.mark.parametrize("dtype", DTYPES, ids=["uint16", "uint32"])
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 63, 64, 65, 1_000, 100_003])
def test_scan_of_long_streams(kernels: Kernels, dtype: Any, size: int) -> None:
    rng = np.random.default_rng(size)
    tokens = rng.integers(0, 50, size).astype(dtype)
    cutting = np.array([3, 7], dtype)
    for core in {0, size // 2, size}:
        got = kernels.scan(tokens, core, 50, cutting)
        expected = reference.scan(tokens, core, 50, cutting)
        assert (got.histogram == expected.histogram).all()
        assert (got.cuts == expected.cuts).all()
        assert got.invalid == expected.invalid == -1
    for position in {0, 1, size // 3, size - 2, size - 1} & set(range(size)):
        bad = tokens.copy()
        bad[position:] = np.iinfo(dtype).max
        for none in (cutting, cutting[:0]):
            assert kernels.scan(bad, size // 2, 50, none).invalid == position


# Pairs


def pairs_of(chunk: Chunk, weights: list[int]) -> dict[tuple[int, int], int]:
    tokens = chunk.tokens.tolist()
    cells: Counter[tuple[int, int]] = Counter()
    for begin, end in zip(chunk.run_starts, chunk.run_ends, strict=True):
        for i in range(begin, min(end, chunk.core)):
            for distance, weight in enumerate(weights, 1):
                if i + distance < end:
                    cells[tokens[i], tokens[i + distance]] += weight
    return {cell: value for cell, value in cells.items() if value}


@given(chunk=chunks())
def test_next_pairs(kernels: Kernels, chunk: Chunk) -> None:
    block = kernels.next_pairs(chunk, RUNNING)
    check_block(block, pairs_of(chunk, [1]), chunk.histogram.size)


@given(
    chunk=chunks(),
    weights=st.lists(st.sampled_from([0, 1, 2, 2**31 - 1, 2**55]), min_size=1, max_size=8),
)
def test_window_pairs(kernels: Kernels, chunk: Chunk, weights: list[int]) -> None:
    block = window_pairs(kernels, chunk, weights)
    check_block(block, pairs_of(chunk, weights), chunk.histogram.size)


@given(chunk=chunks(), weights=st.lists(st.integers(0, 3), min_size=1, max_size=4), data=st.data())
def test_row_ranges_of_window_pairs(
    kernels: Kernels, chunk: Chunk, weights: list[int], data: st.DataObject
) -> None:
    rows = chunk.histogram.size
    begin = data.draw(st.integers(0, rows))
    end = data.draw(st.integers(begin, rows))
    got = kernels.window_pairs(chunk, np.array(weights, np.int64), begin, end, RUNNING)
    expected = row_range(window_pairs(reference, chunk, weights), begin, end)
    for name in ("indptr", "indices", "data"):
        assert np.array_equal(getattr(got, name), getattr(expected, name))
    assert (got.indptr.dtype, got.indices.dtype) == (np.int64, np.int32)
    assert got.data.dtype == count_type(got)


@pytest.mark.parametrize("rows", [(-1, 2), (2, 1), (0, 4)])
def test_native_rows_outside_the_vocabulary(rows: tuple[int, int]) -> None:
    native = next(each for each in registry.BACKENDS if each.name == "native_cpu")
    if native.missing():
        pytest.skip(f"needs native_cpu: {native.missing()}")
    none = np.empty(0, np.int64)
    chunk = Chunk(np.empty(0, np.uint16), 0, none, none, np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="row_begin, row_end: expected within the vocabulary"):
        native.load().window_pairs(chunk, np.ones(1, np.int64), *rows, RUNNING)


def window_pairs(kernels: Kernels, chunk: Chunk, weights: list[int]) -> Block:
    rows = chunk.histogram.size
    return kernels.window_pairs(chunk, np.array(weights, np.int64), 0, rows, RUNNING)


def zipfian_chunk(dtype: Any, vocab_size: int, size: int) -> Chunk:
    """Many short and a few long runs, a third of the tokens look-ahead."""
    rng = np.random.default_rng(vocab_size)
    tokens = np.minimum(rng.zipf(1.2, size) - 1, vocab_size - 1).astype(dtype)
    edges = np.unique(np.concatenate([[0, size], rng.integers(0, size // 2, size // 20)]))
    core = size * 2 // 3
    histogram = np.bincount(tokens[:core], minlength=vocab_size)
    return Chunk(tokens, core, edges[:-1], edges[1:], histogram)


@pytest.mark.parametrize("dtype", DTYPES, ids=["uint16", "uint32"])
@pytest.mark.parametrize("vocab_size", [2, 300, 40_000])
@pytest.mark.parametrize("weights", [[1], [2, 1], [5, 0, 3, 1, 1, 1, 1, 1, 1, 7]], ids=len)
def test_pairs_of_a_long_chunk(
    kernels: Kernels, dtype: Any, vocab_size: int, weights: list[int]
) -> None:
    chunk = zipfian_chunk(dtype, vocab_size, 60_000)
    expected = window_pairs(reference, chunk, weights)
    got = [window_pairs(kernels, chunk, weights)]
    if weights == [1]:
        got.append(kernels.next_pairs(chunk, RUNNING))
    for block in got:
        for name in ("indptr", "indices", "data"):
            assert (getattr(block, name) == getattr(expected, name)).all()
    third = max(vocab_size // 3, 1)  # rows of all kinds: long, short and none
    parts = [
        kernels.window_pairs(chunk, np.array(weights, np.int64), *rows, RUNNING)
        for rows in ((0, 1), (1, third), (third, vocab_size))
    ]
    assert (np.concatenate([part.indices for part in parts]) == expected.indices).all()
    assert (np.concatenate([part.data for part in parts]) == expected.data).all()


def test_a_window_longer_than_any_run(kernels: Kernels) -> None:
    chunk = zipfian_chunk(np.uint16, 50, 300)
    weights = list(range(1, 400))
    block = window_pairs(kernels, chunk, weights)
    check_block(block, pairs_of(chunk, weights), 50)


def test_inputs_are_not_written_to(kernels: Kernels) -> None:
    chunk = zipfian_chunk(np.uint32, 50, 1_000)
    before = [np.copy(value) for value in chunk]
    for value in chunk:
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    kernels.scan(chunk.tokens, chunk.core, 50, np.array([3], np.uint32))
    first = kernels.next_pairs(chunk, RUNNING)
    second = window_pairs(kernels, chunk, [1, 1, 1])
    for block in (first, second):
        for array in (block.indptr, block.indices, block.data):
            array.flags.writeable = False
    kernels.merge([first, second], 50)
    assert all(np.array_equal(*values) for values in zip(chunk, before, strict=True))


# merge


cells = st.dictionaries(
    st.tuples(st.integers(0, 4), st.integers(0, 6)),
    st.integers(1, 5) | st.integers(2**40, 2**60),
    max_size=20,
)


@given(tables=st.lists(cells, min_size=1, max_size=5))
def test_merge(kernels: Kernels, tables: list[dict[tuple[int, int], int]]) -> None:
    blocks = [block_of(table, 5) for table in tables]
    expected: Counter[tuple[int, int]] = Counter()
    for table in tables:
        expected.update(table)
    check_block(kernels.merge(blocks, 7), dict(expected), 5)


def test_merge_of_row_ranges(kernels: Kernels) -> None:
    chunk = zipfian_chunk(np.uint16, 5_000, 40_000)
    blocks = [
        reference.next_pairs(chunk._replace(core=core), RUNNING)
        for core in (100, 20_000, 20_000, 39_000)
    ]
    expected = reference.merge(blocks, 5_000)
    assert expected.data.sum() == sum(block.data.sum() for block in blocks)
    for cuts in ([0, 5_000], [0, 1, 2_500, 5_000]):
        parts = [
            kernels.merge([rows_of(block, begin, end) for block in blocks], 5_000)
            for begin, end in pairwise(cuts)
        ]
        assert (np.concatenate([part.indices for part in parts]) == expected.indices).all()
        assert (np.concatenate([part.data for part in parts]) == expected.data).all()
        lengths = np.concatenate([np.diff(part.indptr) for part in parts])
        assert (lengths == np.diff(expected.indptr)).all()


def rows_of(block: Block, begin: int, end: int) -> Block:
    """Rows over the block's own memory."""
    low, high = block.indptr[begin], block.indptr[end]
    indptr = block.indptr[begin : end + 1] - low
    return Block(indptr, block.indices[low:high], block.data[low:high])


@pytest.mark.parametrize(
    "values", [(2**62, 2**62), (2**63 - 1, 1), (2**61, 2**61, 2**61, 2**61), (2**63 - 1,) * 5]
)
def test_merge_past_63_bits(kernels: Kernels, values: tuple[int, ...]) -> None:
    blocks = [block_of({(0, 0): 1, (1, 1): value}, 2) for value in values]
    with pytest.raises(OverflowError):
        kernels.merge(blocks, 2)
    almost = [
        block_of({(0, 1): 2**63 - len(values)}, 2),
        *[block_of({(0, 1): 1}, 2)] * (len(values) - 1),
    ]
    check_block(kernels.merge(almost, 2), {(0, 1): 2**63 - 1}, 2)


@pytest.mark.parametrize("column", [3, 4, 10**6, 2**31 - 1, -1, -(2**31)])
def test_merge_of_an_index_outside_the_columns(kernels: Kernels, column: int) -> None:
    good = block_of({(0, 0): 1, (1, 2): 1, (2, 1): 1}, 3)
    bad = Block(good.indptr, np.array([0, column, 1], np.int32), good.data)
    for blocks in ([bad], [bad, good], [good, bad], [good, good, bad]):
        with pytest.raises(IndexError):
            kernels.merge(blocks, 3)


@pytest.mark.parametrize("count", [0, -1, -(2**63)])
def test_merge_of_a_count_below_one(kernels: Kernels, count: int) -> None:
    good = block_of({(0, 0): 1, (1, 2): 1, (2, 1): 1}, 3)
    bad = Block(good.indptr, good.indices, np.array([1, count, 1], np.int64))
    for blocks in ([bad], [bad, good], [good, bad], [good, good, bad]):
        with pytest.raises(ValueError, match="count"):
            kernels.merge(blocks, 3)


# Sums of rows and columns


def narrowed(block: Block) -> Block:
    return Block(block.indptr, block.indices, block.data.astype(np.int32))


@given(table=cells)
def test_block_sums(kernels: Kernels, table: dict[tuple[int, int], int]) -> None:
    block = block_of(table, 5)
    rows: Counter[int] = Counter()
    columns: Counter[int] = Counter()
    for (row, column), count in table.items():
        rows[row] += count
        columns[column] += count
    if sum(rows.values()) >= 2**63:
        with pytest.raises(OverflowError):
            kernels.block_sums(block, 7)
        return
    fits = max(table.values(), default=0) < 2**31
    for each in (block, narrowed(block)) if fits else (block,):
        for size in (7, 100):
            row_sums, column_sums = kernels.block_sums(each, size)
            assert row_sums.dtype == column_sums.dtype == np.int64
            assert row_sums.tolist() == [rows[row] for row in range(5)]
            assert column_sums.tolist() == [columns[column] for column in range(size)]


@pytest.mark.parametrize("size", [1, 1_000, 200_003])
@pytest.mark.parametrize("columns", [1, 50_000])
def test_block_sums_of_many_entries(kernels: Kernels, size: int, columns: int) -> None:
    rng = np.random.default_rng(size)
    indices = rng.integers(0, columns, size).astype(np.int32)
    data = rng.integers(1, 2**62 // size, size)  # most sums are past what float64 holds exactly
    expected = np.zeros(columns, np.int64)
    np.add.at(expected, indices, data)
    block = Block(np.array([0, size // 3, size // 3, size]), indices, data)
    row_sums, column_sums = kernels.block_sums(block, columns)
    assert (column_sums == expected).all()
    assert row_sums.tolist() == [data[: size // 3].sum(), 0, data[size // 3 :].sum()]


def ones(indices: NDArray[np.int32], dtype: type[np.integer] = np.int64) -> Block:
    return Block(np.array([0, indices.size]), indices, np.ones(indices.size, dtype))


@pytest.mark.parametrize("column", [3, 10**6, 2**31 - 1, -1, -(2**31)])
@pytest.mark.parametrize("place", [0, 1, 999])
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_block_sums_of_an_index_outside(
    kernels: Kernels, column: int, place: int, dtype: type[np.integer]
) -> None:
    block = ones(np.zeros(1_000, np.int32), dtype)
    block.indices[place] = column
    with pytest.raises(IndexError):
        kernels.block_sums(block, 3)


@pytest.mark.parametrize("count", [0, -1, -(2**31), -(2**63)])
@pytest.mark.parametrize("place", [0, 7, 99])
def test_block_sums_of_a_count_below_one(kernels: Kernels, count: int, place: int) -> None:
    for dtype in (np.int32, np.int64):
        if count >= np.iinfo(dtype).min:
            block = ones(np.zeros(100, np.int32), dtype)
            block.data[place] = count
            with pytest.raises(ValueError, match="above 0"):
                kernels.block_sums(block, 3)


@pytest.mark.parametrize("rows", [[0, 3], [0, 1, 2, 3]], ids=["in-a-row", "of-all-rows"])
def test_block_sums_past_63_bits(kernels: Kernels, rows: list[int]) -> None:
    for data in ([2**62, 2**62, 1], [2**63 - 1, 2**63 - 1, 2]):  # the latter is 0 in 64 bits
        block = Block(np.array(rows), np.arange(3, dtype=np.int32), np.array(data))
        with pytest.raises(OverflowError):
            kernels.block_sums(block, 3)
    block = Block(np.array(rows), np.arange(3, dtype=np.int32), np.array([2**63 - 3, 1, 1]))
    assert kernels.block_sums(block, 3)[1].tolist() == [2**63 - 3, 1, 1]
