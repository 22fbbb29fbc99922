"""Tensors in `.safetensors` files, each read alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ...errors import SourceError, missing_extra


class SafetensorsFile:
    """A file, opened anew for each use."""

    def __init__(self, path: Path) -> None:
        self.where, self.folder = str(path), path.parent
        self._path = path
        with self._opened() as file:
            self._shapes = {
                name: tuple(file.get_slice(name).get_shape())
                for name in file.keys()  # noqa: SIM118  (no mapping)
            }

    def names(self) -> Iterable[str]:
        return self._shapes

    def shape(self, name: str) -> tuple[int, ...]:
        return self._shapes[name]

    def read(self, name: str, rows: int) -> torch.Tensor:
        with self._opened() as file:
            # A copy: what comes is mapped, and would change or fail with the file.
            tensor: torch.Tensor = file.get_slice(name)[:rows].clone()
        return tensor

    def shared(self, name: str, other: str) -> bool:
        return name == other

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            from safetensors import SafetensorError, safe_open
        except ImportError as error:
            raise missing_extra("safetensors", "torch", "reading a .safetensors file") from error
        try:
            # Through torch, as NumPy has no bfloat16.
            with safe_open(self._path, framework="pt") as file:
                yield file
        except (SafetensorError, OSError) as error:
            raise SourceError(f"source: expected tensors in {self.where!r}: {error}") from error
