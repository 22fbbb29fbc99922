"""One file of counts kept in a folder: a range of rows, dense or sparse, whichever is smaller."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import files
from .csr import Csr, check_columns
from .errors import CountsFileError
from .files import INT32, INT64, Stream, Written

KIND = "row range"
_SPARSE = {"data", "indices", "indptr"}


@dataclass(frozen=True)
class RowRange:
    """Which part of a table a file holds: rows [begin, end), and their columns [first, columns)."""

    path: Path
    begin: int
    end: int
    columns: int
    is_triangle: bool

    @property
    def rows(self) -> int:
        return self.end - self.begin

    @property
    def first(self) -> int:
        """A triangle has nothing left of the diagonal, so nothing left of the range's first."""
        return self.begin if self.is_triangle else 0

    @property
    def width(self) -> int:
        return self.columns - self.first

    def is_dense(self, nnz: int, itemsize: int) -> bool:
        """Whether all cells take fewer bytes than the entries with their columns and row pointers.

        For counts of 32 bits: where more than half of the cells are entries; for those of 64 bits,
        two thirds.
        """
        sparse = nnz * (INT32.itemsize + itemsize) + (self.rows + 1) * INT64.itemsize
        return self.rows * self.width * itemsize < sparse

    def rules(self, digest: Digest) -> dict[str, Any]:
        """The metadata of its file."""
        return {
            "format_version": files.FORMAT_VERSION,
            "kind": KIND,
            "rows": [self.begin, self.end],
            "columns": self.columns,
            "is_triangle": self.is_triangle,
            "nnz": digest.nnz,
            "total": digest.total,
            "largest": digest.largest,
        }


class Digest(NamedTuple):
    """What stays in memory of a range, and tells its file from those of other counts.

    Attributes:
        indptr: int64 [rows + 1], from 0.
        total: the sum of its counts.
        largest: of its counts; 0 if there is none.
        diagonal: int64 [rows], of a triangle; else empty.
    """

    indptr: NDArray[np.int64]
    total: int
    largest: int
    diagonal: NDArray[np.int64]

    @property
    def nnz(self) -> int:
        return int(self.indptr[-1])

    @property
    def dtype(self) -> np.dtype[Any]:
        return files.count_type(self.largest)


def digest_of(where: RowRange, *parts: Csr) -> Digest:
    """Of all entries of the range: parts of its rows, one below the other."""
    lengths = np.concatenate([np.diff(part.indptr) for part in parts])
    diagonals = [
        part.diagonal_from(where.begin + row) for row, part in _placed(parts) if where.is_triangle
    ]
    return Digest(
        np.concatenate([[0], np.cumsum(lengths)]),
        sum(int(part.stored.sum(dtype=np.int64)) for part in parts),
        max(part.largest() for part in parts),
        np.concatenate([np.empty(0, np.int64), *diagonals]),
    )


def write_range(where: RowRange, parts: Sequence[Csr]) -> tuple[Digest, Written]:
    """The file of a range, whose rows are those of the parts, one below the other; it takes the
    place of an older one once it is whole. Sparse parts are never joined in memory."""
    digest = digest_of(where, *parts)
    if where.is_dense(digest.nnz, digest.dtype.itemsize):
        arrays = {"dense": Stream.of(_cells(where, parts, digest.dtype), digest.dtype)}
    else:
        arrays = {
            "data": Stream(digest.nnz, digest.dtype, lambda: (part.stored for part in parts)),
            "indices": Stream(digest.nnz, INT32, lambda: (part.indices for part in parts)),
            "indptr": Stream.of(digest.indptr, INT64),
        }
    return digest, files.write_arrays(where.path, arrays, where.rules(digest))


def _placed(parts: Sequence[Csr]) -> Iterator[tuple[int, Csr]]:
    """Each part, after the row of the range that is its first."""
    row = 0
    for part in parts:
        yield row, part
        row += part.rows


def open_range(where: RowRange, digest: Digest) -> SparseRows | DenseRows:
    """The rows in the file of a range, memory-mapped.

    Raises:
        CountsFileError: no such file; damaged, truncated, or of another range or other counts than
            the digest's.
    """
    try:
        arrays, rules = files.read_arrays(where.path)
    except FileNotFoundError:
        raise CountsFileError(
            f"{where.path}: expected the counts of rows {where.begin} to {where.end - 1}, "
            "got no such file"
        ) from None
    if rules != where.rules(digest):
        raise CountsFileError(
            f"{where.path}: expected {where.rules(digest)}, got {rules}: of other counts, "
            "or damaged"
        )
    is_sparse = set(arrays) == _SPARSE
    _check_arrays(where, arrays, digest, is_sparse)
    if not is_sparse:
        cells = arrays["dense"].reshape(where.rows, where.width)
        return DenseRows(where, digest.indptr, cells)
    if not np.array_equal(arrays["indptr"], digest.indptr):
        raise CountsFileError(
            f"{where.path}: expected the row pointers of the index, got others: of other counts, "
            "or damaged"
        )
    return SparseRows(where, digest.indptr, arrays["indices"], arrays["data"])


