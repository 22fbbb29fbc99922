"""A part of a count: some of its chunks, counted in memory. Parts add up to the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..csr import Csr
from ..pool import WorkerPool
from ..relations import Prefix, SameSequence
from .checkpoints import Checkpoints
from .job import Job, Tally
from .pairs import count_pairs
from .plan import Slice
from .sets import count_sets


@dataclass(frozen=True)
class Part:
    """The counts of some chunks.

    Attributes:
        entries: N [V, V]; for `SameSequence` its upper triangle.
        tally: what was summed beside the counts.
        third: with a focus, its third-order counts as in `ThirdOrder`.
    """

    entries: Csr
    tally: Tally
    third: Csr | None = None


def count_part(
    job: Job,
    slices: Iterable[Slice],
    pool: WorkerPool,
    memory: int,
    advance: Callable[[int], object] = lambda tokens: None,
) -> Part:
    """The counts of these chunks of the job's plan, in any order and number.

    Args:
        memory: bytes that it may take.
        advance: is told of each chunk's tokens once they are counted.

    Raises:
        MemoryLimitError: the counts pass their share of it.
        TokenRangeError, SourceError, CountOverflowError: as `count` does.
    """
    kept = Checkpoints(None)
    if isinstance(job.relation, (Prefix, SameSequence)):
        table, third, tally = count_sets(job, slices, pool, advance, memory, kept)
        return Part(table.entries.csr(), tally, third.table.entries.csr() if third else None)
    table, tally = count_pairs(job, slices, pool, advance, memory, kept)
    return Part(table.entries.csr(), tally)
