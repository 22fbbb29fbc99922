"""Arrays on their way into and out of compiled code."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..contract import Block, Room

#: Pairs an entry, at the least, in long texts; in 32 M tokens of code it is 20.
_PAIRS_PER_ENTRY = 8
#: Entries that a piece has room for at the least.
_ROOM = 2**20
#: Elements of 4 bytes that are worth a mapping of their own, and that always get one: see `roomy`.
_WORTH, _MAPPED = 2**17, 2**23
#: Nothing is known of the counts.
_UNKNOWN = 2**63 - 1

Counts = NDArray[np.int32] | NDArray[np.int64]


def frozen(array: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """A read-only view (a copy if need be) of one type whatever is given.

    Numba compiles anew for read-only, unaligned or strided arrays; so it sees one kind only.
    """
    view = np.require(array, dtype, ["C_CONTIGUOUS", "ALIGNED"]).view(np.ndarray)
    view.flags.writeable = False
    return view


def roomy(size: int, dtype: DTypeLike) -> NDArray[Any]:
    """An array of at least `size` elements of 4 bytes or more, to be cut.

    The C library keeps what was freed of up to 32 MB, once it has seen arrays of such a size. More
    than that it maps, and gives back at once; and of what is never touched nothing is resident.
    """
    return np.empty(size if size < _WORTH else max(size, _MAPPED), dtype)


def count_type(largest: int) -> type[np.int32] | type[np.int64]:
    """Of a block whose counts are at most this: 32 bits wait, and are read, at two thirds."""
    return np.int32 if largest < 2**31 else np.int64


def expected_entries(most: NDArray[np.int64], pairs: int, tokens: int) -> int:
    """Room for the entries of a chunk of text; unused room is never touched and takes no memory.

    `most` is how many entries there can be in each part of the chunk.
    """
    return min(int(most.sum()), max(min(pairs // _PAIRS_PER_ENTRY, tokens), _ROOM))


class Entries:
    """The entries of a block, row after row.

    They lie in pieces, of which only the last has room: more than one where the first estimate was
    too low. Growing one array instead would need twice the memory at times, and remapping it in
    place loses its huge pages.

    Attributes:
        indices, data: the last piece; kernels write it.
        used: how many entries it holds.
        before: how many lie in the pieces before it.
    """

    def __init__(self, room: int = 0, largest: int = _UNKNOWN) -> None:
        """`largest`: no count passes it."""
        self._type = count_type(largest)
        self.indices, self.data = self._piece(room)
        self.used = 0
        self.before = 0
        self._full: list[tuple[NDArray[np.int32], Counts]] = []
        self._borrowed = False

    @classmethod
    def within(cls, room: Room) -> Entries:
        """Entries that lie in memory of the caller's first."""
        entries = cls()
        entries.indices, entries.data = room
        entries._borrowed = True
        return entries

    def reserve(self, more: int) -> None:
        """Make room for `more` entries, in a new piece perhaps."""
        if self.used + more <= self.indices.size:
            return
        self._close()
        self.indices, self.data = self._piece(max(more, self.before // 2, _ROOM))

    def block(self, indptr: NDArray[np.int64]) -> Block:
        """The finished block. The arrays are no longer this object's to change."""
        if not self._full and self._borrowed:
            return Block(indptr, self.indices[: self.used], self.data[: self.used])
        if not self._full:
            return Block(indptr, *_cut(self.indices, self.data, self.used))
        self._close()
        indices, data = _cut(*self._piece(self.before), self.before)
        end = self.before
        while self._full:  # each piece is freed once it is copied
            piece_indices, piece_data = self._full.pop()
            begin = end - piece_data.size
            indices[begin:end], data[begin:end] = piece_indices, piece_data
            end = begin
        return Block(indptr, indices, data)

    def _close(self) -> None:
        if self.used:
            self._full.append((self.indices[: self.used], self.data[: self.used]))
        self.before += self.used
        self.used = 0
        self.indices, self.data = self._piece(0)

    def _piece(self, room: int) -> tuple[NDArray[np.int32], Counts]:
        return roomy(room, np.int32), roomy(room, self._type)


def _cut(indices: NDArray[np.int32], data: Counts, size: int) -> tuple[NDArray[np.int32], Counts]:
    """In place: nothing else refers to them between the calls of kernels."""
    indices.resize(size, refcheck=False)
    data.resize(size, refcheck=False)
    return indices, data
