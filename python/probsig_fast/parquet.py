"""Counts as a Parquet file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .csr import Csr
from .errors import missing_extra
from .files import atomic_write

if TYPE_CHECKING:
    from .counts import Counts

_ROW_GROUP = 2**20


def write_counts(counts: Counts, path: Path) -> None:
    """Columns row, column (int32), count (int64) and, with strings attached, row_string and
    column_string (dictionary-encoded), a row group at a time."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise missing_extra("pyarrow", "parquet", "to_parquet()") from error

    fields = [("row", pa.int32()), ("column", pa.int32()), ("count", pa.int64())]
    strings = counts.token_strings
    if strings:
        fields += [("row_string", pa.string()), ("column_string", pa.string())]
        texts = pa.array(strings, pa.string())
    schema = pa.schema(fields, {"weight_scale": str(counts.weight_scale)})
    with atomic_write(path) as file, pq.ParquetWriter(file, schema) as writer:
        for first, csr in _pieces(counts):
            for begin in range(0, csr.nnz, _ROW_GROUP):
                end = min(begin + _ROW_GROUP, csr.nnz)
                rows = np.searchsorted(csr.indptr, np.arange(begin, end), side="right") - 1 + first
                arrays = [
                    pa.array(rows.astype(np.int32)),
                    pa.array(csr.indices[begin:end]),
                    pa.array(csr.stored[begin:end], pa.int64()),
                ]
                if strings:
                    arrays += [texts.take(each) for each in arrays[:2]]
                writer.write_batch(pa.record_batch(arrays, schema=schema))


def _pieces(counts: Counts) -> Iterator[tuple[int, Csr]]:
    """Row ranges, each with its first row: as they are kept, or all rows, where only a half of
    them is kept."""
    if counts.is_triangle:
        yield 0, counts.whole()
        return
    for first, piece in counts.entries.pieces():
        yield first, piece.safe
