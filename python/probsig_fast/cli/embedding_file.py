"""Embeddings in files: `.npy` arrays and tensors of `.safetensors` files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError, SourceError, SourceNotFoundError, missing_extra
from .sample_files import read_npy

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    Matrix = torch.Tensor | NDArray[np.floating[Any]]

#: How the input embedding is called in GPT-NeoX, Llama, GPT-2, BERT, BLOOM and the first Llama.
_EMBEDDING_NAMES = ("embed_in", "embed_tokens", "wte", "word_embeddings", "tok_embeddings")


def read_embedding(path: Path, key: str | None = None) -> tuple[Matrix, str]:
    """A 2-D array or tensor [rows, d], and its name for messages.

    Raises:
        SourceNotFoundError: no such file.
        SourceError: unreadable, or not 2-D.
        ArgumentError: a name that the file does not hold, or none given where it is not clear.
        MissingExtraError: safetensors is not installed.
    """
    if not path.is_file():
        raise SourceNotFoundError(f"EMBEDDING: expected a file, got {str(path)!r}: no such file")
    if path.suffix == ".npy":
        if key is not None:
            raise ArgumentError(f"--key: expected none for a .npy file, got {key!r}")
        matrix: Matrix = read_npy("EMBEDDING", path)
        name = str(path)
    elif path.suffix == ".safetensors":
        matrix, name = _read_safetensors(path, key)
    else:
        raise ArgumentError(f"EMBEDDING: expected a .npy or .safetensors file, got {str(path)!r}")
    if matrix.ndim != 2:
        raise SourceError(f"EMBEDDING: expected [V, d], got {matrix.ndim} dimensions in {name}")
    return matrix, name


def _read_safetensors(path: Path, key: str | None) -> tuple[Matrix, str]:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise missing_extra("safetensors", "torch", "reading a .safetensors embedding") from error
    try:
        # Through torch, as NumPy has no bfloat16.
        with safe_open(path, framework="pt") as file:
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
            name = _tensor_name(path, shapes, key)
            return file.get_tensor(name), f"{path}, {name}"
    except SafetensorError as error:
        raise SourceError(f"EMBEDDING: expected tensors in {str(path)!r}: {error}") from error


def _tensor_name(path: Path, shapes: dict[str, list[int]], key: str | None) -> str:
    if key is not None:
        if key not in shapes:
            raise ArgumentError(f"--key: expected {_names(shapes)} of {path}, got {key!r}")
        return key
    two_dimensional = [name for name, shape in shapes.items() if len(shape) == 2]
    found = [name for name in two_dimensional if _is_embedding(name)]
    if len(found) != 1:
        raise ArgumentError(
            f"--key: expected the name of a tensor, as {path} has "
            f"{len(found) or 'no'} input embeddings by name, among {_names(two_dimensional)}"
        )
    return found[0]


def _is_embedding(name: str) -> bool:
    parts = name.split(".")
    return len(parts) > 1 and parts[-1] == "weight" and parts[-2] in _EMBEDDING_NAMES


def _names(names: Any) -> str:
    names = sorted(names)
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"one of {', '.join(map(repr, names[:5]))}{more}" if names else "no tensor"
