"""Counts too large for memory: a folder of row ranges, each a file, and an index.

The ranges are written here; the index, by which the folder can be opened again, by `Counts.save`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import files
from .arguments import read_only
from .csr import Csr, Entries, stacked
from .errors import ArgumentError, ArgumentTypeError, CountsFileError
from .files import Written
from .row_range import DenseRows, Digest, RowRange, SparseRows, open_range, write_range

#: Entries of a range at most, where counts that are already there are written to a folder.
_RANGE_ENTRIES = 2**22


def new_folder(argument: str, path: str | Path) -> Path:
    """A folder to write to, made if it is not there.

    Raises:
        ArgumentError: it holds something, or cannot be made.
        ArgumentTypeError: no path.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentTypeError(
            f"{argument}: expected the path of a folder, got {type(path).__name__} {path!r}"
        )
    folder = Path(path)
    if not folder.is_dir() and (folder.exists() or not folder.parent.is_dir()):
        raise ArgumentError(
            f"{argument}: expected an empty folder, or a new one in an existing folder, "
            f"got {str(folder)!r}"
        )
    folder.mkdir(exist_ok=True)
    inside = min((each.name for each in folder.iterdir()), default=None)
    if inside is not None:
        raise ArgumentError(
            f"{argument}: expected an empty folder, or a new one in an existing folder, "
            f"got {str(folder)!r}, which holds {inside!r}"
        )
    return folder


