"""Where sequences begin and end: the one place that decides it.

A *run* is a maximal stretch of tokens that count and that no boundary cuts: what is left of a
sequence once ignored tokens are out. Pairs are counted within runs, so kernels need to know of no
other rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arguments import integer
from .errors import ArgumentError, ArgumentTypeError
from .sources.token_dtype import IGNORE_RANGE, kernel_ids


@dataclass(frozen=True)
class Boundaries:
    """The boundary rules of a count, beside those that its source knows.

    Attributes:
        eos: this id closes its sequence: (s, eos) is a pair, (eos, s') is not.
        count_eos: False: `eos` still cuts, but is absent from unigrams and pairs.
        ignore_ids: sorted; absent likewise, and they cut (padding).
        sequence_length: cut each sequence into pieces of so many tokens; the tail is kept.
        count_row_ends: False: the last token of each of the source's sequences is only ever a
            second token, as in rows of inputs and their targets: it is absent from unigrams.
    """

    eos: int | None = None
    count_eos: bool = True
    ignore_ids: tuple[int, ...] = ()
    sequence_length: int | None = None
    count_row_ends: bool = True

    @classmethod
    def checked(
        cls,
        vocab_size: int,
        eos: int | None = None,
        count_eos: bool = True,
        ignore_ids: Iterable[int] = (),
        sequence_length: int | None = None,
        count_row_ends: bool = True,
    ) -> Boundaries:
        """The rules from a user's arguments.

        Raises:
            ArgumentError: `eos` outside the vocabulary, `ignore_ids` that 32 bits cannot hold,
                `sequence_length` below 1, `count_eos=False` without `eos`.
            ArgumentTypeError: no integers.
        """
        if eos is not None:
            eos = integer("eos", eos)
            if not 0 <= eos < vocab_size:
                raise ArgumentError(
                    f"eos: expected an id from 0 to vocab_size - 1 = {vocab_size - 1}, got {eos}"
                )
        elif not count_eos:
            raise ArgumentError("count_eos: expected True where no eos is given, got False")
        if isinstance(ignore_ids, (int, np.integer)):
            ignore_ids = (int(ignore_ids),)
        if not isinstance(ignore_ids, Iterable):
            raise ArgumentTypeError(
                f"ignore_ids: expected ints, got {type(ignore_ids).__name__} {ignore_ids!r}"
            )
        ignored = sorted({integer("ignore_ids", i, *IGNORE_RANGE) for i in ignore_ids})
        if sequence_length is not None:
            sequence_length = integer("sequence_length", sequence_length, 1)
        if eos in ignored:
            # An ignored eos is a cut that is not counted: the same rule said twice.
            count_eos = False
            ignored.remove(eos)
        return cls(eos, bool(count_eos), tuple(ignored), sequence_length, bool(count_row_ends))

    def to_dict(self) -> dict[str, Any]:
        rules = {
            "eos": self.eos,
            "count_eos": self.count_eos,
            "ignore_ids": list(self.ignore_ids),
            "sequence_length": self.sequence_length,
        }
        return rules if self.count_row_ends else {**rules, "count_row_ends": False}

    def specials(self, dtype: np.dtype[Any]) -> Specials:
        """The ids that cut, as kernels see them in tokens of `dtype`."""
        eos = np.array([] if self.eos is None else [self.eos], np.int64)
        ignored = np.array(self.ignore_ids, np.int64)
        uncounted = ignored if self.count_eos else np.concatenate([ignored, eos])
        return Specials(
            cutting=np.unique(kernel_ids(np.concatenate([eos, ignored]), dtype)),
            uncounted=np.unique(kernel_ids(uncounted, dtype)),
            eos=kernel_ids(eos, dtype),
        )


@dataclass(frozen=True)
class Specials:
    """Ids in a kernel's token type, each sorted: those that cut after themselves, those of them
    that are not counted at all, and eos (at most one)."""

    cutting: NDArray[Any]
    uncounted: NDArray[Any]
    eos: NDArray[Any]


@dataclass(frozen=True)
class Runs:
    """Runs [starts[i], ends[i]) of a chunk's tokens, int64 and in order."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


def find_runs(
    size: int,
    source_starts: NDArray[np.int64],
    cuts: NDArray[np.int64],
    uncounted: NDArray[np.int64],
    sequence_length: int | None = None,
    anchor: int = 0,
) -> Runs:
    """The runs of tokens [0, size).

    Args:
        source_starts: positions at which the source starts a sequence.
        cuts: positions of tokens that close their sequence.
        uncounted: those of `cuts` whose tokens are not counted.
        sequence_length: as in `Boundaries`.
        anchor: where the sequence of token 0 starts; negative if before this chunk.
    """
    edges = np.unique(np.concatenate([[0, size], source_starts, cuts + 1]).astype(np.int64))
    edges = edges[(edges >= 0) & (edges <= size)]
    starts, ends = edges[:-1], edges[1:]
    if uncounted.size:
        # A cutting token ends its stretch; an uncounted one is taken off its end.
        ends = ends - np.isin(ends - 1, uncounted)
    if sequence_length is not None:
        starts, ends = _pieces(starts, ends, sequence_length, anchor)
    kept = starts < ends
    return Runs(starts[kept], ends[kept])


def _pieces(
    starts: NDArray[np.int64], ends: NDArray[np.int64], length: int, anchor: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each stretch cut at multiples of `length` from its own start, the first from `anchor`."""
    anchors = starts.copy()
    if anchors.size and anchors[0] == 0:
        anchors[0] = anchor
    first = (starts - anchors) // length
    pieces = np.maximum(-(-(ends - anchors) // length) - first, 0)
    stretch = np.repeat(np.arange(starts.size), pieces)
    nth = np.arange(stretch.size) - np.repeat(np.cumsum(pieces) - pieces, pieces) + first[stretch]
    begin = anchors[stretch] + nth * length
    return np.maximum(begin, starts[stretch]), np.minimum(begin + length, ends[stretch])
