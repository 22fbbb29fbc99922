"""What people count with today: functions of arrays, as one writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import scipy.sparse


def packed(first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    """Keys first * `key_base` + second: uint32 of uint16 ids, uint64 of uint32 ids."""
    wide: Any
    wide, bits = (np.uint32, 16) if first.dtype.itemsize == 2 else (np.uint64, 32)
    keys: NDArray[Any] = (first.astype(wide) << wide(bits)) | second
    return keys


def key_base(tokens: NDArray[Any]) -> int:
    return 2**16 if tokens.dtype.itemsize == 2 else 2**32


def numpy_unique(tokens: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Next-token pairs of one stream by `np.unique` on packed keys, which are built here: sorted
    keys and their counts."""
    return np.unique(packed(tokens[:-1], tokens[1:]), return_counts=True)


def scipy_pairs(
    first: NDArray[Any], second: NDArray[Any], vocab_size: int
) -> scipy.sparse.csr_array:
    """Pairs (first[i], second[i]), added up by COO to CSR: int32 [V, V]."""
    import scipy.sparse

    ones = np.ones(first.size, np.int32)
    places = (first.astype(np.int32), second.astype(np.int32))
    return scipy.sparse.coo_array((ones, places), shape=(vocab_size, vocab_size)).tocsr()


def incidence(tokens: NDArray[Any], vocab_size: int, row_length: int) -> scipy.sparse.csr_array:
    """A [rows, V], 1 where a row of so many tokens holds an id: int32, as the counts need."""
    import scipy.sparse

    keys = np.arange(tokens.size) // row_length * vocab_size + tokens
    row, column = np.divmod(np.unique(keys), vocab_size)
    ones = np.ones(row.size, np.int32)
    return scipy.sparse.csr_array(
        (ones, (row, column)), shape=(-(-tokens.size // row_length), vocab_size)
    )


def scipy_same_sequence(incidence: scipy.sparse.csr_array) -> scipy.sparse.csr_array:
    """A'A: rows that hold both ids. The incidence is given: only the product is timed."""
    return (incidence.T @ incidence).tocsr()


def scipy_sum(matrices: list[scipy.sparse.csr_array]) -> scipy.sparse.csr_array:
    """The sum of sparse matrices, two at a time, as its `+` has it."""
    return sum(matrices[1:], start=matrices[0])


def numpy_sum(blocks: list[Any], columns: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The sum of CSR blocks by one sort of the keys row * columns + column of all: sorted keys and
    their sums. The keys are built here."""
    keys = np.concatenate(
        [
            np.repeat(np.arange(block.indptr.size - 1) * columns, np.diff(block.indptr))
            + block.indices
            for block in blocks
        ]
    )
    return summed(keys, np.concatenate([block.data for block in blocks]))


def summed(keys: NDArray[Any], values: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The values of equal keys added up; keys sorted."""
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])[: keys.size])
    return keys[starts], np.add.reduceat(values[order], starts)


def dense_cosine_tiles(
    embeddings: list[Any], signature: scipy.sparse.csr_array, tiles: list[Any]
) -> Any:
    """For each embedding the sums over pairs of rows of g, h, g^2, h^2, g h, g = e_i.e_j and
    h = p_i.p_j, in tiles ((i0, i1), (j0, j1)) of both Gram matrices: what one writes with torch,
    where V x V does not fit. float64 [embeddings, 5], of the pairs i < j where the tiles are those
    of the upper triangle."""
    import torch

    sums = torch.zeros(len(embeddings), 5, dtype=torch.float64)
    for rows, columns in tiles:
        left, right = (
            torch.from_numpy(signature[slice(*each)].toarray()).to(embeddings[0].dtype)
            for each in (rows, columns)
        )
        h = left @ right.T
        h = h.triu(1) if rows == columns else h
        for k, embedding in enumerate(embeddings):
            g = embedding[slice(*rows)] @ embedding[slice(*columns)].T
            g = g.triu(1) if rows == columns else g
            sums[k] += torch.stack([x.sum() for x in (g, h, g * g, h * h, g * h)])
    return sums
