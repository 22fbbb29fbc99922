"""Counts as a Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

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
        for begin in range(0, counts.nnz, _ROW_GROUP):
            end = min(begin + _ROW_GROUP, counts.nnz)
            entries = np.arange(begin, end)
            rows = (np.searchsorted(counts.indptr, entries, side="right") - 1).astype(np.int32)
            columns = counts._safe_indices[begin:end]
            arrays = [
                pa.array(rows),
                pa.array(columns),
                pa.array(counts.stored[begin:end], pa.int64()),
            ]
            if strings:
                arrays += [texts.take(pa.array(rows)), texts.take(pa.array(columns))]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
