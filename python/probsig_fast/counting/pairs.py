"""`Next` and `Window`: each chunk gives a block of pairs, and blocks are added up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from ..kernels.contract import Block
from ..pool import WorkerPool
from ..table import Table
from .checkpoints import Checkpoints, Chunks
from .job import Job, Tally
from .pair_sums import GROUP, PairSums
from .plan import Scanned, Slice, scan_chunk


def count_pairs(
    job: Job,
    slices: Iterable[Slice],
    pool: WorkerPool,
    advance: Callable[[int], object],
    memory: int,
    kept: Checkpoints,
) -> tuple[Table, Tally]:
    """The counts of these chunks, and what was summed beside them; in files where there is a
    `work_dir`."""
    sums = PairSums(job, pool, memory, kept)
    tally = kept.tally(job.vocab_size)
    look_ahead = len(job.relation.weights)

    def work(owned: Slice) -> tuple[Scanned, list[Block]]:
        scanned = scan_chunk(owned, job.boundaries, job.kernels, job.vocab_size, look_ahead)
        return scanned, sums.count(scanned)

    chunks = Chunks(slices, kept.chunks, advance)
    while not chunks.is_over:
        turn = chunks.turn(lambda: kept.is_due or sums.is_full)
        for scanned, blocks in pool.map(work, turn):
            tally.add(scanned)
            sums.add(blocks)
            advance(scanned.chunk.core)
            del scanned, blocks  # else they would live until the next result is there
        if not chunks.is_over:
            began = time.monotonic()
            sums.check_saving(tally.n_read)
            kept.commit(chunks.done, tally, {GROUP: sums.save()}, began)
    return sums.table(kept.work.folder if kept.work else None), tally
