"""Chunks that can be sent: with the tokens and boundaries that they are counted by, and no more."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..boundaries import Boundaries
from ..counting.plan import Slice, last_start, sequence_end
from ..relations import Prefix, Relation, SameSequence
from ..sources.stream import Part, Stream


def excerpt(owned: Slice, relation: Relation, boundaries: Boundaries) -> Slice:
    """The same chunk at the same positions, of a stream that has only what its count reads."""
    stream, end = owned.stream, owned.begin + owned.core
    # One token more than the chunk: whether the stream goes on says whether its last sequence ends.
    reach, low = 1, owned.begin
    if isinstance(relation, SameSequence):
        whole = sequence_end(owned, boundaries.specials(stream.dtype), boundaries)
        reach = max(whole - end, reach)
    elif isinstance(relation, Prefix):  # third-order counts look behind
        reach, low = relation.length, max(low - relation.length, 0)
    else:
        reach = len(relation.weights)
    return replace(owned, stream=_trimmed(stream, low, min(end + reach, len(stream))))


def halved(owned: Slice, boundaries: Boundaries, chunk_tokens: int) -> list[Slice]:
    """The chunk as two, each with the place at which its first sequence starts."""
    middle = owned.begin + owned.core // 2
    specials = boundaries.specials(owned.stream.dtype)
    floor = middle - (chunk_tokens if boundaries.sequence_length else 1)
    anchor = max(owned.anchor, last_start(owned.stream, specials, max(floor, 0), middle))
    end = owned.begin + owned.core
    return [
        replace(owned, core=middle - owned.begin),
        Slice(owned.stream, middle, end - middle, anchor),
    ]


def _trimmed(stream: Stream, low: int, high: int) -> Stream:
    """The stream up to `high`, at the same positions, of which tokens before `low` cannot be read.

    Of tokens in memory a pickle of it holds those in [low, high) only.
    """
    starts, first = stream.starts, stream.first_sequence
    if starts is not None:
        # From the last one at or before `low`: there the sequence of the first token starts.
        begin = max(int(np.searchsorted(starts, low, side="right")) - 1, 0)
        starts = starts[begin : int(np.searchsorted(starts, high, side="right"))].copy()
        first = None if first is None else first + begin
    before = [Part("", low, stream.dtype, partial(_missing, low))] if low else []
    parts = (*before, *stream.between(low, high).parts)
    return Stream(parts, starts, stream.row_length, first, stream.left_out)


def _missing(end: int) -> NDArray[Any]:
    raise AssertionError(f"tokens before {end} were not sent with the chunk")
