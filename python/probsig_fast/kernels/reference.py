"""The definition of every kernel, in plain NumPy. Slow, obvious, and never chosen by itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .contract import Block, Chunk, Room, Rows, Scan, Sets, Spans, Tokens
from .host import *  # noqa: F403 - the contract's functions about places
from .host import keep_memory as keep_memory
from .host import release as release


def scan(tokens: Tokens, core: int, vocab_size: int, cutting: Tokens) -> Scan:
    is_cut = np.isin(tokens, cutting)
    invalid = np.flatnonzero((tokens >= vocab_size) & ~is_cut)
    if invalid.size:
        return Scan(np.empty(0, np.int64), np.empty(0, np.int64), int(invalid[0]))
    known = tokens[:core][tokens[:core] < vocab_size]
    histogram = np.bincount(known, minlength=vocab_size).astype(np.int64)
    return Scan(histogram, np.flatnonzero(is_cut).astype(np.int64), -1)


def next_pairs(chunk: Chunk, cancel: NDArray[np.uint8]) -> Block:
    return window_pairs(chunk, np.ones(1, np.int64), 0, chunk.histogram.size, cancel)


def window_pairs(
    chunk: Chunk,
    weights: NDArray[np.int64],
    row_begin: int,
    row_end: int,
    cancel: NDArray[np.uint8],
) -> Block:
    tokens, core, run_starts, run_ends, histogram = chunk
    vocab_size = histogram.size
    positions, run_end = _positions(run_starts, run_ends)
    keys = [np.empty(0, np.int64)]
    values = [np.empty(0, np.int64)]
    for distance, weight in enumerate(weights.tolist(), 1):
        if cancel[0]:
            break
        first = positions[(positions < core) & (positions + distance < run_end)]
        first = first[(tokens[first] >= row_begin) & (tokens[first] < row_end)]
        row = tokens[first].astype(np.int64) - row_begin
        pair = row * vocab_size + tokens[first + distance]
        key, count = np.unique(pair, return_counts=True)
        keys.append(key)
        values.append(count * weight)
    return _block(np.concatenate(keys), np.concatenate(values), row_end - row_begin, vocab_size)


def prefix_spans(chunk: Chunk, length: int, cancel: NDArray[np.uint8]) -> Spans:
    positions, run_end = _positions(chunk.run_starts, chunk.run_ends)
    tokens = chunk.tokens[positions]
    ends = np.minimum(positions + 1 + length, run_end)
    # Occurrences of one token in one run lie side by side in this order.
    order = np.lexsort((positions, tokens, run_end))
    first, second = order[:-1], order[1:]
    repeated = (tokens[first] == tokens[second]) & (run_end[first] == run_end[second])
    first, second = first[repeated], second[repeated]
    ends[first] = np.minimum(ends[first], positions[second] + 1)
    bounds = np.stack([positions + 1, ends], axis=1).astype(np.uint32)
    core = positions < chunk.core
    indptr, bounds = group_spans(tokens[core], bounds[core], chunk.histogram.size)
    none = np.empty(0, np.int64)
    return Spans(chunk.tokens, none, indptr, bounds, none)


def sequence_sets(
    tokens: Tokens,
    run_starts: NDArray[np.int64],
    run_ends: NDArray[np.int64],
    vocab_size: int,
    multiplicity: bool,
    cancel: NDArray[np.uint8],
) -> Sets:
    positions, _ = _positions(run_starts, run_ends)
    run = np.repeat(np.arange(run_starts.size), run_ends - run_starts)
    keys, counts = np.unique(run * vocab_size + tokens[positions], return_counts=True)
    indptr = np.searchsorted(keys, np.arange(run_starts.size + 1) * vocab_size).astype(np.int64)
    ids = (keys % vocab_size).astype(tokens.dtype)
    return Sets(indptr, ids, counts.astype(np.int64) if multiplicity else np.empty(0, np.int64))


def set_spans(sets: Sets, vocab_size: int) -> Spans:
    ends = np.repeat(sets.indptr[1:], np.diff(sets.indptr))
    bounds = np.stack([np.arange(ends.size), ends], axis=1).astype(np.uint32)
    indptr, bounds = group_spans(sets.ids, bounds, vocab_size)
    none = np.empty(0, np.int64)
    return Spans(sets.ids, none, indptr, bounds, none)


def group_spans(
    rows: Tokens, bounds: NDArray[np.uint32], n_rows: int
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    order = np.argsort(rows, kind="stable")
    indptr = np.searchsorted(rows[order], np.arange(n_rows + 1)).astype(np.int64)
    return indptr, bounds[order]


def span_sums(
    parts: list[Spans],
    columns: int,
    row_begin: int,
    row_end: int,
    cancel: NDArray[np.uint8],
    room: Room,
) -> Block:
    keys, values = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for part in parts:
        spans = slice(part.indptr[row_begin], part.indptr[row_end])
        bounds = part.bounds[spans].astype(np.int64)
        rows = np.repeat(
            np.arange(row_end - row_begin), np.diff(part.indptr[row_begin : row_end + 1])
        )
        positions, _ = _positions(bounds[:, 0], bounds[:, 1])
        lengths = bounds[:, 1] - bounds[:, 0]
        keys.append(np.repeat(rows, lengths) * columns + part.ids[positions])
        weights = np.ones(positions.size, np.int64)
        if part.span_weights.size:
            weights *= np.repeat(part.span_weights[spans], lengths)
        if part.id_weights.size:
            weights *= part.id_weights[positions]
        values.append(weights)
    return _block(np.concatenate(keys), np.concatenate(values), row_end - row_begin, columns)


def merge(blocks: list[Block], columns: int) -> Block:
    rows = blocks[0].indptr.size - 1
    keys = [_checked_keys(block, columns) for block in blocks]
    values = [block.data.astype(np.int64) for block in blocks]
    return _block(np.concatenate(keys), np.concatenate(values), rows, columns)


def block_sums(block: Block, columns: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    _check_indices(block.indices, columns)
    _check_counts(block.data)
    if sum(block.data.tolist()) >= 2**63:
        raise OverflowError("a sum of counts passed 2^63 - 1")
    row_sums, column_sums = np.zeros(block.indptr.size - 1, np.int64), np.zeros(columns, np.int64)
    np.add.at(row_sums, _rows(block), block.data)
    np.add.at(column_sums, block.indices, block.data)
    return row_sums, column_sums


def _positions(
    starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All positions in the stretches [start, end), and the end of the stretch of each."""
    lengths = ends - starts
    positions = np.repeat(starts - np.cumsum(lengths) + lengths, lengths)
    return positions + np.arange(positions.size), np.repeat(ends, lengths)