def _check_arrays(
    where: RowRange, arrays: dict[str, NDArray[Any]], digest: Digest, is_sparse: bool
) -> None:
    expected: dict[str, tuple[int, np.dtype[Any]]]
    if is_sparse:
        expected = {
            "data": (digest.nnz, digest.dtype),
            "indices": (digest.nnz, INT32),
            "indptr": (where.rows + 1, INT64),
        }
    else:
        expected = {"dense": (where.rows * where.width, digest.dtype)}
    got = {name: (array.size, array.dtype) for name, array in arrays.items()}
    if got != expected:
        raise CountsFileError(
            f"{where.path}: expected arrays {_told(expected)}, got {_told(got)}: damaged"
        )


def _told(arrays: dict[str, tuple[int, np.dtype[Any]]]) -> str:
    return ", ".join(f"{name} of {size} {dtype}" for name, (size, dtype) in sorted(arrays.items()))


def _cells(where: RowRange, parts: Sequence[Csr], dtype: np.dtype[Any]) -> NDArray[Any]:
    """All cells of the range, row by row."""
    cells = np.zeros(where.rows * where.width, dtype)
    for first, part in _placed(parts):
        row_begins = np.arange(first, first + part.rows) * where.width - where.first
        cells[np.repeat(row_begins, np.diff(part.indptr)) + part.indices] = part.stored
    return cells


@dataclass(frozen=True)
class SparseRows:
    """A file with the entries of its rows."""

    where: RowRange
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    stored: NDArray[np.integer]

    def row(self, row: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Of the row that is the `row`-th here."""
        low, high = self.indptr[row], self.indptr[row + 1]
        indices = self.indices[low:high]
        check_columns(indices, self.where.columns, self.where.path)
        return indices, self.stored[low:high].astype(np.int64)

    def column(self, column: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row ids as of the table."""
        rows, counts = self.csr().column(column)
        return rows + self.where.begin, counts

    def csr(self) -> Csr:
        return self.between(0, self.where.rows)

    def between(self, begin: int, end: int) -> Csr:
        """The rows from the `begin`-th here to before the `end`-th."""
        low, high = self.indptr[begin], self.indptr[end]
        indices = self.indices[low:high]
        check_columns(indices, self.where.columns, self.where.path)
        pointers = self.indptr[begin : end + 1] - low
        return Csr(pointers, indices, self.stored[low:high], self.where.columns)


@dataclass(frozen=True)
class DenseRows:
    """A file with all cells of its rows."""

    where: RowRange
    indptr: NDArray[np.int64]
    cells: NDArray[np.integer]

    def row(self, row: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Of the row that is the `row`-th here."""
        ids = np.flatnonzero(self.cells[row])
        self._check(row, ids.size)
        return (ids + self.where.first).astype(np.int32), self.cells[row, ids].astype(np.int64)

    def column(self, column: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row ids as of the table."""
        if column < self.where.first:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        cells = self.cells[:, column - self.where.first]
        rows = np.flatnonzero(cells)
        return rows + self.where.begin, cells[rows].astype(np.int64)

    def csr(self) -> Csr:
        return self.between(0, self.where.rows)

    def between(self, begin: int, end: int) -> Csr:
        """The rows from the `begin`-th here to before the `end`-th."""
        pointers = self.indptr[begin : end + 1] - self.indptr[begin]
        lengths = np.count_nonzero(self.cells[begin:end], axis=1)
        wrong = np.flatnonzero(lengths != np.diff(pointers))
        if wrong.size:
            self._check(begin + int(wrong[0]), int(lengths[wrong[0]]))
        flat = self.cells[begin:end].ravel()
        places = np.flatnonzero(flat)
        stored = flat[places]
        places -= np.repeat(np.arange(end - begin) * self.where.width, lengths)
        places += self.where.first
        return Csr(pointers, places.astype(np.int32), stored, self.where.columns)

    def _check(self, row: int, got: int) -> None:
        expected = self.indptr[row + 1] - self.indptr[row]
        if got != expected:
            raise CountsFileError(
                f"{self.where.path}: expected {expected} entries in row {self.where.begin + row}, "
                f"as the index says, got {got}: of other counts, or damaged"
            )
