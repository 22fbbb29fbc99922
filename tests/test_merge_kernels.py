"""Sums of blocks by each backend, against plain NumPy: few rows and many, short and long, narrow
and wide counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_support import check_same
from numpy.typing import NDArray

from probsig_fast.kernels import registry
from probsig_fast.kernels.contract import Block, Kernels

WIDTHS = [np.int32, np.int64]


@pytest.fixture(scope="session")
def kernels(backend: str) -> Kernels:
    return registry.choose(backend).load()


def block_of(dense: NDArray[np.int64], width: Any = np.int64) -> Block:
    row, column = np.nonzero(dense)
    indptr = np.searchsorted(row, np.arange(dense.shape[0] + 1)).astype(np.int64)
    return Block(indptr, column.astype(np.int32), dense[row, column].astype(width))


def check_sum(kernels: Kernels, tables: list[NDArray[np.int64]], widths: list[Any]) -> None:
    blocks = [block_of(*each) for each in zip(tables, widths, strict=True)]
    for block in blocks:
        for array in (block.indptr, block.indices, block.data):
            array.flags.writeable = False  # as of a mapped file
    got = kernels.merge(blocks, tables[0].shape[1])
    check_same(got, block_of(np.sum(tables, axis=0)))


@given(data=st.data())
def test_sums_of_any_rows(kernels: Kernels, data: st.DataObject) -> None:
    """Each row of each table is empty, sparse or full, and its counts are small or large."""
    rows, columns = data.draw(st.integers(1, 4)), data.draw(st.sampled_from([1, 2, 40, 300]))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    tables, widths = [], []
    for _ in range(data.draw(st.integers(1, 9))):
        fill = random.choice([0, 0.02, 0.3, 1], (rows, 1))
        width = data.draw(st.sampled_from(WIDTHS))
        most = data.draw(st.sampled_from([1, 3, 2**31 - 1, 2**59]))
        most = min(most, np.iinfo(width).max)
        values = random.integers(1, most, (rows, columns), np.int64, endpoint=True)
        tables.append(values * (random.random((rows, columns)) < fill))
        widths.append(width)
    check_sum(kernels, tables, widths)


@pytest.mark.parametrize("widths", [(a, b) for a in WIDTHS for b in WIDTHS], ids=str)
@pytest.mark.parametrize("few", [0, 1, 2, 5, 30])
def test_a_short_row_and_a_long_one(kernels: Kernels, few: int, widths: tuple[Any, Any]) -> None:
    """The short one's columns lie anywhere, at both ends too, and in the long one or not."""
    random = np.random.default_rng(few)
    columns = 20_000
    for taken in (1.0, 0.5):
        long = random.integers(1, 9, (3, columns)) * (random.random((3, columns)) < taken)
        short = np.zeros_like(long)
        for row, places in enumerate(([], [0], [0, columns - 1])):
            chosen = np.unique([*random.integers(0, columns, few), *places]).astype(int)
            short[row, chosen] = 2**31 - 1
        check_sum(kernels, [long, short], list(widths))
        check_sum(kernels, [short, long], list(widths))


@pytest.mark.parametrize("number", [2, 3, 4, 8, 16])
@pytest.mark.parametrize("columns", [700, 70_000])
def test_sums_that_pass_32_bits(kernels: Kernels, number: int, columns: int) -> None:
    """Narrow counts whose sums are wide, in rows with few and many entries."""
    random = np.random.default_rng(number)
    tables = []
    for _ in range(number):
        fill = np.array([[0.001], [0.1], [0.9]])
        table = (2**31 - 1) * (random.random((3, columns)) < fill)
        table[:, [0, columns - 1]] = 2**31 - 1
        tables.append(table.astype(np.int64))
    check_sum(kernels, tables, [np.int32] * number)


