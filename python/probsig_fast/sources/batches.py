"""Sequences that are made as they are read, joined to streams of a size that is worth counting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import BATCH_TOKENS
from .stream import Part, Stream


@dataclass(frozen=True)
class Piece:
    """Some sequences, one after the other.

    Attributes:
        tokens: of all of them.
        lengths: int64, of each.
        rows: how many rows or documents they are. Fewer than `lengths` has, where one was cut.
    """

    tokens: NDArray[Any]
    lengths: NDArray[np.int64]
    rows: int


def streams_of(
    pieces: Iterable[Piece], name: str, batch_tokens: int | None = None
) -> Iterator[Stream]:
    """Streams of up to `batch_tokens`, or of one piece that is longer; without a copy where a
    stream is one piece."""
    batch_tokens = BATCH_TOKENS if batch_tokens is None else batch_tokens
    batch: list[Piece] = []
    size = first = 0
    for piece in pieces:
        other_type = batch and piece.tokens.dtype != batch[0].tokens.dtype
        if batch and (other_type or size + piece.tokens.size > batch_tokens):
            yield _stream(batch, first, name)
            first += sum(each.rows for each in batch)
            batch, size = [], 0
        batch.append(piece)
        size += piece.tokens.size
    if batch:
        yield _stream(batch, first, name)


def _stream(batch: list[Piece], first: int, name: str) -> Stream:
    tokens = [piece.tokens for piece in batch]
    ends = np.cumsum(np.concatenate([piece.lengths for piece in batch]), dtype=np.int64)
    # Sequences of a row that was cut have no number that the user knows.
    numbered = all(piece.rows == piece.lengths.size for piece in batch)
    joined = tokens[0] if len(tokens) == 1 else np.concatenate(tokens)
    return Stream((Part.of_array(name, joined),), ends, first_sequence=first if numbered else None)
