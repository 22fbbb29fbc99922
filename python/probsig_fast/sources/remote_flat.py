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
from .arrays import check_offsets, refuse_boundaries
from .fingerprint import array_fingerprint, file_fingerprint
from .remote import RemoteFile, is_address
from .stream import Part, Source, Stream, join
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
) -> Source:
    """A source over files that `expand_one` gave, of which at least one lies at an address.

    Raises:
        ArgumentError: paths among addresses; several formats; options that have no meaning; text,
            which needs a tokenizer.
        And as the sources.
    """
    local = [address for address in addresses if not is_address(address)]
    if local:
        raise ArgumentError(
            f"tokens: expected addresses alone or paths alone, got {local[0]!r} among addresses"
        )
    kinds = sorted({format or _kind(address) for address in addresses})
    if set(kinds) <= {"flat", "npy"}:
        return RemoteFileSource(addresses, dtype, join_files, offsets, format)
    if len(kinds) > 1:
        raise ArgumentError(f"tokens: expected files of one format, got {' and '.join(kinds)}")
    refuse_boundaries(kinds[0], offsets, join_files)
    if kinds[0] in ("datatrove", "dolma"):
        return _with_dtype(kinds[0], addresses, dtype)
    if dtype is not None:
        raise ArgumentError(f"dtype: expected none for {kinds[0]}, whose files say it, got {dtype}")
    return _open_typed(kinds[0], addresses)


def _with_dtype(kind: str, addresses: Sequence[str], dtype: DTypeLike | None) -> Source:
    from .datatrove import DatatroveSource
    from .dolma import DolmaSource

    return (DatatroveSource if kind == "datatrove" else DolmaSource)(addresses, dtype)


def _open_typed(kind: str, addresses: Sequence[str]) -> Source:
    if kind == "parquet":
        from .parquet import ParquetSource

        return ParquetSource(addresses)
    if kind == "megatron":
        from .megatron import MegatronSource

        return MegatronSource(addresses)
    if kind == "pythia":
        from .pythia import PythiaSource

        return PythiaSource(addresses)
    if kind == "hugging-face" and len(addresses) == 1:
        from .hugging_face import HuggingFaceSource

        return HuggingFaceSource(addresses[0])
    if kind == "hugging-face":
        raise ArgumentError(
            f"tokens: expected one folder of hugging-face, got {len(addresses)} addresses"
        )
    raise ArgumentError(
        f"tokens: expected files of token ids, got text, {addresses[0]}: give TextSource(paths, "
        "tokenizer), or --tokenizer on the command line"
    )


def _kind(address: str) -> str:
    """By the name alone: nothing is looked for beside it."""
    kinds = {".npy": "npy", ".parquet": "parquet", ".idx": "megatron", ".ds": "datatrove"}
    path = PurePosixPath(address)
    if path.suffix in (".zst", ".gz"):
        path = path.with_suffix("")
    if path.suffix in (".jsonl", ".json", ".ndjson", ".txt"):
        return "text"
    return kinds.get(path.suffix, "flat")
