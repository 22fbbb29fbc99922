"""Parquet files with a column of lists of token ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ProbsigError, SourceError
from .batches import Piece, streams_of
from .fingerprint import file_fingerprint
from .mapped import file_status
from .paths import PathLike, expand_all
from .remote import RemoteFile, is_address, lasting, open_remote
from .stream import Stream
from .tables import arrow, check_lists, check_mask, check_same, choose_column, piece_of

#: Tokens that are decoded at a time, at most: a dictionary may hold each in as little as one bit.
_BATCH = 2**24


class ParquetSource:
    """Parquet files; a row is a sequence.

    Row groups are decoded a batch of rows at a time, so that memory is bounded by one row group as
    it is in the file and some 4 M tokens.

    Args:
        paths: a file or a glob, or several, in the order in which they are read; fsspec addresses
            too.
        column: of the lists of ids (`list`, `large_list` or `fixed_size_list` of any integer type);
            None takes `input_ids`, else `token_ids`.
        inputs_only: the last token of each row is only ever a second token, as in the rows of 2049
            tokens that Pythia's models are trained on.

    A column `attention_mask`, where there is one, says which tokens are there: those it marks by 0
    are dropped from the row as padding. A hole inside a row cuts it in two sequences.

    Raises:
        MissingExtraError: pyarrow is not installed.
        ArgumentError: no such column, or none of the two; names those there are.
        SourceNotFoundError: a missing file.
        SourceError: no Parquet file, or a damaged one; a column of another type; a row or an id
            that is null; a mask of another length.
    """

    vocab_size = None
    device = None
    total = None  # files tell their rows only

    def __init__(
        self,
        paths: PathLike | Sequence[PathLike],
        column: str | None = None,
        inputs_only: bool = False,
    ) -> None:
        names = expand_all(paths)
        # Looked at now, so that the last file's fault shows before hours are spent on the first.
        self._files = [_look(name, column) for name in names]
        self.inputs_only = bool(inputs_only)
        self.name = names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")
        self._tokens = [0] * len(names)

    def streams(self) -> Iterator[Stream]:
        self._tokens = [0] * len(self._files)
        return streams_of(self._pieces(), self.name)

    def describe(self) -> list[dict[str, Any]]:
        return [
            {
                "path": file.path,
                "bytes": file.bytes,
                "modified": file.modified,
                "rows": file.rows,
                "tokens": tokens,
                "dtype": str(file.dtype),
                "column": file.column,
            }
            for file, tokens in zip(self._files, self._tokens, strict=True)
        ]

    def fingerprint(self) -> list[dict[str, Any]]:
        return [
            {
                **file_fingerprint(file.place),
                "column": file.column,
                "mask": file.mask,
                "inputs_only": self.inputs_only,
            }
            for file in self._files
        ]

    def _pieces(self) -> Iterator[Piece]:
        for number, file in enumerate(self._files):
            for piece in _read(file):
                self._tokens[number] += piece.tokens.size
                yield piece


@dataclass(frozen=True)
class _File:
    """A file as it was when the source was made.

    Attributes:
        place: where it is read, from any working folder.
        row_bytes: of a row, decompressed, in the row group where they are most.
    """

    path: str
    place: str
    bytes: int
    modified: float | str | None
    column: str
    mask: str | None
    dtype: np.dtype[Any]
    rows: int
    row_bytes: float


def _look(path: str, column: str | None) -> _File:
    size, modified = _status(path)
    with _opened(path) as file:
        schema = file.schema_arrow
        name, mask = choose_column(schema.names, column, path)
        dtype = check_lists(schema.field(name).type, name, path)
        if mask is not None:
            check_mask(schema.field(mask).type, path)
        rows, row_bytes = file.metadata.num_rows, _row_bytes(file.metadata)
    return _File(path, lasting(path), size, modified, name, mask, dtype, rows, row_bytes)


def _row_bytes(metadata: Any) -> float:
    """Of a row, decompressed, in the row group where they are most. (Metadata of single columns
    would tell more; where they are damaged, asking pyarrow for them ends the process.)"""
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    return max((group.total_byte_size / max(group.num_rows, 1) for group in groups), default=0.0)


def _status(path: str) -> tuple[int, float | str | None]:
    if is_address(path):
        remote = RemoteFile.look(path)
        return remote.size, remote.modified
    status = file_status(path)
    return status.st_size, status.st_mtime


def _read(looked: _File) -> Iterator[Piece]:
    columns = [looked.column, *([looked.mask] if looked.mask else [])]
    batch_rows = max(1, int(_BATCH / max(8 * looked.row_bytes, 1)))
    row = 0
    with _opened(looked.place) as file:
        if file.metadata.num_rows != looked.rows:
            raise SourceError(
                f"tokens: expected {looked.rows} rows in {looked.path}, as when it was opened, got "
                f"{file.metadata.num_rows}: changed while it was counted"
            )
        check_same(file.schema_arrow, looked.column, looked.mask, looked.path)
        for group in range(file.metadata.num_row_groups):
            for batch in file.iter_batches(batch_rows, [group], columns):
                mask = batch.column(looked.mask) if looked.mask else None
                ids = batch.column(looked.column)
                yield piece_of(ids, mask, looked.column, looked.path, row)
                row += batch.num_rows


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    """The file; what pyarrow raises of it names it."""
    pa = arrow("reading a .parquet file")
    import pyarrow.parquet as pq

    try:
        if is_address(path):
            with open_remote(path) as remote, pq.ParquetFile(remote) as file:
                yield file
            return
        with pq.ParquetFile(path) as file:
            yield file
    except ProbsigError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SourceError(f"tokens: expected a Parquet file, got {path!r}: {error}") from error