@pytest.mark.parametrize("number", [2, 3, 5])
@pytest.mark.parametrize("others", [0, 1, 200])
@pytest.mark.parametrize("first", [True, False])
def test_overflow_in_rows_of_any_length(
    kernels: Kernels, number: int, others: int, first: bool
) -> None:
    """The sum that passes 63 bits, and its neighbour that just does not."""
    large = np.zeros((2, 300), np.int64)
    large[1, 7] = 2**63 - number
    small = np.zeros_like(large)
    small[1, 50 : 50 + others] = 3
    small[1, 7] = 1
    tables = [large, *[small] * (number - 1)]
    blocks = [block_of(table) for table in (tables if first else tables[::-1])]
    check_same(kernels.merge(blocks, 300), block_of(np.sum(tables, axis=0)))
    large[1, 7] += 1
    blocks = [block_of(table) for table in (tables if first else tables[::-1])]
    with pytest.raises(OverflowError, match=r"^a sum of counts passed 2\^63 - 1$"):
        kernels.merge(blocks, 300)


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize(
    "values",
    [(2**63 - 2, 2**63 - 2, 1, 1, 1, 1), (2**63 - 1, 2**63 - 1, 2), (2**62, 2**62, 2**62, 2**62)],
    ids=["six", "three", "four"],
)
def test_a_sum_of_exactly_64_bits(kernels: Kernels, values: tuple[int, ...], columns: int) -> None:
    """2^64 is 0 again for a processor, and the column as if never added to."""
    row = [1] * (columns - 1)
    blocks = [block_of(np.array([[*row, value]], np.int64)) for value in values]
    with pytest.raises(OverflowError, match=r"^a sum of counts passed 2\^63 - 1$"):
        kernels.merge(blocks, columns)


def damaged(block: Block, name: str, value: int, at: int) -> Block:
    arrays = {"indices": block.indices.copy(), "data": block.data.copy()}
    arrays[name][at] = value
    return Block(block.indptr, arrays["indices"], arrays["data"])


@pytest.mark.parametrize("width", WIDTHS, ids=["int32", "int64"])
@pytest.mark.parametrize("place", [0, 1, 250, 399])
@pytest.mark.parametrize("others", [0, 1, 3])
@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("indices", -1, IndexError, "expected column ids from 0 to 999, got -1: damaged"),
        ("indices", 1000, IndexError, "expected column ids from 0 to 999, got 1000: damaged"),
        ("indices", 2**31 - 1, IndexError, "got 2147483647: damaged"),
        ("indices", -(2**31), IndexError, "got -2147483648: damaged"),
        ("data", 0, ValueError, "expected counts above 0, got 0: damaged"),
        ("data", -(2**31), ValueError, "expected counts above 0, got -2147483648: damaged"),
    ],
)
def test_damage_anywhere(
    kernels: Kernels,
    width: Any,
    place: int,
    others: int,
    name: str,
    value: int,
    error: type[Exception],
    message: str,
) -> None:
    table = np.zeros((3, 1000), np.int64)
    table[:2, 10:410:2] = 5
    good = block_of(table, width)
    bad = damaged(good, name, value, place)
    for blocks in ([bad, *[good] * others], [*[good] * others, bad]):
        with pytest.raises(error, match=message):
            kernels.merge(blocks, 1000)


@pytest.mark.parametrize("others", [0, 1, 3])
@pytest.mark.parametrize(("at", "value", "before"), [(1, 10, 10), (150, 3, 308), (199, 406, 406)])
def test_indices_that_do_not_rise(
    kernels: Kernels, others: int, at: int, value: int, before: int
) -> None:
    """A damaged file; without the check backends would differ, or write to where nothing is."""
    table = np.zeros((2, 1000), np.int64)
    table[:, 10:410:2] = 5
    good = block_of(table)
    message = rf"column ids that rise within a row, got {value} after {before}: damaged$"
    for row in (0, 200):
        bad = damaged(good, "indices", value, row + at)
        for blocks in ([bad, *[good] * others], [*[good] * others, bad]):
            with pytest.raises(ValueError, match=message):
                kernels.merge(blocks, 1000)


def test_a_row_may_begin_before_the_last_ended(kernels: Kernels) -> None:
    table = np.zeros((3, 6), np.int64)
    table[0, [2, 5]] = table[1, [0, 1]] = table[2, 0] = 1
    check_sum(kernels, [table], [np.int64])
    check_sum(kernels, [table] * 4, [np.int32] * 4)


@pytest.mark.parametrize("number", [1, 2, 5])
def test_blocks_without_entries_or_rows(kernels: Kernels, number: int) -> None:
    for rows in (0, 1, 5):
        nothing = np.zeros((rows, 7), np.int64)
        check_sum(kernels, [nothing] * number, [WIDTHS[i % 2] for i in range(number)])
