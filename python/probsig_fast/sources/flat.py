"""Token files: flat `.bin` (raw little-endian integers, no header) and `.npy`, memory-mapped."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import ArgumentError, SourceError, SourceNotFoundError
from .arrays import as_token_array, check_offsets
from .stream import Part, Stream, join
from .token_dtype import token_dtype

PathLike = str | os.PathLike


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

    def __init__(
        self,
        paths: Sequence[PathLike],
        dtype: DTypeLike | None = None,
        join_files: bool = False,
        offsets: Any = None,
    ) -> None:
        self._paths = [Path(path) for path in paths]
        self._join = join_files
        # Opened now, so that the last file's fault shows before hours are spent on the first.
        self._arrays = [_open(path, dtype) for path in self._paths]
        self.total = sum(array.size for array in self._arrays)
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        self.name = f"{self._paths[0]}{more}" if paths else "no file"
        self._starts = None
        if offsets is not None:
            if len(paths) > 1 and not join_files:
                raise ArgumentError(
                    f"offsets: expected a single file or join_files=True, got {len(paths)} files"
                )
            self._starts = check_offsets(offsets, self.total)

    def streams(self) -> Iterator[Stream]:
        singles = (self._stream(p, a) for p, a in zip(self._paths, self._arrays, strict=True))
        if not self._join and self._starts is None:
            yield from singles
            return
        joined = join(singles)
        yield Stream(joined.parts, self._starts, joined.row_length)

    def describe(self) -> list[dict[str, Any]]:
        return [
            {
                "path": str(path),
                "bytes": path.stat().st_size,
                "modified": path.stat().st_mtime,
                "tokens": array.size,
                "dtype": str(array.dtype),
            }
            for path, array in zip(self._paths, self._arrays, strict=True)
        ]

    @staticmethod
    def _stream(path: Path, array: NDArray) -> Stream:
        row_length = array.shape[1] or None if array.ndim == 2 else None
        return Stream((Part(str(path), array.reshape(-1)),), None, row_length)


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


def _open(path: Path, dtype: DTypeLike | None) -> NDArray:
    if not path.exists():
        raise SourceNotFoundError(f"tokens: expected a file, got {str(path)!r}: no such file")
    return _open_npy(path, dtype) if path.suffix == ".npy" else _open_flat(path, dtype)


def _open_npy(path: Path, dtype: DTypeLike | None) -> NDArray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise SourceError(f"tokens: expected a .npy array, got {str(path)!r}: {error}") from error
    array = as_token_array(array, str(path))
    if dtype is not None and token_dtype("dtype", dtype) != array.dtype:
        raise SourceError(f"dtype: expected {array.dtype}, as {path} says, got {np.dtype(dtype)}")
    return array


def _open_flat(path: Path, dtype: DTypeLike | None) -> NDArray:
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


