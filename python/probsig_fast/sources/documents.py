"""Sources of token files beside which another file says where documents end."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import SourceError
from .flat import expand
from .mapped import PathLike, TokenFile
from .stream import Part, Stream
from .token_dtype import token_dtype

#: Documents of which the ends are in memory at a time, 8 bytes each, however many there are.
BLOCK = 2**20

Ends = NDArray[np.int64]


class DocumentFile(Protocol):
    """A token file and what tells its documents, checked against each other."""

    @property
    def tokens(self) -> TokenFile:
        """The token file."""

    def ends(self) -> Iterator[Ends]:
        """The places in the token file at which documents end, in order, about `BLOCK` at a
        time; the last one is the file's end."""

    def describe(self) -> dict[str, Any]:
        """As `Source.describe`."""

    def fingerprint(self) -> dict[str, Any]:
        """As `Source.fingerprint`."""


class DocumentSource:
    """Documents of token files, each a sequence.

    The ends of documents are read as counting goes on, so that memory does not grow with them.
    """

    vocab_size = None
    device = None
    inputs_only = False

    def __init__(self, files: Sequence[DocumentFile]) -> None:
        self._files = files
        self.total = sum(file.tokens.part.size for file in files)
        self.name = "no file"
        if files:
            more = f" and {len(files) - 1} more" if len(files) > 1 else ""
            self.name = files[0].tokens.part.name + more

    def streams(self) -> Iterator[Stream]:
        return gathered(
            stream
            for file in self._files
            for stream in document_streams(file.tokens.part, file.ends())
        )

    def describe(self) -> list[dict[str, Any]]:
        return [file.describe() for file in self._files]

    def fingerprint(self) -> list[dict[str, Any]]:
        return [file.fingerprint() for file in self._files]


def paths_of(paths: PathLike | Sequence[PathLike]) -> list[Path]:
    """The files that one path or glob, or several, name.

    Raises:
        SourceNotFoundError: a glob that names none.
        SourceError: a folder.
    """
    several = [paths] if isinstance(paths, (str, os.PathLike)) else paths
    return [path for pattern in several for path in expand(pattern)]


def document_streams(part: Part, blocks: Iterable[Ends]) -> Iterator[Stream]:
    """A stream for each block of ends of documents that lie one after the other in `part`.

    Raises:
        SourceError: they no longer go from 0 to the part's end without falling, as they did when
            the source was made.
    """
    begin = 0
    for ends in blocks:
        if not ends.size:
            continue
        if falls(ends, begin).size or ends[-1] > part.size:
            break
        end = int(ends[-1])
        if end > begin:
            yield Stream((part.between(begin, end),), ends - begin)
        begin = end
    if begin != part.size:
        raise SourceError(
            f"tokens: expected documents that end with {part.name}, at {part.size} tokens, as when "
            f"it was opened, got others after {begin}: changed while it was counted"
        )


def falls(values: NDArray[Any], before: int) -> NDArray[np.intp]:
    """Where `values` are below the one before them, or the first below `before`."""
    previous = np.concatenate([np.array([before], values.dtype), values[:-1]])
    return np.flatnonzero(values < previous)


def gathered(streams: Iterable[Stream]) -> Iterator[Stream]:
    """Consecutive small streams of one token type as one, cut at their ends: a thousand small
    files then make few chunks."""
    held: list[Stream] = []
    documents = 0
    for stream in streams:
        size = 1 if stream.starts is None else stream.starts.size
        if held and (documents + size > BLOCK or stream.dtype != held[0].dtype):
            yield _as_one(held)
            held, documents = [], 0
        held.append(stream)
        documents += size
    if held:
        yield _as_one(held)


def _as_one(streams: list[Stream]) -> Stream:
    if len(streams) == 1:
        return streams[0]
    starts, offset = [], 0
    for stream in streams:
        known = np.empty(0, np.int64) if stream.starts is None else stream.starts
        starts.append(np.append(known, len(stream)) + offset)
        offset += len(stream)
    return Stream(tuple(p for s in streams for p in s.parts), np.concatenate(starts))


def exact_dtype(
    dtype: DTypeLike | None, tokens: int, file_bytes: int, path: PathLike, index: PathLike
) -> np.dtype[Any]:
    """The token type of a headerless file of which the number of tokens is known.

    Where `dtype` is None the width is bytes / tokens, which is no guess: an index that counts the
    file's tokens leaves one width only. Tokens of two and of four bytes are taken as unsigned; an
    id at or above the vocabulary is an error when it is counted, so that signed ones would show.

    Raises:
        ArgumentTypeError: `dtype` is no integer type.
        SourceError: the file is not `tokens` tokens long, of `dtype` or of either width.
    """
    widths: tuple[int, ...] = (2, 4)
    if dtype is not None:
        found = token_dtype("dtype", dtype)
        widths = (found.itemsize,)
    else:
        wide = file_bytes == 4 * tokens and tokens > 0
        found = np.dtype(np.uint32 if wide else np.uint16)
    if file_bytes not in [width * tokens for width in widths]:
        sizes = " or ".join(str(width * tokens) for width in widths)
        raise SourceError(
            f"tokens: expected {sizes} bytes in {path}, {tokens} tokens of "
            f"{' or '.join(map(str, widths))} bytes as {index} says, got {file_bytes}: truncated, "
            "of another dtype, or of another index"
        )
    return found
