"""Adds kernel blocks up: few at a time, in parallel over row ranges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .errors import CountOverflowError, CountsFileError
from .kernels.contract import Block, Kernels
from .pool import WorkerPool

#: Below so many entries a merge is not worth splitting over threads.
_PARALLEL_ENTRIES = 2**16
#: Row ranges a thread, so that an unlucky split does not leave the others idle.
_TASKS_PER_THREAD = 4


class Accumulator:
    """A running sum of square blocks.

    New blocks wait until they hold as many entries as the sum does: so an entry is merged a few
    times only, and no more waits than the result itself takes.
    """

    def __init__(self, rows: int, kernels: Kernels, pool: WorkerPool) -> None:
        self._rows, self._kernels, self._pool = rows, kernels, pool
        self._total: Block | None = None
        self._waiting: list[Block] = []

    def add(self, block: Block) -> None:
        self._waiting.append(block)
        total = 0 if self._total is None else self._total.data.size
        if sum(waiting.data.size for waiting in self._waiting) >= total:
            self._merge()

    def result(self) -> Block:
        self._merge()
        if self._total is None:
            return empty_block(self._rows)
        return self._total

    def _merge(self) -> None:
        blocks = ([self._total] if self._total is not None else []) + self._waiting
        self._waiting, self._total = [], None
        if blocks:
            self._total = add_blocks(blocks, self._kernels, self._pool)


def empty_block(rows: int) -> Block:
    return Block(np.zeros(rows + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.int64))


def add_blocks(blocks: list[Block], kernels: Kernels, pool: WorkerPool) -> Block:
    """The sum of blocks of one shape.

    Raises:
        CountOverflowError: a sum past 2^63 - 1.
        CountsFileError: an index outside the columns, or a count below 1.
    """
    if len(blocks) == 1:
        return blocks[0]
    cuts = _row_cuts(blocks, pool.threads)
    ranges = list(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True))
    try:
        parts = list(pool.map(lambda rows: kernels.merge(blocks, *rows), ranges))
    except OverflowError as error:
        raise CountOverflowError("counts: a sum passed 2^63 - 1") from error
    except (IndexError, ValueError) as error:  # only a damaged file holds such entries
        raise CountsFileError(str(error)) from error
    return _stack(parts)


def _row_cuts(blocks: list[Block], threads: int) -> NDArray[np.int64]:
    """Row ranges of about equally many entries."""
    entries = np.sum([block.indptr for block in blocks], axis=0)
    rows = entries.size - 1
    tasks = threads * _TASKS_PER_THREAD if entries[-1] > _PARALLEL_ENTRIES and threads > 1 else 1
    inner = np.searchsorted(entries, entries[-1] * np.arange(1, tasks) // tasks)
    return np.unique(np.concatenate([[0], inner, [rows]]))


def _stack(parts: list[Block]) -> Block:
    """Row ranges one below the other."""
    if len(parts) == 1:
        return parts[0]
    offsets = np.cumsum([0, *(part.data.size for part in parts)])
    indptr = [part.indptr[:-1] + offset for part, offset in zip(parts, offsets, strict=False)]
    return Block(
        np.concatenate([*indptr, offsets[-1:]]),
        np.concatenate([part.indices for part in parts]),
        np.concatenate([part.data for part in parts]),
    )
