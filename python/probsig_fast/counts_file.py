"""The counts file: which arrays it holds, and the checks that a reader makes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import files
from .errors import ArgumentError, CountsFileError, SourceNotFoundError
from .sources.token_dtype import MAX_VOCAB_SIZE

FORMAT_VERSION = 1
_INT32: np.dtype[Any] = np.dtype(np.int32)
_INT64: np.dtype[Any] = np.dtype(np.int64)


def write(
    path: Path,
    arrays: dict[str, NDArray[Any]],
    rules: dict[str, Any],
    provenance: Mapping[str, Any],
) -> None:
    """The counts file at `path`, and the provenance beside it."""
    _check_name(path)
    data = arrays["data"]
    small = data.size == 0 or int(data.max()) < 2**31
    types = dict.fromkeys(arrays, _INT64)
    types.update(indices=_INT32, data=_INT32 if small else _INT64)
    typed = {name: (array, types[name]) for name, array in arrays.items()}
    beside = _provenance_path(path)
    # Whenever this ends, no counts lie beside the provenance of others.
    with files.atomic_write(beside) as file:
        file.write(json.dumps(dict(provenance), indent=2, default=str).encode() + b"\n")
        files.write_arrays(path, typed, rules, outdates=beside)


def read(
    path: Path, verify: bool
) -> tuple[dict[str, NDArray[Any]], dict[str, Any], dict[str, Any]]:
    """Memory-mapped arrays, rules and provenance, checked as `Counts.load` says."""
    _check_name(path)
    if not path.is_file():
        raise SourceNotFoundError(f"path: expected a counts file, got {str(path)!r}: no such file")
    arrays, rules = files.read_arrays(path)
    version = rules.get("format_version") if isinstance(rules, dict) else None
    if version != FORMAT_VERSION:
        raise CountsFileError(f"{path}: expected format_version {FORMAT_VERSION}, got {version}")
    _check_shapes(path, arrays, rules.get("vocab_size"))
    if verify:
        _check_entries(path, **arrays)
    return arrays, rules, _read_provenance(_provenance_path(path))


def _check_name(path: Path) -> None:
    if path.suffix != ".safetensors":
        raise ArgumentError(f"path: expected a name ending in .safetensors, got {str(path)!r}")


def _provenance_path(path: Path) -> Path:
    return path.with_suffix(".json")


def _read_provenance(path: Path) -> dict[str, Any]:
    """The counts are good without it."""
    try:
        loaded = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _check_shapes(path: Path, arrays: dict[str, NDArray[Any]], vocab_size: Any) -> None:
    if isinstance(vocab_size, bool) or not isinstance(vocab_size, int):
        raise CountsFileError(f"{path}: expected an int as vocab_size, got {vocab_size!r}")
    if not 1 <= vocab_size <= MAX_VOCAB_SIZE:
        raise CountsFileError(f"{path}: expected vocab_size from 1 to 2^31 - 1, got {vocab_size}")
    nnz = arrays["indices"].size if "indices" in arrays else None
    expected = {
        "column_sum": vocab_size,
        "data": nnz,
        "indices": nnz,
        "indptr": vocab_size + 1,
        "n_sequences": 1,
        "row_sum": vocab_size,
        "unigram": vocab_size,
    }
    got = {name: array.size for name, array in arrays.items()}
    if got != expected:
        raise CountsFileError(f"{path}: expected arrays of sizes {expected}, got {got}")
    wide = [name for name, array in arrays.items() if array.dtype != _INT64]
    if "indices" not in wide or not set(wide) <= {"indices", "data"}:
        raise CountsFileError(f"{path}: expected int64 arrays but for indices and data, got {wide}")
    indptr = arrays["indptr"]
    if indptr[0] != 0 or indptr[-1] != nnz or (np.diff(indptr) < 0).any():
        raise CountsFileError(
            f"{path}: expected indptr to rise from 0 to {nnz}, got {indptr[0]} to {indptr[-1]}"
            f"{', falling between' if (np.diff(indptr) < 0).any() else ''}: damaged"
        )


def _check_entries(
    path: Path,
    indptr: NDArray[Any],
    indices: NDArray[Any],
    data: NDArray[Any],
    **sums: NDArray[Any],
) -> None:
    vocab_size = indptr.size - 1
    if indices.size and (indices.min() < 0 or indices.max() >= vocab_size):
        raise CountsFileError(
            f"{path}: expected column ids from 0 to {vocab_size - 1}, "
            f"got {indices.min()} to {indices.max()}: damaged"
        )
    rising = np.diff(indices) > 0
    inner_ends = indptr[1:-1]
    rising[inner_ends[(inner_ends > 0) & (inner_ends < indices.size)] - 1] = True
    if not rising.all():
        raise CountsFileError(f"{path}: expected column ids to rise within each row: damaged")
    if data.size and data.min() <= 0:
        raise CountsFileError(f"{path}: expected counts above 0, got {data.min()}: damaged")
    running = np.concatenate([[0], np.cumsum(data, dtype=np.int64)])
    column_sum = np.zeros(vocab_size, np.int64)
    np.add.at(column_sum, indices, data)
    row_sum = running[indptr[1:]] - running[indptr[:-1]]
    for name, expected in (("row_sum", row_sum), ("column_sum", column_sum)):
        if not np.array_equal(sums[name], expected):
            raise CountsFileError(f"{path}: expected entries to add up to {name}: damaged")
