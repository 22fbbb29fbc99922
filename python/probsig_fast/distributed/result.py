"""The table of a count whose sums the workers hold: gathered, or written to a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..budget import memory_budget, size_text
from ..counting.job import Job, Tally
from ..csr import Csr, Entries
from ..errors import MemoryLimitError
from ..joined_rows import JoinedRows
from ..relations import SameSequence
from ..row_files import RowWriter
from ..table import Marginals, PieceSums, Table
from ..third_order import ThirdOrder
from .cluster import Future
from .failures import told
from .reduction import Part
from .rows import Rows
from .run import Totals

#: Bytes of an entry as it is held here.
_ENTRY_BYTES = 12


class Result(NamedTuple):
    """Everything that was counted."""

    table: Table
    third: ThirdOrder | None
    tally: Tally


def collected(job: Job, parts: list[Part[Future]], totals: Totals, folder: Path | None) -> Result:
    """Take the parts from the workers, one after the other, which gives up each.

    Args:
        folder: where the row ranges are written; None: all is held in memory.

    Raises:
        MemoryLimitError: it would not fit.
        ClusterError: the cluster failed.
        CountOverflowError: a total past 2^63 - 1.
    """
    _check_room(parts, 0 if folder is None else job.vocab_size)
    size = job.vocab_size
    tables = [_Table(job, size, parts, folder)]
    tables += [_Table(job, size * len(job.focus), parts, None) for _ in range(bool(job.focus))]
    vectors: list[NDArray[np.int64]] = []
    try:
        for rows in _in_order(job, parts):
            vectors.append(rows.vectors)
            for table, begin in zip(tables, (0, size), strict=False):
                low = max(rows.begin, begin)
                high = min(rows.end, begin + table.rows)
                if low < high:
                    table.append(rows.entries.between(low - rows.begin, high - rows.begin))
        finished = [each.finished() for each in tables]
    except BaseException:
        tables[0].remove()
        raise
    tally = Tally.empty(size)
    for array, found in zip(tally.arrays().values(), np.concatenate(vectors, axis=1), strict=True):
        array[:] = found
    tally.n_sequences, tally.n_read = totals.n_sequences, totals.n_read
    tally.eos_seen = totals.eos_seen
    third = ThirdOrder(job.focus, finished[1]) if job.focus else None
    return Result(finished[0], third, tally)


class _Table:
    """One of the tables, whose rows come in order."""

    def __init__(self, job: Job, rows: int, parts: list[Part[Future]], folder: Path | None) -> None:
        self.rows, self._job = rows, job
        self._is_triangle = isinstance(job.relation, SameSequence)
        self._marginals = Marginals(job.vocab_size)
        most = sum(part.entries for part in parts)
        self._joined = JoinedRows(rows, most) if folder is None else None
        self._writer = None
        if folder is not None:
            self._writer = RowWriter(folder, job.vocab_size, self._is_triangle)

    def append(self, piece: Csr) -> None:
        columns, block = self._job.vocab_size, piece.block()
        self._marginals.add(PieceSums.of(block, columns, self._job.kernels))
        if self._joined is not None:
            self._joined.append(block)
        if self._writer is not None:
            self._writer.append(piece)

    def finished(self) -> Table:
        entries: Entries
        if self._writer is not None:
            entries = self._writer.finished()
        else:
            assert self._joined is not None
            entries = self._joined.csr(self._job.vocab_size)
        return self._marginals.table(entries, self._is_triangle)

    def remove(self) -> None:
        if self._writer is not None:
            self._writer.remove()


def _in_order(job: Job, parts: list[Part[Future]]) -> Iterator[Rows]:
    if not parts:
        yield _no_rows(job)
    waiting = parts[::-1]
    while waiting:
        handle = waiting.pop().handle
        try:
            rows: Rows = handle.result()
        except Exception as error:
            raise told(error) from error
        del handle  # or the worker would keep it
        yield rows.with_aligned_arrays()


def _no_rows(job: Job) -> Rows:
    """What no tokens give."""
    indptr = np.zeros(job.vocab_size * (1 + len(job.focus)) + 1, np.int64)
    empty = np.empty(0, np.int32)
    return Rows.of(Csr(indptr, empty, empty, job.vocab_size), Tally.empty(job.vocab_size), None)


def _check_room(parts: list[Part[Future]], written_rows: int) -> None:
    """What is below `written_rows` goes to files."""
    needed = sum(part.entries for part in parts if part.begin >= written_rows) * _ENTRY_BYTES
    memory = memory_budget(None)
    if needed > memory:
        raise MemoryLimitError(
            f"memory: expected room for the counts on the client, about {size_text(needed)}, got "
            f"{size_text(memory)}: give work_dir= to write them to files as they come"
        )
