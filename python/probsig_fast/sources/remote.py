"""Files by an fsspec address (`s3://`, `hf://`, `https://`, ...): read by ranges, never whole."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from threading import Lock
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import (
    ArgumentError,
    MissingExtraError,
    ProbsigError,
    SourceError,
    SourceNotFoundError,
    missing_extra,
)
from .stream import Part

#: Tokens are asked for by so many bytes at a time: a request to a store takes some 50 ms, in which
#: it could have sent about as much.
BLOCK = 2**22
#: Blocks kept: chunks that lie side by side, and a look beyond the last one, ask for the same.
KEPT_BLOCKS = 16

_PROTOCOLS = r"([A-Za-z][A-Za-z0-9+.-]*::)*[A-Za-z][A-Za-z0-9+.-]+:"
_ADDRESS = re.compile(f"{_PROTOCOLS}//")
#: What `Path` makes of one.
_COLLAPSED = re.compile(f"({_PROTOCOLS})/(?!/)(.+)", re.DOTALL)


def is_address(path: Any) -> bool:
    """Whether this is an address such as `s3://bucket/name`, and not a path."""
    return isinstance(path, str) and _ADDRESS.match(path) is not None


def address_of(path: str | os.PathLike[str]) -> str | None:
    """The address that a text is, or that a `Path` made of one was; None for a path."""
    name = os.fspath(path)
    if _ADDRESS.match(name):
        return name
    collapsed = _COLLAPSED.fullmatch(name)
    if collapsed is None or os.path.lexists(name):
        return None
    return f"{collapsed[1]}//{collapsed[3]}"


def lasting(path: str | os.PathLike[str]) -> str:
    """A path that means the same file in another working folder, in which a worker may run."""
    return address_of(path) or os.path.abspath(path)


def open_binary(path: str | os.PathLike[str]) -> BinaryIO:
    """A file, wherever it lies."""
    address = address_of(path)
    return open_remote(address) if address else open(path, "rb")


def local_path(address: str) -> str:
    """What a `file://` or `local://` address names on this machine; other addresses as they are."""
    protocol, _, path = address.partition("://")
    return path if protocol in ("file", "local") else address


def expand_address(pattern: str) -> list[str]:
    """The addresses that one, or a glob, names, in bytewise order.

    Raises:
        SourceNotFoundError: a glob that names no file.
        SourceError, ArgumentError, MissingExtraError: see `RemoteFile.look`.
    """
    signs = "*[" if pattern.startswith("http") else "*?["  # there, `?` begins a query
    if not any(sign in pattern for sign in signs):
        return [pattern]
    system, path = _system(pattern)
    with told(pattern):
        # Without details, a folder could pass for a file.
        found = system.glob(path, detail=True)
    names = sorted(
        (name for name, info in found.items() if info.get("type") != "directory"), key=os.fsencode
    )
    if not names:
        raise SourceNotFoundError(
            f"tokens: expected a glob that names files, got {pattern!r}: none"
        )
    chain = pattern.rpartition("::")[0]
    return [f"{chain}::{_full(system, name)}" if chain else _full(system, name) for name in names]


@dataclass(frozen=True)
class RemoteFile:
    """A file at an address, as it was when it was looked at.

    Attributes:
        address: with its protocol.
        size: bytes.
        modified: whatever the store says of its time or content (an ETag, a time), as a text;
            None where it says nothing.
    """

    address: str
    size: int
    modified: str | None

    @classmethod
    def look(cls, address: str) -> RemoteFile:
        """Ask the store.

        Raises:
            SourceNotFoundError: no such file.
            ArgumentError: a protocol that fsspec does not know.
            MissingExtraError: fsspec, or the package of this protocol, is not installed.
            SourceError: a folder; a store that does not answer, or does not tell the size.
        """
        system, path = _system(address)
        with told(address):
            info = system.info(path)
        if info.get("type") == "directory":
            raise SourceError(f"tokens: expected a file or a glob, got the folder {address!r}")
        if not isinstance(info.get("size"), int):
            raise SourceError(
                f"tokens: expected a store that tells the size of {address}, got "
                f"{info.get('size')!r}: copy the file to this machine"
            )
        marks = (info.get(key) for key in ("ETag", "etag", "LastModified", "mtime", "updated"))
        modified = next((str(each) for each in marks if each is not None), None)
        return cls(address, info["size"], modified)

    def read(self, begin: int, end: int) -> bytes:
        """Bytes [begin, end), by one request.

        Raises:
            SourceError: fewer bytes, as the file has changed; a store that does not answer.
        """
        return _read(self.address, begin, end)

    def part(self, dtype: np.dtype[Any], begin: int, tokens: int) -> Part:
        """`tokens` from byte `begin` on, fetched where they are asked for."""
        place = _Place(self.address, self.size, begin)
        return RemotePart(self.address, tokens, dtype, partial(_fetch, place, dtype, 0, tokens), 0)


@dataclass(frozen=True)
class _Place:
    """Where a part begins: in a file of so many bytes, at this one."""

    address: str
    bytes: int
    begin: int


class RemotePart(Part):
    """Tokens at an address, of which any range can be had by itself."""

    def slice(self, low: int, high: int) -> NDArray[Any]:
        place, dtype, first, _ = self._fetched()
        return _fetch(place, dtype, first + low, first + high)

    def between(self, begin: int, end: int) -> Part:
        place, dtype, first, _ = self._fetched()
        opened = partial(_fetch, place, dtype, first + begin, first + end)
        return RemotePart(self.name, end - begin, dtype, opened, self.first + begin)

    def _fetched(self) -> Any:
        return cast("partial[Any]", self.open).args


def _fetch(place: _Place, dtype: np.dtype[Any], low: int, high: int) -> NDArray[Any]:
    """Tokens [low, high) of those from a place on, out of the blocks that hold them."""
    begin, end = (place.begin + position * dtype.itemsize for position in (low, high))
    pieces = []
    for start in range(begin // BLOCK * BLOCK, end, BLOCK):
        block = _BLOCKS.get(place.address, start, min(start + BLOCK, place.bytes))
        pieces.append(memoryview(block)[max(begin - start, 0) : end - start])
    tokens = np.frombuffer(pieces[0] if len(pieces) == 1 else b"".join(pieces), dtype)
    return tokens if tokens.flags.aligned else tokens.copy()


def open_remote(address: str) -> BinaryIO:
    """The file at an address, read from its beginning in pieces.

    Raises:
        As `RemoteFile.look`.
    """
    system, path = _system(address)
    with told(address):
        return cast(BinaryIO, system.open(path, "rb"))


def _read(address: str, begin: int, end: int) -> bytes:
    if begin == end:
        return b""
    system, path = _system(address)
    with told(address):
        data = bytes(system.cat_file(path, start=begin, end=end))
    if len(data) != end - begin:
        raise SourceError(
            f"tokens: expected bytes {begin} to {end} of {address}, got {len(data)} bytes: changed "
            f"while it was read, or of a server that sends files only whole (then simplecache::"
            f"{address} copies it first)"
        )
    return data


class _Blocks:
    """The blocks asked for last. Who asks for one that is on its way waits for it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: dict[tuple[str, int, int], Future[bytes]] = {}

    def get(self, address: str, begin: int, end: int) -> bytes:
        key = (address, begin, end)
        with self._lock:
            future = self._kept.pop(key, None)
            mine = future is None
            if future is None:
                future = Future()
            self._kept[key] = future  # the last one in order
            while len(self._kept) > KEPT_BLOCKS:
                del self._kept[next(iter(self._kept))]
        if mine:
            try:
                future.set_result(_read(address, begin, end))
            except BaseException as error:
                future.set_exception(error)
                self.forget(key, future)
        return future.result()

    def forget(self, key: tuple[str, int, int], future: Future[bytes]) -> None:
        """So that a failed request is made anew the next time."""
        with self._lock:
            if self._kept.get(key) is future:
                del self._kept[key]

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()


