"""Token files as they lie on disk: looked at once, and mapped each time they are read."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import ArgumentError, ProbsigError, SourceError, SourceNotFoundError
from .arrays import as_token_array
from .fingerprint import file_fingerprint
from .remote import RemoteFile, address_of
from .stream import Part
from .token_dtype import token_dtype

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class TokenFile:
    """A token file as it was when the source was made.

    Attributes:
        part: all of its tokens.
        location: where it is for later use, maybe from another working folder.
        row_length: of the file's rows; None where it has none.
        modified: seconds; at an address, what the store says.
    """

    part: Part
    location: str
    row_length: int | None
    bytes: int
    modified: float | str | None

    def describe(self) -> dict[str, Any]:
        return {
            "path": self.part.name,
            "bytes": self.bytes,
            "modified": self.modified,
            "tokens": self.part.size,
            "dtype": str(self.part.dtype),
        }

    def fingerprint(self) -> dict[str, Any]:
        return {**file_fingerprint(self.location), "dtype": str(self.part.dtype)}


def look_flat(path: PathLike, dtype: DTypeLike | None) -> TokenFile:
    """A headerless file of little-endian tokens.

    Raises:
        ArgumentError, ArgumentTypeError: no `dtype`, or one of no integers.
        SourceNotFoundError: a missing file.
        SourceError: a folder; a size that is no multiple of the token width.
    """
    if address := address_of(path):
        return _look_remote(RemoteFile.look(address), dtype)
    return _look(Path(path), dtype, _map_flat)


def look_npy(path: PathLike, dtype: DTypeLike | None = None) -> TokenFile:
    """A `.npy` array, of `dtype` if that is given.

    Raises:
        ArgumentTypeError: no integers.
        SourceNotFoundError: a missing file.
        SourceError: a folder; no array of one or two dimensions, or one of another type.
    """
    return _look(Path(path), dtype, _map_npy)


def file_status(path: PathLike, what: str = "a file") -> os.stat_result:
    """The status of a regular file.

    Raises:
        SourceNotFoundError: there is none.
        SourceError: it is a folder, or cannot be looked at.
    """
    name = os.fspath(path)
    if address := address_of(path):
        return _remote_status(address, what)
    if os.path.isdir(name):
        raise SourceError(f"tokens: expected {what}, got the folder {name!r}")
    try:
        return os.stat(name)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SourceNotFoundError(f"tokens: expected {what}, got {name!r}: no such file") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise SourceError(f"tokens: expected {what}, got {name!r}: {error}") from error


def read_bytes(path: PathLike, begin: int, count: int) -> bytes:
    """Bytes [begin, begin + count) of a file, or as many of them as it has.

    Raises:
        SourceError: it cannot be read.
    """
    if address := address_of(path):
        remote = RemoteFile.look(address)
        return remote.read(min(begin, remote.size), min(begin + count, remote.size))
    try:
        with open(path, "rb", buffering=0) as file:
            file.seek(begin)
            data = file.read(count)
            while len(data) < count and (more := file.read(count - len(data))):
                data += more  # a network file may give less at a time
            return data
    except OSError as error:
        raise SourceError(
            f"tokens: expected a file that can be read, got {os.fspath(path)!r}: {error}"
        ) from error


def read_array(path: PathLike, dtype: DTypeLike, begin: int, count: int) -> NDArray[Any]:
    """`count` items from byte `begin` on, wherever that lies: not mapped, so always aligned.

    Raises:
        SourceError: the file ends before them, which it did not when it was looked at.
    """
    size = np.dtype(dtype).itemsize * count
    data = read_bytes(path, begin, size)
    if len(data) != size:
        raise SourceError(
            f"tokens: expected at least {begin + size} bytes in {os.fspath(path)}, as when it was "
            f"opened, got {begin + len(data)}: changed while it was counted"
        )
    return np.frombuffer(data, dtype)


def _remote_status(address: str, what: str) -> os.stat_result:
    """With the size alone."""
    try:
        size = RemoteFile.look(address).size
    except SourceNotFoundError as error:
        raise SourceNotFoundError(
            f"tokens: expected {what}, got {address!r}: no such file"
        ) from error
    return os.stat_result((0, 0, 0, 0, 0, 0, size, 0, 0, 0))


def _look_remote(file: RemoteFile, dtype: DTypeLike | None) -> TokenFile:
    width = _flat_dtype(file.address, file.size, dtype)
    part = file.part(width, 0, file.size // width.itemsize)
    return TokenFile(part, file.address, None, file.size, file.modified)


def _look(
    path: Path, dtype: DTypeLike | None, mapper: Callable[[Path, Any], NDArray[Any]]
) -> TokenFile:
    status = file_status(path)
    array = _opened(mapper, path, dtype)
    row_length = array.shape[1] or None if array.ndim == 2 else None
    location = os.path.abspath(path)
    part = Part(str(path), array.size, array.dtype, partial(_read, mapper, Path(location), dtype))
    return TokenFile(part, location, row_length, status.st_size, status.st_mtime)


def _read(mapper: Callable[[Path, Any], NDArray[Any]], path: Path, dtype: Any) -> NDArray[Any]:
    return _opened(mapper, path, dtype).reshape(-1)


def _opened(mapper: Callable[[Path, Any], NDArray[Any]], path: Path, dtype: Any) -> NDArray[Any]:
    try:
        return mapper(path, dtype)
    except ProbsigError:
        raise
    except FileNotFoundError as error:
        raise SourceNotFoundError(
            f"tokens: expected a file, got {str(path)!r}: no such file"
        ) from error
    except OSError as error:
        raise SourceError(
            f"tokens: expected a file that can be read, got {str(path)!r}: {error}"
        ) from error


def _map_npy(path: Path, dtype: DTypeLike | None) -> NDArray[Any]:
    try:
        mapped = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged header makes NumPy raise nearly anything
        raise SourceError(f"tokens: expected a .npy array, got {str(path)!r}: {error}") from error
    array = as_token_array(mapped, str(path))
    if dtype is not None and token_dtype("dtype", dtype) != array.dtype:
        raise SourceError(f"dtype: expected {array.dtype}, as {path} says, got {np.dtype(dtype)}")
    return array


def _flat_dtype(path: PathLike, size: int, dtype: DTypeLike | None) -> np.dtype[Any]:
    """The token type, of which a file of so many bytes holds a whole number."""
    if dtype is None:
        raise ArgumentError(
            f"dtype: expected the token type of {path} (flat files do not say it), "
            "such as 'uint16' or 'uint32', got None"
        )
    width = token_dtype("dtype", dtype).newbyteorder("<")
    if size % width.itemsize:
        raise SourceError(
            f"tokens: expected a size that is a multiple of {width.itemsize} bytes ({width.name}), "
            f"got {size} bytes in {path}: truncated, or of another dtype"
        )
    return width


def _map_flat(path: Path, dtype: DTypeLike | None) -> NDArray[Any]:
    size = path.stat().st_size
    width = _flat_dtype(path, size, dtype)
    if size == 0:  # which mmap refuses
        return np.empty(0, width)
    return np.memmap(path, dtype=width, mode="r")
