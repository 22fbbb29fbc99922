"""What every backend promises. All of them return the same arrays for the same input.

Arrays in, arrays out: a kernel knows no files, sequences or relations, only one chunk of tokens
and the runs in it. Where a backend counts on a device, tokens, sets and spans may be arrays there
(`device.is_device_array`), which only its own kernels read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.uint16] | NDArray[np.uint32]


class Chunk(NamedTuple):
    """One chunk of tokens and the runs in it.

    Attributes:
        tokens: those that the chunk owns, then those that its last ones look ahead to.
        core: how many of them the chunk owns.
        run_starts, run_ends: int64, in order; runs [start, end) do not overlap.
        histogram: int64 [V]; `histogram[x]` is at least the number of x among the core's runs.
    """

    tokens: Tokens
    core: int
    run_starts: NDArray[np.int64]
    run_ends: NDArray[np.int64]
    histogram: NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """Counts as CSR: indices sorted within a row, none twice, no zeros.

    Attributes:
        indptr: int64 [rows + 1].
        indices: int32 [nnz], column ids.
        data: [nnz], above 0: int64, or int32 where a kernel knows that all fit.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    data: NDArray[np.int64] | NDArray[np.int32]


def row_range(block: Block, begin: int, end: int) -> Block:
    """Rows [begin, end) of a block, over its own memory."""
    low, high = block.indptr[begin], block.indptr[end]
    rows = block.indptr[begin : end + 1] - low
    return Block(rows, block.indices[low:high], block.data[low:high])


class Room(NamedTuple):
    """Memory for the entries of a block: int32 and int64, of as many elements."""

    indices: NDArray[np.int32]
    data: NDArray[np.int64]

    @classmethod
    def of(cls, entries: int) -> Room:
        return cls(np.empty(entries, np.int32), np.empty(entries, np.int64))


@dataclass(frozen=True)
class Scan:
    """One look at a chunk.

    Attributes:
        histogram: int64 [vocab_size], how often each id occurs among the first `core` tokens.
        cuts: int64, sorted: positions (in all tokens) of the ids in `cutting`.
        invalid: the lowest position of an id that is neither below `vocab_size` nor in `cutting`;
            -1 if there is none. The other fields mean nothing if there is one.
    """

    histogram: NDArray[np.int64]
    cuts: NDArray[np.int64]
    invalid: int


class Sets(NamedTuple):
    """The tokens of each run, each once.

    Attributes:
        indptr: int64 [runs + 1].
        ids: sorted within a run, in the tokens' type.
        multiplicity: int64 [ids.size], how often the run holds each; empty where not asked for.
    """

    indptr: NDArray[np.int64]
    ids: Tokens
    multiplicity: NDArray[np.int64]


class Spans(NamedTuple):
    """For each row, stretches of an array of ids: what every count over sets is a sum of.

    N[x, y] = sum over the spans s of row x of span_weights[s] x (the id_weights of the y in s).

    Attributes:
        ids: column ids.
        id_weights: int64 [ids.size], at least 0; empty: all 1.
        indptr: int64 [rows + 1], the spans of each row.
        bounds: uint32 [spans, 2], begin and end of each span in `ids`.
        span_weights: int64 [spans], at least 0; empty: all 1.
        head_ids: ids whose pairs with each other (and themselves) are not in spans; rising.
        head_bits: how the backend that made the spans keeps these pairs; nobody else reads it.
    """

    ids: Tokens
    id_weights: NDArray[np.int64]
    indptr: NDArray[np.int64]
    bounds: NDArray[np.uint32]
    span_weights: NDArray[np.int64]
    head_ids: Tokens = np.empty(0, np.uint16)
    head_bits: NDArray[np.uint64] | NDArray[np.uint8] = np.empty(0, np.uint64)

    def on_host(self) -> Spans:
        """The same in host arrays."""
        if isinstance(self.ids, np.ndarray):
            return self
        arrays = Spans(*map(np.asarray, self if self.head_ids.size else self[:6]))
        return arrays._replace(bounds=arrays.bounds.reshape(-1, 2))


