"""Files that are there whole or not at all, and the layout of a counts file.

A counts file is one `.safetensors`: an 8-byte little-endian header length, a JSON header, then the
arrays. Its only metadata key holds a JSON text with sorted keys, so the same counts are the same
bytes. Written and read here rather than by the usual library, which orders several metadata keys at
random, needs all arrays in memory to write, and copies to read.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import ArgumentError, CountsFileError

#: Of all files that this package writes.
FORMAT_VERSION = 1
#: The one metadata key.
METADATA_KEY = "probsig_fast"
INT32: np.dtype[Any] = np.dtype(np.int32)
INT64: np.dtype[Any] = np.dtype(np.int64)
_DTYPES: dict[str, np.dtype[Any]] = {"I64": np.dtype("<i8"), "I32": np.dtype("<i4")}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
#: A header describes half a dozen arrays; whatever says that it is longer is no counts file.
_MAX_HEADER = 2**20
_WRITE_ELEMENTS = 2**22
_READ_BYTES = 2**24


@dataclass(frozen=True)
class Stream:
    """An array to write that need not be in memory.

    Attributes:
        size: of all pieces together.
        dtype: that it has in the file.
        pieces: makes them, each when the one before it is written.
    """

    size: int
    dtype: np.dtype[Any]
    pieces: Callable[[], Iterable[NDArray[Any]]]

    @classmethod
    def of(cls, array: NDArray[Any], dtype: np.dtype[Any]) -> Stream:
        return cls(array.size, dtype, lambda: [array])


def count_type(largest: int) -> np.dtype[Any]:
    """That in which counts are kept."""
    return INT32 if largest < 2**31 else INT64


@contextmanager
def atomic_write(path: Path, outdates: Path | None = None) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` once the block ends well, and leaves no trace if not.

    `outdates` names a file that speaks of the one replaced: it is removed just before.

    Raises:
        ArgumentError: the folder does not exist, or `path` is one.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise ArgumentError(f"path: expected a file in an existing folder, got {str(path)!r}")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if outdates is not None:
            outdates.unlink(missing_ok=True)
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # a full disk has no name
            raise type(error)(error.errno, error.strerror, str(path)) from error
        raise
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(path.parent, os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Written(NamedTuple):
    """What tells a file from a damaged one: its bytes, and their CRC-32."""

    size: int
    crc32: int

    def then(self, piece: Any) -> Written:
        """Of these bytes, and more."""
        view = memoryview(piece).cast("B")
        return Written(self.size + view.nbytes, zlib.crc32(view, self.crc32))


NOTHING_WRITTEN = Written(0, 0)


def written_of(path: Path) -> Written:
    """Of a file that is there: it is read."""
    result = NOTHING_WRITTEN
    with open(path, "rb") as file:
        while piece := file.read(_READ_BYTES):
            result = result.then(piece)
    return result


def write_arrays(
    path: Path, arrays: Mapping[str, Stream], metadata: Any, outdates: Path | None = None
) -> Written:
    """Write arrays (I64 ones first, to keep them aligned).

    `outdates`: as in `atomic_write`.
    """
    ordered = sorted(arrays.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    text = _header(ordered, metadata)
    written = NOTHING_WRITTEN
    with atomic_write(path, outdates) as file:
        for piece in _pieces(len(text).to_bytes(8, "little") + text, ordered):
            file.write(piece)
            written = written.then(piece)
    return written


def _header(ordered: list[tuple[str, Stream]], metadata: Any) -> bytes:
    header: dict[str, Any] = {METADATA_KEY: json.dumps(metadata, sort_keys=True)}
    header = {"__metadata__": header}
    offset = 0
    for name, stream in ordered:
        end = offset + stream.size * stream.dtype.itemsize
        header[name] = {
            "dtype": _NAMES[stream.dtype.newbyteorder("<")],
            "shape": [stream.size],
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)


def _pieces(begin: bytes, ordered: list[tuple[str, Stream]]) -> Iterator[Any]:
    """The bytes of a file, a bounded number at a time."""
    yield begin
    for _, stream in ordered:
        dtype = stream.dtype.newbyteorder("<")
        for array in stream.pieces():
            for start in range(0, array.size, _WRITE_ELEMENTS):
                yield array[start : start + _WRITE_ELEMENTS].astype(dtype, copy=False).data


def read_arrays(path: Path) -> tuple[dict[str, NDArray[Any]], Any]:
    """Memory-mapped arrays and the metadata.

    Raises:
        FileNotFoundError: no such file.
        CountsFileError: not a counts file, truncated, or a header that does not fit the file.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= min(size - 8, _MAX_HEADER):
            raise CountsFileError(
                f"{path}: expected a header length from 2 to {min(max(size - 8, 2), _MAX_HEADER)} "
                f"in the first 8 bytes, got {length}: no counts file, or a truncated one"
            )
        text = file.read(length)
    header = _json(path, "header", text)
    metadata = header.pop("__metadata__", None) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or set(metadata) != {METADATA_KEY}:
        raise CountsFileError(
            f"{path}: expected the metadata key {METADATA_KEY!r}, got "
            f"{sorted(metadata) if isinstance(metadata, dict) else metadata}: no counts file"
        )
    arrays = {}
    end = 8 + length
    for name, entry in header.items():
        arrays[name], end = _map(path, name, entry, 8 + length, end, size)
    if end != size:
        raise CountsFileError(f"{path}: expected {end} bytes, as its header says, got {size}")
    return arrays, _json(path, "metadata", metadata[METADATA_KEY])


def _map(
    path: Path, name: str, entry: Any, base: int, begin: int, size: int
) -> tuple[NDArray[Any], int]:
    """The array that a header entry describes, which must start at `begin`, and where it ends."""
    try:
        dtype = _DTYPES[entry["dtype"]]
        (elements,) = entry["shape"]
        low, high = entry["data_offsets"]
        if not all(type(each) is int for each in (elements, low, high)):
            raise TypeError("sizes that are no ints")
        end = begin + elements * dtype.itemsize
        fits = elements >= 0 and (base + low, base + high) == (begin, end)
    except (KeyError, TypeError, ValueError) as error:
        raise CountsFileError(f"{path}: array {name!r} is described by {entry}: {error}") from error
    if not fits or end > size:
        raise CountsFileError(
            f"{path}: expected array {name!r} of {elements} {dtype} at byte {begin} of {size}, "
            f"got bytes {base + low} to {base + high}: damaged or truncated"
        )
    if begin % dtype.itemsize:  # we pad our headers, and kernels read no element across words
        raise CountsFileError(
            f"{path}: expected array {name!r} at a multiple of {dtype.itemsize} bytes, got byte "
            f"{begin}: damaged"
        )
    if elements == 0:  # which mmap refuses
        return np.empty(0, dtype), end
    return np.memmap(path, dtype, "r", begin, (elements,)), end


def _json(path: Path, what: str, text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise CountsFileError(f"{path}: expected JSON as its {what}, got {error}") from error
