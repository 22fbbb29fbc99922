"""Sums over spans: how spans are listed by row, and the rows that they add up to."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..contract import Block, Room, Spans, Tokens
from ._arrays import Entries, frozen
from ._jit import kernel, prefetch
from ._memory import array_at, places
from .rows import Row, empty_row, write_row

#: Spans whose ids are requested ahead of their turn: they lie anywhere.
_AHEAD = 8
#: A row of fewer additions than one for so many columns lists those it touched; a longer one looks
#: at all of them in the end, which costs about a third as much each (EPYC of family 26).
_COLUMNS_PER_ADDITION = 2

_ONE = np.uint64(1)
_TWO = np.uint64(2)


class Part(NamedTuple):
    """`Spans` with bounds in one dimension, all arrays read-only."""

    ids: Tokens
    id_weights: NDArray[np.int64]
    indptr: NDArray[np.int64]
    bounds: NDArray[np.uint32]
    span_weights: NDArray[np.int64]


class Parts(NamedTuple):
    """Many of them.

    Attributes:
        places: int64 [parts, 5, 2]; address and size of each of their arrays.
        like: a part, for the types.
    """

    places: NDArray[np.int64]
    like: Part


def span_sums(
    parts: list[Spans],
    columns: int,
    row_begin: int,
    row_end: int,
    cancel: NDArray[np.uint8],
    room: Room,
) -> Block:
    flat = [_flat(part) for part in parts]
    listed = _listed(flat)
    additions = np.zeros(row_end - row_begin, np.int64)
    if not _count_additions(listed, row_begin, additions):
        raise IndexError("bounds: expected spans within the ids")
    most = np.where(additions * _COLUMNS_PER_ADDITION >= columns, columns, additions)
    dtype = np.uint32 if _largest_sum(flat, additions, row_begin) < 2**32 else np.uint64
    row = empty_row(columns, dtype, int(most.max(initial=0)))
    indptr = np.zeros(additions.size + 1, np.int64)
    entries = Entries.within(room)
    done = 0
    while done < additions.size and not cancel[0]:
        entries.reserve(int(most[done]))
        start = done
        done, entries.used = _add_rows(
            listed,
            row_begin,
            done,
            most,
            row,
            indptr,
            entries.indices,
            entries.data,
            entries.used,
            frozen(cancel, np.uint8),
        )
        indptr[start + 1 : done + 1] += entries.before
    indptr[done + 1 :] = indptr[done]  # where cancelled
    return entries.block(indptr)


def _flat(part: Spans) -> Part:
    return Part(
        frozen(part.ids, part.ids.dtype),
        frozen(part.id_weights, np.int64),
        frozen(part.indptr, np.int64),
        frozen(part.bounds, np.uint32).reshape(-1),
        frozen(part.span_weights, np.int64),
    )


def _listed(parts: list[Part]) -> Parts:
    none = frozen(np.empty(0), np.int64)
    ids = frozen(np.empty(0), parts[0].ids.dtype if parts else np.uint16)
    like = Part(ids, none, none, frozen(none, np.uint32), none)
    table = np.array([places(part) for part in parts], np.int64)
    return Parts(table.reshape(-1, len(like), 2), like)


def _largest_sum(parts: list[Part], additions: NDArray[np.int64], row_begin: int) -> int:
    """No sum of a row passes this."""
    row_end = row_begin + additions.size
    total = int(additions.sum())
    largest = 1
    for part in parts:
        weights = part.span_weights[part.indptr[row_begin] : part.indptr[row_end]]
        weight = int(weights.max()) if weights.size else 1
        if part.id_weights.size > total:
            return 2**63  # to look at all weights would take longer than to add a few of them
        weight *= int(part.id_weights.max(initial=1))
        largest = max(largest, weight)
    return int(additions.max(initial=0)) * largest


@kernel
def _part(parts: Parts, k: int) -> Part:
    places, like = parts.places, parts.like
    return Part(
        array_at(places[k, 0, 0], places[k, 0, 1], like.ids),
        array_at(places[k, 1, 0], places[k, 1, 1], like.id_weights),
        array_at(places[k, 2, 0], places[k, 2, 1], like.indptr),
        array_at(places[k, 3, 0], places[k, 3, 1], like.bounds),
        array_at(places[k, 4, 0], places[k, 4, 1], like.span_weights),
    )


@kernel
def _count_additions(parts: Parts, row_begin: int, additions: NDArray[np.int64]) -> bool:
    """How many ids the spans of each row hold; False if any span is not within them."""
    within = True
    for k in range(parts.places.shape[0]):
        part = _part(parts, k)
        n_ids = np.uint64(part.ids.size)
        for row in range(additions.size):
            first = np.uint64(part.indptr[row_begin + row])
            length = np.uint64(0)
            for span in range(first, np.uint64(part.indptr[row_begin + row + 1])):
                begin, end = _bounds(part, span)
                within &= bool((begin <= end) & (end <= n_ids))
                length += end - begin
            additions[row] += np.int64(length)
    return within


@kernel
def _bounds(part: Part, span: np.uint64) -> tuple[np.uint64, np.uint64]:
    return np.uint64(part.bounds[_TWO * span]), np.uint64(part.bounds[_TWO * span + _ONE])


@kernel
def _add_rows(
    parts: Parts,
    row_begin: int,
    k: int,
    most: NDArray[np.int64],
    row: Row,
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    data: NDArray[np.int64],
    used: int,
    cancel: NDArray[np.uint8],
) -> tuple[int, int]:
    """Add rows from the k-th on while there is room for them; the next row and `used`.

    `indptr` receives ends within `indices`.
    """
    columns = row.counts.size
    while k < most.size and used + most[k] <= indices.size:
        if most[k] == columns:
            for part in range(parts.places.shape[0]):
                _add(_part(parts, part), row_begin + k, row.counts, cancel)
            used = _write_all(row.counts, indices, data, used)
        elif most[k]:
            n_touched = np.uint64(0)
            for part in range(parts.places.shape[0]):
                n_touched = _add_listed(_part(parts, part), row_begin + k, row, n_touched, cancel)
            used = write_row(row, n_touched, 1, indices, data, used)
        k += 1
        indptr[k] = used
        if cancel[0]:
            break
    return k, used


@kernel
def _prefetch_ids(part: Part, span: np.uint64) -> None:
    ahead = min(_TWO * (span + np.uint64(_AHEAD)), np.uint64(part.bounds.size) - _TWO)
    prefetch(part.ids, np.uint64(part.bounds[ahead]))


@kernel
def _add(part: Part, row: int, counts: NDArray[np.uint32], cancel: NDArray[np.uint8]) -> None:
    """Add a row of the part."""
    ids, weights = part.ids, part.id_weights
    for span in range(np.uint64(part.indptr[row]), np.uint64(part.indptr[row + 1])):
        if cancel[0]:
            return
        _prefetch_ids(part, span)
        begin, end = _bounds(part, span)
        weight = part.span_weights[span] if part.span_weights.size else 1
        if weights.size:
            for i in range(begin, end):
                counts[ids[i]] += counts.dtype.type(weight * weights[i])
        else:
            for i in range(begin, end):
                counts[ids[i]] += counts.dtype.type(weight)


@kernel
def _add_listed(
    part: Part, row: int, into: Row, n_touched: np.uint64, cancel: NDArray[np.uint8]
) -> np.uint64:
    """As `_add`, and list the columns whose counts were 0 before."""
    ids, weights = part.ids, part.id_weights
    counts, touched = into.counts, into.touched
    for span in range(np.uint64(part.indptr[row]), np.uint64(part.indptr[row + 1])):
        if cancel[0]:
            return n_touched
        _prefetch_ids(part, span)
        begin, end = _bounds(part, span)
        weight = part.span_weights[span] if part.span_weights.size else 1
        if weight == 0:
            continue
        for i in range(begin, end):
            column = ids[i]
            count = counts[column]
            more = counts.dtype.type(weight)
            if weights.size:
                more = counts.dtype.type(weight * weights[i])
            # Written always, kept if new: faster than a branch that is hard to foresee.
            touched[n_touched] = column
            n_touched += np.uint64((count == 0) & (more != 0))
            counts[column] = count + more
    return n_touched


@kernel
def _write_all(
    counts: NDArray[np.uint32], indices: NDArray[np.int32], data: NDArray[np.int64], used: int
) -> int:
    """Append the counts that are not 0, and clear them; how many entries there are now."""
    place = np.uint64(used)
    for column in range(counts.size):
        count = counts[column]
        indices[place] = column
        data[place] = np.int64(count)
        place += np.uint64(count != 0)
    counts[:] = 0
    return np.int64(place)
