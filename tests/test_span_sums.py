"""The kernel `span_sums` by itself, against plain Python and the reference."""

from __future__ import annotations

import threading
import time
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from cuda_module import EMULATED
from hypothesis import given
from hypothesis import strategies as st
from kernel_support import DTYPES, Cells, check_block, check_same, dtypes, span_sums
from numpy.typing import NDArray

from probsig_fast.kernels import reference, registry
from probsig_fast.kernels.contract import Kernels, Spans

NONE = np.empty(0, np.int64)


@pytest.fixture(scope="session")
def kernels(backend: str) -> Kernels:
    return registry.choose(backend).load()


@st.composite
def spans_of_rows(draw: st.DrawFn, rows: int, columns: int, dtype: Any) -> Spans:
    """Some rows have no spans, some spans no ids; weights are there or not, and may be 0."""
    ids = draw(st.lists(st.integers(0, columns - 1), max_size=12))
    ends = st.integers(0, len(ids))
    spans = draw(st.lists(st.tuples(ends, ends).map(sorted), max_size=8))
    row = sorted(draw(st.lists(st.integers(0, rows - 1), min_size=len(spans), max_size=len(spans))))
    id_weights = st.sampled_from([0, 1, 3, 2**32 - 1, 2**36])
    span_weights = st.sampled_from([0, 1, 2, 2**16])

    def weights(size: int, values: st.SearchStrategy[int]) -> NDArray[np.int64]:
        drawn = st.lists(values, min_size=size, max_size=size)
        return np.array(draw(st.just([]) | drawn), np.int64)

    return Spans(
        np.array(ids, dtype),
        weights(len(ids), id_weights),
        np.searchsorted(row, np.arange(rows + 1)).astype(np.int64),
        np.array(spans, np.uint32).reshape(-1, 2),
        weights(len(spans), span_weights),
    )


@st.composite
def parts_of_rows(draw: st.DrawFn) -> tuple[list[Spans], int, int]:
    rows, columns = draw(st.integers(1, 4)), draw(st.sampled_from([1, 2, 9, 300]))
    part = spans_of_rows(rows, columns, draw(dtypes))
    return draw(st.lists(part, min_size=1, max_size=5)), rows, columns


def sums_of(parts: list[Spans], row_begin: int, row_end: int) -> Cells:
    cells: Counter[tuple[int, int]] = Counter()
    for part in parts:
        ids, bounds = part.ids.tolist(), part.bounds.tolist()
        id_weights = part.id_weights.tolist() or [1] * len(ids)
        span_weights = part.span_weights.tolist() or [1] * len(bounds)
        for row in range(row_begin, row_end):
            for span in range(part.indptr[row], part.indptr[row + 1]):
                for i in range(*bounds[span]):
                    cells[row - row_begin, ids[i]] += span_weights[span] * id_weights[i]
    return cells


@given(case=parts_of_rows(), data=st.data())
def test_span_sums(
    kernels: Kernels, case: tuple[list[Spans], int, int], data: st.DataObject
) -> None:
    parts, rows, columns = case
    check_block(span_sums(kernels, parts, columns, 0, rows), sums_of(parts, 0, rows), rows)
    begin, end = sorted(data.draw(st.tuples(*[st.integers(0, rows)] * 2)))
    block = span_sums(kernels, parts, columns, begin, end, room=data.draw(st.integers(0, 300)))
    check_block(block, sums_of(parts, begin, end), end - begin)


def one_span(ids: list[int], id_weights: list[int], span_weights: list[int]) -> Spans:
    """One row, and in it one span of all ids for each weight."""
    bounds = np.array([[0, len(ids)]] * len(span_weights), np.uint32)
    return Spans(
        np.array(ids, np.uint16),
        np.array(id_weights, np.int64),
        np.array([0, len(span_weights)]),
        bounds,
        np.array(span_weights, np.int64),
    )


@pytest.mark.parametrize("columns", [3, 100], ids=["dense", "sparse"])
@pytest.mark.parametrize(
    ("id_weights", "span_weights", "total"),
    [
        ([], [2**32 - 1], 2**32 - 1),
        ([], [2**32 - 1, 1], 2**32),
        ([], [2**31, 2**31], 2**32),
        ([2**32 - 1], [1], 2**32 - 1),
        ([2**32 - 1], [1, 1], 2**33 - 2),
        ([2**16], [2**16], 2**32),
        ([], [2**62, 2**62 - 1], 2**63 - 1),
        ([2**62 - 1], [1, 1], 2**63 - 2),
        ([2**31 - 1], [2**31, 2**31], 2**63 - 2**32),
        ([0], [2**62, 2**62], 0),
        ([2**62], [0, 1, 0], 2**62),
    ],
)
def test_big_weights(
    kernels: Kernels, columns: int, id_weights: list[int], span_weights: list[int], total: int
) -> None:
    parts = [one_span([2], id_weights, [weight]) for weight in span_weights]
    for some in (parts, [one_span([2], id_weights, span_weights)]):
        check_block(span_sums(kernels, some, columns, 0, 1), {(0, 2): total}, 1)


