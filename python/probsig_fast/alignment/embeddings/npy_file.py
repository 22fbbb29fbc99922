"""Arrays in `.npy` files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import SourceError


class NpyFile:
    """One array, mapped, whose name is empty."""

    def __init__(self, path: Path) -> None:
        self.where, self.folder = str(path), path.parent
        try:
            self._array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
        except (ValueError, EOFError, OSError) as error:
            raise SourceError(
                f"source: expected a .npy array in {self.where!r}: {error}"
            ) from error

    def names(self) -> list[str]:
        return [""]

    def shape(self, name: str) -> tuple[int, ...]:
        return self._array.shape

    def read(self, name: str, rows: int) -> torch.Tensor:
        kind = self._array.dtype.newbyteorder("=")
        if kind not in (np.float16, np.float32, np.float64):
            raise SourceError(
                "source: expected an array of float16, float32 or float64, "
                f"got {self._array.dtype} in {self.where}"
            )
        return torch.from_numpy(np.array(self._array[:rows], kind, order="C"))

    def shared(self, name: str, other: str) -> bool:
        return name == other
