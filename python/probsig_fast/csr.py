"""Sparse integer rows: `Csr`, what any keeper of entries offers, and the ways into other forms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .arguments import read_only
from .errors import CountsFileError, missing_extra
from .kernels.contract import Block

if TYPE_CHECKING:
    import scipy.sparse
    import torch


class Entries(Protocol):
    """Who keeps a table's entries: arrays in memory (`Csr`), or files of row ranges."""

    @property
    def rows(self) -> int: ...

    @property
    def columns(self) -> int: ...

    @property
    def nnz(self) -> int: ...

    @property
    def indptr(self) -> NDArray[np.int64]: ...

    @property
    def indices(self) -> NDArray[np.int32]: ...

    @property
    def stored(self) -> NDArray[np.integer]: ...

    @property
    def cuts(self) -> NDArray[np.int64]:
        """int64 [pieces + 1]: where the row ranges of `pieces` begin, and where the last ends."""

    def row(self, row: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Column ids, ascending, and counts of one row."""

    def column(self, column: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row ids, ascending, and counts of one column. O(nnz)."""

    def pieces(self) -> Iterator[tuple[int, Csr]]:
        """Row ranges in order, each with its first row."""

    def between(self, begin: int, end: int) -> Csr:
        """Rows [begin, end)."""

    def csr(self) -> Csr:
        """All entries in memory: O(nnz) where they are not there already."""

    def largest(self) -> int:
        """The largest count; 0 if there is none."""

    def diagonal(self) -> NDArray[np.int64]:
        """The diagonal of an upper triangle, int64 [rows]."""


@dataclass(frozen=True, eq=False)
class Csr:
    """Counts by rows, in memory or memory-mapped. All arrays are read-only.

    Attributes:
        indptr: int64 [rows + 1].
        indices: int32 [nnz], sorted within a row.
        stored: int [nnz]: int64, or int32 where all fit.
        columns: how many there are.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    stored: NDArray[np.integer]
    columns: int
    _is_checked: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("indptr", "indices", "stored"):
            object.__setattr__(self, name, read_only(getattr(self, name)))

    def __getstate__(self) -> dict[str, Any]:
        names = ("indptr", "indices", "stored", "columns")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _is_checked=False)
        self.__post_init__()  # arrays come out of a pickle writeable

    @property
    def rows(self) -> int:
        return self.indptr.size - 1

    @property
    def nnz(self) -> int:
        return self.indices.size

    @property
    def cuts(self) -> NDArray[np.int64]:
        return np.array([0, self.rows])

    @property
    def safe(self) -> Csr:
        """These entries, their columns checked once: compiled code elsewhere would read and write
        at whatever a damaged file says. O(nnz) the first time.

        Raises:
            CountsFileError: a column out of range.
        """
        if not self._is_checked:
            check_columns(self.indices, self.columns)
            # Not a cached property: these entries would hold themselves, and live until Python
            # looks for such cycles.
            object.__setattr__(self, "_is_checked", True)
        return self

    def row(self, row: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        low, high = self.indptr[row], self.indptr[row + 1]
        indices = self.indices[low:high]
        check_columns(indices, self.columns)
        return indices, self.stored[low:high].astype(np.int64)

    def column(self, column: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        entries = np.flatnonzero(self.indices == column)
        rows = np.searchsorted(self.indptr, entries, side="right") - 1
        return rows, self.stored[entries].astype(np.int64)

    def pieces(self) -> Iterator[tuple[int, Csr]]:
        yield 0, self

    def csr(self) -> Csr:
        return self

    def largest(self) -> int:
        return int(self.stored.max(initial=0))

    def diagonal(self) -> NDArray[np.int64]:
        return self.diagonal_from(0)

    def diagonal_from(self, begin: int) -> NDArray[np.int64]:
        """Where the first row is row `begin` of a triangle: each row's first entry, if that is on
        the diagonal."""
        result = np.zeros(self.rows, np.int64)
        rows = np.flatnonzero(np.diff(self.indptr))
        rows = rows[self.indices[self.indptr[rows]] == rows + begin]
        result[rows] = self.stored[self.indptr[rows]]
        return result

    def between(self, begin: int, end: int) -> Csr:
        """Rows [begin, end), over the same memory."""
        low, high = self.indptr[begin], self.indptr[end]
        indptr = self.indptr[begin : end + 1] - low
        return Csr(indptr, self.indices[low:high], self.stored[low:high], self.columns)

    def block(self) -> Block:
        """What kernels take: the same arrays, counts in 32 bits where they are kept so."""
        return Block(self.indptr, self.indices, self.stored)  # type: ignore[arg-type]

    def transposed(self) -> Csr:
        """The same entries by columns. O(nnz) time and memory."""
        by_column = scipy_csr(self).tocsc()
        return Csr(
            by_column.indptr.astype(np.int64),
            by_column.indices.astype(np.int32, copy=False),
            by_column.data,
            self.rows,
        )

    def mirrored(self) -> Csr:
        """Both halves of a symmetric table of which this is the upper triangle with its diagonal.

        O(nnz) time and memory.
        """
        lower = self.transposed()  # its rows end in the diagonal
        rows = np.repeat(np.arange(self.rows, dtype=np.int32), np.diff(self.indptr))
        above = self.safe.indices != rows
        indptr = np.concatenate([[0], np.cumsum(np.bincount(rows[above], minlength=self.rows))])
        lengths = np.stack([np.diff(lower.indptr), np.diff(indptr)], axis=1).ravel()
        from_lower = np.repeat(np.arange(lengths.size) % 2 == 0, lengths)
        indices = np.empty(from_lower.size, np.int32)
        stored = np.empty(from_lower.size, self.stored.dtype)
        indices[from_lower], stored[from_lower] = lower.indices, lower.stored
        np.logical_not(from_lower, out=from_lower)
        indices[from_lower], stored[from_lower] = self.indices[above], self.stored[above]
        return Csr(lower.indptr + indptr, indices, stored, self.columns)


def check_columns(indices: NDArray[np.int32], columns: int, where: object = "counts") -> None:
    """Raises CountsFileError: a column id out of range, in the counts (or the file) `where`."""
    if indices.size and (indices.min() < 0 or indices.max() >= columns):
        raise CountsFileError(
            f"{where}: expected column ids from 0 to {columns - 1}, "
            f"got {indices.min()} to {indices.max()}: damaged"
        )


def in_ranges(entries: Entries, cuts: NDArray[np.int64]) -> Iterator[Csr]:
    """The rows between neighbouring cuts, from the first row to the last, whatever pieces they are
    kept in. Where the cuts hold those of `entries`, nothing is copied."""
    ranges = pairwise(cuts.tolist())
    begin, end = next(ranges)
    waiting: list[Csr] = []
    for first, piece in entries.pieces():
        while begin < first + piece.rows:
            stop = min(end, first + piece.rows)
            waiting.append(piece.between(begin - first, stop - first))
            if stop == end:
                yield stacked(waiting)
                waiting = []
                begin, end = next(ranges, (entries.rows, entries.rows))
            else:
                begin = stop


def same_entries(a: Entries, b: Entries) -> bool:
    """The same counts at the same places, compared piece by piece."""
    if (a.rows, a.columns, a.nnz) != (b.rows, b.columns, b.nnz):
        return False
    if not np.array_equal(a.indptr, b.indptr):
        return False
    cuts = np.union1d(a.cuts, b.cuts)
    return all(
        np.array_equal(mine.indices, theirs.indices) and np.array_equal(mine.stored, theirs.stored)
        for mine, theirs in zip(in_ranges(a, cuts), in_ranges(b, cuts), strict=True)
    )


def stacked(parts: list[Csr]) -> Csr:
    """Row ranges one below the other."""
    if len(parts) == 1:
        return parts[0]
    lengths = np.concatenate([np.diff(part.indptr) for part in parts])
    return Csr(
        np.concatenate([[0], np.cumsum(lengths)]),
        np.concatenate([part.indices for part in parts]),
        np.concatenate([part.stored for part in parts]),
        parts[0].columns,
    )


def scipy_csr(csr: Csr, data: NDArray[Any] | None = None) -> scipy.sparse.csr_array:
    """A SciPy CSR array over these arrays, or other `data` for the same entries; indptr is
    narrowed where that spares SciPy a copy."""
    import scipy.sparse

    indptr = csr.indptr.astype(np.int32) if csr.nnz < 2**31 else csr.indptr
    values = csr.stored if data is None else data
    matrix = scipy.sparse.csr_array(
        (values, csr.safe.indices, indptr), shape=(csr.rows, csr.columns)
    )
    matrix.has_sorted_indices = matrix.has_canonical_format = True
    return matrix


def torch_csr(csr: Csr, data: NDArray[Any] | None = None) -> torch.Tensor:
    """A torch sparse CSR tensor with copies of these arrays (torch has no read-only tensors)."""
    try:
        import torch
    except ImportError as error:
        raise missing_extra("torch", "torch", "to_torch()") from error
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            torch.from_numpy(csr.indptr.astype(np.int64)),
            torch.from_numpy(csr.safe.indices.astype(np.int64)),
            torch.from_numpy(np.array(csr.stored if data is None else data)),
            size=(csr.rows, csr.columns),
            check_invariants=True,
        )
