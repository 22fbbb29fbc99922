"""`Prefix` and `SameSequence`: each chunk gives spans, which are summed by row ranges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from ..device import is_device_array
from ..kernels.contract import Kernels, Sets, Spans, Summand
from ..pool import WorkerPool
from ..relations import Prefix, SameSequence
from ..table import Table
from ..third_order import ThirdOrder
from .checkpoints import Checkpoints
from .focus import FocusSums, check_third_order
from .job import Job, Tally
from .plan import Scanned, Slice, scan_chunk
from .ranges import RangeSums

NO_WEIGHTS = np.empty(0, np.int64)


def count_sets(
    job: Job,
    slices: Iterable[Slice],
    pool: WorkerPool,
    advance: Callable[[int], object],
    memory: int,
    kept: Checkpoints,
) -> tuple[Table, ThirdOrder | None, Tally]:
    """The counts of these chunks, the third-order counts of the focus, and what was summed beside
    them; the counts in files where there is a `work_dir`."""
    is_triangle = isinstance(job.relation, SameSequence)
    size, focus = job.vocab_size, None
    if job.focus:
        memory //= 2
        fits = check_third_order(len(job.focus), size, size, _most_third_order(job), memory)
        focus = FocusSums(job.focus, size, size, job.kernels, pool, memory, fits, kept)
    sums = RangeSums(
        size, size, is_triangle, job.kernels, pool, memory, kept, is_share=bool(job.focus)
    )
    everything = [sums, *(focus.sums if focus else [])]
    tally = kept.tally(size)

    def work(owned: Slice) -> tuple[Scanned, Summand, list[Spans]]:
        look_ahead = job.relation.length if isinstance(job.relation, Prefix) else None
        scanned = scan_chunk(owned, job.boundaries, job.kernels, size, look_ahead)
        spans = _spans(job, scanned, pool.cancel)
        return scanned, spans, _restricted(job, owned, focus, pool.cancel) if focus else []

    def count(chunks: Iterator[Slice]) -> None:
        for scanned, spans, restricted in pool.map(work, chunks):
            tally.add(scanned)
            sums.add(spans, (job.source.total or tally.n_read) / max(tally.n_read, 1))
            if focus:
                focus.add(restricted)
            advance(scanned.chunk.core)
            del scanned, spans, restricted  # else they would live until the next result is there

    kept.run(
        slices,
        advance,
        tally,
        count,
        lambda: any(each.is_full for each in everything),
        lambda: {each.group: each.save() for each in everything},
    )
    folder = kept.work.folder if kept.work else None
    return sums.table(folder), focus.result() if focus else None, tally


def _restricted(job: Job, owned: Slice, focus: FocusSums, cancel: NDArray[np.uint8]) -> list[Spans]:
    """Third order goes by labels: those of the chunk, with all the tokens before them."""
    assert isinstance(job.relation, Prefix)
    begin = max(owned.begin - job.relation.length, owned.anchor)
    behind = owned.begin - begin
    wider = Slice(owned.stream, begin, owned.core + behind, owned.anchor)
    scanned = scan_chunk(wider, job.boundaries, job.kernels, job.vocab_size, 0)
    spans = job.kernels.prefix_spans(scanned.chunk, job.relation.length, cancel)
    return focus.restricted(spans, behind)


def _most_third_order(job: Job) -> int | None:
    """A bound of the entries of third-order counts: each token adds to at most `length` labels."""
    if job.source.total is None or not isinstance(job.relation, Prefix):
        return None
    return len(job.focus) * job.source.total * job.relation.length


def _spans(job: Job, scanned: Scanned, cancel: NDArray[np.uint8]) -> Summand:
    if isinstance(job.relation, Prefix):
        spans = job.kernels.prefix_spans(scanned.chunk, job.relation.length, cancel)
        if is_device_array(spans.ids):
            return spans
        # Spans wait for their batch; views of a file's tokens would keep it open as long.
        return spans._replace(ids=spans.ids.copy())
    sets = job.kernels.sequence_sets(
        scanned.chunk.tokens, scanned.starts, scanned.ends, job.vocab_size, False, cancel
    )
    return job.kernels.set_spans(sets, job.vocab_size)


def weighted_set_spans(sets: Sets, vocab_size: int, kernels: Kernels) -> Spans:
    """For each token, and each set that holds it, the ids of the set from the token on, with
    multiplicities: the upper triangle of N_{x,x'} = sum_i m_ix m_ix'."""
    ends = np.repeat(sets.indptr[1:], np.diff(sets.indptr))
    bounds = np.stack([np.arange(ends.size), ends], axis=1).astype(np.uint32)
    indptr, bounds = kernels.group_spans(sets.ids, bounds, vocab_size)
    weights = sets.multiplicity[bounds[:, 0]]
    return Spans(sets.ids, sets.multiplicity, indptr, bounds, weights)
