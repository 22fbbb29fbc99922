"""Sums of spans by row ranges: each range is counted over everything at once, and no row twice.

Counts over sets have so many distinct pairs that to merge chunk after chunk would take longer than
to count. So chunks only give spans (see `kernels.contract.Spans`); once a batch of them is there,
row ranges are summed, in parallel, and handed on in order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..accumulator import empty_block, merged
from ..budget import size_text
from ..csr import Csr
from ..errors import MemoryLimitError
from ..kernels.contract import Block, Kernels, Room, Spans
from ..pool import WorkerPool
from ..row_files import RowFiles
from ..table import Marginals, PieceSums, Table

#: Bytes of an entry as kernels give it, and as the result keeps it while counts fit 32 bits.
ENTRY_BYTES = 12
_JOINED_BYTES = 8
#: The share of the memory that the C library keeps once it was freed; of the rest, what a batch of
#: spans may take, and the counts.
_ALLOCATOR_SHARE = 0.1
_BATCH_SHARE = 0.2
_RESULT_SHARE = 0.5
#: Entries that a range may have at most: the fewer, the better threads share the work.
_RANGE_ENTRIES = 2**21
#: What kernels may write beyond the entries of a block.
_SLACK = 64
#: Ranges a thread at least, of about equally many additions.
_RANGES_PER_THREAD = 16


@dataclass
class Batch:
    """Spans that wait to be summed, and the additions that each row of them takes."""

    additions: NDArray[np.float64]
    parts: list[Spans] = field(default_factory=list)
    nbytes: int = 0

    @classmethod
    def empty(cls, rows: int) -> Batch:
        return cls(np.zeros(rows))

    def add(self, spans: Spans, additions: NDArray[np.int64]) -> None:
        self.additions += additions
        self.parts.append(spans)
        self.nbytes += sum(array.nbytes for array in spans)


class RangeSums:
    """The sum of batches of spans, kept by row ranges: in memory, or in files once that is full.

    Args:
        rows, columns: of the sum.
        is_triangle: no row has entries left of its diagonal.
        memory: bytes that spans and sums may take together.
        work_dir: where sums that memory cannot hold are kept; None: that is an error.
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
        work_dir: Path | None = None,
        fits: bool = False,
        is_share: bool = False,
        advice: str = "work_dir= to keep row ranges in files, or more memory=",
    ) -> None:
        self._rows, self._columns, self._is_triangle = rows, columns, is_triangle
        self._kernels, self._pool = kernels, pool
        self._memory = memory * (1 - _ALLOCATOR_SHARE)
        self._work_dir, self._fits = work_dir, fits
        self._given = size_text(memory) + (" as their share" if is_share else "")
        self._advice = advice
        self._batch = Batch.empty(rows)
        self._ranges: list[tuple[int, int]] = []
        self._kept: dict[int, Block] = {}
        self._held = 0
        self._files: RowFiles | None = None

    def add(self, spans: Spans, growth: float = 1.0) -> None:
        """Take the spans of one chunk; `growth`: the whole is so many times what came so far."""
        spans = self._kernels.load_spans(spans)
        self._batch.add(spans, self._kernels.additions(spans))
        if self._batch.nbytes > self._kernels.spans_memory(self._memory * _BATCH_SHARE):
            for index, (block, _) in enumerate(self._summed(growth)):
                self._keep(index, block)

    def table(self) -> Table:
        """The sum; empty afterwards."""
        marginals, joined = Marginals(self._columns), JoinedRows(self._rows, self._most())
        for index, (block, piece) in enumerate(self._summed(1.0, last=True)):
            assert piece is not None
            marginals.add(piece)
            self._finish(index, block, joined)
        entries = joined.csr(self._columns) if self._files is None else self._files.finished()
        return marginals.table(entries, self._is_triangle)

    def discard(self) -> None:
        """Delete what was written, so that the folder can be used again."""
        if self._files is not None:
            self._files.remove()

    def _summed(
        self, growth: float, last: bool = False
    ) -> Iterator[tuple[Block, PieceSums | None]]:
        """Each range in order, what waits added to it, and at last its marginals.

        Blocks lie in memory that is used again once the next one is asked for.
        """
        if not self._ranges:
            self._ranges = self._cut(growth)
        rooms = self._rooms()
        parts, self._batch = _of_one_type(self._batch.parts), Batch.empty(self._rows)

        def work(index: int) -> tuple[Block, Room, PieceSums | None]:
            room = rooms.get()
            block = self._sum(index, parts, room)
            return block, room, PieceSums.of(block, self._columns, self._kernels) if last else None

        for block, room, sums in self._pool.map(work, range(len(self._ranges))):
            yield block, sums
            rooms.put(room)

    def _rooms(self) -> SimpleQueue[Room]:
        """One for each block that there is at a time: see `WorkerPool.map`."""
        bounds = np.concatenate([[0], np.cumsum(self._bounds(1.0))])
        most = max((bounds[end] - bounds[begin] for begin, end in self._ranges), default=0)
        rooms: SimpleQueue[Room] = SimpleQueue()
        for _ in range(self._pool.threads + 2):
            rooms.put(Room.of(int(most) + _SLACK))
        return rooms

    def _sum(self, index: int, parts: list[Spans], room: Room) -> Block:
        begin, end = self._ranges[index]
        blocks = [block] if (block := self._before(index)) else []
        if parts:
            cancel = self._pool.cancel
            blocks.append(self._kernels.span_sums(parts, self._columns, begin, end, cancel, room))
        if not blocks:
            return empty_block(end - begin)
        return blocks[0] if len(blocks) == 1 else merged(blocks, self._columns, self._kernels)

    def _before(self, index: int) -> Block | None:
        """The sum of a range so far; in this order, as `_spill` may run meanwhile."""
        kept = self._kept.get(index)
        if kept is None and self._files is not None and index in self._files:
            return self._files.block(index)
        return kept

    def _keep(self, index: int, block: Block) -> None:
        """Hold a range for the batches that come."""
        if self._files is None:
            old = self._kept.get(index)
            self._kept[index] = Block(block.indptr, block.indices.copy(), block.data.copy())
            self._held += (block.data.size - (old.data.size if old else 0)) * ENTRY_BYTES
            self._check_room(self._held, index, lambda: sorted(self._kept.items()))
        else:
            self._files.write(index, block)

    def _finish(self, index: int, block: Block, joined: JoinedRows) -> None:
        """Hold a range for the result."""
        self._kept.pop(index, None)
        if self._files is None:
            joined.append(block)
            self._check_room(
                joined.nbytes,
                index,
                lambda: enumerate(joined.split(self._ranges[: index + 1])),
            )
        else:
            self._files.write(index, block)

    def _check_room(
        self, held: int, index: int, blocks: Callable[[], Iterable[tuple[int, Block]]]
    ) -> None:
        """From memory to files, where what is held passes its share of the memory."""
        if self._fits or held <= self._memory * _RESULT_SHARE:
            return
        if self._work_dir is None:
            raise MemoryLimitError(
                f"memory: expected room for the counts, got {self._given}, half of it for counts: "
                f"they took {size_text(held)} at row {self._ranges[index][1]:,} of "
                f"{self._rows:,}; give {self._advice}"
            )
        files = RowFiles.create(self._work_dir, self._ranges, self._columns, self._is_triangle)
        self._files = files
        for each, block in blocks():
            files.write(each, block)
            self._kept.pop(each, None)  # only now: `_before` finds it in one place or the other
        self._held = 0

    def _most(self) -> int:
        """A bound of the entries there will be in memory."""
        limit = (
            self._rows * self._columns
            if self._fits
            else self._memory * _RESULT_SHARE / _JOINED_BYTES
        )
        kept = sum(block.data.size for block in self._kept.values())
        return int(min(limit, self._bounds(1.0).sum() + kept))

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
        bounds: NDArray[np.float64] = np.minimum(self._batch.additions * growth, widest)
        return bounds


