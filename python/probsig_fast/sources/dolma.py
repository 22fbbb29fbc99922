"""dolma's files: `X.npy`, flat tokens without a header whatever its name says, and `X.csv.gz`,
which tells its documents."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import DTypeLike

from ..errors import SourceError
from .documents import DocumentSource, Ends, exact_dtype, paths_of
from .dolma_table import document_ends
from .fingerprint import file_fingerprint
from .mapped import PathLike, TokenFile, file_status, look_flat, read_bytes
from .remote import lasting

NPY_MAGIC = b"\x93NUMPY"


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

    Cost: the table is read once here and once more as it is counted, in blocks.
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
        for ends in document_ends(table):
            documents += ends.size
            total = int(ends[-1])
        found = exact_dtype(dtype, total, size, path, table)
        return cls(look_flat(path, found), lasting(table), documents)

    def ends(self) -> Iterator[Ends]:
        return document_ends(self.table)

    def describe(self) -> dict[str, Any]:
        return {**self.tokens.describe(), "table": self.table, "documents": self.documents}

    def fingerprint(self) -> dict[str, Any]:
        return {**self.tokens.fingerprint(), "table": file_fingerprint(self.table)}
