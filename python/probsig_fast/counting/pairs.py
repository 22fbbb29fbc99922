"""`Next` and `Window`: each chunk gives a block of pairs, and blocks are added up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

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
    accumulator = Accumulator(job.vocab_size, job.kernels, pool)
    tally = Tally.empty(job.vocab_size)
    look_ahead = len(job.relation.weights)

    def work(owned: Slice) -> tuple[Scanned, Block]:
        scanned = scan_chunk(owned, job.boundaries, job.kernels, job.vocab_size, look_ahead)
        return scanned, _pairs(job, scanned, pool.cancel)

    for scanned, block in pool.map(work, job.slices()):
        tally.add(scanned)
        accumulator.add(block)
        advance(scanned.chunk.core)
        del scanned, block  # else they would live until the next result is there
    block = _directed(accumulator.result(), job.relation, job.kernels, pool)
    entries = Csr(block.indptr, block.indices, block.data, job.vocab_size)
    return table_of(entries, job.kernels), tally


def _pairs(job: Job, scanned: Scanned, cancel: NDArray[np.uint8]) -> Block:
    if isinstance(job.relation, Next):
        return job.kernels.next_pairs(scanned.chunk, cancel)
    weights = np.array(job.relation.weights, np.int64)
    return job.kernels.window_pairs(scanned.chunk, weights, cancel)


def _directed(block: Block, relation: Relation, kernels: Kernels, pool: WorkerPool) -> Block:
    """Kernels count forward; the other directions are made of the sum, once."""
    if relation.direction == "forward":
        return block
    columns = block.indptr.size - 1
    backward = Csr(block.indptr, block.indices, block.data, columns).transposed().block()
    if relation.direction == "backward":
        return backward
    return add_blocks([block, backward], columns, kernels, pool)
