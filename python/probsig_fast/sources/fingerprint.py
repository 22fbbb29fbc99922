"""What tells tokens from others without reading all of them: size, time and sampled pages.

Found: a file that was replaced, appended to, truncated, or written to by any program that leaves
its modification time alone to the system; and, whatever its time, any change in its first page,
its last page or one of those sampled evenly between. Files of up to `PAGES` pages are read whole.
Not found: bytes that change between sampled pages while size and time stay as they were.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SourceNotFoundError
from .remote import RemoteFile, address_of

#: Bytes of a sampled page, and the most pages that are looked at.
PAGE, PAGES = 2**16, 16


def file_fingerprint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A file's path, size, modification time and the hash of its sampled pages; reads 1 MiB at
    most. Of a file at an address, what the store says in place of the time.

    Raises:
        SourceNotFoundError: it cannot be opened.
    """
    if address := address_of(path):
        return _remote_fingerprint(RemoteFile.look(address))
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            hashed = hashlib.blake2b(digest_size=16)
            for begin, end in sampled_pages(status.st_size):
                file.seek(begin)
                hashed.update(file.read(end - begin))
    except OSError as error:
        raise SourceNotFoundError(
            f"tokens: expected a file that can be read, got {os.fspath(path)!r}: {error.strerror}"
        ) from error
    return {
        "path": os.path.abspath(path),
        "bytes": status.st_size,
        "modified_ns": status.st_mtime_ns,
        "pages": hashed.hexdigest(),
    }


def _remote_fingerprint(file: RemoteFile) -> dict[str, Any]:
    hashed = hashlib.blake2b(digest_size=16)
    for begin, end in sampled_pages(file.size):
        hashed.update(file.read(begin, end))
    return {
        "path": file.address,
        "bytes": file.size,
        "modified": file.modified,
        "pages": hashed.hexdigest(),
    }


def array_fingerprint(array: NDArray[Any]) -> dict[str, Any]:
    """A 1-D array's type, size and the hash of its sampled pages; reads 1 MiB at most."""
    hashed = hashlib.blake2b(digest_size=16)
    width = array.dtype.itemsize
    for begin, end in sampled_pages(array.nbytes):  # whole items, as a page holds a power of two
        hashed.update(np.ascontiguousarray(array[begin // width : -(-end // width)]).tobytes())
    return {"dtype": array.dtype.str, "size": array.size, "pages": hashed.hexdigest()}


def sampled_pages(size: int) -> Iterator[tuple[int, int]]:
    """The bytes [begin, end) of pages spread evenly over `size` bytes, the first and last ones
    among them; all pages where they are few."""
    pages = -(-size // PAGE)
    few = pages <= PAGES
    for i in range(min(pages, PAGES)):
        page = i if few else i * (pages - 1) // (PAGES - 1)
        yield page * PAGE, min((page + 1) * PAGE, size)
