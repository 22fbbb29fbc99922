"""Tensors in files that `torch.save` wrote. Nothing in them is run: pickled code is refused."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ...errors import SourceError
from .tensors import LoadedTensors

#: Where training checkpoints keep the model's tensors, beside an optimiser's and counters.
_NESTED = ("state_dict", "model_state_dict", "model", "module")
_ZIP = b"PK\x03\x04"


def torch_file(path: Path) -> LoadedTensors:
    """The model's tensors, mapped where the format allows.

    Raises:
        SourceError: damaged, or more than tensors and plain values in it.
    """
    loaded = model_tensors(_load(path))
    if loaded is None:
        raise SourceError(f"source: expected tensors by name in {str(path)!r}, got none")
    return LoadedTensors(str(path), loaded, path.parent, copied=True)


def model_tensors(loaded: Any) -> dict[str, torch.Tensor] | None:
    """The tensors by name in what was saved, or None; a tensor alone has an empty name."""
    if isinstance(loaded, torch.Tensor):
        return {"": loaded}
    while isinstance(loaded, Mapping):
        inner = next((loaded[key] for key in _NESTED if isinstance(loaded.get(key), Mapping)), None)
        if inner is None:
            tensors = {str(k): v for k, v in loaded.items() if isinstance(v, torch.Tensor)}
            return tensors or None
        loaded = inner
    return None


def _load(path: Path) -> Any:
    with open(path, "rb") as file:
        mapped = file.read(len(_ZIP)) == _ZIP  # the older format cannot be
    try:
        return torch.load(str(path), map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise SourceError(_refused(path, error)) from error
    except Exception as error:  # torch raises a dozen kinds for damaged files
        raise SourceError(
            f"source: expected what torch.save writes in {str(path)!r}: {_first_line(error)}"
        ) from error


def _refused(path: Path, error: Exception) -> str:
    code = re.search(r"Unsupported (?:global: GLOBAL|class) (\S+)", str(error))
    if code is None:
        return f"source: expected what torch.save writes in {str(path)!r}, got a damaged file"
    return (
        f"source: expected tensors and plain values alone in {str(path)!r}, got {code[1]}, which "
        "would have to be run: save model.state_dict(), or name it to "
        "torch.serialization.add_safe_globals where you trust the file"
    )


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
