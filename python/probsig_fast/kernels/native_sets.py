"""Pairs of tokens in sets, as the C++ kernels sum them: 512 frequent tokens at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _cpu
from .contract import Block, Room, SetPairs, Sets, Tokens

#: A head stands in at least one of so many sets: to add 512 of them takes as long as to add two or
#: three tails one by one (EPYC of family 25 model 17; from 128 to 256 makes little difference).
_SHARE = 192
#: Fewer sets or heads are not worth it.
_LEAST_SETS, _LEAST_HEADS = 512, 64
#: Tokens in fewer sets sum their ids one by one: their few lines lie far apart.
_LINED = 32
#: Heads at most, for each token of a set: so that their bits take no more than the sets' index.
_HEADS_PER_TOKEN = 64
#: Sets that are summed together: their counts are int32.
_MOST_SETS = 2**31 - 1


class SetIndex(NamedTuple):
    """Arrays of `SetIndexView` in `csrc/cpu/sets.hpp`."""

    set_indptr: NDArray[np.int64]
    ids: Tokens
    indptr: NDArray[np.int64]
    members: NDArray[np.uint16] | NDArray[np.uint32]
    tails: Tokens
    tail_ends: NDArray[np.uint32]
    lines: NDArray[np.uint64]


class IndexedSets(NamedTuple):
    """Parts with common heads; `lined`: uint8 [rows], which tokens sum heads as lines;
    `additions`: int64 [rows], the sum of each row."""

    parts: list[SetIndex]
    head_ids: Tokens
    lined: NDArray[np.uint8]
    additions: NDArray[np.int64]


def set_pairs(sets: Sets, vocab_size: int) -> SetPairs:
    kernel = _cpu.set_totals_uint16 if sets.ids.dtype == np.uint16 else _cpu.set_totals_uint32
    return SetPairs(sets.indptr, sets.ids, *kernel(sets.indptr, sets.ids, vocab_size))


def index_bytes(pairs: SetPairs) -> int:
    """What the sets take once they are indexed, heads included, and before."""
    each = 2 * 8 + _HEADS_PER_TOKEN // 8 + pairs.ids.itemsize
    return each * pairs.ids.size + sum(array.nbytes for array in pairs)


def indexed(
    parts: list[SetPairs], each: Callable[[Callable[[SetPairs], Any], Iterable[SetPairs]], Any]
) -> list[IndexedSets]:
    """`each` is as `map`."""
    narrow = parts[0].ids.dtype == np.uint16
    kernel = _cpu.set_index_uint16 if narrow else _cpu.set_index_uint32
    frequency = np.sum([pairs.frequency for pairs in parts], axis=0)
    head_ids = _heads(parts, frequency)
    lined = ((frequency >= _LINED) & (head_ids.size > 0)).astype(np.uint8)
    has_short_members = all(map(_fits_short_members, parts))

    def index(pairs: SetPairs) -> SetIndex:
        arrays = kernel(
            pairs.indptr, pairs.ids, pairs.frequency, head_ids, lined, has_short_members
        )
        return SetIndex(pairs.indptr, pairs.ids, *arrays)

    return [
        IndexedSets(
            list(each(index, some)),
            head_ids,
            lined,
            np.sum([pairs.row_sums for pairs in some], axis=0),
        )
        for some in _groups(parts)
    ]


def set_sums(
    sets: IndexedSets, row_begin: int, row_end: int, cancel: NDArray[np.uint8], room: Room
) -> Block:
    narrow = sets.head_ids.dtype == np.uint16
    kernel = _cpu.set_sums_uint16 if narrow else _cpu.set_sums_uint32
    data = room.data.view(np.int32)[: room.indices.size]
    return Block(*kernel(*sets, row_begin, row_end, cancel, room.indices, data))


def _fits_short_members(pairs: SetPairs) -> bool:
    sizes = np.diff(pairs.indptr)
    return sizes.size < 2**16 and int(sizes.max(initial=0)) < 2**16


def _heads(parts: list[SetPairs], frequency: NDArray[np.int64]) -> Tokens:
    n_sets = sum(pairs.indptr.size - 1 for pairs in parts)
    n_ids = sum(pairs.ids.size for pairs in parts)
    heads = np.flatnonzero(frequency * _SHARE >= n_sets)
    most = _HEADS_PER_TOKEN * n_ids // max(n_sets, 1)
    if heads.size > most:
        heads = np.sort(np.argsort(-frequency, kind="stable")[:most])
    if n_sets < _LEAST_SETS or heads.size < _LEAST_HEADS:
        heads = heads[:0]
    return heads.astype(parts[0].ids.dtype)  # type: ignore[return-value]


def _groups(parts: list[SetPairs]) -> Iterator[list[SetPairs]]:
    group: list[SetPairs] = []
    sets = 0
    for pairs in parts:
        sets += pairs.indptr.size - 1
        if group and sets > _MOST_SETS:
            yield group
            group, sets = [], pairs.indptr.size - 1
        group.append(pairs)
    yield group
