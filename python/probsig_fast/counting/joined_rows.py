"""Row ranges joined in memory as they come."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..csr import Csr
from ..kernels.contract import Block


class JoinedRows:
    """Row ranges joined as they come, in arrays that have room for all: what is not written takes
    no memory. Counts are kept in 32 bits while they fit."""

    def __init__(self, rows: int, most: int) -> None:
        self._indptr = np.zeros(rows + 1, np.int64)
        self._rows = self._size = 0
        self._indices = _room(most, np.int32)
        self._stored: NDArray[np.integer] = _room(most, np.int32)

    @property
    def nbytes(self) -> int:
        return self._size * (self._indices.itemsize + self._stored.itemsize)

    def append(self, block: Block) -> None:
        rows, size = block.indptr.size - 1, block.data.size
        self._fit(block)
        self._indptr[self._rows + 1 : self._rows + rows + 1] = block.indptr[1:] + self._size
        new = slice(self._size, self._size + size)
        self._indices[new], self._stored[new] = block.indices, block.data
        self._rows, self._size = self._rows + rows, self._size + size

    def csr(self, columns: int) -> Csr:
        """The whole; empty afterwards."""
        for array in (self._indices, self._stored):
            array.resize(self._size, refcheck=False)
        return Csr(self._indptr, self._indices, self._stored, columns)

    def _fit(self, block: Block) -> None:
        needed = self._size + block.data.size
        if needed > self._indices.size:
            more = max(needed, self._indices.size + self._indices.size // 2)
            for array in (self._indices, self._stored):
                array.resize(more, refcheck=False)
        if self._stored.dtype == block.data.dtype or self._stored.dtype == np.int64:
            return
        if block.data.size and block.data.max() >= 2**31:
            self._stored = self._stored.astype(np.int64)


def _room(entries: int, dtype: type[np.integer]) -> NDArray[Any]:
    try:
        return np.empty(entries, dtype)
    except MemoryError:  # where a system counts even what is not touched
        return np.empty(0, dtype)
