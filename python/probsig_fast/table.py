"""`Table`: integer counts by rows and columns, whatever they count."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import sums
from .accumulator import row_pieces
from .arguments import check_id, read_only
from .csr import Csr, Entries, same_entries, scipy_csr, torch_csr
from .errors import CountOverflowError, CountsFileError
from .kernels.contract import Block, Kernels
from .pool import WorkerPool

if TYPE_CHECKING:
    import scipy.sparse
    import torch


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Table:
    """A table N [rows, columns] of counts, with its marginals. All arrays are read-only.

    Attributes:
        entries: who keeps them; see `indptr`, `indices`, `stored`.
        row_sum: int64 [rows]; column_sum: int64 [columns]: the marginals of N.
        is_triangle: N is symmetric, and only its upper triangle with the diagonal is kept.
            `indptr`, `indices`, `stored`, `data` and `nnz` are of what is kept; everything else
            speaks of both halves.
    """

    entries: Entries
    row_sum: NDArray[np.int64]
    column_sum: NDArray[np.int64]
    is_triangle: bool = False

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, np.ndarray):
                object.__setattr__(self, each.name, read_only(value))

    def __getstate__(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()  # arrays come out of a pickle writeable

    @property
    def shape(self) -> tuple[int, int]:
        return self.entries.rows, self.entries.columns

    @property
    def indptr(self) -> NDArray[np.int64]:
        """int64 [rows + 1]."""
        return self.entries.indptr

    @property
    def indices(self) -> NDArray[np.int32]:
        """int32 [nnz], sorted within a row."""
        return self.entries.indices

    @property
    def stored(self) -> NDArray[np.integer]:
        """[nnz] as kept: int64, or int32 where all fit.

        This, `indptr`, `indices` and `data` are all entries in memory, wherever they are kept.
        """
        return self.entries.stored

    @cached_property
    def data(self) -> NDArray[np.int64]:
        """int64 [nnz], the counts in the order of `indices`."""
        return read_only(self.stored.astype(np.int64, copy=False))

    def same_as(self, other: Table) -> bool:
        """The same counts, wherever they are kept."""
        return (
            self.is_triangle == other.is_triangle
            and np.array_equal(self.row_sum, other.row_sum)
            and np.array_equal(self.column_sum, other.column_sum)
            and same_entries(self.entries, other.entries)
        )

    @property
    def nnz(self) -> int:
        """Distinct pairs; unordered ones where the table is symmetric."""
        return self.entries.nnz

    @property
    def total(self) -> int:
        """The sum of all counts."""
        return int(self.row_sum.sum())

    def row(self, token: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Column ids [k], ascending, and counts [k] of one row. O(nnz) for a triangle.

        Raises:
            ArgumentError: a row that is not there.
        """
        check_id("token", token, self.shape[0])
        indices, counts = self.entries.row(token)
        if not self.is_triangle:
            return indices, counts
        above, counts_above = self.entries.column(token)
        before = above < token
        return (
            np.concatenate([above[before].astype(np.int32), indices]),
            np.concatenate([counts_above[before], counts]),
        )

    def column(self, token: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row ids [k], ascending, and counts [k] of one column. O(nnz).

        Raises:
            ArgumentError: a column that is not there.
        """
        if self.is_triangle:
            ids, counts = self.row(token)
            return ids.astype(np.int64), counts
        check_id("token", token, self.shape[1])
        return self.entries.column(token)

    def whole(self) -> Csr:
        """All entries in memory; of a triangle, both halves, in O(nnz) time and memory."""
        csr = self.entries.csr().safe
        return csr.mirrored() if self.is_triangle else csr

    def pmi(self, positive: bool = False) -> scipy.sparse.csr_array:
        """Pointwise mutual information ln(N[x, y] total / (row_sum[x] column_sum[y])), in nats.

        float64 CSR [rows, columns] over the observed pairs (that of an unobserved pair is -inf,
        and not stored). `positive=True`: PPMI, max(0, PMI), with its zeros left out. O(nnz).
        """
        csr = self.whole()
        rows = np.repeat(self.row_sum, np.diff(csr.indptr))
        values = np.log(csr.stored) + np.log(float(self.total or 1))
        values -= np.log(rows) + np.log(self.column_sum[csr.indices])
        matrix = scipy_csr(csr, values)
        if positive:
            matrix = matrix.copy()
            matrix.data = np.maximum(matrix.data, 0.0)
            matrix.eliminate_zeros()
        return matrix

    def to_scipy(self) -> scipy.sparse.csr_array:
        """int64 CSR array [rows, columns]; shares memory where it can, so its data is read-only."""
        return scipy_csr(*self._whole_int64())

    def to_torch(self) -> torch.Tensor:
        """int64 sparse CSR tensor [rows, columns] on the CPU.

        Raises:
            MissingExtraError: torch is not installed.
        """
        return torch_csr(*self._whole_int64())

    def to_coo(self) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
        """Rows, columns and counts, each one array, sorted by row then column."""
        csr, data = self._whole_int64()
        rows = np.repeat(np.arange(csr.rows, dtype=np.int32), np.diff(csr.indptr))
        return rows, csr.indices, data

    def _whole_int64(self) -> tuple[Csr, NDArray[np.int64]]:
        csr = self.whole()
        if csr is self.entries:
            return csr, self.data
        return csr, csr.stored.astype(np.int64)


class PieceSums(NamedTuple):
    """The marginals of some rows: int64 [rows of the piece], int64 [columns], and the total."""

    row_sum: NDArray[np.int64]
    column_sum: NDArray[np.int64]
    total: int

    @classmethod
    def of(cls, block: Block, columns: int, kernels: Kernels) -> PieceSums:
        """O(nnz).

        Raises:
            CountOverflowError: the total is past 2^63 - 1.
            CountsFileError: a column that is not there, or a count below 1.
        """
        try:
            row_sum, column_sum = kernels.block_sums(block, columns)
        except OverflowError as error:
            raise CountOverflowError("counts: expected a total of at most 2^63 - 1") from error
        except (IndexError, ValueError) as error:  # only a damaged file holds such entries
            raise CountsFileError(str(error)) from error
        return cls(row_sum, column_sum, int(row_sum.sum()))


class Marginals:
    """The marginals of a table whose pieces come one after the other."""

    def __init__(self, columns: int) -> None:
        self._row_sums: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        self._column_sum = np.zeros(columns, np.int64)
        self._total = 0

    def add(self, piece: PieceSums) -> None:
        """Raises CountOverflowError: the total is past 2^63 - 1."""
        self._total = sums.checked_total(np.array([self._total, piece.total]))
        self._row_sums.append(piece.row_sum)
        self._column_sum += piece.column_sum

    def table(
        self,
        entries: Entries,
        is_triangle: bool,
        diagonal: NDArray[np.int64] | None = None,
    ) -> Table:
        """The table of these entries; of a triangle, the sums of both halves are formed here.

        Args:
            diagonal: int64 [rows], that of a triangle, where it is known.

        Raises:
            CountOverflowError: the total of both halves is past 2^63 - 1.
        """
        row_sum, column_sum = np.concatenate(self._row_sums), self._column_sum
        if is_triangle:
            diagonal = entries.diagonal() if diagonal is None else diagonal
            row_sum = sums.exact_sum([row_sum, column_sum - diagonal])
            sums.checked_total(row_sum)
            column_sum = row_sum
        return Table(
            entries=entries, row_sum=row_sum, column_sum=column_sum, is_triangle=is_triangle
        )


def table_of(
    entries: Entries, kernels: Kernels, is_triangle: bool = False, pool: WorkerPool | None = None
) -> Table:
    """A table of these entries, its marginals summed here, by all threads of `pool`. O(nnz).

    Raises:
        CountOverflowError: the total is past 2^63 - 1.
        CountsFileError: a column that is not there, or a count below 1.
    """

    def summed(block: Block) -> PieceSums:
        return PieceSums.of(block, entries.columns, kernels)

    marginals = Marginals(entries.columns)
    for _, piece in entries.pieces():
        blocks = row_pieces(piece.block(), 2 * pool.threads if pool else 1)
        for part in pool.map(summed, blocks) if pool else map(summed, blocks):
            marginals.add(part)
    return marginals.table(entries, is_triangle)