_BLOCKS = _Blocks()


def _system(address: str) -> tuple[Any, str]:
    """The fsspec file system of an address, and the path in it."""
    with told(address):
        return _fsspec_system(address, os.getpid())


@lru_cache(maxsize=256)
def _fsspec_system(address: str, process: int) -> tuple[Any, str]:
    """`process`: connections are no good in a forked process."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise missing_extra("fsspec", "remote", f"reading {address}") from error
    try:
        system, path = url_to_fs(address)
    except ImportError as error:  # fsspec says which package is missing
        raise MissingExtraError(f"reading {address} needs another package: {error}") from error
    except ValueError as error:
        raise ArgumentError(
            f"tokens: expected an address of a protocol that fsspec knows, got {address!r}: {error}"
        ) from error
    return system, path


def _full(system: Any, name: str) -> str:
    text: str = system.unstrip_protocol(name)
    return text


@contextmanager
def told(address: str) -> Iterator[None]:
    """What a store raises, be it of whatever library, with the address."""
    try:
        yield
    except ProbsigError:
        raise
    except FileNotFoundError as error:
        raise SourceNotFoundError(f"tokens: expected a file, got {address!r}: none") from error
    except Exception as error:
        raise SourceError(
            f"tokens: expected to read {address}, got {type(error).__name__}: {error}"
        ) from error
