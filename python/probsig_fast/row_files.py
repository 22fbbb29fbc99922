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
from .csr import Csr, Entries, in_ranges
from .errors import ArgumentError, ArgumentTypeError, CountsFileError
from .kernels.contract import Block
from .row_range import DenseRows, Digest, RowRange, SparseRows, open_range, write_range

#: Entries of a range at most, where counts that are already there are written to a folder.
_RANGE_ENTRIES = 2**22


def checked_work_dir(work_dir: str | Path | None) -> Path | None:
    """A folder that is new or empty; None stays None.

    Raises:
        ArgumentError: it holds something, or cannot be made.
        ArgumentTypeError: no path.
    """
    return None if work_dir is None else new_folder("work_dir", work_dir)


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
        self, folder: Path, cuts: NDArray[np.int64], columns: int, is_triangle: bool
    ) -> None:
        self._folder = folder.absolute()  # so that it is found from wherever it is read
        self._ranges = [
            RowRange(self._folder / _name(begin), begin, end, columns, is_triangle)
            for begin, end in pairwise(cuts.tolist())
        ]
        self._cuts, self._columns = cuts, columns
        self._digests: dict[int, Digest] = {}
        self._last: tuple[int, SparseRows | DenseRows] | None = None

    # Writing

    @classmethod
    def create(
        cls, folder: Path, ranges: Sequence[tuple[int, int]], columns: int, is_triangle: bool
    ) -> RowFiles:
        """No files yet; `ranges` are all rows in order, without gaps."""
        return cls(folder, np.array([0, *(end for _, end in ranges)]), columns, is_triangle)

    @classmethod
    def of(cls, folder: Path, entries: Entries, is_triangle: bool) -> RowFiles:
        """The same entries in files: always the same ones, however they were kept before."""
        cuts = _cuts(entries.indptr)
        result = cls(folder, cuts, entries.columns, is_triangle)
        try:
            for index, csr in enumerate(in_ranges(entries, cuts)):
                result._digests[index] = write_range(result._ranges[index], csr)
        except BaseException:
            result.remove()
            raise
        return result

    @classmethod
    def opened(
        cls,
        folder: Path,
        cuts: NDArray[np.int64],
        columns: int,
        is_triangle: bool,
        digests: Sequence[Digest],
    ) -> RowFiles:
        """What a folder holds, by its index. O(rows).

        Raises:
            CountsFileError: a file that is missing, too many, truncated, of other counts.
        """
        result = cls(folder, cuts, columns, is_triangle)
        result._digests = dict(enumerate(digests))
        expected = {where.path.name for where in result._ranges}
        more = sorted({path.name for path in folder.glob("rows-*.safetensors")} - expected)
        if more:
            raise CountsFileError(
                f"{folder / more[0]}: expected only row ranges of the index, got another: "
                "of other counts"
            )
        for index in range(len(result._ranges)):
            result._open(index)
        return result

    def __contains__(self, index: int) -> bool:
        """Whether a range is written."""
        return index in self._digests

    def write(self, index: int, block: Block) -> None:
        """The rows of a range; they take the place of what was written of it before."""
        csr = Csr(block.indptr, block.indices, block.data, self._columns)
        self._last = None
        self._digests[index] = write_range(self._ranges[index], csr)

    def block(self, index: int) -> Block:
        """The rows of a range, copied to memory: its file may then be replaced on any system."""
        csr = self._open(index).csr()
        return Block(csr.indptr, np.array(csr.indices), csr.stored.astype(np.int64))

    def finished(self) -> RowFiles:
        """Itself, once all is written.

        Raises:
            CountsFileError: a range that is missing.
        """
        for index, where in enumerate(self._ranges):
            if index not in self:
                raise CountsFileError(
                    f"{where.path}: expected the counts of rows {where.begin} to {where.end - 1}, "
                    "got none written"
                )
        return self

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
        return [self._digests[index] for index in range(len(self._ranges))]

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


def _name(begin: int) -> str:
    return f"rows-{begin:010}.safetensors"


def _cuts(indptr: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ranges of few entries each; a row that has more of them is one by itself."""
    cuts = [0]
    while cuts[-1] < indptr.size - 1:
        most = indptr[cuts[-1]] + _RANGE_ENTRIES
        end = int(np.searchsorted(indptr, most, side="right")) - 1
        cuts.append(max(end, cuts[-1] + 1))
    return np.array(cuts)
