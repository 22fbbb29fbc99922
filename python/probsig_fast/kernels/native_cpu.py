"""The C++ kernels (`csrc/cpu`) in the form of `contract.Kernels`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _cpu
from . import host, native_sets
from .contract import (
    Block,
    Chunk,
    Each,
    Room,
    Rows,
    Scan,
    SetPairs,
    Sets,
    Spans,
    Summand,
    Tokens,
)
from .host import *  # noqa: F403 - the contract's functions about places
from .native_sets import IndexedSets

#: What this file calls and the module lacks: an old build beside newer Python files.
MISSING = [
    name
    for name in (
        *(
            f"{kernel}_{dtype}"
            for kernel in (
                *("scan", "next_pairs", "window_pairs"),
                *("prefix_spans", "sequence_sets", "group_spans", "span_sums"),
                *("set_totals", "set_index", "set_sums"),
            )
            for dtype in ("uint16", "uint32")
        ),
        *("keep_memory", "merge", "block_sums", "gram_squares"),
    )
    if not hasattr(_cpu, name)
]


_NO_WEIGHTS = np.empty(0, np.int64)


def keep_memory(most: int) -> None:
    _cpu.keep_memory(most)


def release() -> None:
    _cpu.keep_memory(0)


def scan(tokens: Tokens, core: int, vocab_size: int, cutting: Tokens) -> Scan:
    kernel = _cpu.scan_uint16 if tokens.dtype == np.uint16 else _cpu.scan_uint32
    return Scan(*kernel(tokens, core, vocab_size, cutting))


def next_pairs(chunk: Chunk, cancel: NDArray[np.uint8]) -> Block:
    narrow = chunk.tokens.dtype == np.uint16
    kernel = _cpu.next_pairs_uint16 if narrow else _cpu.next_pairs_uint32
    return Block(*kernel(*chunk, cancel))


def window_pairs(
    chunk: Chunk,
    weights: NDArray[np.int64],
    row_begin: int,
    row_end: int,
    cancel: NDArray[np.uint8],
) -> Block:
    narrow = chunk.tokens.dtype == np.uint16
    kernel = _cpu.window_pairs_uint16 if narrow else _cpu.window_pairs_uint32
    return Block(*kernel(*chunk, weights, row_begin, row_end, cancel))


def prefix_spans(chunk: Chunk, length: int, cancel: NDArray[np.uint8]) -> Spans:
    narrow = chunk.tokens.dtype == np.uint16
    kernel = _cpu.prefix_spans_uint16 if narrow else _cpu.prefix_spans_uint32
    indptr, bounds = kernel(*chunk, length, cancel)
    return Spans(chunk.tokens, _NO_WEIGHTS, indptr, bounds.reshape(-1, 2), _NO_WEIGHTS)


def sequence_sets(
    tokens: Tokens,
    run_starts: NDArray[np.int64],
    run_ends: NDArray[np.int64],
    vocab_size: int,
    multiplicity: bool,
    cancel: NDArray[np.uint8],
) -> Sets:
    narrow = tokens.dtype == np.uint16
    kernel = _cpu.sequence_sets_uint16 if narrow else _cpu.sequence_sets_uint32
    return Sets(*kernel(tokens, run_starts, run_ends, vocab_size, multiplicity, cancel))


def set_spans(sets: Sets, vocab_size: int) -> SetPairs:
    return native_sets.set_pairs(sets, vocab_size)


def waiting_bytes(summand: Summand) -> int:  # type: ignore[no-redef]
    if isinstance(summand, SetPairs):
        return native_sets.index_bytes(summand)
    return host.waiting_bytes(summand)


def prepared(parts: list[Any], each: Each) -> list[Any]:  # type: ignore[no-redef]
    if parts and isinstance(parts[0], SetPairs):
        return native_sets.indexed(parts, each)
    return parts


def group_spans(
    rows: Tokens, bounds: NDArray[np.uint32], n_rows: int
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    kernel = _cpu.group_spans_uint16 if rows.dtype == np.uint16 else _cpu.group_spans_uint32
    indptr, grouped = kernel(rows, bounds.reshape(-1), n_rows)
    return indptr, grouped.reshape(-1, 2)


def span_sums(
    parts: list[Any],
    columns: int,
    row_begin: int,
    row_end: int,
    cancel: NDArray[np.uint8],
    room: Room,
) -> Block:
    if isinstance(parts[0], IndexedSets):
        blocks = [native_sets.set_sums(each, row_begin, row_end, cancel, room) for each in parts]
        return blocks[0] if len(blocks) == 1 else merge(blocks, columns)
    narrow = parts[0].ids.dtype == np.uint16
    kernel = _cpu.span_sums_uint16 if narrow else _cpu.span_sums_uint32
    arrays = [part._replace(bounds=part.bounds.reshape(-1))[:5] for part in parts]
    return Block(*kernel(arrays, columns, row_begin, row_end, cancel, *room))


def merge(blocks: list[Block], columns: int) -> Block:
    arrays = [(block.indptr, block.indices, block.data) for block in blocks]
    return Block(*_cpu.merge(arrays, columns))


def block_sums(block: Block, columns: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return _cpu.block_sums(block.indptr, block.indices, block.data, columns)


def gram_squares(
    rows: Rows,
    columns: Rows,
    shift: float,
    row_begin: int,
    row_end: int,
    cancel: NDArray[np.uint8],
) -> NDArray[np.float64]:
    by_row = (rows.indptr, rows.indices, rows.values)
    by_column = (columns.indptr, columns.indices, columns.values)
    return _cpu.gram_squares(by_row, by_column, shift, row_begin, row_end, cancel)


def gram_row_squares(
    rows: Rows,
    columns: Rows,
    shift: float,
    chosen: NDArray[np.int64],
    cancel: NDArray[np.uint8],
) -> NDArray[np.float64]:
    by_row = (rows.indptr, rows.indices, rows.values)
    by_column = (columns.indptr, columns.indices, columns.values)
    return _cpu.gram_row_squares(by_row, by_column, shift, chosen, cancel)


def product_squares(
    columns: Rows,
    dense: NDArray[np.float64],
    begin: int,
    end: int,
    shares: bool,
    cancel: NDArray[np.uint8],
) -> tuple[float, NDArray[np.float64]]:
    by_column = (columns.indptr, columns.indices, columns.values)
    return _cpu.product_squares(by_column, dense, begin, end, shares, cancel)
