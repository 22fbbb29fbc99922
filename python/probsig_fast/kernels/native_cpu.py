"""The C++ kernels (`csrc/cpu`) in the form of `contract.Kernels`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .. import _cpu
from .contract import Block, Rows, Scan, Tokens

#: What this file calls and the module lacks: an old build beside newer Python files.
MISSING = [
    name
    for name in (
        *(
            f"{kernel}_{dtype}"
            for kernel in ("scan", "next_pairs", "window_pairs")
            for dtype in ("uint16", "uint32")
        ),
        *("merge", "column_sums", "gram_squares"),
    )
    if not hasattr(_cpu, name)
]


def scan(tokens: Tokens, core: int, vocab_size: int, cutting: Tokens) -> Scan:
    kernel = _cpu.scan_uint16 if tokens.dtype == np.uint16 else _cpu.scan_uint32
    return Scan(*kernel(tokens, core, vocab_size, cutting))


def next_pairs(
    tokens: Tokens,
    core: int,
    run_starts: NDArray[np.int64],
    run_ends: NDArray[np.int64],
    histogram: NDArray[np.int64],
    cancel: NDArray[np.uint8],
) -> Block:
    kernel = _cpu.next_pairs_uint16 if tokens.dtype == np.uint16 else _cpu.next_pairs_uint32
    return Block(*kernel(tokens, core, run_starts, run_ends, histogram, cancel))


def window_pairs(
    tokens: Tokens,
    core: int,
    run_starts: NDArray[np.int64],
    run_ends: NDArray[np.int64],
    histogram: NDArray[np.int64],
    weights: NDArray[np.int64],
    cancel: NDArray[np.uint8],
) -> Block:
    kernel = _cpu.window_pairs_uint16 if tokens.dtype == np.uint16 else _cpu.window_pairs_uint32
    return Block(*kernel(tokens, core, run_starts, run_ends, histogram, weights, cancel))


def merge(blocks: list[Block], columns: int) -> Block:
    arrays = [(block.indptr, block.indices, block.data) for block in blocks]
    return Block(*_cpu.merge(arrays, columns))


def column_sums(
    indices: NDArray[np.int32], data: NDArray[np.int64], columns: int
) -> NDArray[np.int64]:
    return _cpu.column_sums(indices, data, columns)


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
