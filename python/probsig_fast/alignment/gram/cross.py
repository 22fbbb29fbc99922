"""P'E~: what the columns of a signature sum of the rows of an embedding."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ...kernels.contract import Kernels
from ...pool import WorkerPool
from ..prepared import as_rows
from .devices import block_elements
from .rows import square_sum
from .sparse import DeviceRows
from .work import Range, ranges, steps

if TYPE_CHECKING:
    import scipy.sparse

_NO_SHARES = np.empty(0, np.float64)


def cross_norm(
    columns: scipy.sparse.csr_array,
    embedding: torch.Tensor,
    kernels: Kernels,
    pool: WorkerPool,
) -> float:
    """|P'X|^2 of P' [W, K] and X [K, d]; no bit depends on the threads. O(nnz d)."""
    if _on_device(embedding):
        return _device_norm(columns, embedding)
    parts = _host_products(columns, embedding, False, kernels, pool)
    return math.fsum(norm for norm, _ in parts)


def cross_sums(
    columns: scipy.sparse.csr_array, embedding: torch.Tensor, kernels: Kernels, pool: WorkerPool
) -> tuple[float, NDArray[np.float64]]:
    """|P'X|^2 and its shares p_i'(P'X) x_i, float64 [K], which sum to it. O(nnz d)."""
    if _on_device(embedding):
        return _device_norm(columns, embedding), _device_shares(columns, embedding)
    shares = np.zeros(len(embedding))
    norms = []
    for norm, part in _host_products(columns, embedding, True, kernels, pool):
        norms.append(norm)
        shares += part
    return math.fsum(norms), shares


def _on_device(embedding: torch.Tensor) -> bool:
    return embedding.is_cuda


def _host_products(
    columns: scipy.sparse.csr_array,
    embedding: torch.Tensor,
    shares: bool,
    kernels: Kernels,
    pool: WorkerPool,
) -> list[tuple[float, NDArray[np.float64]]]:
    rows = as_rows(columns)
    dense = embedding.numpy()

    def products(piece: Range) -> tuple[float, NDArray[np.float64]]:
        return kernels.product_squares(rows, dense, *piece, shares, pool.cancel)

    return list(pool.map(products, ranges(rows.indptr)))


def _device_norm(columns: scipy.sparse.csr_array, embedding: torch.Tensor) -> float:
    at_most = max(1, block_elements(embedding.device) // max(1, embedding.shape[1]))
    transposed = DeviceRows(columns, embedding.device)
    pieces = ranges(columns.indptr.astype(np.int64), at_most)
    return math.fsum(square_sum(transposed.times(piece, embedding)) for piece in pieces)


def _device_shares(columns: scipy.sparse.csr_array, embedding: torch.Tensor) -> NDArray[np.float64]:
    """P (P'X) by rows, with P'X whole: 8 W d bytes of the device's memory."""
    product = DeviceRows(columns, embedding.device).times((0, columns.shape[0]), embedding)
    rows = DeviceRows(columns.T.tocsr(), embedding.device)
    at_most = max(1, block_elements(embedding.device) // max(1, embedding.shape[1]))
    shares = [
        rows.times(piece, product).mul_(embedding[slice(*piece)]).sum(1).cpu().numpy()
        for piece in steps(len(embedding), at_most)
    ]
    return np.concatenate([_NO_SHARES, *shares])
