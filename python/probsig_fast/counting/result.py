"""The table of a count in the files of its `work_dir`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..csr import Csr
from ..kernels.contract import Block
from ..row_files import RowWriter
from ..table import Marginals, PieceSums, Table


def table_in_files(
    folder: Path, pieces: Iterable[tuple[Block, PieceSums]], columns: int, is_triangle: bool
) -> Table:
    """A table whose rows come in order, some at a time; the same files whatever their number."""
    marginals, writer = Marginals(columns), RowWriter(folder, columns, is_triangle)
    for block, sums in pieces:
        marginals.add(sums)
        writer.append(Csr(block.indptr, block.indices, block.data, columns))
    return marginals.table(writer.finished(), is_triangle)
