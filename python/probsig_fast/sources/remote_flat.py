"""Flat token files and `.npy` arrays by an fsspec address."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..errors import ArgumentError, SourceError
from .arrays import check_offsets
from .fingerprint import array_fingerprint, file_fingerprint
from .remote import RemoteFile, is_address
from .stream import Part, Stream, join
from .token_dtype import token_dtype

#: More than any header of an array of numbers takes.
_NPY_HEADER = 2**14


class RemoteFileSource:
    """Flat token files and `.npy` arrays at addresses; as `FileSource`, but that blocks of 4 MiB
    are fetched as they are asked for. The last 16 are kept: 64 MiB.

    Args:
        addresses: in the order in which they are read.
        dtype, join_files, offsets: as for `FileSource`.
        format: "flat" or "npy"; None goes by the suffix.

    Raises:
        ArgumentError: no `dtype` for a flat file; offsets that do not fit; an unknown protocol.
        SourceNotFoundError: a missing file.
        SourceError: a size that is no multiple of the token width; a `.npy` of another type or
            size; a store that does not answer.
        MissingExtraError: fsspec, or the package of a protocol, is not installed.
    """

    vocab_size = None
    device = None
    inputs_only = False

    def __init__(
        self,
        addresses: Sequence[str],
        dtype: DTypeLike | None = None,
        join_files: bool = False,
        offsets: Any = None,
        format: str | None = None,
    ) -> None:
        self._files = [_look(address, dtype, format) for address in addresses]
        self._join = join_files
        self.total = sum(file.tokens for file in self._files)
        more = f" and {len(addresses) - 1} more" if len(addresses) > 1 else ""
        self.name = f"{addresses[0]}{more}" if addresses else "no file"
        self._starts = None
        if offsets is not None:
            if len(addresses) > 1 and not join_files:
                raise ArgumentError(
                    "offsets: expected a single file or join_files=True, got "
                    f"{len(addresses)} files"
                )
            self._starts = check_offsets(offsets, self.total)

    def streams(self) -> Iterator[Stream]:
        each = (Stream((file.part,), None, file.row_length) for file in self._files if file.tokens)
        if not self._join and self._starts is None:
            yield from each
            return
        joined = join(each)
        yield Stream(joined.parts, self._starts, joined.row_length)

    def describe(self) -> list[dict[str, Any]]:
        return [
            {
                "path": file.remote.address,
                "bytes": file.remote.size,
                "modified": file.remote.modified,
                "tokens": file.tokens,
                "dtype": str(file.dtype),
            }
            for file in self._files
        ]

    def fingerprint(self) -> list[dict[str, Any]]:
        files = [
            {
                **file_fingerprint(file.remote.address),
                "dtype": str(file.dtype),
                "row_length": file.row_length,
                "join_files": self._join,
            }
            for file in self._files
        ]
        return files if self._starts is None else [*files, array_fingerprint(self._starts)]


@dataclass(frozen=True)
class _File:
    remote: RemoteFile
    part: Part
    tokens: int
    dtype: np.dtype[Any]
    row_length: int | None = None


def _look(address: str, dtype: DTypeLike | None, format: str | None) -> _File:
    if format == "npy" or (format is None and address.endswith(".npy")):
        return _look_npy(RemoteFile.look(address), dtype)
    if dtype is None:
        raise ArgumentError(
            f"dtype: expected the token type of {address} (flat files do not say it), "
            "such as 'uint16' or 'uint32', got None"
        )
    width = token_dtype("dtype", dtype).newbyteorder("<")
    remote = RemoteFile.look(address)
    if remote.size % width.itemsize:
        raise SourceError(
            f"tokens: expected a size that is a multiple of {width.itemsize} bytes ({width.name}), "
            f"got {remote.size} bytes in {address}: truncated, or of another dtype"
        )
    tokens = remote.size // width.itemsize
    return _File(remote, remote.part(width, 0, tokens), tokens, width)


def _look_npy(remote: RemoteFile, dtype: DTypeLike | None) -> _File:
    address = remote.address
    header = io.BytesIO(remote.read(0, min(remote.size, _NPY_HEADER)))
    try:
        version = np.lib.format.read_magic(header)
        read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
            version, np.lib.format.read_array_header_2_0
        )
        shape, fortran, found = read(header)
    except (ValueError, EOFError, OSError) as error:
        raise SourceError(f"tokens: expected a .npy array, got {address!r}: {error}") from error
    if found.kind not in "iu" or len(shape) not in (1, 2) or (fortran and len(shape) == 2):
        raise SourceError(
            "tokens: expected a 1-D or 2-D .npy array of integers, stored row by row, got "
            f"{len(shape)}-D {found}{' stored by columns' * bool(fortran)} in {address}"
        )
    if dtype is not None and token_dtype("dtype", dtype) != found:
        raise SourceError(f"dtype: expected {found}, as {address} says, got {np.dtype(dtype)}")
    tokens, begin = int(np.prod([int(n) for n in shape], dtype=object)), header.tell()
    if remote.size - begin != tokens * found.itemsize:
        raise SourceError(
            f"tokens: expected {begin + tokens * found.itemsize} bytes in {address}, as its header "
            f"says, got {remote.size}: truncated or damaged"
        )
    row_length = shape[1] or None if len(shape) == 2 else None
    return _File(remote, remote.part(found, begin, tokens), tokens, found, row_length)


def open_address(
    addresses: Sequence[str],
    *,
    dtype: DTypeLike | None = None,
    offsets: Any = None,
    join_files: bool = False,
    format: str | None = None,
) -> Any:
    """A source over files that `expand_one` gave, of which at least one lies at an address.

    Raises:
        ArgumentError: paths among addresses; options that have no meaning; text, which needs a
            tokenizer.
        SourceError: a format that is read from files of this machine only.
        And as `RemoteFileSource` and `ParquetSource`.
    """
    local = [address for address in addresses if not is_address(address)]
    if local:
        raise ArgumentError(
            f"tokens: expected addresses alone or paths alone, got {local[0]!r} among addresses"
        )
    kinds = {format or _kind(address) for address in addresses}
    if kinds == {"parquet"}:
        from .parquet import ParquetSource

        for name, given in (("dtype", dtype), ("offsets", offsets), ("join_files", join_files)):
            if given is not None and given is not False:
                raise ArgumentError(f"{name}: expected none for Parquet, got {given!r}")
        return ParquetSource(addresses)
    other = sorted(kinds - {"flat", "npy"})
    if other == ["text"]:
        raise ArgumentError(
            f"tokens: expected files of token ids, got text, {addresses[0]}: give "
            "TextSource(paths, tokenizer), or --tokenizer on the command line"
        )
    if other:
        raise SourceError(
            f"tokens: expected a flat, .npy, Parquet or text file at an address, got {other[0]}, "
            f"such as {addresses[0]}: copy its files to this machine"
        )
    return RemoteFileSource(addresses, dtype, join_files, offsets, format)


def _kind(address: str) -> str:
    kinds = {".npy": "npy", ".parquet": "parquet", ".idx": "megatron", ".ds": "datatrove"}
    path = PurePosixPath(address)
    if path.suffix in (".zst", ".gz"):
        path = path.with_suffix("")
    if path.suffix in (".jsonl", ".json", ".ndjson", ".txt"):
        return "text"
    return kinds.get(path.suffix, "flat")
