"""Runs: sums of some of a count's chunks, sorted, in files of its `work_dir`, and how they add up.

A run is a table in row ranges (`RowFiles`) with an index of its own. Runs are merged row range by
row range, so that only a few ranges are in memory however large the runs are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from . import counts_file, files
from .accumulator import merged
from .csr import Csr, Entries
from .errors import WorkDirError
from .files import INT64, Stream
from .kernels.contract import Block, Kernels
from .pool import WorkerPool
from .row_files import RowFiles, RowWriter
from .row_range import Digest
from .table import Marginals, PieceSums, Table
from .work_dir import WorkDir

KIND = "run"
#: Entries that are read for one merge at most, of all runs together; one row may have more.
_MERGE_ENTRIES = 2**22
#: The share of the memory that merging may take, and the bytes of an entry before and after it.
_MERGE_SHARE = 0.3
_MERGE_BYTES = 24


class RunWriter:
    """Writes a run, whose rows come in order."""

    def __init__(self, work: WorkDir, name: str, columns: int, is_triangle: bool) -> None:
        self._work, self._name = work, name
        self._rows = RowWriter(work.folder, columns, is_triangle, f"{name}-")
        self._is_triangle = is_triangle

    def append(self, piece: Csr) -> None:
        self._rows.append(piece)

    def finished(self) -> Run:
        """The run, known to its `WorkDir`, which has not committed it yet."""
        rows = self._rows.finished()
        index = f"{self._name}-index.safetensors"
        arrays = {
            "cuts": rows.cuts,
            "indptr": rows.indptr,
            "total": np.array([digest.total for digest in rows.digests], np.int64),
            "largest": np.array([digest.largest for digest in rows.digests], np.int64),
            "diagonal": rows.diagonal() if self._is_triangle else np.empty(0, np.int64),
        }
        rules = {"kind": KIND, "columns": rows.columns, "is_triangle": self._is_triangle}
        streams = {name: Stream.of(array, INT64) for name, array in arrays.items()}
        written = files.write_arrays(self._work.folder / index, streams, rules)
        names = {**self._rows.written, index: written}
        self._work.record(names)
        return Run(self._name, rows, list(names), sum(each.size for each in names.values()))


class Run:
    """A table in files of a `WorkDir`.

    Attributes:
        name: as the state names it.
        entries: the table.
        files: the names of its files.
        nbytes: their size.
    """

    def __init__(self, name: str, entries: RowFiles, files: list[str], nbytes: int) -> None:
        self.name, self.entries, self.files, self.nbytes = name, entries, files, nbytes


def open_run(work: WorkDir, name: str) -> Run:
    """A run that the state of `work` names; its files are known to be whole.

    Raises:
        WorkDirError: the index is not that of a run.
    """
    path = work.folder / f"{name}-index.safetensors"
    try:
        arrays, rules = files.read_arrays(path)
        columns, is_triangle = int(rules["columns"]), bool(rules["is_triangle"])
        cuts, indptr = arrays["cuts"], arrays["indptr"]
        digests = []
        ranges = zip(pairwise(cuts.tolist()), arrays["total"], arrays["largest"], strict=True)
        for (begin, end), total, largest in ranges:
            diagonal = np.array(arrays["diagonal"][begin:end] if is_triangle else [], np.int64)
            pointers = indptr[begin : end + 1] - indptr[begin]
            digests.append(Digest(pointers, int(total), int(largest), diagonal))
    except (KeyError, TypeError, ValueError, FileNotFoundError) as error:
        raise WorkDirError(f"{path}: expected the index of a run, got {error}: damaged") from error
    counts_file.check_indptr(path, "indptr", indptr, int(indptr[-1]))
    entries = RowFiles.opened(
        work.folder, np.array(cuts), columns, is_triangle, digests, f"{name}-"
    )
    names = [where.path.name for where in entries.ranges] + [path.name]
    nbytes = sum((work.folder / each).stat().st_size for each in names)
    return Run(name, entries, names, nbytes)


def merged_rows(
    parts: Sequence[Entries],
    columns: int,
    kernels: Kernels,
    pool: WorkerPool,
    memory: float = math.inf,
) -> Iterator[Block]:
    """The sum of tables of one shape, some rows at a time, in order.

    Args:
        memory: bytes of which this may take its share.

    Raises:
        CountOverflowError: a sum past 2^63 - 1.
        CountsFileError: entries that are damaged.
    """

    return pool.map(lambda rows: _sum(parts, rows, columns, kernels), _ranges(parts, pool, memory))


def merged_pieces(
    parts: Sequence[Entries],
    columns: int,
    kernels: Kernels,
    pool: WorkerPool,
    memory: float = math.inf,
) -> Iterator[tuple[Block, PieceSums]]:
    """As `merged_rows`, with the marginals of the rows."""

    def work(rows: tuple[int, int]) -> tuple[Block, PieceSums]:
        block = _sum(parts, rows, columns, kernels)
        return block, PieceSums.of(block, columns, kernels)

    return pool.map(work, _ranges(parts, pool, memory))


def table_in_files(
    folder: Path, pieces: Iterable[tuple[Block, PieceSums]], columns: int, is_triangle: bool
) -> Table:
    """A table whose rows come in order, some at a time, in files of a folder: always the same
    files, whatever the pieces."""
    marginals, writer = Marginals(columns), RowWriter(folder, columns, is_triangle)
    for block, sums in pieces:
        marginals.add(sums)
        writer.append(Csr(block.indptr, block.indices, block.data, columns))
    return marginals.table(writer.finished(), is_triangle)


def _sum(parts: Sequence[Entries], rows: tuple[int, int], columns: int, kernels: Kernels) -> Block:
    pieces = [part.between(*rows) for part in parts]
    if len(pieces) == 1:
        return pieces[0].block()
    return merged([piece.block() for piece in pieces], columns, kernels)


def _ranges(parts: Sequence[Entries], pool: WorkerPool, memory: float) -> Iterator[tuple[int, int]]:
    """Row ranges with few entries each, all parts together."""
    entries = np.sum([part.indptr for part in parts], axis=0)
    share = _MERGE_SHARE * memory / (pool.threads + 2)  # see `WorkerPool.map`
    most = max(min(_MERGE_ENTRIES, share / _MERGE_BYTES), 1)
    ranges = math.ceil(entries[-1] / most) or 1
    inner = np.searchsorted(entries, entries[-1] * np.arange(1, ranges) / ranges)
    return pairwise(np.unique(np.concatenate([[0], inner, [entries.size - 1]])).tolist())
