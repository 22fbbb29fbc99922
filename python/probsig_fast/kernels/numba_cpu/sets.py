"""The set of each run's tokens."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..contract import Sets, Tokens
from ._arrays import frozen
from ._jit import kernel
from .rows import Row, empty_row, write_row

#: Tokens between two looks at `cancel`.
_POLL = 2**20


def sequence_sets(
    tokens: Tokens,
    run_starts: NDArray[np.int64],
    run_ends: NDArray[np.int64],
    vocab_size: int,
    multiplicity: bool,
    cancel: NDArray[np.uint8],
) -> Sets:
    lengths = np.asarray(run_ends) - np.asarray(run_starts)
    sizes = np.minimum(lengths, vocab_size)
    largest = int(sizes.max(initial=0))
    dtype = np.uint32 if int(lengths.max(initial=0)) < 2**32 else np.uint64
    indptr = np.zeros(lengths.size + 1, np.int64)
    # Room for all: what stays unused of it is never touched, and takes no memory.
    ids = np.empty(int(sizes.sum()), tokens.dtype)
    counts = np.empty(ids.size if multiplicity else largest, np.int64)
    _list_sets(
        frozen(tokens, tokens.dtype),
        frozen(run_starts, np.int64),
        frozen(run_ends, np.int64),
        empty_row(vocab_size, dtype, largest),
        indptr,
        ids,
        counts,
        multiplicity,
        frozen(cancel, np.uint8),
    )
    ids.resize(indptr[-1], refcheck=False)
    counts.resize(indptr[-1] if multiplicity else 0, refcheck=False)
    return Sets(indptr, ids, counts)


@kernel
def _list_sets(
    tokens: Tokens,
    run_starts: NDArray[np.int64],
    run_ends: NDArray[np.int64],
    row: Row,
    indptr: NDArray[np.int64],
    ids: Tokens,
    counts: NDArray[np.int64],
    multiplicity: bool,
    cancel: NDArray[np.uint8],
) -> None:
    """Fill `indptr`, `ids` and, if asked for, `counts`; else that is room for one set."""
    used = np.int64(0)
    for run in range(run_starts.size):
        n_touched = np.uint64(0)
        for begin in range(run_starts[run], run_ends[run], _POLL):
            if cancel[0]:
                indptr[run + 1 :] = used
                return
            end = min(begin + _POLL, run_ends[run])
            n_touched = _add(tokens[begin:end], row, n_touched)
        used += write_row(row, n_touched, 1, ids[used:], counts[used * multiplicity :], 0)
        indptr[run + 1] = used


@kernel
def _add(tokens: Tokens, row: Row, n_touched: np.uint64) -> np.uint64:
    """Count tokens into the row; how many columns it has touched now."""
    counts, touched = row.counts, row.touched
    one = counts.dtype.type(1)
    for i in range(tokens.size):
        token = tokens[i]
        count = counts[token]
        # Written always, kept if new: faster than a branch that is hard to foresee.
        touched[n_touched] = token
        n_touched += np.uint64(count == 0)
        counts[token] = count + one
    return n_touched