class RowFiles:
    """Row ranges of a table, each in a file of a folder.

    In memory are only the row pointers and a digest of each range, O(rows). Files are
    memory-mapped when they are needed; at most one stays open, that of the last `row`.
    """

    def __init__(
        self,
        folder: Path,
        cuts: NDArray[np.int64],
        columns: int,
        is_triangle: bool,
        digests: Sequence[Digest],
        prefix: str = "",
    ) -> None:
        self._folder = folder.absolute()  # so that it is found from wherever it is read
        self._ranges = [
            RowRange(self._folder / _name(prefix, begin), begin, end, columns, is_triangle)
            for begin, end in pairwise(cuts.tolist())
        ]
        self._cuts, self._columns = cuts, columns
        self._digests = list(digests)
        self._last: tuple[int, SparseRows | DenseRows] | None = None

    @classmethod
    def of(cls, folder: Path, entries: Entries, is_triangle: bool) -> RowFiles:
        """The same entries in files: always the same ones, however they were kept before."""
        writer = RowWriter(folder, entries.columns, is_triangle)
        try:
            for _, piece in entries.pieces():
                writer.append(piece)
            return writer.finished()
        except BaseException:
            writer.remove()
            raise

    @classmethod
    def opened(
        cls,
        folder: Path,
        cuts: NDArray[np.int64],
        columns: int,
        is_triangle: bool,
        digests: Sequence[Digest],
        prefix: str = "",
    ) -> RowFiles:
        """What a folder holds, by its index. O(rows).

        Raises:
            CountsFileError: a file that is missing, too many, truncated, of other counts.
        """
        result = cls(folder, cuts, columns, is_triangle, digests, prefix)
        expected = {where.path.name for where in result._ranges}
        more = sorted({path.name for path in folder.glob(f"{prefix}rows-*.safetensors")} - expected)
        if more:
            raise CountsFileError(
                f"{folder / more[0]}: expected only row ranges of the index, got another: "
                "of other counts"
            )
        for index in range(len(result._ranges)):
            result._open(index)
        return result

    def remove(self) -> None:
        """Deletes what was written."""
        for where in self._ranges:
            where.path.unlink(missing_ok=True)

    # Reading

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def ranges(self) -> list[RowRange]:
        return self._ranges

    @property
    def digests(self) -> list[Digest]:
        return self._digests

    @property
    def rows(self) -> int:
        return self._ranges[-1].end

    @property
    def columns(self) -> int:
        return self._columns

    @property
    def nnz(self) -> int:
        return sum(digest.nnz for digest in self.digests)

    @property
    def cuts(self) -> NDArray[np.int64]:
        return self._cuts

    @property
    def indptr(self) -> NDArray[np.int64]:
        lengths = [np.diff(digest.indptr) for digest in self.digests]
        return read_only(np.concatenate([[0], np.cumsum(np.concatenate(lengths))]))

    @property
    def indices(self) -> NDArray[np.int32]:
        """All of them, in memory: O(nnz), and the files are read anew each time."""
        return self.csr().indices

    @property
    def stored(self) -> NDArray[np.integer]:
        """As `indices`; int32 where the largest fits."""
        return self.csr().stored

    def row(self, row: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """O(columns), with one file open."""
        index = int(np.searchsorted(self._cuts, row, side="right")) - 1
        last = self._last  # another thread may set it meanwhile
        if last is None or last[0] != index:
            last = self._last = (index, self._open(index))
        return last[1].row(row - self._ranges[index].begin)

    def column(self, column: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """O(nnz), one file after the other."""
        found = [
            self._open(index).column(column)
            for index, where in enumerate(self._ranges)
            if column >= where.first
        ]
        rows, counts = zip(*found, strict=True)
        return np.concatenate(rows), np.concatenate(counts)

    def pieces(self) -> Iterator[tuple[int, Csr]]:
        """A range at a time: memory-mapped where it is sparse, in memory where it was dense."""
        for index, where in enumerate(self._ranges):
            yield where.begin, self._open(index).csr()

    def between(self, begin: int, end: int) -> Csr:
        """Rows [begin, end), from the files that hold them."""
        first = int(np.searchsorted(self._cuts, begin, side="right")) - 1
        parts = []
        for index in range(first, len(self._ranges)):
            where = self._ranges[index]
            if where.begin >= end:
                break
            low, high = max(begin, where.begin), min(end, where.end)
            parts.append(self._open(index).between(low - where.begin, high - where.begin))
        return stacked(parts)

    def csr(self) -> Csr:
        indptr = self.indptr
        indices = np.empty(self.nnz, np.int32)
        stored = np.empty(self.nnz, files.count_type(self.largest()))
        for begin, piece in self.pieces():
            entries = slice(indptr[begin], indptr[begin + piece.rows])
            indices[entries], stored[entries] = piece.indices, piece.stored
        return Csr(indptr, indices, stored, self._columns)

    def largest(self) -> int:
        return max(digest.largest for digest in self.digests)

    def diagonal(self) -> NDArray[np.int64]:
        return np.concatenate([digest.diagonal for digest in self.digests])

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_last": None}

    def _open(self, index: int) -> SparseRows | DenseRows:
        return open_range(self._ranges[index], self._digests[index])


def _name(prefix: str, begin: int) -> str:
    return f"{prefix}rows-{begin:010}.safetensors"


class RowWriter:
    """Writes a table, whose rows come in order, to files of a folder.

    The same rows give the same files, whatever pieces they come in: a range takes all rows that
    fit `_RANGE_ENTRIES`, and a row that has more entries is one by itself.

    Attributes:
        written: of the files so far, by name.
    """

    def __init__(self, folder: Path, columns: int, is_triangle: bool, prefix: str = "") -> None:
        self._folder = folder.absolute()
        self._columns, self._is_triangle, self._prefix = columns, is_triangle, prefix
        self._cuts = [0]
        self._digests: list[Digest] = []
        self._waiting: list[Csr] = []
        self._waiting_rows = self._waiting_entries = 0
        self.written: dict[str, Written] = {}

    def append(self, piece: Csr) -> None:
        """The next rows. What is not written yet is copied: their memory may be used again."""
        begin = 0
        while begin < piece.rows:
            most = piece.indptr[begin] + _RANGE_ENTRIES - self._waiting_entries
            end = int(np.searchsorted(piece.indptr, most, side="right")) - 1
            if not self._waiting_rows:
                end = max(end, begin + 1)
            fits_all = end >= piece.rows
            if end > begin:
                rows = piece.between(begin, min(end, piece.rows))
                self._wait(_copied(rows) if fits_all else rows)
                begin = min(end, piece.rows)
            if not fits_all:
                self._write()

    def finished(self) -> RowFiles:
        """What was written, once all rows have come."""
        if self._waiting_rows:
            self._write()
        cuts = np.array(self._cuts)
        return RowFiles(
            self._folder, cuts, self._columns, self._is_triangle, self._digests, self._prefix
        )

    def remove(self) -> None:
        """Deletes what was written."""
        for name in self.written:
            (self._folder / name).unlink(missing_ok=True)

    def _wait(self, rows: Csr) -> None:
        self._waiting.append(rows)
        self._waiting_rows += rows.rows
        self._waiting_entries += rows.nnz

    def _write(self) -> None:
        begin, end = self._cuts[-1], self._cuts[-1] + self._waiting_rows
        name = _name(self._prefix, begin)
        where = RowRange(self._folder / name, begin, end, self._columns, self._is_triangle)
        digest, self.written[name] = write_range(where, self._waiting)
        self._digests.append(digest)
        self._cuts.append(end)
        self._waiting, self._waiting_rows, self._waiting_entries = [], 0, 0


def _copied(rows: Csr) -> Csr:
    """Counts in 32 bits, where all fit."""
    stored = rows.stored.astype(files.count_type(rows.largest()))
    return Csr(rows.indptr.copy(), rows.indices.copy(), stored, rows.columns)
