"""The chunk plan: which tokens a kernel call sees, and where runs lie in them.

A chunk owns the positions [begin, begin + core) of one stream. It is read with up to `look_ahead`
tokens more, so that the pairs that its last tokens begin are counted in it and nowhere else; where
whole sequences are counted, it is read to the end of the last one that starts in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..boundaries import Boundaries, Runs, Specials, find_runs
from ..errors import TokenRangeError
from ..kernels.contract import Chunk, Kernels, Scan, Tokens
from ..pool import WorkerPool
from ..sources.stream import Stream

#: How far back one step looks for the last boundary before a chunk.
_SEARCH_STEP = 2**20
#: Tokens from which on threads share the look at a chunk.
_SHARED = 2**20


@dataclass(frozen=True)
class Slice:
    """Positions [begin, begin + core) of `stream`.

    Attributes:
        anchor: position at which the sequence that `begin` lies in starts.
    """

    stream: Stream
    begin: int
    core: int
    anchor: int


@dataclass(frozen=True)
class Scanned:
    """A chunk's tokens and what one look at them said.

    Attributes:
        chunk: what kernels count; its histogram is of the counted tokens it owns.
        starts, ends: int64; the runs that start in it, which are whole only where it was read to
            the end of the last.
        eos_seen: whether one of the tokens it owns is eos.
        row_ends: the counted tokens it owns that are the last of one of the source's sequences;
            none where the rules count them as any other.
    """

    chunk: Chunk
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    eos_seen: bool
    row_ends: NDArray[Any]


def plan(stream: Stream, boundaries: Boundaries, chunk_tokens: int) -> Iterator[Slice]:
    """The chunks of one stream, in order."""
    specials = boundaries.specials(stream.dtype)
    anchor = 0
    for begin in range(0, len(stream), chunk_tokens):
        # Only `sequence_length` needs the exact place; without it, all that matters is whether a
        # boundary lies at `begin` itself.
        floor = begin - (chunk_tokens if boundaries.sequence_length else 1)
        anchor = max(anchor, last_start(stream, specials, max(floor, 0), begin))
        yield Slice(stream, begin, min(chunk_tokens, len(stream) - begin), anchor)


def scan_chunk(
    owned: Slice,
    boundaries: Boundaries,
    kernels: Kernels,
    vocab_size: int,
    look_ahead: int | None,
    pool: WorkerPool | None = None,
) -> Scanned:
    """Read a chunk, check its ids and find its runs.

    Args:
        look_ahead: how many tokens to read beyond it; None: to the end of the last sequence that
            starts in it.
        pool: whose threads share the look at a large chunk.

    Raises:
        TokenRangeError: an id outside the vocabulary that is not ignored.
    """
    stream, begin = owned.stream, owned.begin
    specials = boundaries.specials(stream.dtype)
    if look_ahead is None:
        end = sequence_end(owned, specials, boundaries)
    else:
        end = min(begin + owned.core + look_ahead, len(stream))
    tokens = kernels.load(stream.read(begin, end))
    scan = _scan(tokens, owned.core, vocab_size, specials.cutting, kernels, pool)
    if scan.invalid >= 0:
        position = begin + scan.invalid
        token_id = int(stream.raw(position, position + 1)[0])
        name, offset = stream.locate(position)
        raise TokenRangeError(token_id, offset, name, vocab_size)
    runs = find_runs(
        tokens.size,
        stream.starts_within(begin, begin + tokens.size) - begin,
        scan.cuts,
        scan.cuts[np.isin(tokens[scan.cuts], specials.uncounted)],
        boundaries.sequence_length,
        owned.anchor - begin,
    )
    histogram = scan.histogram
    eos_seen = bool(specials.eos.size) and bool(histogram[specials.eos[0]] > 0)
    histogram[specials.uncounted[specials.uncounted < histogram.size]] = 0
    starting = _starting(owned, runs, boundaries.sequence_length)
    return Scanned(
        Chunk(tokens, owned.core, runs.starts, runs.ends, histogram),
        runs.starts[starting],
        runs.ends[starting],
        eos_seen,
        _row_ends(owned, tokens, specials, boundaries),
    )


def _scan(
    tokens: Tokens,
    core: int,
    vocab_size: int,
    cutting: Tokens,
    kernels: Kernels,
    pool: WorkerPool | None,
) -> Scan:
    if pool is None or tokens.size < _SHARED:
        return kernels.scan(tokens, core, vocab_size, cutting)
    cuts = np.linspace(0, tokens.size, pool.threads + 1).astype(int).tolist()

    def look(piece: tuple[int, int]) -> Scan:
        begin, end = piece
        own = min(max(core - begin, 0), end - begin)
        return kernels.scan(tokens[begin:end], own, vocab_size, cutting)

    scans = list(zip(cuts, pool.map(look, pairwise(cuts)), strict=False))
    for begin, scan in scans:
        if scan.invalid >= 0:
            return replace(scan, invalid=begin + scan.invalid)
    histogram = np.sum([scan.histogram for _, scan in scans], axis=0)
    return Scan(histogram, np.concatenate([begin + scan.cuts for begin, scan in scans]), -1)


def _row_ends(
    owned: Slice, tokens: NDArray[Any], specials: Specials, boundaries: Boundaries
) -> NDArray[Any]:
    if boundaries.count_row_ends:
        return np.empty(0, np.int64)
    stream, begin = owned.stream, owned.begin
    starts = stream.starts_within(begin + 1, begin + owned.core + 1)
    if begin + owned.core == len(stream):
        starts = np.union1d(starts, [len(stream)])
    ends = np.asarray(tokens[starts - begin - 1])
    return ends[~np.isin(ends, specials.uncounted)]


def _starting(owned: Slice, runs: Runs, length: int | None) -> slice:
    """The runs that start in a chunk: not one that goes on from before it, nor one beyond it."""
    inside = owned.begin - owned.anchor
    begins_sequence = inside % length == 0 if length else inside == 0
    goes_on = runs.starts.size > 0 and runs.starts[0] == 0 and not begins_sequence
    return slice(int(goes_on), int(np.searchsorted(runs.starts, owned.core)))


def sequence_end(owned: Slice, specials: Specials, boundaries: Boundaries) -> int:
    """Where the sequence that holds a chunk's last token ends, if it starts in the chunk; else
    the chunk's end."""
    stream, end = owned.stream, owned.begin + owned.core
    start = max(owned.anchor, last_start(stream, specials, owned.begin, end))
    length = boundaries.sequence_length
    if start == end or (start < owned.begin and not length):
        return end
    limit = len(stream)
    if length:
        limit = min(limit, end + -(end - start) % length)
    for low in range(end, limit, _SEARCH_STEP):
        high = min(low + _SEARCH_STEP, limit)
        cuts = np.flatnonzero(np.isin(stream.read(low, high), specials.cutting)) + low + 1
        edges = np.concatenate([stream.starts_within(low, high), cuts])
        if edges.size:
            return int(edges.min())
    return limit


def last_start(stream: Stream, specials: Specials, floor: int, position: int) -> int:
    """The last boundary at or before `position`; the source's last one if that is later than
    `floor`, or if no other is."""
    known = stream.last_start(position)
    floor = max(known, floor)
    if not specials.cutting.size:
        return known
    for high in range(position, floor, -_SEARCH_STEP):
        low = max(high - _SEARCH_STEP, floor)
        found = np.flatnonzero(np.isin(stream.read(low, high), specials.cutting))
        if found.size:
            return low + int(found[-1]) + 1
    return known
