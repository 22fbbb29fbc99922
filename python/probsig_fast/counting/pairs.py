"""`Next` and `Window`: each chunk gives a block of pairs, and blocks are added up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..accumulator import Accumulator, add_blocks
from ..csr import Csr
from ..kernels.contract import Block, Kernels
from ..pool import WorkerPool
from ..relations import Next, Relation
from ..table import Table, table_of
from .job import Job, Tally
from .plan import Scanned, Slice, scan_chunk


def count_pairs(
    job: Job, pool: WorkerPool, advance: Callable[[int], object]
) -> tuple[Table, Tally]:
    """The counts and what was summed beside them."""
    sums = _Sums(job, pool)
    tally = Tally.empty(job.vocab_size)
    look_ahead = len(job.relation.weights)

    def work(owned: Slice) -> tuple[Scanned, list[Block]]:
        scanned = scan_chunk(owned, job.boundaries, job.kernels, job.vocab_size, look_ahead)
        return scanned, sums.count(scanned)

    for scanned, blocks in pool.map(work, job.slices()):
        tally.add(scanned)
        sums.add(blocks)
        advance(scanned.chunk.core)
        del scanned, blocks  # else they would live until the next result is there
    block = _directed(sums.result(), job.relation, job.kernels, pool)
    entries = Csr(block.indptr, block.indices, block.data, job.vocab_size)
    return table_of(entries, job.kernels), tally


class _Sums:
    """The sum of all chunks' pairs: blocks added up here, or a running sum where a backend has one,
    of which blocks come where its memory is full."""

    def __init__(self, job: Job, pool: WorkerPool) -> None:
        self._job, self._cancel = job, pool.cancel
        self._weights = np.array(job.relation.weights, np.int64)
        self._running = job.kernels.running_pairs(job.vocab_size, self._weights, job.source.total)
        self._accumulator = Accumulator(job.vocab_size, job.kernels, pool)
        self._is_empty = True

    def count(self, scanned: Scanned) -> list[Block]:
        """In any thread: the blocks that the caller is to add."""
        chunk = scanned.chunk
        if self._running is not None:
            return self._running.add(chunk, self._cancel)
        if isinstance(self._job.relation, Next):
            return [self._job.kernels.next_pairs(chunk, self._cancel)]
        return [self._job.kernels.window_pairs(chunk, self._weights, self._cancel)]

    def add(self, blocks: list[Block]) -> None:
        for block in blocks:
            self._accumulator.add(block)
            self._is_empty = False

    def result(self) -> Block:
        """The sum; empty afterwards."""
        if self._running is not None:
            blocks = self._running.take()
            if self._is_empty and len(blocks) == 1:
                return blocks[0]
            self.add(blocks)
        return self._accumulator.result()


def _directed(block: Block, relation: Relation, kernels: Kernels, pool: WorkerPool) -> Block:
    """Kernels count forward; the other directions are made of the sum, once."""
    if relation.direction == "forward":
        return block
    columns = block.indptr.size - 1
    backward = Csr(block.indptr, block.indices, block.data, columns).transposed().block()
    if relation.direction == "backward":
        return backward
    return add_blocks([block, backward], columns, kernels, pool)
