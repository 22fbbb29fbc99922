"""`Next` and `Window`: each chunk gives a block of pairs, and blocks are added up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ..kernels.contract import Block
from ..pool import WorkerPool
from ..runs import Run
from ..table import Table
from .checkpoints import Checkpoints
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

    def count(chunks: Iterator[Slice]) -> None:
        for scanned, blocks in pool.map(work, chunks):
            tally.add(scanned)
            sums.add(blocks)
            advance(scanned.chunk.core)
            del scanned, blocks  # else they would live until the next result is there

    def save() -> dict[str, list[Run]]:
        sums.check_saving(tally.n_read)
        return {GROUP: sums.save()}

    kept.run(slices, advance, tally, count, lambda: sums.is_full, save)
    return sums.table(kept.work.folder if kept.work else None), tally