def random_spans(
    rng: np.random.Generator, rows: int, columns: int, dtype: Any, weights: tuple[bool, bool]
) -> Spans:
    """The first rows have many long spans, most others few, and some none."""
    ids = np.minimum(rng.zipf(1.3, 50_000) - 1, columns - 1).astype(dtype)
    row = np.sort(np.minimum(rng.zipf(1.4, 4_000) - 1, rows - 1))
    begin = rng.integers(0, ids.size - 100, row.size)
    bounds = np.stack([begin, begin + rng.integers(0, 100, row.size)], axis=1).astype(np.uint32)
    indptr = np.searchsorted(row, np.arange(rows + 1)).astype(np.int64)
    id_weights = rng.integers(0, 4, ids.size) if weights[0] else NONE
    span_weights = rng.integers(0, 2**30, row.size) if weights[1] else NONE
    return Spans(ids, id_weights, indptr, bounds, span_weights)


@pytest.mark.parametrize("dtype", DTYPES, ids=["uint16", "uint32"])
@pytest.mark.parametrize("columns", [2, 700, 5_000, 60_000])
def test_span_sums_of_many_spans(kernels: Kernels, dtype: Any, columns: int) -> None:
    rng = np.random.default_rng(columns)
    rows = 900
    plain = [random_spans(rng, rows, columns, dtype, (False, False)) for _ in range(3)]
    weighted = [random_spans(rng, rows, columns, dtype, (a, b)) for a in (0, 1) for b in (0, 1)]
    for parts in (plain, weighted):
        expected = span_sums(reference, parts, columns, 0, rows)
        check_same(span_sums(kernels, parts, columns, 0, rows), expected)
        blocks = [
            span_sums(kernels, parts, columns, begin, end)
            for begin, end in pairwise([0, 1, 1, 40, rows])
        ]
        assert np.array_equal(np.concatenate([b.indices for b in blocks]), expected.indices)
        assert np.array_equal(np.concatenate([b.data for b in blocks]), expected.data)
        lengths = np.concatenate([np.diff(b.indptr) for b in blocks])
        assert np.array_equal(lengths, np.diff(expected.indptr))


@pytest.mark.parametrize("columns", [2_000, 60_000], ids=["dense", "sparse"])
def test_more_entries_than_foreseen(kernels: Kernels, columns: int) -> None:
    """Hardly any two additions meet."""
    rows, length = 1_500, 1_200
    ids = np.arange(rows * length * 7, step=7) % columns
    bounds = np.arange(rows)[:, None] * length + [0, length]
    part = Spans(ids.astype(np.uint16), NONE, np.arange(rows + 1), bounds.astype(np.uint32), NONE)
    arguments = [part], columns, 0, rows
    check_same(span_sums(kernels, *arguments), span_sums(reference, *arguments))


def test_span_sums_of_nothing(kernels: Kernels) -> None:
    empty = Spans(
        np.empty(0, np.uint16), NONE, np.zeros(6, np.int64), np.empty((0, 2), np.uint32), NONE
    )
    for parts in ([empty], [empty] * 3):
        check_block(span_sums(kernels, parts, 4, 0, 5), {}, 5)
        check_block(span_sums(kernels, parts, 4, 2, 2), {}, 0)


def test_inputs_are_not_written_to(kernels: Kernels) -> None:
    spans = random_spans(np.random.default_rng(3), 50, 300, np.uint32, (True, True))
    arrays = spans[:5]
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    span_sums(kernels, [spans], 300, 0, 50)
    assert all(map(np.array_equal, arrays, before))


def test_a_long_sum_is_cancelled(backend: str, kernels: Kernels) -> None:
    if backend == "reference":
        pytest.skip("the reference lists all additions before it adds")
    if backend == "native_cuda" and EMULATED:
        pytest.skip("the kernel runs between two looks at the flag, emulated for hours")
    long = 2**16
    ids = np.arange(long, dtype=np.uint16)
    bounds = np.tile(np.array([0, long], np.uint32), (4_000_000, 1))
    spans = Spans(ids, NONE, np.array([0, 3_999_999, 4_000_000]), bounds, NONE)
    for _ in range(2):  # the first time may pass while it is compiled
        cancel = np.zeros(1, np.uint8)
        timer = threading.Timer(0.3, cancel.fill, [1])
        timer.start()
        begin = time.perf_counter()
        span_sums(kernels, [spans], long, 0, 2, cancel)  # a minute at the least
        assert time.perf_counter() - begin < 15
        timer.join()


@pytest.mark.parametrize("bounds", [[0, 4], [3, 4], [2, 1]])
def test_spans_that_are_not_within_the_ids(
    backend: str, kernels: Kernels, bounds: list[int]
) -> None:
    if backend == "reference":
        pytest.skip("the reference is never given such spans, and NumPy guards its memory")
    spans = one_span([0, 1, 2], [], [1])._replace(bounds=np.array([bounds], np.uint32))
    with pytest.raises(IndexError, match=r"^bounds: expected spans within the ids$"):
        span_sums(kernels, [spans], 3, 0, 1)
