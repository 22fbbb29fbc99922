"""Token files: flat `.bin` (raw little-endian integers, no header) and `.npy`, memory-mapped."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..errors import ArgumentError, SourceError, SourceNotFoundError
from .arrays import check_offsets
from .fingerprint import array_fingerprint
from .mapped import PathLike, TokenFile, look_flat, look_npy
from .remote import address_of, expand_address
from .sidecar import read_sidecar
from .stream import Stream, join


class FileSource:
    """Flat token files and `.npy` arrays, each a stream of its own unless `join_files`.

    Args:
        paths: files in the order in which they are read.
        dtype: the token type of flat files, which do not say it themselves. Little-endian. None:
            what `X.json` beside `X.bin` says, where `probsig tokenize` wrote one; it then gives
            `vocab_size`, too. For `.npy`, None or what the file says.
        join_files: read all files as one stream, so that a sequence may reach into the next file.
        offsets: as for `ArraySource`; a single file, or joined ones, only.
        format: "flat" or "npy" for all files, whatever their names; None goes by the suffix.

    Raises:
        ArgumentError: no `dtype` for a flat file; offsets that do not fit.
        SourceNotFoundError: a missing file.
        SourceError: a size that is no multiple of the token width, or not the one that `X.json`
            says; a `.npy` of another type.
    """

    device = None
    inputs_only = False

    def __init__(
        self,
        paths: Sequence[PathLike],
        dtype: DTypeLike | None = None,
        join_files: bool = False,
        offsets: Any = None,
        format: str | None = None,
    ) -> None:
        # Looked at now, so that the last file's fault shows before hours are spent on the first.
        looked_at = [_look(path, dtype, format) for path in paths]
        self._files = [file for file, _ in looked_at]
        sizes = {size for _, size in looked_at}
        self.vocab_size = sizes.pop() if len(sizes) == 1 else None
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
        return [file.describe() for file in self._files]

    def fingerprint(self) -> list[dict[str, Any]]:
        files = [
            {**file.fingerprint(), "row_length": file.row_length, "join_files": self._join}
            for file in self._files
        ]
        return files if self._starts is None else [*files, array_fingerprint(self._starts)]


def _look(
    path: PathLike, dtype: DTypeLike | None, format: str | None
) -> tuple[TokenFile, int | None]:
    """A file, and its number of ids where a sidecar says it."""
    if Path(path).suffix == ".npy" if format is None else format == "npy":
        return look_npy(path, dtype), None
    beside = read_sidecar(path) if dtype is None else None
    if beside is None:
        return look_flat(path, dtype), None
    return look_flat(path, beside.dtype), beside.vocab_size


def _kind(numbered: tuple[int, TokenFile]) -> tuple[np.dtype[Any], int | None, int | None]:
    number, file = numbered
    return file.part.dtype, file.row_length, number if file.row_length else None


def expand(pattern: PathLike) -> list[Path]:
    """The files that a path or a glob names, in bytewise order.

    Raises:
        SourceNotFoundError: there is none.
        SourceError: it is a folder.
    """
    text = os.fspath(pattern)
    if address := address_of(text):
        return [Path(each) for each in expand_address(address)]
    if os.path.isdir(text):
        raise SourceError(f"tokens: expected a file or a glob, got the folder {text!r}")
    if os.path.exists(text) or not glob.has_magic(text):
        return [Path(text)]
    found = [path for path in glob.glob(text, recursive=True) if not os.path.isdir(path)]
    if not found:
        raise SourceNotFoundError(f"tokens: expected a glob that names files, got {text!r}: none")
    return [Path(path) for path in sorted(found, key=os.fsencode)]
