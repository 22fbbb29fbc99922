"""An embedding and a signature as matrices of unit rows, float64, over the tokens compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..csr import Csr, scipy_csr
from ..errors import ArgumentError, ArgumentTypeError
from ..signature import Signature

if TYPE_CHECKING:
    import scipy.sparse

#: What lies so far below the size of its terms is rounding (512 times float64's): a figure made of
#: it would have two or three right digits at best.
NOISE = 2.0**-43

#: Elements of W looked at at a time, which bounds temporary memory.
_BLOCK_ELEMENTS = 2**22


def checked_embedding(W: Any, signature: Signature) -> Any:
    """W, found to be a finite real [V, d] matrix with the signature's rows. O(V d).

    A tensor comes back without its gradient, and in float32 if it has 8 bits, for which torch
    lacks most functions.

    Raises:
        ArgumentError, ArgumentTypeError: it is not; says what came.
    """
    if isinstance(W, torch.Tensor):
        real = W.dtype.is_floating_point and W.layout == torch.strided
        kind = f"{W.dtype}" if W.layout == torch.strided else f"{W.dtype}, {W.layout}"
    elif isinstance(W, np.ndarray):
        real = np.issubdtype(W.dtype, np.floating)
        kind = f"NumPy {W.dtype}"
    else:
        real, kind = False, type(W).__name__
    if not real:
        raise ArgumentTypeError(
            f"W: expected a dense torch tensor or NumPy array of real floats, got {kind}"
        )
    if W.ndim != 2:
        raise ArgumentError(f"W: expected 2 dimensions [V, d], got shape {tuple(W.shape)}")
    expected, got = signature.shape[0], W.shape[0]
    if got != expected:
        hint = f"; rows beyond the tokenizer can be cut with W[:{expected}]"
        raise ArgumentError(
            f"W: expected {expected} rows, as {signature.name} has, got {got}"
            + (hint if got > expected else "")
        )
    if isinstance(W, torch.Tensor):
        W = W.detach()
        W = W.to(torch.float32) if W.element_size() == 1 else W
    _check_finite(W)
    return W


def _check_finite(W: Any) -> None:
    """In its own type and where it is: most of its rows may not be compared at all."""
    step = _rows_at_once(W)
    for begin in range(0, W.shape[0], step):
        part = W[begin : begin + step]
        finite = np.isfinite(part) if isinstance(W, np.ndarray) else part.isfinite()
        if not finite.all():
            k = np.flatnonzero(~np.array(finite.all(1).tolist()))[0]
            value = next(value for value in part[k].tolist() if not np.isfinite(value))
            raise ArgumentError(f"W: expected finite values, got {value} in row {begin + k}")


def _rows_at_once(W: Any) -> int:
    return max(1, _BLOCK_ELEMENTS // max(1, int(W.shape[1])))


def _blocks(
    W: Any, rows: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Some of these rows' ids and a float64 copy of them, [k, d], in order."""
    step = _rows_at_once(W)
    for begin in range(0, rows.size, step):
        chosen = rows[begin : begin + step]
        if isinstance(W, np.ndarray):
            yield chosen, W[chosen].astype(np.float64, copy=False)
        else:
            # Through the CPU: some devices have no float64. NumPy has no bfloat16.
            block = W[torch.from_numpy(chosen).to(W.device)].cpu()
            yield chosen, block.to(torch.float64).numpy()


def mean_row(W: Any, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean of these rows of W, float64 [d], right to the last bits; 0 for no rows. O(V d)."""
    mean = np.zeros(W.shape[1])
    # The second time sums the small rest, whose rounding no longer matters.
    for _ in range(2):
        rest = np.zeros(W.shape[1])
        for _, block in _blocks(W, rows):
            rest += (block - mean).sum(axis=0)
        mean += rest / max(1, rows.size)
    return mean


def unit_embedding(
    W: Any, rows: NDArray[np.int64], mean: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(W - mean) / |W - mean| by rows, float64 [K, d], and the ids [K] of those that are not 0.

    A row that differs from the mean by rounding alone is 0. O(V d) time, 8 K d bytes.
    """
    units = np.empty((rows.size, W.shape[1]))
    ids = np.empty(rows.size, np.int64)
    kept = 0
    for chosen, block in _blocks(W, rows):
        floor = np.zeros(len(block))
        if mean is not None:
            floor = NOISE * _largest(block)
            block -= mean
        largest = _largest(block)
        nonzero = largest > floor
        block, largest = block[nonzero], largest[nonzero]
        # Powers of 2 keep squares in range and change no digit.
        block = np.ldexp(block, -np.frexp(largest)[1][:, None])
        block /= np.sqrt(np.einsum("ij,ij->i", block, block))[:, None]
        units[kept : kept + len(block)] = block
        ids[kept : kept + len(block)] = chosen[nonzero]
        kept += len(block)
    return units[:kept], ids[:kept]


def _largest(block: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest absolute value of each row; 0 for rows of no columns."""
    largest: NDArray[np.float64] = np.abs(block).max(axis=1, initial=0.0)
    return largest


def nonzero_rows(signature: Signature) -> NDArray[np.int64]:
    """The ids of the signature's rows that are not zero, ascending. O(nnz)."""
    tokens = signature.tokens
    if not tokens.size:
        return tokens
    return tokens[np.logical_or.reduceat(signature.counts != 0, signature.indptr[tokens])]


def unit_signature(signature: Signature, tokens: NDArray[np.int64]) -> scipy.sparse.csr_array:
    """phi / |phi| for these rows, none of them zero: float64 CSR [K, W]. O(nnz).

    Made of the counts: cosines ignore the scale of a row.
    """
    lengths = np.diff(signature.indptr)
    kept = np.zeros(lengths.size, bool)
    kept[tokens] = True
    all_kept = not lengths[~kept].any()
    entries = slice(None) if all_kept else np.repeat(kept, lengths)
    indptr = np.concatenate([[0], np.cumsum(lengths[tokens])])
    values = signature.counts[entries].astype(np.float64)
    norms = np.sqrt(np.add.reduceat(np.square(values), indptr[:-1]))
    values /= np.repeat(norms, lengths[tokens])
    kept_rows = Csr(
        indptr, signature.indices[entries], signature.counts[entries], signature.n_columns
    )
    return scipy_csr(kept_rows, values)
