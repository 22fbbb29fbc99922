"""What every source looks like: tensors by name, of which one is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import torch

from ...errors import SourceError, SourceNotFoundError

#: Names that a message shows.
_SHOWN = 8


class Tensors(Protocol):
    @property
    def where(self) -> str:
        """The file, or the class of the module."""

    @property
    def folder(self) -> Path | None:
        """Where a config.json would lie; None for what is in memory."""

    def names(self) -> Iterable[str]:
        """Of all tensors."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Of one, without reading it."""

    def read(self, name: str, rows: int) -> torch.Tensor:
        """The first rows of a matrix. Raises SourceError."""

    def shared(self, name: str, other: str) -> bool:
        """Whether both are known to be one tensor."""


class LoadedTensors:
    """Tensors in memory, or mapped into it."""

    def __init__(
        self,
        where: str,
        tensors: Mapping[str, torch.Tensor],
        folder: Path | None = None,
        copied: bool = False,
    ) -> None:
        """`copied`: what is read is a copy, so that the file may change and the rest be freed."""
        self.where, self.folder = where, folder
        self._tensors, self._copied = tensors, copied

    def names(self) -> Iterable[str]:
        return self._tensors

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._tensors[name].shape)

    def read(self, name: str, rows: int) -> torch.Tensor:
        tensor = self._tensors[name].detach()
        if tensor.layout != torch.strided:
            raise SourceError(
                f"source: expected a dense tensor, got {tensor.layout} in {self.where}, {name}"
            )
        tensor = tensor[:rows]
        return tensor.clone() if self._copied else tensor

    def shared(self, name: str, other: str) -> bool:
        a, b = self._tensors[name], self._tensors[other]
        return a is b or (a.shape == b.shape and a.data_ptr() == b.data_ptr() != 0)


def matrices(tensors: Tensors) -> list[str]:
    """The names of the tensors of two dimensions, but for those of files that are not there."""
    found = []
    for name in tensors.names():
        try:
            if len(tensors.shape(name)) == 2:
                found.append(name)
        except SourceNotFoundError:
            continue
    return found


def show(names: Iterable[str]) -> str:
    """The first names, in order, and how many more there are."""
    names = sorted(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(map(repr, names[:_SHOWN]))}{more}" if names else "none"
