"""The chunk plan: which tokens a kernel call sees, and where runs lie in them.

A chunk owns the positions [begin, begin + core) of one stream. It is read with up to `look_ahead`
tokens more, so that the pairs that its last tokens begin are counted in it and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..boundaries import Boundaries, Runs, Specials, find_runs
from ..errors import TokenRangeError
from ..kernels.contract import Kernels, Scan, Tokens
from ..sources.stream import Stream

#: How far back one step looks for the last boundary before a chunk.
_SEARCH_STEP = 2**20


@dataclass(frozen=True)
class Chunk:
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
    """A chunk's tokens and all that kernels need to know of them."""

    tokens: Tokens
    core: int
    runs: Runs
    histogram: NDArray[np.int64]
    n_sequences: int
    eos_seen: bool


def plan(stream: Stream, boundaries: Boundaries, chunk_tokens: int) -> Iterator[Chunk]:
    """The chunks of one stream, in order."""
    specials = boundaries.specials(stream.dtype)
    anchor = 0
    for begin in range(0, len(stream), chunk_tokens):
        previous = max(begin - chunk_tokens, 0)
        anchor = max(anchor, _last_start(stream, specials, boundaries, previous, begin))
        yield Chunk(stream, begin, min(chunk_tokens, len(stream) - begin), anchor)


def scan_chunk(
    chunk: Chunk, boundaries: Boundaries, kernels: Kernels, vocab_size: int, look_ahead: int
) -> Scanned:
    """Read a chunk, check its ids and find its runs.

    Raises:
        TokenRangeError: an id outside the vocabulary that is not ignored.
    """
    stream, begin = chunk.stream, chunk.begin
    end = min(begin + chunk.core + look_ahead, len(stream))
    tokens = stream.read(begin, end)
    specials = boundaries.specials(stream.dtype)
    scan = kernels.scan(tokens, chunk.core, vocab_size, specials.cutting)
    if scan.invalid >= 0:
        position = begin + scan.invalid
        token_id = int(stream.raw(position, position + 1)[0])
        name, offset = stream.locate(position)
        raise TokenRangeError(token_id, offset, name, vocab_size)
    return _scanned(chunk, boundaries, specials, tokens, scan)


def _scanned(
    chunk: Chunk, boundaries: Boundaries, specials: Specials, tokens: Tokens, scan: Scan
) -> Scanned:
    length = boundaries.sequence_length
    runs = find_runs(
        tokens.size,
        chunk.stream.starts_within(chunk.begin, chunk.begin + tokens.size) - chunk.begin,
        scan.cuts,
        scan.cuts[np.isin(tokens[scan.cuts], specials.uncounted)],
        length,
        chunk.anchor - chunk.begin,
    )
    inside = chunk.begin - chunk.anchor
    begins_sequence = inside % length == 0 if length else inside == 0
    starting = int(np.searchsorted(runs.starts, chunk.core))
    if starting and runs.starts[0] == 0 and not begins_sequence:
        starting -= 1
    histogram = scan.histogram
    eos_seen = bool(specials.eos.size) and histogram[specials.eos[0]] > 0
    histogram[specials.uncounted[specials.uncounted < histogram.size]] = 0
    return Scanned(tokens, chunk.core, runs, histogram, starting, bool(eos_seen))


def _last_start(
    stream: Stream, specials: Specials, boundaries: Boundaries, previous: int, begin: int
) -> int:
    """The last boundary at or before `begin`; `previous` at the least if none lies after it.

    Only `sequence_length` needs the exact place; without it, all that matters is whether a
    boundary lies at `begin` itself.
    """
    known = stream.last_start(begin)
    if not specials.cutting.size or begin == 0:
        return known
    floor = max(known, previous if boundaries.sequence_length else begin - 1)
    for high in range(begin, floor, -_SEARCH_STEP):
        low = max(high - _SEARCH_STEP, floor)
        found = np.flatnonzero(np.isin(stream.read(low, high), specials.cutting))
        if found.size:
            return low + int(found[-1]) + 1
    return known
