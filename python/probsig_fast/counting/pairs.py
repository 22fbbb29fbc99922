"""`Next` and `Window`: each chunk gives a block of pairs, and blocks are added up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from ..kernels.contract import Block
from ..pool import WorkerPool
from ..runs import Run
from ..table import Table
from .checkpoints import Checkpoints
from .job import Job, Tally
from .pair_sums import GROUP, PairSums
from .plan import Scanned, Slice, scan_chunk


class Task(NamedTuple):
    """A row range of a chunk."""

    scanned: Scanned
    row_range: int
    of: int

    @property
    def core(self) -> int:
        """Its share of the chunk's tokens, for whoever looks at the progress."""
        core = self.scanned.chunk.core
        return core * (self.row_range + 1) // self.of - core * self.row_range // self.of


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

    def scan(owned: Slice, threads: WorkerPool | None = None) -> Scanned:
        return scan_chunk(owned, job.boundaries, job.kernels, job.vocab_size, look_ahead, threads)

    def work(owned: Slice) -> tuple[Scanned, list[Block]]:
        scanned = scan(owned)
        return scanned, sums.count(scanned)

    def count(chunks: Iterator[Slice]) -> None:
        for scanned, blocks in pool.map(work, chunks):
            tally.add(scanned)
            sums.add(blocks)
            advance(scanned.chunk.core)
            del scanned, blocks  # else they would live until the next result is there

    def tasks(chunks: Iterator[Slice]) -> Iterator[Task]:
        for scanned in (scan(each, pool) for each in chunks):
            ranges = sums.ranges(scanned)
            yield from (Task(scanned, index, ranges) for index in range(ranges))
            del scanned

    def work_on_range(task: Task) -> tuple[Task, Block | None]:
        return task, sums.count_range(task.scanned, task.row_range)

    def count_by_ranges(chunks: Iterator[Slice]) -> None:
        for task, block in pool.map(work_on_range, tasks(chunks)):
            if task.row_range == 0:
                tally.add(task.scanned)
            sums.add_range(task.row_range, block)
            advance(task.core)
            del task, block

    def save() -> dict[str, list[Run]]:
        sums.check_saving(tally.n_read)
        return {GROUP: sums.save()}

    way = count_by_ranges if sums.by_ranges else count
    kept.run(slices, advance, tally, way, lambda: sums.is_full, save)
    return sums.table(kept.work.folder if kept.work else None), tally
