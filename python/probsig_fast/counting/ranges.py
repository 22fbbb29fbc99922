"""Sums of spans by row ranges: each range is counted over everything at once, and no row twice.

Counts over sets have so many distinct pairs that to merge chunk after chunk would take longer than
to count. So chunks only give spans (see `kernels.contract.Spans`); once a batch of them is there,
row ranges are summed, in parallel, and handed on in order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from queue import LifoQueue
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..accumulator import ENTRY_BYTES, empty_block, merged
from ..budget import size_text
from ..csr import Csr
from ..errors import MemoryLimitError
from ..joined_rows import ENTRY_BYTES as JOINED_BYTES
from ..joined_rows import JoinedRows
from ..kernels.contract import Block, Kernels, Room, Summand
from ..pool import WorkerPool
from ..runs import Run, table_in_files
from ..sums import checked_total
from ..table import Marginals, PieceSums, Table
from .checkpoints import Checkpoints

#: The share of the memory that the C library keeps once it was freed; of the rest, what a batch of
#: spans may take, and the counts.
_ALLOCATOR_SHARE = 0.1
_BATCH_SHARE = 0.2
_RESULT_SHARE = 0.5
#: Of a batch where counts are in files.
_DISK_BATCH_SHARE = 0.25
#: Entries that a range may have at most: the fewer, the better threads share the work; the more,
#: the more rows find the sets of others in the cache.
_RANGE_ENTRIES = 2**23
#: What kernels may write beyond the entries of a block.
_SLACK = 64
#: Ranges a thread at least, of about equally many additions.
_RANGES_PER_THREAD = 16

Result = TypeVar("Result")
_Free = Callable[[], object]


@dataclass
class Batch:
    """Spans that wait to be summed, and the additions that each row of them takes."""

    additions: NDArray[np.float64]
    parts: list[Summand] = field(default_factory=list)
    nbytes: int = 0

    @classmethod
    def empty(cls, rows: int) -> Batch:
        return cls(np.zeros(rows))

    def add(self, spans: Summand, kernels: Kernels) -> None:
        self.additions += kernels.additions(spans)
        self.parts.append(spans)
        self.nbytes += kernels.waiting_bytes(spans)


class RangeSums:
    """The sum of batches of spans, kept by row ranges: in memory, or as a run in files.

    Args:
        rows, columns: of the sum.
        is_triangle: no row has entries left of its diagonal.
        memory: bytes that spans and sums may take together.
        kept: where sums are saved; without a `work_dir` they stay in memory, and it is an error if
            they do not fit.
        group: as what they are saved there.
        fits: the caller knows that the sum fits.
        is_share: `memory` is only a share of what the user gave.
        advice: what the user may give where it does not fit.
    """

    def __init__(
        self,
        rows: int,
        columns: int,
        is_triangle: bool,
        kernels: Kernels,
        pool: WorkerPool,
        memory: int,
        kept: Checkpoints | None = None,
        group: str = "sets",
        fits: bool = False,
        is_share: bool = False,
        advice: str = "work_dir= to keep row ranges in files, or more memory=",
    ) -> None:
        self._rows, self._columns, self._is_triangle = rows, columns, is_triangle
        self._kernels, self._pool = kernels, pool
        self._memory = memory * (1 - _ALLOCATOR_SHARE)
        self._fits = fits
        self._given = size_text(memory) + (" as their share" if is_share else "")
        self._advice = advice
        self._batch = Batch.empty(rows)
        #: What `Kernels.marginals` gives, of everything, while that is known.
        self._known: NDArray[np.int64] | None = None
        self._is_known = True
        self._ranges: list[tuple[int, int]] = []
        self._held = _Held()
        self._kept = kept if kept and kept.work else None
        self.group = group
        self._runs = kept.runs(group) if kept else []

    @property
    def is_full(self) -> bool:
        """Whether it is time for `save`."""
        return self._kept is not None and self._batch.nbytes > self._most_waiting(_DISK_BATCH_SHARE)

    def add(self, spans: Summand, growth: float = 1.0) -> None:
        """Take the spans of one chunk; `growth`: the whole is so many times what came so far."""
        spans = self._kernels.load_spans(spans)
        self._batch.add(spans, self._kernels)
        more = self._kernels.marginals(spans)
        self._is_known &= more is not None
        if more is not None:
            self._known = more if self._known is None else self._known + more
        if self._kept is None and self._batch.nbytes > self._most_waiting(_BATCH_SHARE):
            for index, (block, _) in enumerate(self._summed(growth)):
                self._held.keep(index, block)
                self._check_room(self._held.nbytes, index)

    def save(self) -> list[Run]:
        """All sums so far as a run in files, which nobody has committed yet."""
        if self._batch.parts:
            assert self._kept is not None
            writer = self._kept.writer(self._columns, self._is_triangle)
            for block, _ in self._summed(1.0):
                writer.append(Csr(block.indptr, block.indices, block.data, self._columns))
            self._runs = [writer.finished()]
        return self._runs

    def table(self, folder: Path | None = None) -> Table:
        """The sum, in memory or in files of a folder; empty afterwards."""
        if folder is not None:
            pieces = ((block, _there(sums)) for block, sums in self._summed(1.0, last=True))
            return table_in_files(folder, pieces, self._columns, self._is_triangle)
        marginals, joined = Marginals(self._columns), JoinedRows(self._rows, self._most())
        known = self._known if self._is_known and not self._runs else None
        if known is not None:
            marginals.add(PieceSums(known[0], known[1], checked_total(known[0])))

        def join(index: int, block: Block, free: _Free) -> tuple[int, PieceSums | None]:
            sums = self._marginals(block) if known is None else None
            joined.put(index, block, free)
            return block.data.size, sums

        entries = 0
        for index, (size, sums) in enumerate(self._each_range(1.0, join)):
            if sums is not None:
                marginals.add(sums)
            self._held.drop(index)
            entries += size
            self._check_room(entries * joined.entry_bytes, index)
        diagonal = known[2] if known is not None else None
        return marginals.table(joined.csr(self._columns), self._is_triangle, diagonal)

    def _most_waiting(self, share: float) -> float:
        return self._kernels.spans_memory(self._memory * share)

    def _summed(
        self, growth: float, last: bool = False
    ) -> Iterator[tuple[Block, PieceSums | None]]:
        """Each range in order, what waits added to it, and at last its marginals.

        Blocks lie in memory that is used again once the next one is asked for.
        """

        def hand_on(_: int, block: Block, free: _Free) -> tuple[Block, PieceSums | None, _Free]:
            return block, self._marginals(block) if last else None, free

        for block, sums, free in self._each_range(growth, hand_on):
            yield block, sums
            free()

    def _each_range(
        self, growth: float, use: Callable[[int, Block, _Free], Result]
    ) -> Iterator[Result]:
        """What `use` makes of each range, what waits added to it, in order. It is called by the
        thread that summed the range, and sees that its last argument is called when the block's
        memory may be used again."""
        if not self._ranges or self._kept:  # what is held in memory is held by range
            self._ranges = self._cut(growth)
        rooms = self._rooms()
        parts = self._kernels.prepared(_of_one_type(self._batch.parts), self._pool.map)
        self._batch = Batch.empty(self._rows)

        def work(index: int) -> Result:
            room = rooms.get()
            return use(index, self._sum(index, parts, room), lambda: rooms.put(room))

        yield from self._pool.map(work, range(len(self._ranges)))

    def _marginals(self, block: Block) -> PieceSums:
        return PieceSums.of(block, self._columns, self._kernels)

    def _rooms(self) -> LifoQueue[Room]:
        """One for each block that there is at a time: see `WorkerPool.map`. What was in use last
        comes first, as it may still be in the cache."""
        bounds = np.concatenate([[0], np.cumsum(self._bounds(1.0))])
        most = max((bounds[end] - bounds[begin] for begin, end in self._ranges), default=0)
        rooms: LifoQueue[Room] = LifoQueue()
        for _ in range(self._pool.threads + 2):
            rooms.put(Room.of(int(most) + _SLACK))
        return rooms

    def _sum(self, index: int, parts: list[Any], room: Room) -> Block:
        begin, end = self._ranges[index]
        blocks = [run.entries.between(begin, end).block() for run in self._runs]
        blocks += self._held.blocks(index)
        if parts:
            cancel = self._pool.cancel
            blocks.append(self._kernels.span_sums(parts, self._columns, begin, end, cancel, room))
        if not blocks:
            return empty_block(end - begin)
        return blocks[0] if len(blocks) == 1 else merged(blocks, self._columns, self._kernels)

    def _check_room(self, held: int, index: int) -> None:
        if not self._fits and held > self._memory * _RESULT_SHARE:
            raise MemoryLimitError(
                f"memory: expected room for the counts, got {self._given}, half of it for counts: "
                f"they took {size_text(held)} at row {self._ranges[index][1]:,} of "
                f"{self._rows:,}; give {self._advice}"
            )

    def _most(self) -> int:
        """A bound of the entries there will be in memory."""
        limit = (
            self._rows * self._columns
            if self._fits
            else self._memory * _RESULT_SHARE / JOINED_BYTES
        )
        return int(min(limit, self._bounds(1.0).sum() + self._held.entries))

    def _cut(self, growth: float) -> list[tuple[int, int]]:
        """Row ranges of so few entries that a thread's share of the memory holds one, and of so few
        additions that threads end together."""
        share = self._memory * (1 - _BATCH_SHARE - _RESULT_SHARE) / ENTRY_BYTES
        most_entries = max(min(_RANGE_ENTRIES, share / (2 * self._pool.threads + 2)), 1)
        additions = self._batch.additions
        most_additions = max(additions.sum() / (_RANGES_PER_THREAD * self._pool.threads), 1)
        running = np.cumsum(self._bounds(growth) / most_entries + additions / most_additions)
        ranges = math.ceil(running[-1]) or 1
        inner = np.searchsorted(running, running[-1] * np.arange(1, ranges) / ranges)
        cuts = np.unique(np.concatenate([[0], inner, [self._rows]])).tolist()
        return list(pairwise(cuts))

    def _bounds(self, growth: float) -> NDArray[np.float64]:
        """How many entries each row has at most, were there `growth` times as much waiting."""
        widest = self._columns - (np.arange(self._rows) if self._is_triangle else 0)
        saved = sum((np.diff(run.entries.indptr) for run in self._runs), np.zeros(self._rows))
        bounds: NDArray[np.float64] = np.minimum(self._batch.additions * growth + saved, widest)
        return bounds


class _Held:
    """Sums of ranges in memory, for the batches that come."""

    def __init__(self) -> None:
        self._blocks: dict[int, Block] = {}
        self.entries = 0

    @property
    def nbytes(self) -> int:
        return self.entries * ENTRY_BYTES

    def keep(self, index: int, block: Block) -> None:
        """A copy, in the place of what was held of that range."""
        self.drop(index)
        self._blocks[index] = Block(block.indptr, block.indices.copy(), block.data.copy())
        self.entries += block.data.size

    def drop(self, index: int) -> None:
        old = self._blocks.pop(index, None)
        self.entries -= old.data.size if old else 0

    def blocks(self, index: int) -> list[Block]:
        return [self._blocks[index]] if index in self._blocks else []


def _there(sums: PieceSums | None) -> PieceSums:
    assert sums is not None
    return sums


def _of_one_type(parts: list[Summand]) -> list[Summand]:
    """Kernels take ids of one type; sequences of several types give several."""
    if len({part.ids.dtype for part in parts}) == 1:
        return parts
    return [part._replace(ids=part.ids.astype(np.uint32)) for part in parts]
