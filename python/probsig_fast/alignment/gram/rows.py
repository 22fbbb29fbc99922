"""Unit rows of an embedding and of a signature, float64.

The embedding's unit rows are the same bits on every device: sums are `tree_sum`s, and what else
is done to them is exact or rounded as IEEE 754 says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...csr import Csr, scipy_csr
from ...signature import Signature
from .devices import Runner
from .inputs import rows_at_once

if TYPE_CHECKING:
    import scipy.sparse

#: What lies so far below the size of its terms is rounding (512 times float64's): a figure made of
#: it would have two or three right digits at best.
NOISE = 2.0**-43


def tree_sum(terms: torch.Tensor, dim: int) -> torch.Tensor:
    """The sum over a dimension, its second half added to its first until one is left: an order
    that the size alone fixes, and nothing that devices round differently. `terms` is overwritten.

    A sum of n terms rounds ceil(log2 n) times.
    """
    while (size := terms.shape[dim]) > 1:
        half = (size + 1) // 2
        terms.narrow(dim, 0, size - half).add_(terms.narrow(dim, half, size - half))
        terms = terms.narrow(dim, 0, half)
    return terms.sum(dim)  # of one term, or none


def root_(values: torch.Tensor) -> torch.Tensor:
    """The square root, in place, rounded right: torch's own on the CPU may be off by a bit."""
    if values.device.type == "cpu":
        np.sqrt(values.numpy(), out=values.numpy())
        return values
    return values.sqrt_()


def row_squares(rows: torch.Tensor) -> torch.Tensor:
    """|x_i|^2 of these rows, [k]."""
    parts = torch.split(rows, rows_at_once(rows))
    return torch.cat([tree_sum(part.square(), 1) for part in parts])


def _chunks(W: Any, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    step = rows_at_once(W)
    return [rows[begin : begin + step] for begin in range(0, rows.size, step)]


def _block(W: Any, chosen: NDArray[np.int64], device: torch.device) -> torch.Tensor:
    """A float64 copy of these rows, [k, d]."""
    if isinstance(W, np.ndarray):
        return torch.from_numpy(W[chosen].astype(np.float64, copy=False)).to(device)
    # Converted at its end: some devices have no float64.
    block: torch.Tensor = W[torch.from_numpy(chosen).to(W.device)]
    return block.to(device).to(torch.float64)


def mean_row(W: Any, rows: NDArray[np.int64], device: torch.device, runner: Runner) -> torch.Tensor:
    """The mean of these rows of W, float64 [d], right to the last bits; 0 for no rows. O(V d)."""
    mean = torch.zeros(W.shape[1], dtype=torch.float64, device=device)
    count = torch.tensor(max(1, rows.size), device=device)  # CUDA multiplies by 1 / a number

    def rest_of(chosen: NDArray[np.int64]) -> torch.Tensor:
        return tree_sum(_block(W, chosen, device).sub_(mean), 0)

    # The second time sums the small rest, whose rounding no longer matters.
    for _ in range(2):
        rest = torch.zeros_like(mean)
        for part in runner.map(rest_of, _chunks(W, rows)):
            rest += part
        mean = mean + rest / count
    return mean


def unit_embedding(
    W: Any,
    rows: NDArray[np.int64],
    mean: torch.Tensor | None,
    device: torch.device,
    runner: Runner,
) -> tuple[torch.Tensor, NDArray[np.int64]]:
    """(W - mean) / |W - mean| by finite rows, float64 [K, d], and the ids [K] of those not 0.

    A row that differs from the mean by rounding alone is 0. O(V d) time, 8 K d bytes.
    """
    units = _empty((rows.size, W.shape[1]), device)
    ids = np.empty(rows.size, np.int64)
    kept = 0

    def normalised(chosen: NDArray[np.int64]) -> tuple[torch.Tensor, NDArray[np.int64]]:
        return _unit_block(_block(W, chosen, device), chosen, mean)

    for block, chosen in runner.map(normalised, _chunks(W, rows)):
        units[kept : kept + len(block)] = block
        ids[kept : kept + len(block)] = chosen
        kept += len(block)
    return units[:kept], ids[:kept]


def _unit_block(
    block: torch.Tensor, chosen: NDArray[np.int64], mean: torch.Tensor | None
) -> tuple[torch.Tensor, NDArray[np.int64]]:
    """The same of a block, which is overwritten."""
    if mean is None:
        nonzero = (largest := _largest(block)) > 0.0
    else:
        floor = NOISE * _largest(block)
        nonzero = (largest := _largest(block.sub_(mean))) > floor
    block = block[nonzero]
    block *= _inverse_power(largest[nonzero])[:, None]  # keeps squares in range
    block /= root_(row_squares(block))[:, None]
    return block, chosen[nonzero.cpu().numpy()]


def _empty(shape: tuple[int, int], device: torch.device) -> torch.Tensor:
    """Of float64. NumPy asks for large pages, which a product with sparse rows gains a fifth by."""
    if device.type == "cpu":
        return torch.from_numpy(np.empty(shape))
    return torch.empty(shape, dtype=torch.float64, device=device)


def _largest(block: torch.Tensor) -> torch.Tensor:
    """The largest absolute value of each row; 0 for rows of no columns."""
    if not block.shape[1]:
        return block.new_zeros(len(block))
    low, high = block.aminmax(dim=1)
    return torch.maximum(high, -low)


def _inverse_power(values: torch.Tensor) -> torch.Tensor:
    """A power of 2, which changes no digit, of about 1 / value: made of its bits, so that it is
    exact on every device."""
    exponents = torch.frexp(values).exponent.clamp(-1000, 1000)
    return ((1023 - exponents.to(torch.int64)) << 52).view(torch.float64)


def kept_rows(signature: Signature, tokens: NDArray[np.int64]) -> Csr:
    """These rows of counts, none of them zero: [K, W]. O(nnz).

    Cosines ignore the scale of a row, so counts do for probabilities.
    """
    lengths = np.diff(signature.indptr)
    kept = np.zeros(lengths.size, bool)
    kept[tokens] = True
    all_kept = not lengths[~kept].any()
    entries = slice(None) if all_kept else np.repeat(kept, lengths)
    indptr = np.concatenate([[0], np.cumsum(lengths[tokens])])
    return Csr(indptr, signature.indices[entries], signature.counts[entries], signature.n_columns)


def square_sums(values: NDArray[np.float64], indptr: NDArray[np.int64]) -> NDArray[np.float64]:
    """The sum of the squares of each row's values, of which each has some: float64 [K]."""
    sums: NDArray[np.float64] = np.add.reduceat(np.square(values), indptr[:-1])
    return sums


def unit_signature(rows: Csr) -> scipy.sparse.csr_array:
    """x_i / |x_i| of rows that are not zero: float64 CSR [K, W]. O(nnz)."""
    values = rows.stored.astype(np.float64)
    values /= np.repeat(np.sqrt(square_sums(values, rows.indptr)), np.diff(rows.indptr))
    return scipy_csr(rows, values)


def unit_rows(parts: Sequence[Signature], tokens: NDArray[np.int64]) -> scipy.sparse.csr_array:
    """These tokens' unit rows, of several signatures side by side over sqrt(their number): float64
    CSR [K, W]. O(nnz)."""
    units = [unit_signature(kept_rows(part, tokens)) for part in parts]
    if len(units) == 1:
        return units[0]
    import scipy.sparse

    return scipy.sparse.hstack(units, format="csr") / np.sqrt(len(units))


def square_sum(block: torch.Tensor) -> float:
    """The sum of its squares; overwrites the block."""
    return float(block.square_().sum())
