"""Token files: flat `.bin` (raw little-endian integers, no header) and `.npy`, memory-mapped."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import ArgumentError, SourceError, SourceNotFoundError
from .arrays import as_token_array, check_offsets
from .stream import Part, Stream, join
from .token_dtype import token_dtype

PathLike = str | os.PathLike[str]


class FileSource:
    """Flat token files and `.npy` arrays, each a stream of its own unless `join_files`.

    Args:
        paths: files in the order in which they are read.
        dtype: the token type of flat files, which do not say it themselves. Little-endian.
            For `.npy`, None or what the file says.
        join_files: read all files as one stream, so that a sequence may reach into the next file.
        offsets: as for `ArraySource`; a single file, or joined ones, only.

    Raises:
        ArgumentError: no `dtype` for a flat file; offsets that do not fit.
        SourceNotFoundError: a missing file.
        SourceError: a size that is no multiple of the token width; a `.npy` of another type.
    """

    vocab_size = None
    device = None

    def __init__(
        self,
        paths: Sequence[PathLike],
        dtype: DTypeLike | None = None,
        join_files: bool = False,
        offsets: Any = None,
    ) -> None:
        # Looked at now, so that the last file's fault shows before hours are spent on the first.
        self._files = [_look(Path(path), dtype) for path in paths]
        self._join = join_files
        self.total = sum(file.part.size for file in self._files)
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        self.name = f"{paths[0]}{more}" if paths else "no file"
        self._starts = None
        if offsets is not None:
            if len(paths) > 1 and not join_files:
                raise ArgumentError(
                    f"offsets: expected a single file or join_files=True, got {len(paths)} files"
                )
            self._starts = check_offsets(offsets, self.total)

    def streams(self) -> Iterator[Stream]:
        if self._join or self._starts is not None:
            joined = join(Stream((file.part,), None, file.row_length) for file in self._files)
            yield Stream(joined.parts, self._starts, joined.row_length)
            return
        # Files of one kind are one stream, cut at their ends: a thousand small files then make
        # few chunks. Rows start anew in each file, so files of rows stay apart.
        for (_, row_length, _), group in groupby(enumerate(self._files), _kind):
            parts = tuple(file.part for _, file in group)
            ends = np.cumsum([part.size for part in parts], dtype=np.int64)
            yield Stream(parts, ends, row_length)

    def describe(self) -> list[dict[str, Any]]:
        return [
            {
                "path": file.part.name,
                "bytes": file.bytes,
                "modified": file.modified,
                "tokens": file.part.size,
                "dtype": str(file.part.dtype),
            }
            for file in self._files
        ]


@dataclass(frozen=True)
class _File:
    """A token file as it was when the source was made."""

    part: Part
    row_length: int | None
    bytes: int
    modified: float


def _kind(numbered: tuple[int, _File]) -> tuple[np.dtype[Any], int | None, int | None]:
    number, file = numbered
    return file.part.dtype, file.row_length, number if file.row_length else None


def expand(pattern: PathLike) -> list[Path]:
    """The files that a path or a glob names, in bytewise order.

    Raises:
        SourceNotFoundError: there is none.
        SourceError: it is a folder.
    """
    text = os.fspath(pattern)
    if os.path.isdir(text):
        raise SourceError(f"tokens: expected a file or a glob, got the folder {text!r}")
    if os.path.exists(text) or not glob.has_magic(text):
        return [Path(text)]
    found = [path for path in glob.glob(text, recursive=True) if not os.path.isdir(path)]
    if not found:
        raise SourceNotFoundError(f"tokens: expected a glob that names files, got {text!r}: none")
    return [Path(path) for path in sorted(found, key=os.fsencode)]


def _look(path: Path, dtype: DTypeLike | None) -> _File:
    if not path.exists():
        raise SourceNotFoundError(f"tokens: expected a file, got {str(path)!r}: no such file")
    reader = _map_npy if path.suffix == ".npy" else _map_flat
    array = reader(path, dtype)
    row_length = array.shape[1] or None if array.ndim == 2 else None
    part = Part(str(path), array.size, array.dtype, lambda: reader(path, dtype).reshape(-1))
    status = path.stat()
    return _File(part, row_length, status.st_size, status.st_mtime)


def _map_npy(path: Path, dtype: DTypeLike | None) -> NDArray[Any]:
    try:
        mapped = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, OSError) as error:
        raise SourceError(f"tokens: expected a .npy array, got {str(path)!r}: {error}") from error
    array = as_token_array(mapped, str(path))
    if dtype is not None and token_dtype("dtype", dtype) != array.dtype:
        raise SourceError(f"dtype: expected {array.dtype}, as {path} says, got {np.dtype(dtype)}")
    return array


def _map_flat(path: Path, dtype: DTypeLike | None) -> NDArray[Any]:
    if dtype is None:
        raise ArgumentError(
            f"dtype: expected the token type of {path} (flat files do not say it), "
            "such as 'uint16' or 'uint32', got None"
        )
    width = token_dtype("dtype", dtype).newbyteorder("<")
    size = path.stat().st_size
    if size % width.itemsize:
        raise SourceError(
            f"tokens: expected a size that is a multiple of {width.itemsize} bytes ({width.name}), "
            f"got {size} bytes in {path}: truncated, or of another dtype"
        )
    if size == 0:  # which mmap refuses
        return np.empty(0, width)
    return np.memmap(path, dtype=width, mode="r")