class SetPairs(NamedTuple):
    """Sets whose pairs are to be summed, for a backend that makes no spans of them: the upper
    triangle of N[x, x'] = sets that hold both x and x'.

    Attributes:
        indptr, ids: as of `Sets`.
        frequency: int64 [V], how many sets hold each token.
        row_sums, column_sums: int64 [V], of N.
    """

    indptr: NDArray[np.int64]
    ids: Tokens
    frequency: NDArray[np.int64]
    row_sums: NDArray[np.int64]
    column_sums: NDArray[np.int64]


#: What sums are made of.
Summand = Spans | SetPairs
#: As `map`, perhaps in several threads.
Each = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


@dataclass(frozen=True)
class Rows:
    """A sparse float matrix by rows: `indptr` int64, `indices` int32, `values` float64."""

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    values: NDArray[np.float64]


class RunningPairs(Protocol):
    """A sum of pairs that a backend keeps where it counts. Threads may add at the same time."""

    def add(self, chunk: Chunk, cancel: NDArray[np.uint8]) -> list[Block]:
        """Add a chunk's pairs; blocks of the sum that its memory could not keep."""

    def take(self) -> list[Block]:
        """Blocks of what is left; those given so far and these add up to the sum."""


class Kernels(Protocol):
    """A backend's functions.

    `cancel` is a `uint8` array of one element, shared by the workers of one count: once it is not
    0, a kernel stops soon and returns whatever it has, which the caller throws away.
    """

    def load(self, tokens: Tokens) -> Tokens:
        """The tokens where the kernels read them: on a device, or as they are."""

    def load_spans(self, spans: Summand) -> Summand:
        """Likewise, for what waits to be summed."""

    def load_rows(self, rows: Rows) -> Rows:
        """Likewise, for a matrix that several calls read."""

    def chunk_tokens(self, usual: int, total: int | None, threads: int) -> int:
        """How many tokens a chunk should have, of `total`, where `usual` suit a processor."""

    def spans_memory(self, share: float) -> float:
        """Bytes that spans may take which wait, where those in host memory may take `share`."""

    def running_pairs(
        self, vocab_size: int, weights: NDArray[np.int64], total: int | None
    ) -> RunningPairs | None:
        """A running sum of what `window_pairs` counts, of about `total` tokens; None where blocks
        are to be added up instead."""

    def keep_memory(self, most: int) -> None:
        """Let up to so many bytes that were freed wait for the next call, until `release`."""

    def release(self) -> None:
        """Give back what is kept for the next call."""

    def waiting_bytes(self, summand: Summand) -> int:
        """What it takes until it was summed."""

    def prepared(self, parts: list[Any], each: Each) -> list[Any]:
        """All parts of one sum in the form in which `span_sums` reads them. `each` calls a function
        for each of some items."""

    def marginals(self, summand: Summand) -> NDArray[np.int64] | None:
        """int64 [3, V]: the sums of its rows and of its columns, and its diagonal, where they are
        known without it being summed."""

    def additions(self, spans: Summand) -> NDArray[np.int64]:
        """How many ids the spans of each row hold, its pairs of heads included; int64 [rows]."""

    def scan(self, tokens: Tokens, core: int, vocab_size: int, cutting: Tokens) -> Scan:
        """Histogram and cuts; `cutting` is sorted and of the tokens' type.

        The histogram counts the first `core` tokens; validity and cuts cover all of them.
        """

    def next_pairs(self, chunk: Chunk, cancel: NDArray[np.uint8]) -> Block:
        """N[x, y] = positions i < core with w_i = x, w_{i+1} = y in one run; square, of the
        histogram's size."""

    def window_pairs(
        self,
        chunk: Chunk,
        weights: NDArray[np.int64],
        row_begin: int,
        row_end: int,
        cancel: NDArray[np.uint8],
    ) -> Block:
        """N[x, y] = sum of weights[d - 1] over i < core and d with w_i = x, w_{i+d} = y in one run,
        of the rows x from `row_begin` to `row_end` - 1 only; columns as in the histogram.

        The caller keeps `core * sum(weights)` below 2^63.
        """

    def prefix_spans(self, chunk: Chunk, length: int, cancel: NDArray[np.uint8]) -> Spans:
        """The labels that each occurrence of a token is the last to precede.

        Row x has a span for each i < core with w_i = x in a run: from i + 1 to the run's end, but
        no further than i + length and the next x of the run, both included. Spans are in order of
        i; `ids` is the chunk's tokens, and there are no weights.
        """

    def sequence_sets(
        self,
        tokens: Tokens,
        run_starts: NDArray[np.int64],
        run_ends: NDArray[np.int64],
        vocab_size: int,
        multiplicity: bool,
        cancel: NDArray[np.uint8],
    ) -> Sets:
        """The set of each run's tokens, with their multiplicities if asked for."""

    def set_spans(self, sets: Sets, vocab_size: int) -> Summand:
        """What sums to the upper triangle of N[x, x'] = sets that hold both x and x'."""

    def group_spans(
        self, rows: Tokens, bounds: NDArray[np.uint32], n_rows: int
    ) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """`indptr` and `bounds` of spans of which the k-th belongs to row `rows[k]`; those of a
        row stay in order. The caller keeps rows below `n_rows`."""

    def span_sums(
        self,
        parts: list[Any],
        columns: int,
        row_begin: int,
        row_end: int,
        cancel: NDArray[np.uint8],
        room: Room,
    ) -> Block:
        """Rows [row_begin, row_end) of the sum of N over parts of as many rows and one type of id,
        as `prepared` returned them.

        The block may lie in `room`, if that is large enough: memory that is used again and again
        costs no page faults. The caller keeps ids below `columns`, and each row's sum below 2^63.
        """

    def merge(self, blocks: list[Block], columns: int) -> Block:
        """The sum of blocks of as many rows and of `columns` columns; at least one block.

        Their data may be int32, too. O(entries of all blocks).

        Raises:
            OverflowError: a sum past 2^63 - 1.
            IndexError: an index that is not from 0 to `columns` - 1.
            ValueError: a count below 1, or indices that do not rise within a row.
        """

    def block_sums(self, block: Block, columns: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The sums of a block's rows, int64 [rows], and of its columns, int64 [columns].

        Its data may be int32, too. O(entries + rows + columns).

        Raises:
            OverflowError: the sum of all is past 2^63 - 1.
            IndexError: an index that is not from 0 to `columns` - 1.
            ValueError: a count below 1.
        """

    def gram_squares(
        self,
        rows: Rows,
        columns: Rows,
        shift: float,
        row_begin: int,
        row_end: int,
        cancel: NDArray[np.uint8],
    ) -> NDArray[np.float64]:
        """Shares of sum over j != i of (p_i . p_j - shift)^2, i and j rows of a sparse matrix P,
        pairs with p_i . p_j = 0 included: float64 [rows of P]. The shares of ranges
        [row_begin, row_end) that tile all rows add up to the sums.

        `rows` is P by rows and `columns` the same matrix by columns (P'), its indices rising. A
        backend may count each pair once, with its higher row, and then adds the square to both.
        The order of all sums is fixed by P and the range. O(half the sum over the rows' entries of
        their column's length, and rows of P for each row).
        """

    def gram_row_squares(
        self,
        rows: Rows,
        columns: Rows,
        shift: float,
        chosen: NDArray[np.int64],
        cancel: NDArray[np.uint8],
    ) -> NDArray[np.float64]:
        """The whole sums of the rows `chosen`: float64 [chosen.size]."""

    def product_squares(
        self,
        columns: Rows,
        dense: NDArray[np.float64],
        begin: int,
        end: int,
        shares: bool,
        cancel: NDArray[np.uint8],
    ) -> tuple[float, NDArray[np.float64]]:
        """Of m_c = sum over the entries i of row c of P' (`columns`) of P'_ci x_i, x_i row i of
        `dense` [K, d], C-contiguous: the sum of |m_c|^2 over the rows c in [begin, end), and if
        `shares`, P'_ci (m_c . x_i) summed at each i, float64 [K] (else [0]), which sum to it.

        The order of all sums is fixed by the arguments. O(entries x d). Works on the host, in
        every backend.

        Raises:
            IndexError: an index that is not from 0 to K - 1.
        """
