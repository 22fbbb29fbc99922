"""dolma's files: `X.npy`, flat tokens without a header whatever its name says, and `X.csv.gz`,
which tells its documents."""

from __future__ import annotations

import csv
import gzip
import os
import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..errors import SourceError
from .documents import BLOCK, DocumentSource, Ends, exact_dtype, paths_of
from .fingerprint import file_fingerprint
from .mapped import PathLike, TokenFile, file_status, look_flat, read_bytes

NPY_MAGIC = b"\x93NUMPY"
#: Columns of the table, which has no line that names them.
_COLUMNS = ["start", "end", "id", "src", "loc"]
#: Bytes of one of its lines at most: a compressed file can hold gigabytes without a line break.
_LINE = 2**20


class DolmaSource(DocumentSource):
    """Token files `X.npy`, which hold tokens only, with `X.csv.gz`: lines of start, end, id, src
    and loc, a document each, that follow each other from the file's first token to its last.

    Args:
        paths: `X.npy`, a glob, or several; in the order in which they are read.
        dtype: the token type, which the files do not say. None: unsigned, of two or four bytes,
            whichever makes the file as long as the last document's end; that is exact, not a
            guess.

    Raises:
        SourceNotFoundError: a missing file.
        SourceError: a `.npy` that has NumPy's header after all; a table that is no gzip, is
            truncated, or has other columns; documents that leave tokens out, overlap, or end
            elsewhere than the token file. With the file and the line or the size.

    Cost: the table is read once here and once more as it is counted, a line at a time.
    """

    def __init__(
        self, paths: PathLike | Sequence[PathLike], dtype: DTypeLike | None = None
    ) -> None:
        super().__init__([_Pair.looked_at(path, dtype) for path in paths_of(paths)])


def is_headerless(path: PathLike) -> bool:
    """Whether this is no file of NumPy's and its table lies beside it."""
    try:
        with open(path, "rb") as file:
            return file.read(len(NPY_MAGIC)) != NPY_MAGIC and os.path.isfile(table_of(path))
    except OSError:
        return False  # its own error comes when it is read


def table_of(path: PathLike) -> str:
    name = os.fspath(path)
    return (name[:-4] if name.endswith(".npy") else name) + ".csv.gz"


@dataclass(frozen=True)
class _Pair:
    tokens: TokenFile
    table: str
    documents: int

    @classmethod
    def looked_at(cls, path: Path, dtype: DTypeLike | None) -> _Pair:
        size = file_status(path).st_size
        table = table_of(path)
        file_status(table, f"the table of {path}")
        if read_bytes(path, 0, len(NPY_MAGIC)) == NPY_MAGIC:
            raise SourceError(
                f"tokens: expected tokens without a header at byte 0 of {path}, got NumPy's "
                "magic: read it as format 'npy'"
            )
        documents = total = 0
        for ends in _ends(table):
            documents += ends.size
            total = int(ends[-1])
        found = exact_dtype(dtype, total, size, path, table)
        return cls(look_flat(path, found), os.path.abspath(table), documents)

    def ends(self) -> Iterator[Ends]:
        return _ends(self.table)

    def describe(self) -> dict[str, Any]:
        return {**self.tokens.describe(), "table": self.table, "documents": self.documents}

    def fingerprint(self) -> dict[str, Any]:
        return {**self.tokens.fingerprint(), "table": file_fingerprint(self.table)}


def _ends(table: str) -> Iterator[Ends]:
    """The ends of documents, checked to begin where the one before ends."""
    ends = array("q")
    last = 0
    for number, (start, end) in _rows(table):
        if start != last or end < start:
            what = f"start {last}" if start != last else f"an end from {start} on"
            got = start if start != last else end
            raise SourceError(
                f"tokens: expected {what} in line {number} of {table}, got {got}: documents that "
                "leave tokens out or overlap"
            )
        last = end
        ends.append(end)
        if len(ends) == BLOCK:
            yield np.frombuffer(ends, np.int64)
            ends = array("q")
    if ends:
        yield np.frombuffer(ends, np.int64)


def _rows(table: str) -> Iterator[tuple[int, tuple[int, int]]]:
    """Each document's start and end, with the number of its line."""
    try:
        with gzip.open(table, "rb") as file:
            reader = csv.reader(_lines(file, table), strict=True)
            for row in reader:
                number = reader.line_num
                if number == 1 and row == _COLUMNS:
                    continue
                if len(row) != len(_COLUMNS):
                    raise SourceError(
                        f"tokens: expected {', '.join(_COLUMNS)} in line {number} of {table}, got "
                        f"{len(row)} values"
                    )
                yield number, (_place(row[0], number, table), _place(row[1], number, table))
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"tokens: expected whole gzip data in {table}: {error}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise SourceError(
            f"tokens: expected a table of text in {table}, got, in line {reader.line_num + 1}: "
            f"{error}"
        ) from error


def _lines(file: gzip.GzipFile, table: str) -> Iterator[str]:
    number = 0
    while line := file.readline(_LINE):
        number += 1
        if len(line) == _LINE:
            raise SourceError(
                f"tokens: expected lines shorter than {_LINE} bytes in {table}, got line {number}"
            )
        yield line.decode("utf-8")


def _place(text: str, number: int, table: str) -> int:
    """A place in the token file: digits only, of what 63 bits hold."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        shown = text if len(text) < 40 else text[:40] + "..."
        raise SourceError(
            f"tokens: expected a place in tokens in line {number} of {table}, got {shown!r}"
        )
    return int(text)
