"""The CUDA kernels (`csrc/cuda`) in the form of `contract.Kernels`.

What comes in host arrays goes back in host arrays; what comes in arrays on the device stays there.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _cuda
from ..budget import memory_budget
from ..device import is_device_array
from .contract import (
    Block,
    Chunk,
    Each,
    Kernels,
    Room,
    Rows,
    RunningPairs,
    Scan,
    Sets,
    Spans,
    Tokens,
    row_range,
)
from .host import add_heads, waiting_bytes

#: What this file calls and the module lacks: an old build beside newer Python files.
MISSING = [
    name
    for name in (
        *("Array", "RunningPairs", "from_host", "from_dlpack", "device_info", "release_memory"),
        *("scan", "prefix_spans", "sequence_sets", "set_spans", "group_spans", "additions"),
        *("span_sums", "gram_squares"),
    )
    if not hasattr(_cuda, name)
]

#: Bytes of device memory that counts may take; unset: four fifths of what is free.
VARIABLE = "PROBSIG_DEVICE_MEMORY"
_FREE_SHARE = 0.8
#: Shares of the budget: a running sum of pairs or spans that wait to be summed, never both, and the
#: chunks that threads hold, each of which takes about so many bytes a token on its way.
_PAIRS_SHARE, _SPANS_SHARE, _CHUNKS_SHARE = 0.5, 0.4, 0.3
_CHUNK_BYTES = 32
#: Tokens a chunk at most, and at least, unless memory is short: handing one out should take less
#: than counting it (not measured yet). Between the two, so many chunks, that one may be copied
#: while another is counted.
_MOST_CHUNK, _LEAST_CHUNK, _CHUNKS = 2**27, 2**24, 4
_NO_WEIGHTS = np.empty(0, np.int64)
_NO_HEADS = np.empty(0, np.uint8)


class CudaKernels:
    """The kernels on one device.

    Args:
        device: CUDA's number of it.
        host: adds up what is on the host.
    """

    def __init__(self, device: int, host: Kernels) -> None:
        self.device = device
        self._host = host
        self.merge = host.merge
        self.block_sums = host.block_sums

    def set_budget(self) -> None:
        """Read anew how much memory there is."""
        given = os.environ.get(VARIABLE)
        if given:
            budget = memory_budget(given, VARIABLE)
        else:
            free = _cuda.device_info(self.device)[4]
            budget = int(free * _FREE_SHARE) + _cuda.memory_in_use(self.device)
        _cuda.set_memory_budget(self.device, budget)

    def load(self, tokens: Tokens) -> Tokens:
        there: Tokens = self._array(tokens)
        return there

    def load_spans(self, spans: Spans) -> Spans:
        if is_device_array(spans.ids):
            return spans
        head_bits = spans.head_bits if spans.head_ids.size else _NO_HEADS
        arrays = {name: self._array(array) for name, array in spans._asdict().items()}
        return Spans(**{**arrays, "head_ids": spans.head_ids, "head_bits": self._array(head_bits)})

    def load_rows(self, rows: Rows) -> Rows:
        return Rows(*(self._array(array) for array in (rows.indptr, rows.indices, rows.values)))

    def chunk_tokens(self, usual: int, total: int | None, threads: int) -> int:
        share = _cuda.memory_budget(self.device) * _CHUNKS_SHARE
        fitting = max(min(int(share / (threads + 2) / _CHUNK_BYTES), _MOST_CHUNK), 1)
        if total is None:
            return fitting
        return min(fitting, max(-(-total // _CHUNKS), _LEAST_CHUNK))

    def spans_memory(self, share: float) -> float:
        return _cuda.memory_budget(self.device) * _SPANS_SHARE

    def running_pairs(
        self, vocab_size: int, weights: NDArray[np.int64], total: int | None
    ) -> RunningPairs:
        budget = int(_cuda.memory_budget(self.device) * _PAIRS_SHARE)
        known = -1 if total is None else total
        return _RunningPairs(
            self, _cuda.RunningPairs(self.device, vocab_size, weights, known, budget)
        )

    def keep_memory(self, most: int) -> None:
        self._host.keep_memory(most)

    def release(self) -> None:
        _cuda.release_memory(self.device)
        self._host.release()

    def waiting_bytes(self, spans: Spans) -> int:
        return waiting_bytes(spans)

    def prepared(self, parts: list[Any], each: Each) -> list[Any]:
        return parts

    def marginals(self, spans: Spans) -> None:
        return None

    def additions(self, spans: Spans) -> NDArray[np.int64]:
        there = self.load_spans(spans)
        sums = _cuda.additions(there.indptr, there.bounds)
        add_heads(sums, there.head_ids)
        return sums

    def scan(self, tokens: Tokens, core: int, vocab_size: int, cutting: Tokens) -> Scan:
        histogram, cuts, invalid = _cuda.scan(self._array(tokens), core, vocab_size, cutting)
        return Scan(histogram, cuts, invalid)

    def next_pairs(self, chunk: Chunk, cancel: NDArray[np.uint8]) -> Block:
        return self.window_pairs(chunk, np.ones(1, np.int64), 0, chunk.histogram.size, cancel)

    def window_pairs(
        self,
        chunk: Chunk,
        weights: NDArray[np.int64],
        row_begin: int,
        row_end: int,
        cancel: NDArray[np.uint8],
    ) -> Block:
        # All rows: counts go by `running_pairs` here, and nobody asks for a few.
        running = self.running_pairs(chunk.histogram.size, weights, chunk.core)
        rows = chunk.histogram.size
        none = Block(np.zeros(rows + 1, np.int64), np.empty(0, np.int32), np.empty(0, np.int64))
        blocks = [*running.add(chunk, cancel), *running.take()] or [none]
        block = blocks[0] if len(blocks) == 1 else self.merge(blocks, rows)
        return row_range(block, row_begin, row_end)

    def prefix_spans(self, chunk: Chunk, length: int, cancel: NDArray[np.uint8]) -> Spans:
        tokens = self._array(chunk.tokens)
        indptr, bounds = _cuda.prefix_spans(tokens, *chunk[1:], length, cancel)
        none, heads = self._array(_NO_WEIGHTS), self._array(_NO_HEADS)
        spans = Spans(tokens, none, indptr, bounds, none, head_bits=heads)
        return spans if is_device_array(chunk.tokens) else spans.on_host()

    def sequence_sets(
        self,
        tokens: Tokens,
        run_starts: NDArray[np.int64],
        run_ends: NDArray[np.int64],
        vocab_size: int,
        multiplicity: bool,
        cancel: NDArray[np.uint8],
    ) -> Sets:
        there = self._array(tokens)
        arrays = _cuda.sequence_sets(there, run_starts, run_ends, vocab_size, multiplicity, cancel)
        return Sets(*arrays if is_device_array(tokens) else map(np.asarray, arrays))

    def set_spans(self, sets: Sets, vocab_size: int) -> Spans:
        ids, (indptr, bounds), head_ids, head_bits = _cuda.set_spans(
            self._array(sets.indptr), self._array(sets.ids), vocab_size
        )
        none = self._array(_NO_WEIGHTS)
        spans = Spans(ids, none, indptr, bounds, none, head_ids, head_bits)
        return spans if is_device_array(sets.ids) else spans.on_host()

    def group_spans(
        self, rows: Tokens, bounds: NDArray[np.uint32], n_rows: int
    ) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        indptr, grouped = _cuda.group_spans(self._array(rows), self._array(bounds), n_rows)
        if is_device_array(rows):
            return indptr, grouped
        return np.asarray(indptr), np.asarray(grouped).reshape(-1, 2)

    def span_sums(
        self,
        parts: list[Spans],
        columns: int,
        row_begin: int,
        row_end: int,
        cancel: NDArray[np.uint8],
        room: Room,
    ) -> Block:
        loaded = [self.load_spans(part) for part in parts]
        arrays = [(*part[:5], part.head_ids.astype(part.ids.dtype), part[6]) for part in loaded]
        return Block(*_cuda.span_sums(arrays, columns, row_begin, row_end, cancel, *room))

    def gram_squares(
        self,
        rows: Rows,
        columns: Rows,
        shift: float,
        row_begin: int,
        row_end: int,
        cancel: NDArray[np.uint8],
    ) -> NDArray[np.float64]:
        """Whole rows: each pair twice, and no sum that threads race for."""
        by_row, by_column = self._loaded(rows), self._loaded(columns)
        shares = np.zeros(by_row[0].size - 1)
        shares[row_begin:row_end] = _cuda.gram_squares(
            by_row, by_column, shift, row_begin, row_end, cancel
        )
        return shares

    def gram_row_squares(
        self,
        rows: Rows,
        columns: Rows,
        shift: float,
        chosen: NDArray[np.int64],
        cancel: NDArray[np.uint8],
    ) -> NDArray[np.float64]:
        by_row, by_column = self._loaded(rows), self._loaded(columns)
        result = np.zeros(chosen.size)
        cuts = np.flatnonzero(np.diff(chosen) != 1) + 1
        for run in np.split(np.arange(chosen.size), cuts):  # neighbours go in one launch
            if run.size:
                begin, end = int(chosen[run[0]]), int(chosen[run[-1]]) + 1
                result[run] = _cuda.gram_squares(by_row, by_column, shift, begin, end, cancel)
        return result

    def _loaded(self, rows: Rows) -> tuple[Any, Any, Any]:
        loaded = self.load_rows(rows)
        return loaded.indptr, loaded.indices, loaded.values

    def product_squares(
        self,
        columns: Rows,
        dense: NDArray[np.float64],
        begin: int,
        end: int,
        shares: bool,
        cancel: NDArray[np.uint8],
    ) -> tuple[float, NDArray[np.float64]]:
        """A dense matrix in host memory: what the best of the host's backends makes of it."""
        return self._host.product_squares(columns, dense, begin, end, shares, cancel)

    def _array(self, array: Any) -> Any:
        """On this device; 2-D arrays as their numbers one after the other."""
        if is_device_array(array):
            return array
        return _cuda.from_host(np.ascontiguousarray(array).reshape(-1), self.device)


class _RunningPairs:
    """`contract.RunningPairs` on a device."""

    def __init__(self, kernels: CudaKernels, sums: _cuda.RunningPairs) -> None:
        self._kernels, self._sums = kernels, sums

    def add(self, chunk: Chunk, cancel: NDArray[np.uint8]) -> list[Block]:
        tokens = self._kernels.load(chunk.tokens)
        return [Block(*block) for block in self._sums.add(tokens, *chunk[1:], cancel)]

    def take(self) -> list[Block]:
        return [Block(*block) for block in self._sums.take()]


_ON: dict[int, CudaKernels] = {}


def kernels_on(device: int, host: Kernels) -> CudaKernels:
    """One object a device, so that its budget is one."""
    return _ON.setdefault(device, CudaKernels(device, host))
