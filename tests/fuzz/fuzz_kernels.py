"""Kernels by themselves: all backends give the same arrays, or the same kind of error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_streams import backends, tokens_of
from fuzz_support import Draw, Finding, Fuzzer, check
from numpy.typing import NDArray

from probsig_fast.kernels import registry
from probsig_fast.kernels.contract import Block, Chunk, Kernels, Room, Rows, Sets, Spans

_RUNNING = np.zeros(1, np.uint8)
_NONE = np.empty(0, np.int64)
#: What kernels raise of damaged blocks and sums that are too large.
_ALLOWED = (OverflowError, IndexError, ValueError)


def run_kernels(draw: Draw, folder: Path) -> None:
    kind = draw.one_of(list(_KINDS))
    use = _KINDS[kind](draw)
    names = backends()
    first: Any = None
    for name in names:
        got = _outcome(use, registry.choose(name).load())
        if first is None:
            first = got
        same = len(first) == len(got) and all(
            np.array_equal(a, b) and (isinstance(a, str) or a.dtype == b.dtype)
            for a, b in zip(first, got, strict=True)
        )
        check(same, f"{kind}: {names[0]} and {name} differ: {first} and {got}")


Arrays = tuple[Any, ...]
Use = Callable[[Kernels], Arrays]


def _outcome(use: Use, kernels: Kernels) -> Arrays:
    try:
        return use(kernels)
    except _ALLOWED as error:
        return (f"{type(error).__name__}",)
    except Exception as error:
        raise Finding("another error of a kernel") from error


def _arrays(block: Block) -> Arrays:
    # Kernels may give counts of 32 bits where all fit.
    narrow = block.data.dtype == np.int32
    return block.indptr, block.indices, block.data.astype(np.int64) if narrow else block.data


def _chunk(draw: Draw, most: int) -> Chunk:
    """Runs with and without gaps; the histogram may have slack."""
    vocab_size = draw.one_of([1, 2, 9, 64, 257, 5_000, 65_536])
    size = draw.size(most)
    tokens = tokens_of(draw, vocab_size, size).astype(draw.one_of([np.uint16, np.uint32]))
    core = draw.one_of([size, draw.between(0, size)])
    edges = np.unique(draw.integers(0, size, draw.size(300)))
    starts, ends = edges[:-1].copy(), edges[1:].copy()
    if draw.chance(0.3):
        ends -= draw.integers(0, 1, ends.size)  # a token that is in no run, or an empty run
    inside = np.zeros(size + 1, np.int64)
    np.add.at(inside, starts, 1)
    np.add.at(inside, ends, -1)
    counted = tokens[:core][np.cumsum(inside)[:core] > 0]
    histogram = np.bincount(counted, minlength=vocab_size) + draw.one_of([0, 0, 3])
    return Chunk(tokens, core, starts, ends, histogram.astype(np.int64))


def _scan(draw: Draw) -> Use:
    chunk = _chunk(draw, 9_000)
    vocab_size = draw.one_of([1, 50, chunk.histogram.size])
    wild = [0, 1, 49, 50, 65_535, *chunk.tokens[:3].tolist()]
    cutting = np.unique(np.array(draw.some_of(wild, 7), chunk.tokens.dtype))

    def use(kernels: Kernels) -> Arrays:
        scan = kernels.scan(chunk.tokens, chunk.core, vocab_size, cutting)
        place = np.array([scan.invalid])
        return (place,) if scan.invalid >= 0 else (place, scan.histogram, scan.cuts)

    return use


def _pairs(draw: Draw) -> Use:
    chunk = _chunk(draw, 6_000)
    large = (2**63 - 1) // max(chunk.core, 1) // 20
    weights = np.array(draw.some_of([0, 0, 1, 1, 2, 2**31 - 1, large], 19) or [1], np.int64)
    if draw.chance(0.3):
        weights[:] = 1
    # Their sum times the core stays below 2^63: that is the caller's to keep.
    while int(weights.sum()) * max(chunk.core, 1) >= 2**63:
        weights //= 2

    rows = chunk.histogram.size
    begin, end = (
        (0, rows) if draw.chance(0.5) else sorted((draw.between(0, rows), draw.between(0, rows)))
    )

    def use(kernels: Kernels) -> Arrays:
        first = kernels.next_pairs(chunk, _RUNNING)
        window = kernels.window_pairs(chunk, weights, begin, end, _RUNNING)
        return *_arrays(first), *_arrays(window)

    return use


def _prefixes(draw: Draw) -> Use:
    chunk = _chunk(draw, 4_000)
    length = draw.one_of([1, 2, 17, 400, 2**20])

    def use(kernels: Kernels) -> Arrays:
        spans = kernels.prefix_spans(chunk, length, _RUNNING)
        return spans.indptr, spans.bounds, *_sums(kernels, [spans], chunk.histogram.size)

    return use


def _sets(draw: Draw) -> Use:
    """Now and then so many small sets that some ids are heads."""
    chunk = _chunk(draw, 3_000)
    tokens, starts, ends = chunk.tokens, chunk.run_starts, chunk.run_ends
    vocab_size = chunk.histogram.size
    if draw.chance(0.2):
        vocab_size, lengths = 120, draw.integers(0, 40, 600)
        tokens = draw.integers(0, 99, int(lengths.sum())).astype(tokens.dtype)
        ends = np.cumsum(lengths)
        starts = ends - lengths

    def use(kernels: Kernels) -> Arrays:
        sets: Sets = kernels.sequence_sets(tokens, starts, ends, vocab_size, True, _RUNNING)
        spans = kernels.set_spans(sets, vocab_size)
        return *sets, *_sums(kernels, [spans, spans], vocab_size)

    return use


def _sums(kernels: Kernels, parts: list[Any], rows: int) -> Arrays:
    found: list[Any] = []
    parts = kernels.prepared(parts, map)
    for begin, end in ((0, rows // 3), (rows // 3, rows)):
        room = Room(np.full(50, -7, np.int32), np.full(50, -7, np.int64))
        block = kernels.span_sums(parts, rows, begin, end, _RUNNING, room)
        counts = block.data.astype(np.int64)  # int32 with some backends
        found += [block.indptr.copy(), block.indices.copy(), counts]
    return tuple(found)


def _weighted(draw: Draw) -> Use:
    rows, dtype = draw.between(1, 40), draw.one_of([np.uint16, np.uint32])
    parts = []
    for _ in range(draw.between(1, 4)):
        ids = tokens_of(draw, rows, draw.size(500)).astype(dtype)
        bounds = np.sort(draw.integers(0, ids.size, 2 * draw.size(200)).reshape(-1, 2), axis=1)
        ends = np.sort(draw.integers(0, len(bounds), rows - 1))
        weights = [
            draw.rng.choice([0, 1, 5, 2**20], size) if draw.chance(0.5) else _NONE
            for size in (ids.size, len(bounds))
        ]
        indptr = np.concatenate([[0], ends, [len(bounds)]]).astype(np.int64)
        spans = Spans(ids, weights[0], indptr, bounds.astype(np.uint32), weights[1])
        parts.append(spans)
    return lambda kernels: _sums(kernels, parts, rows)


def _merge(draw: Draw) -> Use:
    """Blocks of which sums may pass 63 bits, and of which one may be damaged."""
    rows, columns = draw.one_of([1, 3, 50]), draw.one_of([1, 2, 70, 4_000])
    largest = draw.one_of([1, 2**31 - 1, 2**31, 2**62, 2**63 - 1])
    blocks = [_block(draw, rows, columns, largest) for _ in range(draw.between(1, 8))]
    broken = draw.one_of(blocks)
    # One fault at a time: which of two is told first is left to the backend.
    if draw.chance(0.2) and largest < 2**60 and broken.indices.size:
        place = draw.below(broken.indices.size)
        if draw.chance(0.5):
            broken.indices[place] = draw.one_of([-1, columns, 2**31 - 1, -(2**31)])
        else:
            broken.data[place] = draw.one_of([0, -1, -(2**63)])

    def use(kernels: Kernels) -> Arrays:
        return _arrays(kernels.merge(blocks, columns))

    return use


def _block(draw: Draw, rows: int, columns: int, largest: int) -> Block:
    keys = np.unique(tokens_of(draw, rows * columns, draw.size(900)))
    row, column = np.divmod(keys, columns)
    indptr = np.searchsorted(row, np.arange(rows + 1)).astype(np.int64)
    data: NDArray[np.int64] = draw.integers(1, largest, keys.size)
    if draw.chance(0.3):
        data[:] = largest
    return Block(indptr, column.astype(np.int32), data)


def _gram(draw: Draw) -> Use:
    """Whole numbers: every order of summing gives the same."""
    rows, columns = draw.between(1, 60), draw.between(1, 40)
    block = _block(draw, rows, columns, 9)
    row = np.repeat(np.arange(rows), np.diff(block.indptr))
    order = np.lexsort((row, block.indices))
    by_row = Rows(block.indptr, block.indices, block.data.astype(float))
    pointers = np.searchsorted(block.indices[order], np.arange(columns + 1)).astype(np.int64)
    by_column = Rows(pointers, row[order].astype(np.int32), by_row.values[order])
    chosen = draw.integers(0, rows - 1, draw.size(9))
    dense = draw.integers(-9, 9, rows * draw.between(1, 40)).astype(float).reshape(rows, -1)
    shift, middle = float(draw.between(-3, 3)), draw.between(0, rows)

    def use(kernels: Kernels) -> Arrays:
        first = kernels.gram_squares(by_row, by_column, shift, 0, middle, _RUNNING)
        second = kernels.gram_squares(by_row, by_column, shift, middle, rows, _RUNNING)
        single = kernels.gram_row_squares(by_row, by_column, shift, chosen, _RUNNING)
        norm, shares = kernels.product_squares(by_column, dense, 0, columns, True, _RUNNING)
        return first + second, single, np.array([norm]), shares

    return use


_KINDS: dict[str, Callable[[Draw], Use]] = {
    "scan": _scan,
    "pairs": _pairs,
    "prefixes": _prefixes,
    "sets": _sets,
    "weighted": _weighted,
    "merge": _merge,
    "gram": _gram,
}
KERNELS = Fuzzer("kernels", run_kernels, weight=3)
