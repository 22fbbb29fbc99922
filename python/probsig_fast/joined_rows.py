"""Row ranges joined in memory, by the threads that have them."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .csr import Csr
from .kernels.contract import Block

#: Bytes of an entry while counts fit 32 bits.
ENTRY_BYTES = 8


class _Waiting(NamedTuple):
    """A range that was put; what to call once it is copied."""

    block: Block
    is_wide: bool
    done: Callable[[], object]


class _Place(NamedTuple):
    """Where a range goes."""

    waiting: _Waiting
    row: int
    begin: int


class JoinedRows:
    """Row ranges joined in arrays that have room for all: what is not written takes no memory.
    Counts are kept in 32 bits while they fit.

    Where a range goes is known once all before it are there. So a thread copies what it
    puts, and what waited for that: none is there for copies alone, and each has its share of new
    pages.
    """

    def __init__(self, rows: int, most: int) -> None:
        self._indptr = np.zeros(rows + 1, np.int64)
        self._indices = _room(most, np.int32)
        self._stored: NDArray[np.integer] = _room(most, np.int32)
        self._waiting: dict[int, _Waiting] = {}
        self._placed = self._rows = self._size = self._copying = 0
        self._copied = Condition()

    @property
    def entry_bytes(self) -> int:
        return self._indices.itemsize + self._stored.itemsize

    @property
    def nbytes(self) -> int:
        return self._size * self.entry_bytes

    def put(self, index: int, block: Block, done: Callable[[], object] = lambda: None) -> None:
        """Range `index`, numbered from 0; `done` is called once the block's memory is free."""
        waiting = _Waiting(block, is_wide(block), done)
        with self._copied:
            self._waiting[index] = waiting
        while place := self._next_place():
            try:
                self._copy(place)
            finally:
                with self._copied:
                    self._copying -= 1
                    self._copied.notify_all()
            place.waiting.done()

    def append(self, block: Block) -> None:
        """The next range, where one thread puts them all."""
        self.put(self._placed, block)

    def csr(self, columns: int) -> Csr:
        """The whole; empty afterwards."""
        self._resize(self._size)
        return Csr(self._indptr, self._indices, self._stored, columns)

    def _next_place(self) -> _Place | None:
        """Of the next range in order, if it waits."""
        with self._copied:
            waiting = self._waiting.pop(self._placed, None)
            if waiting is None:
                return None
            self._fit(waiting)
            place = _Place(waiting, self._rows, self._size)
            self._rows += waiting.block.indptr.size - 1
            self._size += waiting.block.data.size
            self._placed += 1
            self._copying += 1
            return place

    def _copy(self, place: _Place) -> None:
        block, begin = place.waiting.block, place.begin
        rows = slice(place.row + 1, place.row + block.indptr.size)
        np.add(block.indptr[1:], begin, out=self._indptr[rows])
        new = slice(begin, begin + block.data.size)
        self._indices[new], self._stored[new] = block.indices, block.data

    def _fit(self, waiting: _Waiting) -> None:
        """Room for a range, in the type of its counts; arrays move only while nobody copies."""
        needed = self._size + waiting.block.data.size
        widens = waiting.is_wide and self._stored.dtype != np.int64
        if needed <= self._indices.size and not widens:
            return
        self._copied.wait_for(lambda: self._copying == 0)
        if needed > self._indices.size:
            self._resize(max(needed, self._indices.size + self._indices.size // 2))
        if widens:
            self._stored = self._stored.astype(np.int64)

    def _resize(self, entries: int) -> None:
        for array in (self._indices, self._stored):
            array.resize(entries, refcheck=False)


def is_wide(block: Block) -> bool:
    """Whether some count needs more than 32 bits."""
    return block.data.dtype == np.int64 and int(block.data.max(initial=0)) >= 2**31


def _room(entries: int, dtype: type[np.integer]) -> NDArray[Any]:
    try:
        return np.empty(entries, dtype)
    except MemoryError:  # where a system counts even what is not touched
        return np.empty(0, dtype)
