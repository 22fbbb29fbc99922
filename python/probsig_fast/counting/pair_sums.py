"""The sum of all chunks' pairs: in memory, and in runs on disk where that fills up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..accumulator import Accumulator, add_blocks, narrowed, row_cuts
from ..budget import size_text
from ..csr import Csr, Entries
from ..errors import MemoryLimitError
from ..joined_rows import JoinedRows
from ..kernels.contract import Block, Kernels
from ..pool import WorkerPool
from ..relations import Next
from ..runs import Run, merged_pieces, merged_rows, table_in_files
from ..table import Table, table_of
from .checkpoints import Checkpoints
from .job import Job, row_ranges
from .plan import Scanned

#: As what the sum is saved.
GROUP = "pairs"
#: The share of the memory that the sum may take; the rest is for chunks, and for what the sum and
#: its parts take together while it is written. Other directions are made of the whole sum.
_SHARE, _SHARE_DIRECTED = 0.4, 0.12
#: The first run is the largest; the others are merged into one where they are so many, and all
#: where the others are as large as the first. So what is on disk is never more than three times
#: the result and what memory holds, and an entry is written a few times only.
_MOST_RUNS = 16
#: Of fewer tokens than this in all, windows are counted in one row range.
_SMALL = 2**16


class PairSums:
    """A running sum: blocks added up here, or in a backend that keeps a sum itself, of which blocks
    come where its memory is full.

    Args:
        memory: bytes that the count may take.
        kept: where runs are saved.
    """

    def __init__(self, job: Job, pool: WorkerPool, memory: int, kept: Checkpoints) -> None:
        self._job, self._pool, self._kept = job, pool, kept
        self._weights = np.array(job.relation.weights, np.int64)
        self._given = memory
        is_forward = job.relation.direction == "forward"
        self._most = memory * (_SHARE if is_forward else _SHARE_DIRECTED)
        self._runs = kept.runs(GROUP)
        self._cuts: list[int] | None = None
        self._joined: JoinedRows | None = None
        self._begin()

    def _begin(self) -> None:
        job = self._job
        self._running = job.kernels.running_pairs(job.vocab_size, self._weights, job.source.total)
        self._accumulator = Accumulator(job.vocab_size, job.kernels, self._pool, self._cuts)
        self._is_empty = True

    @property
    def is_full(self) -> bool:
        """Whether it is time for `save`."""
        return self._nbytes > self._most

    @property
    def _nbytes(self) -> int:
        return self._accumulator.nbytes + (self._joined.nbytes if self._joined else 0)

    @property
    def by_ranges(self) -> bool:
        """Whether `count_range` counts the chunks, and `count` does not."""
        return self._running is None and not isinstance(self._job.relation, Next)

    def count(self, scanned: Scanned) -> list[Block]:
        """In any thread: the blocks that the caller is to add."""
        chunk, cancel = scanned.chunk, self._pool.cancel
        if self._running is not None:
            return self._running.add(chunk, cancel)
        return [self._job.kernels.next_pairs(chunk, cancel)]

    def ranges(self, scanned: Scanned) -> int:
        """How many row ranges a chunk is counted in: those of the first chunk for all.

        Threads share a chunk, so that it can be large, and what is merged afterwards little."""
        if self._cuts is None:
            total = self._job.source.total
            is_small = total is not None and total < _SMALL
            self._cuts = row_cuts(self._cost(scanned), [1] if is_small else self._shares())
            self._begin()
            if scanned.chunk.core == total:
                self._joined = JoinedRows(self._job.vocab_size, self._most_entries(scanned))
        return len(self._cuts) - 1

    def _shares(self) -> list[int]:
        """Of the work, range by range. The last are half as large, so that threads end together."""
        threads = self._pool.threads
        return [2] * (row_ranges(threads) - threads) + [1] * 2 * threads

    def _cost(self, scanned: Scanned) -> NDArray[np.int64]:
        """About the time that each row takes: an addition to a short row, often the first to its
        column, takes as long as three to a long one."""
        additions = scanned.chunk.histogram * len(self._weights)
        few: NDArray[np.int64] = np.minimum(additions, self._job.vocab_size // 8)
        return additions + 2 * few

    def _most_entries(self, scanned: Scanned) -> int:
        """Each occurrence gives its row an entry a distance at most, and a row has V at most."""
        vocab_size, reach = self._job.vocab_size, len(self._weights)
        occurrences = np.minimum(scanned.chunk.histogram, -(-vocab_size // reach))
        return int(np.minimum(occurrences * reach, vocab_size).sum())

    def count_range(self, scanned: Scanned, index: int) -> Block | None:
        """In any thread: the block of a row range, for `add_range`; None if it has joined the
        others already, as there is no other chunk."""
        assert self._cuts is not None
        begin, end = self._cuts[index : index + 2]
        block = self._job.kernels.window_pairs(
            scanned.chunk, self._weights, begin, end, self._pool.cancel
        )
        if self._joined is None:
            return block
        self._joined.put(index, block)
        return None

    def add(self, blocks: list[Block]) -> None:
        for block in blocks:
            self._accumulator.add(block)
            self._is_empty = False

    def add_range(self, index: int, block: Block | None) -> None:
        if block is not None:
            self._accumulator.add_range(index, block)

    def check_saving(self, tokens: int) -> None:
        """Raises MemoryLimitError: there is no folder to save to."""
        if self._kept.work is None:
            raise MemoryLimitError(
                f"memory: expected room for the counts, got {size_text(self._given)}: after "
                f"{tokens:,} tokens they took {size_text(self._nbytes)} of the "
                f"{size_text(int(self._most))} that are for them; give work_dir= to keep them in "
                "files, or more memory="
            )

    def save(self) -> list[Run]:
        """All sums so far as runs in files, which nobody has committed yet."""
        is_forward = self._job.relation.direction == "forward"
        if is_forward and self._running is None and self._joined is None:
            written = self._run(self._accumulator.drained())
        else:
            written = self._run(self._rows_of(self._parts()))
        self._begin()
        self._runs = self._merged([*self._runs, written])
        return self._runs

    def table(self, folder: Path | None) -> Table:
        """The sum, in memory or in files of a folder; empty afterwards."""
        columns, kernels, parts = self._job.vocab_size, self._job.kernels, self._parts()
        if folder is None:
            return table_of(_added(parts, kernels, self._pool), kernels, pool=self._pool)
        every: list[Entries] = [*(run.entries for run in self._runs), *parts]
        pieces = merged_pieces(every, columns, kernels, self._pool, self._given)
        return table_in_files(folder, pieces, columns, False)

    def _run(self, rows: Iterable[Block]) -> Run:
        columns = self._job.vocab_size
        writer = self._kept.writer(columns, False)
        for block in rows:
            writer.append(Csr(block.indptr, block.indices, block.data, columns))
        return writer.finished()

    def _rows_of(self, parts: Sequence[Entries]) -> Iterator[Block]:
        job = self._job
        return merged_rows(parts, job.vocab_size, job.kernels, self._pool, self._given)

    def _parts(self) -> list[Csr]:
        """What is in memory, which is empty afterwards: kernels count forward, and what the
        relation wants is the sum of these."""
        block = self._block()
        forward = Csr(block.indptr, block.indices, block.data, self._job.vocab_size)
        direction = self._job.relation.direction
        if direction == "forward":
            return [forward]
        return (
            [forward.transposed()] if direction == "backward" else [forward, forward.transposed()]
        )

    def _block(self) -> Block:
        if self._joined is not None:
            joined, self._joined = self._joined.csr(self._job.vocab_size), None
            return joined.block()
        if self._running is not None:
            blocks = self._running.take()
            if self._is_empty and len(blocks) == 1:
                return narrowed(blocks[0])
            self.add(blocks)
        return self._accumulator.result()

    def _merged(self, runs: list[Run]) -> list[Run]:
        """As few runs as the rules above want."""
        first, *others = runs
        size = sum(run.nbytes for run in others)
        if others and size >= first.nbytes:
            return [self._one(runs)]
        return [first, self._one(others)] if len(others) >= _MOST_RUNS else runs

    def _one(self, runs: list[Run]) -> Run:
        return self._run(self._rows_of([run.entries for run in runs]))


def _added(parts: list[Csr], kernels: Kernels, pool: WorkerPool) -> Csr:
    if len(parts) == 1:
        return parts[0]
    columns = parts[0].columns
    block = add_blocks([part.block() for part in parts], columns, kernels, pool)
    return Csr(block.indptr, block.indices, block.data, columns)