class JoinedRows:
    """Row ranges joined as they come, in arrays that have room for all: what is not written takes
    no memory. Counts are kept in 32 bits while they fit."""

    def __init__(self, rows: int, most: int) -> None:
        self._indptr = np.zeros(rows + 1, np.int64)
        self._rows = self._size = 0
        self._indices = _room(most, np.int32)
        self._stored: NDArray[np.integer] = _room(most, np.int32)

    @property
    def nbytes(self) -> int:
        return self._size * (self._indices.itemsize + self._stored.itemsize)

    def append(self, block: Block) -> None:
        rows, size = block.indptr.size - 1, block.data.size
        self._fit(block)
        self._indptr[self._rows + 1 : self._rows + rows + 1] = block.indptr[1:] + self._size
        new = slice(self._size, self._size + size)
        self._indices[new], self._stored[new] = block.indices, block.data
        self._rows, self._size = self._rows + rows, self._size + size

    def split(self, ranges: list[tuple[int, int]]) -> Iterator[Block]:
        """Back into ranges; the arrays are given up afterwards."""
        for begin, end in ranges:
            indptr = self._indptr[begin : end + 1]
            part = slice(indptr[0], indptr[-1])
            yield Block(
                indptr - indptr[0], self._indices[part].copy(), self._stored[part].astype(np.int64)
            )
        self._indices, self._stored = _room(0, np.int32), _room(0, np.int32)

    def csr(self, columns: int) -> Csr:
        """The whole; empty afterwards."""
        for array in (self._indices, self._stored):
            array.resize(self._size, refcheck=False)
        return Csr(self._indptr, self._indices, self._stored, columns)

    def _fit(self, block: Block) -> None:
        needed = self._size + block.data.size
        if needed > self._indices.size:
            more = max(needed, self._indices.size + self._indices.size // 2)
            for array in (self._indices, self._stored):
                array.resize(more, refcheck=False)
        if self._stored.dtype == np.int32 and block.data.size and block.data.max() >= 2**31:
            self._stored = self._stored.astype(np.int64)


def _room(entries: int, dtype: type[np.integer]) -> NDArray[Any]:
    try:
        return np.empty(entries, dtype)
    except MemoryError:  # where a system counts even what is not touched
        return np.empty(0, dtype)


def _of_one_type(parts: list[Spans]) -> list[Spans]:
    """Kernels take ids of one type; sequences of several types give several."""
    if len({part.ids.dtype for part in parts}) == 1:
        return parts
    return [part._replace(ids=part.ids.astype(np.uint32)) for part in parts]
