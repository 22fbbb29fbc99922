"""How spans are listed by row: by counting those of each, and then placing them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..contract import Chunk, Spans, Tokens
from ._arrays import frozen
from ._jit import kernel

#: Tokens between two looks at `cancel`.
_POLL = 2**20

_ONE = np.uint64(1)
_TWO = np.uint64(2)


def prefix_spans(chunk: Chunk, length: int, cancel: NDArray[np.uint8]) -> Spans:
    tokens = frozen(chunk.tokens, chunk.tokens.dtype)
    if tokens.size >= 2**32:
        raise ValueError(f"tokens: expected fewer than 2^32 a chunk, got {tokens.size}")
    run_starts, run_ends = frozen(chunk.run_starts, np.int64), frozen(chunk.run_ends, np.int64)
    cancel = frozen(cancel, np.uint8)
    counts = np.zeros(chunk.histogram.size, np.int64)
    _count_runs(tokens, chunk.core, run_starts, run_ends, counts, cancel)
    indptr = _indptr(counts)
    # For each id, where those of its spans begin that are listed, and its position seen last: side
    # by side, as both are needed at once.
    latest = np.empty((counts.size, 2), np.uint32)
    latest[:, 0] = indptr[1:]
    latest[:, 1] = tokens.size
    bounds = np.empty((int(indptr[-1]), 2), np.uint32)
    _list_backwards(
        tokens,
        chunk.core,
        run_starts,
        run_ends,
        length,
        latest.reshape(-1),
        bounds.reshape(-1),
        cancel,
    )
    if cancel[0]:  # what is listed makes no sense
        indptr, bounds = np.zeros_like(indptr), bounds[:0]
    none = np.empty(0, np.int64)
    return Spans(chunk.tokens, none, indptr, bounds, none)


def group_spans(
    rows: Tokens, bounds: NDArray[np.uint32], n_rows: int
) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
    rows = frozen(rows, rows.dtype)
    flat = frozen(bounds, np.uint32).reshape(-1)
    counts = np.zeros(n_rows, np.int64)
    _count(rows, counts)
    indptr = _indptr(counts)
    grouped = np.empty((rows.size, 2), np.uint32)
    _group(rows, flat, indptr[:-1].astype(np.uint64), grouped.reshape(-1))
    return indptr, grouped


def _indptr(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    indptr = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts, out=indptr[1:])
    return indptr


@kernel
def _count(ids: Tokens, counts: NDArray[np.int64]) -> None:
    for i in range(ids.size):
        counts[ids[i]] += 1


@kernel
def _count_runs(
    tokens: Tokens,
    core: int,
    run_starts: NDArray[np.int64],
    run_ends: NDArray[np.int64],
    counts: NDArray[np.int64],
    cancel: NDArray[np.uint8],
) -> None:
    """Count the core's tokens in runs."""
    for run in range(run_starts.size):
        stop = min(run_ends[run], core)
        for begin in range(run_starts[run], stop, _POLL):
            if cancel[0]:
                return
            _count(tokens[begin : min(begin + _POLL, stop)], counts)


@kernel
def _list_backwards(
    tokens: Tokens,
    core: int,
    run_starts: NDArray[np.int64],
    run_ends: NDArray[np.int64],
    length: int,
    latest: NDArray[np.uint32],
    bounds: NDArray[np.uint32],
    cancel: NDArray[np.uint8],
) -> None:
    """List spans from the last position to the first.

    Runs come last to first too: an id's position in a later run lies past this one's end, which
    cuts the span before. So nothing is to be forgotten between runs.
    """
    for run in range(run_starts.size - 1, -1, -1):
        start, last = run_starts[run], run_ends[run] - 1
        # Only spans of the core are listed, and none reaches further than this.
        stop = max(min(last + 1, core + length), start)
        for part_end in range(stop, start, -_POLL):
            if cancel[0]:
                return
            for i in range(part_end - 1, max(part_end - _POLL, start) - 1, -1):
                entry = _TWO * np.uint64(tokens[i])
                following = np.int64(latest[entry + _ONE])
                latest[entry + _ONE] = i
                if i < core:
                    place = latest[entry] - np.uint32(1)
                    latest[entry] = place
                    bounds[_TWO * np.uint64(place)] = i + 1
                    bounds[_TWO * np.uint64(place) + _ONE] = min(following, i + length, last) + 1


@kernel
def _group(
    rows: Tokens,
    bounds: NDArray[np.uint32],
    end: NDArray[np.uint64],
    grouped: NDArray[np.uint32],
) -> None:
    """Append each span to those of its row; `end` says where they end so far."""
    for span in range(np.uint64(rows.size)):
        row = rows[span]
        place = end[row]
        end[row] = place + _ONE
        grouped[_TWO * place] = bounds[_TWO * span]
        grouped[_TWO * place + _ONE] = bounds[_TWO * span + _ONE]
