"""Adds kernel blocks up: few at a time, row range by row range, in parallel."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .errors import CountOverflowError, CountsFileError
from .joined_rows import JoinedRows, is_wide
from .kernels.contract import Block, Kernels, row_range
from .pool import WorkerPool

#: Row ranges that a large sum is kept in, at least, and for each thread. Each is added up for
#: itself, and its old parts are freed then: so the most that exists twice is a few ranges.
RANGES, RANGES_PER_THREAD = 16, 4
#: So many entries may wait however small the sum is: 64 MiB, or 96 with counts of 64 bits.
_LAZY = 2**23
#: Bytes of an entry as kernels give it.
ENTRY_BYTES = 12
#: Below so many entries a sum is kept in one range.
_SMALL = 2**16


class Accumulator:
    """A running sum of square blocks.

    New blocks wait until they hold a third as many entries as the sum does, or 8 million: so an
    entry is merged a few times only, and what waits is small beside the result. The sum's ranges
    own their memory; what waits is freed once all ranges have taken their part of it.

    Args:
        cuts: where the ranges begin, and the number of rows; None: found when blocks come, which
            then are whole.
    """

    def __init__(
        self, rows: int, kernels: Kernels, pool: WorkerPool, cuts: list[int] | None = None
    ) -> None:
        self._columns, self._kernels, self._pool = rows, kernels, pool
        self._cuts = np.array([0, rows] if cuts is None else cuts)
        # By row range: the sum so far, then the pieces that wait.
        self._ranges: list[list[Block]] = [[] for _ in self._cuts[1:]]
        self._summed = self._waiting = 0

    def add(self, block: Block) -> None:
        blocks = [block]
        self._waiting += block.data.size
        if len(self._ranges) == 1 and self._summed + self._waiting > _SMALL:
            blocks = [*self._ranges[0], block]
            self._cuts = _row_cuts(blocks, self._pool)
            self._ranges = [[] for _ in self._cuts[1:]]
        for each in blocks:
            for held, piece in zip(self._ranges, _split(each, self._cuts), strict=True):
                held.append(piece)
        self._merge_if_many()

    def add_range(self, index: int, block: Block) -> None:
        """A block of the rows of one range; each range gets as many as the others."""
        self._waiting += block.data.size
        self._ranges[index].append(block)
        self._merge_if_many()

    def _merge_if_many(self) -> None:
        if self._waiting >= max(self._summed // 3, _LAZY):
            self._merge()

    @property
    def nbytes(self) -> int:
        """Of the sum so far and of what waits."""
        return (self._summed + self._waiting) * ENTRY_BYTES

    def result(self) -> Block:
        """The sum, its counts in 32 bits where all fit; the accumulator is empty afterwards."""
        ranges, self._ranges = self._ranges, []
        if not ranges[0]:
            return empty_block(self._columns)
        return _sum_of(ranges, self._columns, self._kernels, self._pool)

    def drained(self) -> Iterator[Block]:
        """The sum, row range by row range; the accumulator is empty afterwards."""
        self._merge()
        sums = [blocks[0] for blocks in self._ranges if blocks][::-1]
        self._ranges = []
        if not sums:
            yield empty_block(self._columns)
        while sums:
            yield sums.pop()

    def _merge(self) -> None:
        unmerged = [index for index, blocks in enumerate(self._ranges) if len(blocks) > 1]
        for _ in self._pool.map(self._merge_range, unmerged):
            pass
        self._summed = sum(block.data.size for blocks in self._ranges for block in blocks)
        self._waiting = 0

    def _merge_range(self, index: int) -> None:
        blocks, self._ranges[index] = self._ranges[index], []
        self._ranges[index] = [narrowed(merged(blocks, self._columns, self._kernels))]


def narrowed(block: Block) -> Block:
    """Its counts in 32 bits, if all fit."""
    if is_wide(block):
        return block
    return Block(block.indptr, block.indices, block.data.astype(np.int32, copy=False))


def empty_block(rows: int) -> Block:
    return Block(np.zeros(rows + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.int32))


def add_blocks(blocks: list[Block], columns: int, kernels: Kernels, pool: WorkerPool) -> Block:
    """The sum of blocks of one shape.

    Raises:
        CountOverflowError: a sum past 2^63 - 1.
        CountsFileError: an index outside the columns, or a count below 1.
    """
    cuts = _row_cuts(blocks, pool)
    pieces = zip(*(_split(block, cuts) for block in blocks), strict=True)
    return _sum_of([list(each) for each in pieces], columns, kernels, pool)


def _sum_of(ranges: list[list[Block]], columns: int, kernels: Kernels, pool: WorkerPool) -> Block:
    """The sum of the blocks of each row range, one below the other. Each is freed once it is summed
    and copied, and new pages are the work of several threads."""
    rows = sum(blocks[0].indptr.size - 1 for blocks in ranges)
    joined = JoinedRows(rows, sum(block.data.size for blocks in ranges for block in blocks))

    def work(index: int) -> None:
        blocks, ranges[index] = ranges[index], []
        joined.put(index, merged(blocks, columns, kernels) if len(blocks) > 1 else blocks[0])

    for _ in pool.map(work, range(len(ranges))):
        pass
    return joined.csr(columns).block()


def merged(blocks: list[Block], columns: int, kernels: Kernels) -> Block:
    """The sum of blocks, its failures told as the package's own; as `add_blocks` raises."""
    try:
        return kernels.merge(blocks, columns)
    except OverflowError as error:
        raise CountOverflowError("counts: a sum passed 2^63 - 1") from error
    except (IndexError, ValueError) as error:  # only a damaged file holds such entries
        raise CountsFileError(str(error)) from error


def _row_cuts(blocks: list[Block], pool: WorkerPool) -> NDArray[np.int64]:
    """Where to cut the rows into ranges of about equally many entries."""
    entries = np.sum([block.indptr for block in blocks], axis=0)
    ranges = max(RANGES, RANGES_PER_THREAD * pool.threads) if entries[-1] > _SMALL else 1
    return _cuts(entries, [1] * ranges)


def row_cuts(weight: NDArray[np.int64], shares: list[int]) -> list[int]:
    """Where to cut rows into ranges whose weights, such as additions, are to each other about as
    these: int64 [rows]. The first cut is 0, the last the number of rows."""
    spread = weight + 1  # so that rows of no weight are spread, too
    cuts: list[int] = _cuts(np.concatenate([[0], np.cumsum(spread)]), shares).tolist()
    return cuts


def _cuts(running: NDArray[np.int64], shares: list[int]) -> NDArray[np.int64]:
    """Rows at which these running sums [rows + 1] pass each of parts of these shares."""
    passed = np.cumsum(shares)
    inner = np.searchsorted(running, running[-1] * passed[:-1] // passed[-1])
    return np.unique(np.concatenate([[0], inner, [running.size - 1]]))


def row_pieces(block: Block, ranges: int) -> list[Block]:
    """The block's rows in so many ranges of about equally many entries, over its own memory; few
    entries in one."""
    return _split(block, _cuts(block.indptr, [1] * (ranges if block.data.size > _SMALL else 1)))


def _split(block: Block, cuts: NDArray[np.int64]) -> list[Block]:
    """The block's row ranges, over its own memory."""
    return [row_range(block, begin, end) for begin, end in pairwise(cuts.tolist())]
