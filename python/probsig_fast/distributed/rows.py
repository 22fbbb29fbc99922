"""What tasks hand on: some rows of all that is counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..accumulator import merged
from ..counting.job import Tally
from ..csr import Csr, stacked
from ..files import count_type
from ..kernels.contract import Kernels
from ..sums import exact_sum


class Sizes(NamedTuple):
    """What the client learns of `Rows` that a worker holds.

    Attributes:
        cuts: rows at which to cut them into parts of about equally many bytes.
        n_sequences, n_read, eos_seen: see `Tally`.
    """

    nbytes: int
    entries: int
    cuts: tuple[int, ...] = ()
    n_sequences: int = 0
    n_read: int = 0
    eos_seen: bool = False


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of the counts of some chunks; third-order counts are rows below the others.

    Attributes:
        begin: the first.
        entries: counts of the rows, in 32 bits where all fit.
        vectors: int64 [arrays of a Tally, tokens of the vocabulary among the rows].
        n_sequences, n_read, eos_seen: see `Tally`; known only until the first merge.
    """

    begin: int
    entries: Csr
    vectors: NDArray[np.int64]
    n_sequences: int = 0
    n_read: int = 0
    eos_seen: bool = False

    @classmethod
    def of(cls, entries: Csr, tally: Tally, third: Csr | None) -> Rows:
        """All rows."""
        return cls(
            0,
            _narrowed(entries if third is None else stacked([entries, third])),
            np.stack(list(tally.arrays().values())),
            tally.n_sequences,
            tally.n_read,
            tally.eos_seen,
        )

    @property
    def end(self) -> int:
        return self.begin + self.entries.rows

    @property
    def nbytes(self) -> int:
        entries = self.entries
        arrays = (entries.indptr, entries.indices, entries.stored, self.vectors)
        return sum(array.nbytes for array in arrays)

    def __sizeof__(self) -> int:  # by which Dask weighs what its workers hold
        return self.nbytes

    def between(self, begin: int, end: int) -> Rows:
        """Rows [begin, end), copied: the others can be given up."""
        part = self.entries.between(begin - self.begin, end - self.begin)
        entries = Csr(part.indptr, part.indices.copy(), part.stored.copy(), part.columns)
        vectors = self.vectors[:, begin - self.begin : end - self.begin].copy()
        return Rows(begin, entries, vectors)

    def with_aligned_arrays(self) -> Rows:
        """The same: what came over a network may begin at any byte, which kernels may not."""
        own = self.entries
        entries = Csr(
            _aligned(own.indptr), _aligned(own.indices), _aligned(own.stored), own.columns
        )
        return replace(self, entries=entries, vectors=_aligned(self.vectors))

    def sizes(self, most: int, parts: int = 1) -> Sizes:
        """What the client is told.

        Args:
            most: bytes; more are to be cut up, into halves of that or less.
            parts: cut into so many at least.
        """
        if self.nbytes > most:
            parts = max(parts, -(-self.nbytes // max(most // 2, 1)))
        return Sizes(
            self.nbytes,
            self.entries.nnz,
            self._cuts(parts),
            self.n_sequences,
            self.n_read,
            self.eos_seen,
        )

    def _cuts(self, parts: int) -> tuple[int, ...]:
        entry = self.entries.indices.itemsize + self.entries.stored.itemsize
        rows = np.arange(self.entries.rows + 1) * self.entries.indptr.itemsize
        running = self.entries.indptr * entry + rows
        inner = np.searchsorted(running, running[-1] / parts * np.arange(1, parts))
        inner = np.unique(inner[(inner > 0) & (inner < self.entries.rows)])
        return tuple((inner + self.begin).tolist())


def added(parts: Sequence[Rows], kernels: Kernels) -> Rows:
    """The sum of the same rows of several chunks.

    Raises:
        CountOverflowError: a sum past 2^63 - 1.
    """
    columns = parts[0].entries.columns
    parts = [part.with_aligned_arrays() for part in parts]
    block = merged([part.entries.block() for part in parts], columns, kernels)
    entries = Csr(block.indptr, block.indices, block.data, columns)
    vectors = exact_sum([part.vectors for part in parts])
    return Rows(parts[0].begin, _narrowed(entries), vectors)


def _narrowed(csr: Csr) -> Csr:
    stored = csr.stored.astype(count_type(csr.largest()), copy=False)
    return Csr(csr.indptr, csr.indices, stored, csr.columns)


def _aligned(array: NDArray[Any]) -> NDArray[Any]:
    return array if array.flags.aligned else array.copy()
