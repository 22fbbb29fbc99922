"""Tensors in GGUF files, dequantised."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...errors import SourceError, missing_extra

#: Dequantised at a time, as that takes several times their memory.
_ROWS = 4096


class GgufFile:
    """A file, mapped by the package `gguf`."""

    def __init__(self, path: Path) -> None:
        self.where, self.folder = str(path), path.parent
        try:
            from gguf import GGUFReader
        except ImportError as error:
            raise missing_extra("gguf", "gguf", "reading a .gguf file") from error
        try:
            reader = GGUFReader(path)
        except Exception as error:  # of many kinds: it follows whatever sizes the file tells
            raise SourceError(f"source: expected tensors in {self.where!r}: {error}") from error
        if reader.byte_order != "I":
            raise SourceError(
                f"source: expected this machine's byte order, got the other in {self.where!r}"
            )
        self._tensors: dict[str, Any] = {tensor.name: tensor for tensor in reader.tensors}

    def names(self) -> Iterable[str]:
        return self._tensors

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(reversed(self._tensors[name].shape.tolist()))  # it has columns first

    def read(self, name: str, rows: int) -> torch.Tensor:
        from gguf import dequantize

        tensor = self._tensors[name]
        is_double = tensor.data.dtype == np.float64  # which gguf leaves alone
        weight = np.empty((rows, self.shape(name)[1]), np.float64 if is_double else np.float32)
        try:
            for begin in range(0, rows, _ROWS):
                part = tensor.data[begin : min(begin + _ROWS, rows)]
                values = part if is_double else dequantize(part, tensor.tensor_type)
                weight[begin : begin + len(part)] = values
        except NotImplementedError as error:
            raise SourceError(
                f"source: expected a type that gguf dequantises, got {tensor.tensor_type.name} "
                f"for {name!r} in {self.where}"
            ) from error
        return torch.from_numpy(weight)

    def shared(self, name: str, other: str) -> bool:
        return name == other
