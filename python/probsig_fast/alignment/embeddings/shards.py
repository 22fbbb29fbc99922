"""Checkpoints in several files, with an index that says which tensor is where."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from ...errors import SourceError, SourceNotFoundError
from .tensors import Tensors


def read_json(path: Path) -> Any:
    """Raises SourceError: no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise SourceError(f"source: expected JSON in {str(path)!r}: {error}") from error


class Shards:
    """The tensors of an index; only the files that are asked for are opened, and need be there."""

    def __init__(self, path: Path, open_file: Callable[[Path], Tensors]) -> None:
        self.where, self.folder = str(path), path.parent
        self._file_of = _weight_map(path)
        self._open_file = open_file
        self._opened: dict[str, Tensors] = {}

    def names(self) -> Iterable[str]:
        return self._file_of

    def shape(self, name: str) -> tuple[int, ...]:
        return self._shard(name).shape(name)

    def read(self, name: str, rows: int) -> torch.Tensor:
        return self._shard(name).read(name, rows)

    def shared(self, name: str, other: str) -> bool:
        shard = self._shard(name)
        return shard is self._shard(other) and shard.shared(name, other)

    def _shard(self, name: str) -> Tensors:
        file = self._file_of[name]
        if file not in self._opened:
            path = self.folder / file
            if not path.is_file():
                raise SourceNotFoundError(
                    f"source: expected the file {str(path)!r}, where {self.where} says that "
                    f"{name!r} is: no such file"
                )
            self._opened[file] = self._open_file(path)
        shard = self._opened[file]
        if name not in shard.names():
            raise SourceError(
                f"source: expected {name!r} in {str(self.folder / file)!r}, as {self.where} says, "
                "got no such tensor"
            )
        return shard


def _weight_map(path: Path) -> dict[str, str]:
    index = read_json(path)
    found = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(found, dict) or not found:
        raise SourceError(
            f"source: expected a weight_map from tensors to files in {str(path)!r}, got none"
        )
    for name, file in found.items():
        # Of this folder, and no index: it is to lead neither elsewhere nor to itself.
        inside = isinstance(file, str) and Path(file).name == file
        if not inside or not file.endswith((".safetensors", ".bin", ".pt", ".pth")):
            raise SourceError(
                f"source: expected the name of a file of the same folder for {name!r} in "
                f"{str(path)!r}, got {file!r}"
            )
    return found
