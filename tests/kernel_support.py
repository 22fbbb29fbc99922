"""What tests of kernels share: chunks, and what results must look like."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from probsig_fast.kernels.contract import Block, Chunk, Kernels, Room

DTYPES = [np.uint16, np.uint32]
dtypes = st.sampled_from(DTYPES)
#: The flag of a count that nobody cancels.
RUNNING = np.zeros(1, np.uint8)

Cells = dict[tuple[int, int], int]


@st.composite
def chunks(draw: st.DrawFn) -> Chunk:
    """What a planner may hand to a kernel: runs in order, some tokens in none of them."""
    vocab_size = draw(st.integers(1, 9))
    tokens = draw(st.lists(st.integers(0, vocab_size - 1), max_size=50))
    core = draw(st.integers(0, len(tokens)))
    edges = sorted(draw(st.sets(st.integers(0, len(tokens)), max_size=10)))
    runs = [
        (a, b - draw(st.integers(0, min(1, b - a - 1))))
        for a, b in pairwise(edges)
        if draw(st.integers(0, 4))
    ]
    inside = Counter(tokens[i] for a, b in runs for i in range(a, min(b, core)))
    slack = draw(st.integers(0, 2))  # "at least the number of x among the core's runs"
    return Chunk(
        np.array(tokens, draw(dtypes)),
        core,
        np.array([a for a, _ in runs], np.int64),
        np.array([b for _, b in runs], np.int64),
        np.array([inside[t] + slack for t in range(vocab_size)], np.int64),
    )


def span_sums(
    kernels: Kernels,
    parts: list[Any],
    columns: int,
    row_begin: int,
    row_end: int,
    cancel: NDArray[np.uint8] = RUNNING,
    room: int = 100,
) -> Block:
    """The kernel's result, from a room of so many entries that holds others' numbers; its counts as
    int64, though the kernel may give int32."""
    memory = Room(np.full(room, -7, np.int32), np.full(room, -7, np.int64))
    prepared = kernels.prepared(parts, map)
    block = kernels.span_sums(prepared, columns, row_begin, row_end, cancel, memory)
    assert block.data.dtype in (np.int32, np.int64)
    return Block(block.indptr, block.indices, block.data.astype(np.int64))


def check_block(block: Block, expected: Cells, rows: int) -> None:
    """Exactly these cells, in canonical order and of the contract's types."""
    assert isinstance(block, Block)
    cells = sorted(cell for cell, value in expected.items() if value)
    in_row = Counter(row for row, _ in cells)
    check_array(block.indptr, np.cumsum([0, *(in_row[row] for row in range(rows))]), np.int64)
    check_array(block.indices, [column for _, column in cells], np.int32)
    check_array(block.data, [expected[cell] for cell in cells], count_type(block))


def count_type(block: Block) -> Any:
    """Kernels may give counts of 32 bits where all fit."""
    return np.int32 if block.data.dtype == np.int32 else np.int64


def check_array(array: NDArray[Any], expected: Any, dtype: Any) -> None:
    assert array.dtype == dtype
    assert array.tolist() == list(expected)


def check_same(first: Any, second: Any) -> None:
    """Two results with the same arrays."""
    first, second = (
        vars(each).values() if isinstance(each, Block) else each for each in (first, second)
    )
    for one, other in zip(first, second, strict=True):
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
