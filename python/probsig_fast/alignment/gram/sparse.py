"""A sparse matrix next to dense ones: SciPy's products on the CPU, torch's on a CUDA device."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from .devices import block_elements
from .work import Range, Tile

if TYPE_CHECKING:
    import scipy.sparse


class SparseRows(Protocol):
    """The rows of a float64 matrix X [K, W]."""

    def gram(self, tile: Tile) -> torch.Tensor:
        """This tile of XX', dense."""


def sparse_rows(matrix: scipy.sparse.csr_array, device: torch.device) -> SparseRows:
    """Over the same memory on the CPU; else a copy of 12 bytes an entry."""
    return HostRows(matrix) if device.type == "cpu" else DeviceRows(matrix, device)


class HostRows:
    """SciPy's products release the GIL, and add in the order of a row's columns."""

    def __init__(self, matrix: scipy.sparse.csr_array) -> None:
        self._matrix = matrix

    def gram(self, tile: Tile) -> torch.Tensor:
        others = self._matrix[slice(*tile.columns)].T
        return torch.from_numpy((self._matrix[slice(*tile.rows)] @ others).toarray())


class DeviceRows:
    """Torch's products, on any device. Sparse times sparse would need memory that nobody can
    foretell, so the second factor is made dense."""

    def __init__(self, matrix: scipy.sparse.csr_array, device: torch.device) -> None:
        self._width = matrix.shape[1]
        self._starts = matrix.indptr.astype(np.int64)
        self._indices = torch.from_numpy(matrix.indices.astype(np.int32)).to(device)
        self._values = torch.from_numpy(np.array(matrix.data, np.float64)).to(device)
        with warnings.catch_warnings():  # torch warns once, of the first
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
            self._rows((0, 0))

    def times(self, rows: Range, dense: torch.Tensor) -> torch.Tensor:
        """These rows of X times `dense` [W, d]: float64 [rows, d]."""
        return self._rows(rows) @ dense

    def gram(self, tile: Tile) -> torch.Tensor:
        others, (begin, end) = self._rows(tile.columns), tile.rows
        step = max(1, block_elements(self._values.device) // max(1, self._width))
        parts = [
            others @ self._rows((first, min(first + step, end))).to_dense().T.contiguous()
            for first in range(begin, end, step)
        ]
        return torch.cat(parts, 1).T

    def _rows(self, rows: Range) -> torch.Tensor:
        begin, end = rows
        low, high = self._starts[begin], self._starts[end]
        indptr = (self._starts[begin : end + 1] - low).astype(np.int32)
        return torch.sparse_csr_tensor(
            torch.from_numpy(indptr).to(self._values.device),
            self._indices[low:high],
            self._values[low:high],
            size=(end - begin, self._width),
            device=self._values.device,
            check_invariants=False,  # they are known to hold; to say so spares a warning
        )
