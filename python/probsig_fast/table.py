"""`Table`: integer counts as sparse rows and columns, whatever they count."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .arguments import read_only
from .errors import CountsFileError
from .signature import check_token, scipy_csr, torch_csr

if TYPE_CHECKING:
    import scipy.sparse
    import torch


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Table:
    """A square table N [V, V] in canonical CSR, with its marginals. All arrays are read-only.

    Attributes:
        indptr: int64 [V + 1]; indices: int32 [nnz], sorted within a row.
        stored: [nnz] as held: int64, or int32 where it was loaded from a file that says so.
        row_sum, column_sum: int64 [V], the marginals of N.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    stored: NDArray[np.integer]
    row_sum: NDArray[np.int64]
    column_sum: NDArray[np.int64]

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
    def vocab_size(self) -> int:
        """V."""
        return self.indptr.size - 1

    @property
    def shape(self) -> tuple[int, int]:
        return self.vocab_size, self.vocab_size

    @cached_property
    def data(self) -> NDArray[np.int64]:
        """int64 [nnz], the counts in the order of `indices`."""
        return read_only(self.stored.astype(np.int64, copy=False))

    @cached_property
    def _safe_indices(self) -> NDArray[np.int32]:
        """`indices`, checked once: compiled code elsewhere would read and write at whatever a
        damaged file says. O(nnz) the first time."""
        return self._bounded(self.indices)

    def _bounded(self, indices: NDArray[np.int32]) -> NDArray[np.int32]:
        if indices.size and (indices.min() < 0 or indices.max() >= self.vocab_size):
            raise CountsFileError(
                f"counts: expected column ids from 0 to {self.vocab_size - 1}, "
                f"got {indices.min()} to {indices.max()}: damaged"
            )
        return indices

    @property
    def nnz(self) -> int:
        """Distinct pairs."""
        return self.indices.size

    @property
    def total(self) -> int:
        """The sum of all counts."""
        return int(self.row_sum.sum())

    def row(self, token: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Column ids [k], ascending, and counts [k] of one row.

        Raises:
            ArgumentError: a token outside the vocabulary.
        """
        check_token(token, self.vocab_size)
        low, high = self.indptr[token], self.indptr[token + 1]
        indices = self._bounded(self.indices[low:high])
        return indices, self.stored[low:high].astype(np.int64)

    def column(self, token: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row ids [k], ascending, and counts [k] of one column. O(nnz).

        Raises:
            ArgumentError: a token outside the vocabulary.
        """
        check_token(token, self.vocab_size)
        entries = np.flatnonzero(self.indices == token)
        rows = np.searchsorted(self.indptr, entries, side="right") - 1
        return rows, self.stored[entries].astype(np.int64)

    def pmi(self, positive: bool = False) -> scipy.sparse.csr_array:
        """Pointwise mutual information ln(N[x, y] total / (row_sum[x] column_sum[y])), in nats.

        float64 CSR [V, V] over the observed pairs (that of an unobserved pair is -inf, and not
        stored). `positive=True`: PPMI, max(0, PMI), with its zeros left out. O(nnz).
        """
        rows = np.repeat(self.row_sum, np.diff(self.indptr))
        values = np.log(self.data) + np.log(float(self.total or 1))
        values -= np.log(rows) + np.log(self.column_sum[self._safe_indices])
        matrix = scipy_csr(
            self.indptr, self._safe_indices, values, (self.vocab_size, self.vocab_size)
        )
        if positive:
            matrix = matrix.copy()
            matrix.data = np.maximum(matrix.data, 0.0)
            matrix.eliminate_zeros()
        return matrix

    def to_scipy(self) -> scipy.sparse.csr_array:
        """int64 CSR array [V, V]; shares memory, so its data is read-only."""
        shape = (self.vocab_size, self.vocab_size)
        return scipy_csr(self.indptr, self._safe_indices, self.data, shape)

    def to_torch(self) -> torch.Tensor:
        """int64 sparse CSR tensor [V, V] on the CPU.

        Raises:
            MissingExtraError: torch is not installed.
        """
        shape = (self.vocab_size, self.vocab_size)
        return torch_csr(self.indptr, self._safe_indices, self.data, shape)

    def to_coo(self) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
        """Rows, columns and counts, each [nnz], sorted by row then column."""
        rows = np.repeat(np.arange(self.vocab_size, dtype=np.int32), np.diff(self.indptr))
        return rows, self._safe_indices, self.data
