"""What people count with today, on the same tokens and the same task."""

from __future__ import annotations

import numpy as np
import scipy.sparse
from numpy.typing import NDArray


def numpy_unique(tokens: NDArray[np.uint16]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Next-token pairs of one stream by `np.unique` on packed uint32 keys, which are built here:
    sorted keys s << 16 | s' and their counts."""
    return np.unique((tokens[:-1].astype(np.uint32) << 16) | tokens[1:], return_counts=True)


def incidence(
    tokens: NDArray[np.uint16], vocab_size: int, row_length: int
) -> scipy.sparse.csr_array:
    """A [rows, V], 1 where a row of so many tokens holds an id: int32, as the counts need."""
    keys = np.arange(tokens.size) // row_length * vocab_size + tokens
    row, column = np.divmod(np.unique(keys), vocab_size)
    ones = np.ones(row.size, np.int32)
    return scipy.sparse.csr_array(
        (ones, (row, column)), shape=(-(-tokens.size // row_length), vocab_size)
    )


def scipy_same_sequence(incidence: scipy.sparse.csr_array) -> scipy.sparse.csr_array:
    """A'A: rows that hold both ids. The incidence is given: only the product is timed."""
    return (incidence.T @ incidence).tocsr()