def _checked_keys(block: Block, columns: int) -> NDArray[np.int64]:
    """row * columns + column of each entry."""
    indices, data = block.indices, block.data
    _check_indices(indices, columns)
    _check_counts(data)
    keys = _rows(block) * columns + indices
    falls = np.flatnonzero(np.diff(keys) <= 0)
    if falls.size:
        before, index = indices[falls[0] : falls[0] + 2]
        raise ValueError(
            "counts: expected column ids that rise within a row, "
            f"got {index} after {before}: damaged"
        )
    return keys


def gram_squares(
    rows: Rows,
    columns: Rows,
    shift: float,
    row_begin: int,
    row_end: int,
    cancel: NDArray[np.uint8],
) -> NDArray[np.float64]:
    shares = np.zeros(rows.indptr.size - 1)
    for i in range(row_begin, row_end):
        squares = np.square(_gram_row(rows, columns, i)[:i] - shift)
        shares[:i] += squares
        shares[i] += squares.sum()
    return shares


def gram_row_squares(
    rows: Rows,
    columns: Rows,
    shift: float,
    chosen: NDArray[np.int64],
    cancel: NDArray[np.uint8],
) -> NDArray[np.float64]:
    result = np.zeros(chosen.size)
    for k, i in enumerate(chosen.tolist()):
        squares = np.square(_gram_row(rows, columns, i) - shift)
        squares[i] = 0.0
        result[k] = squares.sum()
    return result


def _gram_row(rows: Rows, columns: Rows, i: int) -> NDArray[np.float64]:
    """p_i . p_j for all j."""
    cosines = np.zeros(rows.indptr.size - 1)
    for entry in range(rows.indptr[i], rows.indptr[i + 1]):
        column = rows.indices[entry]
        others = slice(columns.indptr[column], columns.indptr[column + 1])
        cosines[columns.indices[others]] += rows.values[entry] * columns.values[others]
    return cosines


def product_squares(
    columns: Rows,
    dense: NDArray[np.float64],
    begin: int,
    end: int,
    shares: bool,
    cancel: NDArray[np.uint8],
) -> tuple[float, NDArray[np.float64]]:
    total, result = 0.0, np.zeros(dense.shape[0] if shares else 0)
    for c in range(begin, end):
        entries = slice(columns.indptr[c], columns.indptr[c + 1])
        _check_indices(columns.indices[entries], dense.shape[0])
        x, values = dense[columns.indices[entries]], columns.values[entries]
        product = values @ x
        total += float(product @ product)
        if shares:
            result[columns.indices[entries]] += values * (x @ product)
    return total, result


def _rows(block: Block) -> NDArray[np.int64]:
    """The row of each entry."""
    return np.repeat(np.arange(block.indptr.size - 1), np.diff(block.indptr))


def _check_counts(data: NDArray[np.integer]) -> None:
    if data.size and data.min() < 1:
        raise ValueError(f"counts: expected counts above 0, got {data.min()}: damaged")


def _check_indices(indices: NDArray[np.int32], columns: int) -> None:
    outside = indices[(indices < 0) | (indices >= columns)]
    if outside.size:
        raise IndexError(
            f"counts: expected column ids from 0 to {columns - 1}, got {outside[0]}: damaged"
        )


def _block(keys: NDArray[np.int64], values: NDArray[np.int64], rows: int, columns: int) -> Block:
    """Sum `values` of equal `keys` = row * columns + column."""
    key, inverse = np.unique(keys, return_inverse=True)
    # Halves of 32 bits cannot wrap 64, so that a sum past 2^63 - 1 shows before it is formed.
    low, high = np.zeros(key.size, np.int64), np.zeros(key.size, np.int64)
    np.add.at(low, inverse, values & 0xFFFFFFFF)
    np.add.at(high, inverse, values >> 32)
    high += low >> 32
    if (high >= 2**31).any():
        raise OverflowError("a sum of counts passed 2^63 - 1")
    total = high << 32 | (low & 0xFFFFFFFF)
    kept = total > 0
    row, column = np.divmod(key[kept], columns)
    indptr = np.searchsorted(row, np.arange(rows + 1)).astype(np.int64)
    return Block(indptr, column.astype(np.int32), total[kept])
