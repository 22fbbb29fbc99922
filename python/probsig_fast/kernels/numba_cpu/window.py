"""Window pairs, by the positions of each token.

All positions of a token are listed; the windows behind them are added up in a dense row.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..contract import Block, Chunk, Tokens
from ._arrays import Counts, Entries, expected_entries, frozen, roomy
from ._jit import kernel, prefetch, trailing_zeros
from .rows import Row, empty_row, write_row

#: Positions whose windows are requested ahead of their turn. Without that, most of the time goes
#: into waiting for memory: at size 10 on an EPYC of family 26, 7 ns a pair instead of 2.
_AHEAD = 16
#: Tokens, or additions, between two looks at `cancel`.
_POLL = 2**20

#: Tokens looked through in one go.
_STEP = 2048

#: Set in a position whose window reaches past the end of its run.
_CUT = np.uint32(1 << 31)
_POSITION = np.uint32((1 << 31) - 1)

_ONE = np.uint64(1)


class Positions(NamedTuple):
    """Where each token occurs.

    Attributes:
        listed: uint32; the positions of one token after those of another, some with `_CUT`.
        begin, end: uint64 [rows]; where those of a token begin and end in `listed`.
        last: uint64, a bit a token; set where a run ends.
        found: uint32 [_STEP], for those of a few tokens before they are listed.
    """

    listed: NDArray[np.uint32]
    begin: NDArray[np.uint64]
    end: NDArray[np.uint64]
    last: NDArray[np.uint64]
    found: NDArray[np.uint32]


class Window(NamedTuple):
    """Distances to add, rising, and what to add for each, of the type of the counts.

    Attributes:
        uniform: all distances 1..size are there, and all weights are 1.
    """

    distances: NDArray[np.int64]
    weights: NDArray[np.uint32] | NDArray[np.uint64]
    size: int
    uniform: bool


def window_pairs(
    chunk: Chunk,
    weights: NDArray[np.int64],
    row_begin: int,
    row_end: int,
    cancel: NDArray[np.uint8],
) -> Block:
    tokens, core, run_starts, run_ends, histogram = chunk
    if core > 2**31:
        raise ValueError(f"core: expected at most 2^31 tokens a chunk, got {core}")
    tokens = frozen(tokens, tokens.dtype)
    run_starts, run_ends = frozen(run_starts, np.int64), frozen(run_ends, np.int64)
    cancel = frozen(cancel, np.uint8)
    rows = histogram[row_begin:row_end]
    most_frequent = int(rows.max(initial=0))
    window, scale = _window(np.asarray(weights, np.int64), most_frequent)
    positions = _positions(rows, tokens.size)
    _list_positions(
        tokens, core, run_starts, run_ends, window.size, row_begin, row_end, positions, cancel
    )
    largest = most_frequent * sum(np.asarray(weights).tolist())
    return _counted(tokens, positions, window, scale, largest, histogram.size, cancel)


def _window(weights: NDArray[np.int64], most_frequent: int) -> tuple[Window, int]:
    """The window, and what all counts are to be multiplied by in the end."""
    distances = np.flatnonzero(weights) + 1
    size = int(distances[-1]) if distances.size else 0
    scale = 1
    uniform = size == distances.size and len(set(weights[:size].tolist())) <= 1
    if uniform and size:
        scale = int(weights[0])
        weights = np.ones(size, np.int64)
    # No count of a row passes the row's tokens times the weights of one window.
    largest = most_frequent * sum(weights[distances - 1].tolist())
    dtype = np.uint32 if largest < 2**32 else np.uint64
    return Window(distances, weights[distances - 1].astype(dtype), size, uniform), scale


def _positions(histogram: NDArray[np.int64], n_tokens: int) -> Positions:
    begin = np.concatenate([[0], np.cumsum(histogram)]).astype(np.uint64)
    return Positions(
        roomy(int(begin[-1]) + _AHEAD, np.uint32),
        begin[:-1],
        begin[:-1].copy(),
        np.zeros(n_tokens // 64 + 1, np.uint64),
        np.empty(_STEP, np.uint32),
    )


@kernel
def _list_positions(
    tokens: Tokens,
    core: int,
    run_starts: NDArray[np.int64],
    run_ends: NDArray[np.int64],
    size: int,
    row_begin: int,
    row_end: int,
    positions: Positions,
    cancel: NDArray[np.uint8],
) -> None:
    """List the positions of some ids but where they end a run, which has no pair."""
    listed, _, end, last, found = positions
    for run in range(run_starts.size):
        final = run_ends[run] - 1
        last[final >> 6] |= _ONE << np.uint64(final & 63)
        stop = min(final, core)
        for begin in range(run_starts[run], stop, _STEP):
            if cancel[0]:
                return
            # Written always, kept if in a row: faster than a branch that is hard to foresee.
            n_found = np.uint64(0)
            for i in range(begin, min(begin + _STEP, stop)):
                found[n_found] = np.uint32(i)
                n_found += np.uint64(row_begin <= tokens[i] < row_end)
            for k in range(n_found):
                i = found[k]
                row = tokens[i] - row_begin
                place = end[row]
                cut = _CUT if np.int64(i) + size > final else np.uint32(0)
                listed[place] = i | cut
                end[row] = place + _ONE


def _counted(
    tokens: Tokens,
    positions: Positions,
    window: Window,
    scale: int,
    largest: int,
    columns: int,
    cancel: NDArray[np.uint8],
) -> Block:
    rows = positions.begin.size
    occurrences = (positions.end - positions.begin).astype(np.int64)
    most = np.minimum(occurrences * window.distances.size, columns)
    row = empty_row(columns, window.weights.dtype.type, columns)
    indptr = np.zeros(rows + 1, np.int64)
    listed = int(occurrences.sum())
    entries = Entries(expected_entries(most, listed * window.distances.size, listed), largest)
    token = 0
    while token < rows and not cancel[0]:
        entries.reserve(int(most[token]))
        start = token
        token, entries.used = _count_rows(
            tokens,
            positions,
            window,
            scale,
            token,
            most,
            row,
            indptr,
            entries.indices,
            entries.data,
            entries.used,
            cancel,
        )
        indptr[start + 1 : token + 1] += entries.before
    return entries.block(indptr)


@kernel
def _count_rows(
    tokens: Tokens,
    positions: Positions,
    window: Window,
    scale: int,
    token: int,
    most: NDArray[np.int64],
    row: Row,
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    data: Counts,
    used: int,
    cancel: NDArray[np.uint8],
) -> tuple[int, int]:
    """Count rows from `token` on while there is room for them; the next row and `used`.

    `indptr` receives ends within `indices`.
    """
    step = np.uint64(max(_POLL // max(window.size, 1), 1))
    while token < most.size and used + most[token] <= indices.size:
        n_touched = np.uint64(0)
        end = positions.end[token]
        for begin in range(positions.begin[token], end, step):
            if cancel[0]:
                return token, used
            part = min(begin + step, end)
            n_touched = _tally(tokens, positions, begin, part, window, row, n_touched)
        if n_touched:
            used = write_row(row, n_touched, scale, indices, data, used)
        token += 1
        indptr[token] = used
    return token, used


@kernel
def _tally(
    tokens: Tokens,
    positions: Positions,
    begin: np.uint64,
    end: np.uint64,
    window: Window,
    row: Row,
    n_touched: np.uint64,
) -> np.uint64:
    """Add the windows behind `listed[begin:end]` to the row."""
    counts, touched = row.counts, row.touched
    one = counts.dtype.type(1)
    for place in range(begin, end):
        ahead = positions.listed[place + np.uint64(_AHEAD)] & _POSITION
        prefetch(tokens, np.uint64(ahead) + _ONE)
        entry = positions.listed[place]
        first = np.uint64(entry & _POSITION) + _ONE
        reach = window.size
        if entry & _CUT:
            reach = _distance_to_end(positions.last, first - _ONE)
        if window.uniform:
            for i in range(first, first + np.uint64(reach)):
                token = tokens[i]
                count = counts[token]
                # Written always, kept if new: faster than a branch that is hard to foresee.
                touched[n_touched] = token
                n_touched += np.uint64(count == 0)
                counts[token] = count + one
        else:
            for k in range(window.distances.size):
                distance = window.distances[k]
                if distance > reach:
                    break
                token = tokens[first + np.uint64(distance - 1)]
                count = counts[token]
                touched[n_touched] = token
                n_touched += np.uint64(count == 0)
                counts[token] = count + window.weights[k]
    return n_touched


@kernel
def _distance_to_end(last: NDArray[np.uint64], position: np.uint64) -> int:
    """How many tokens of its run come after `position`."""
    word = position >> np.uint64(6)
    bits = last[word] >> (position & np.uint64(63))
    if bits:
        return np.int64(trailing_zeros(bits))
    word += _ONE
    while last[word] == 0:
        word += _ONE
    return np.int64((word << np.uint64(6)) + trailing_zeros(last[word]) - position)
