"""`Signature`: conditional probabilities as sparse rows, each with the count it was divided by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .arguments import check_id, integer, read_only
from .csr import Csr, scipy_csr, torch_csr
from .errors import ArgumentError

if TYPE_CHECKING:
    import scipy.sparse
    import torch


@dataclass(frozen=True, eq=False)
class Signature:
    """P(column | row) = N[row, column] / support[row], for the rows with enough support.

    Kept as the exact integers N, so that forming a signature costs no pass over the entries;
    probabilities are float64, computed where they are asked for. Rows that were dropped for lack
    of support are empty; all columns stay.

    Attributes:
        name: `"phi_next"`, `"psi_pre"`, ... (arXiv 2509.20124, section 3).
        condition: what a row conditions on, for plots and tables: `"next | token"`, ...
        indptr: int64 [V + 1]; indices: int32 [nnz], sorted within a row; counts: int [nnz].
        support: int64 [V], the denominators, of all rows.
        n_columns: W, the number of columns.
        weight_scale: what `counts` and `support` were multiplied by to make them integers (see
            `Window`); it cancels in the probabilities.
        min_support: rows whose support / weight_scale is below it were dropped.
        token_strings: readable tokens, where they were attached.
    """

    name: str
    condition: str
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    counts: NDArray[np.integer]
    support: NDArray[np.int64]
    n_columns: int
    weight_scale: int = 1
    min_support: int = 0
    token_strings: Sequence[str] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("indptr", "indices", "counts", "support"):
            object.__setattr__(self, name, read_only(getattr(self, name)))

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()  # arrays come out of a pickle writeable

    @property
    def shape(self) -> tuple[int, int]:
        return self.support.size, self.n_columns

    @property
    def tokens(self) -> NDArray[np.int64]:
        """The ids whose rows are there, ascending."""
        return np.flatnonzero(np.diff(self.indptr)).astype(np.int64)

    def row(self, token: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Column ids [k], ascending, and their probabilities [k]; both empty for a dropped row.

        Raises:
            ArgumentError: a token outside the rows.
        """
        check_id("token", token, self.support.size)
        low, high = self.indptr[token], self.indptr[token + 1]
        return self.indices[low:high], self.counts[low:high] / self.support[token]

    def probabilities(self) -> NDArray[np.float64]:
        """float64 [nnz], in the order of `indices`. O(nnz) time and memory."""
        return self.counts / np.repeat(self.support, np.diff(self.indptr))

    def with_min_support(self, min_support: int) -> Signature:
        """This signature without the rows whose support, in unscaled counts, is below
        `min_support`. O(nnz).

        Raises:
            ArgumentError: negative.
        """
        min_support = check_min_support(min_support)
        if min_support <= self.min_support:
            return self
        kept = self.support >= min_support * self.weight_scale
        lengths = np.diff(self.indptr)
        entries = np.repeat(kept, lengths)
        indptr = np.concatenate([[0], np.cumsum(np.where(kept, lengths, 0))])
        return Signature(
            self.name,
            self.condition,
            indptr,
            self.indices[entries],
            self.counts[entries],
            self.support,
            self.n_columns,
            self.weight_scale,
            min_support,
            self.token_strings,
        )

    def entropy(self) -> NDArray[np.float64]:
        """H(row) = -sum_c P(c | row) ln P(c | row) in nats, float64 [V]; NaN for dropped rows.

        O(nnz).
        """
        probabilities = self.probabilities()
        terms = -probabilities * np.log(probabilities)
        result = np.full(self.support.size, np.nan)
        rows = self.tokens
        if rows.size:
            result[rows] = np.add.reduceat(terms, self.indptr[rows]) + 0.0  # no -0.0
        return result

    def jensen_shannon(self, first: int, second: int) -> float:
        """The Jensen-Shannon distance of two rows: sqrt of the divergence in nats, 0 to
        sqrt(ln 2) = 0.8326; NaN if either row was dropped.

        JS = (KL(p, m) + KL(q, m)) / 2 with m = (p + q) / 2. O(k) for rows of k entries.
        """
        columns_p, p = self.row(first)
        columns_q, q = self.row(second)
        if not columns_p.size or not columns_q.size:
            return float("nan")
        columns = np.union1d(columns_p, columns_q)
        both = np.zeros((2, columns.size))
        both[0, np.searchsorted(columns, columns_p)] = p
        both[1, np.searchsorted(columns, columns_q)] = q
        mean = both.mean(axis=0)
        safe = np.where(both > 0, both, 1.0)
        divergence = (both * np.log(safe / mean)).sum() / 2
        return float(np.sqrt(max(divergence, 0.0)))

    def nearest(self, token: int, k: int = 10) -> list[tuple[int, float]]:
        """The k other tokens whose rows have the largest cosine with this one's, best first.

        Ties: the lower id first. Tokens of cosine 0 are left out. O(nnz).

        Raises:
            ArgumentError: a token outside the rows, or one whose row was dropped; k below 1.
        """
        k = integer("k", k, 1)
        check_id("token", token, self.support.size)
        columns, own = self.row(token)
        if not columns.size:
            raise ArgumentError(f"token: expected one with a row in {self.name}, got {token}")
        matrix = self.to_scipy()
        dense = np.zeros(self.n_columns)
        dense[columns] = own
        norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
        cosines = (matrix @ dense) / np.where(norms > 0, norms * norms[token], 1.0)
        cosines[token] = 0.0
        order = np.lexsort((np.arange(cosines.size), -cosines))[:k]
        return [(int(i), float(cosines[i])) for i in order if cosines[i] > 0]

    def to_scipy(self) -> scipy.sparse.csr_array:
        """Probabilities as a SciPy CSR array [V, W] of float64."""
        return scipy_csr(self._csr(), self.probabilities())

    def to_torch(self) -> torch.Tensor:
        """Probabilities as a torch sparse CSR tensor [V, W] of float64, on the CPU.

        Raises:
            MissingExtraError: torch is not installed.
        """
        return torch_csr(self._csr(), self.probabilities())

    def _csr(self) -> Csr:
        return Csr(self.indptr, self.indices, self.counts, self.n_columns)


def check_min_support(min_support: Any) -> int:
    """Raises ArgumentError, ArgumentTypeError: no int of at least 0."""
    return integer("min_support", min_support, 0)
