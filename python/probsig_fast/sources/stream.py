"""`Stream`: a run of tokens with the boundaries that its source knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import SourceError
from .token_dtype import to_kernel


@dataclass(frozen=True)
class Part:
    """Tokens that lie in one place.

    Attributes:
        name: for errors.
        size: tokens.
        dtype: their type.
        open: gives them as a 1-D array. A file is mapped by each call and unmapped with the last
            array over it, so that few files are open however many there are. A partial of a
            module's function, not a lambda: parts are sent to other processes.
        first: the place of the first token in what `name` names; for errors.
    """

    name: str
    size: int
    dtype: np.dtype[Any]
    open: Callable[[], NDArray[Any]]
    first: int = 0

    def tokens(self) -> NDArray[Any]:
        """The tokens, still as they were when the source was made.

        Raises:
            SourceError: the file has changed its size or type since.
        """
        tokens = self.open()
        if tokens.size != self.size or tokens.dtype != self.dtype:
            raise SourceError(
                f"tokens: expected {self.size} tokens of {self.dtype} in {self.name}, as when it "
                f"was opened, got {tokens.size} of {tokens.dtype}: changed while it was counted"
            )
        return tokens

    def slice(self, low: int, high: int) -> NDArray[Any]:
        """Tokens [low, high)."""
        return self.tokens()[low:high]

    def between(self, begin: int, end: int) -> Part:
        """Its tokens [begin, end); of an array, these alone (and not the rest) when pickled."""
        if (begin, end) == (0, self.size):
            return self
        opened: Callable[[], NDArray[Any]] = partial(_between, self, begin, end)
        if isinstance(self.open, partial) and self.open.func is _given:
            opened = partial(_given, self.tokens()[begin:end])
        return Part(self.name, end - begin, self.dtype, opened, self.first + begin)

    @classmethod
    def of_array(cls, name: str, tokens: NDArray[Any], first: int = 0) -> Part:
        return cls(name, tokens.size, tokens.dtype, partial(_given, tokens), first)


def _given(tokens: NDArray[Any]) -> NDArray[Any]:
    return tokens


def _between(part: Part, begin: int, end: int) -> NDArray[Any]:
    return part.tokens()[begin:end]


@dataclass(frozen=True)
class Stream:
    """Consecutive parts of one token type, read as one 1-D array of `len(stream)` tokens.

    Attributes:
        parts: arrays, files or slices of them, in order.
        starts: int64, sorted: positions at which a sequence starts (0 and the length are allowed
            and say nothing new); None where the source knows of no boundary.
        row_length: a sequence starts at each multiple of it; None for no rows.
        first_sequence: where `starts` closes sequences that the user numbers, the number of the
            first, so that an error can name the sequence.
        left_out: tokens of that first sequence that lie before the stream.
    """

    parts: tuple[Part, ...]
    starts: NDArray[np.int64] | None = None
    row_length: int | None = None
    first_sequence: int | None = None
    left_out: int = 0
    _ends: NDArray[np.int64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ends = np.cumsum([part.size for part in self.parts], dtype=np.int64)
        object.__setattr__(self, "_ends", ends)

    def __len__(self) -> int:
        return int(self._ends[-1]) if self.parts else 0

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.parts[0].dtype

    @property
    def name(self) -> str:
        more = f" and {len(self.parts) - 1} more" if len(self.parts) > 1 else ""
        return self.parts[0].name + more if self.parts else "an empty source"

    def raw(self, begin: int, end: int) -> NDArray[Any]:
        """Tokens [begin, end) as the source holds them; a view where one part holds them all."""
        pieces = list(self._within(begin, end))
        if len(pieces) == 1:
            part, low, high = pieces[0]
            return part.slice(low, high)
        tokens = np.empty(sum(high - low for _, low, high in pieces), self.dtype)
        filled = 0
        for part, low, high in pieces:  # one at a time, so that one file is open at a time
            tokens[filled : filled + high - low] = part.slice(low, high)
            filled += high - low
        return tokens

    def read(self, begin: int, end: int) -> NDArray[Any]:
        """Tokens [begin, end) as kernels take them: contiguous `uint16` or `uint32`."""
        return to_kernel(self.raw(begin, end))

    def locate(self, position: int) -> tuple[str, int]:
        """The part (or numbered sequence) that holds `position`, and the position within it."""
        if self.first_sequence is not None and self.starts is not None:
            index = int(np.searchsorted(self.starts, position, side="right"))
            before = int(self.starts[index - 1]) if index else -self.left_out
            return f"sequence {self.first_sequence + index}", position - before
        index = int(np.searchsorted(self._ends, position, side="right"))
        before = int(self._ends[index - 1]) if index else 0
        part = self.parts[index]
        return part.name, part.first + position - before

    def between(self, begin: int, end: int) -> Stream:
        """Tokens [begin, end) as a stream of their own, with the boundaries among them.

        Its first token starts a sequence of the new stream, as each stream's does, even where
        `begin` lies inside one of this stream. Nothing is read; pickled, it takes along the parts
        that it needs and no more.

        Raises:
            ValueError: not 0 <= begin <= end <= len(self).
        """
        if not 0 <= begin <= end <= len(self):
            raise ValueError(f"expected a range within {len(self)} tokens, got [{begin}, {end})")
        parts = tuple(part.between(low, high) for part, low, high in self._within(begin, end))
        row_length, starts = self.row_length, []
        if row_length and begin % row_length:
            first = -(-begin // row_length) * row_length
            starts.append(np.arange(first, end, row_length, dtype=np.int64) - begin)
            row_length = None
        number, left_out = self.first_sequence, 0
        if self.starts is not None:
            low, high = np.searchsorted(self.starts, [begin, end], side="right")
            starts.append(self.starts[low:high] - begin)
            if number is not None:
                number += int(low)
                left_out = begin - int(self.starts[low - 1]) if low else begin + self.left_out
        found = np.unique(np.concatenate(starts)) if len(starts) == 2 else next(iter(starts), None)
        return Stream(parts, found, row_length, number, left_out)

    def starts_within(self, begin: int, end: int) -> NDArray[np.int64]:
        """The source's sequence starts p with begin <= p < end, sorted."""
        found = [np.zeros(int(begin <= 0 < end), np.int64)]
        if self.row_length:
            first = -(-begin // self.row_length) * self.row_length
            found.append(np.arange(first, end, self.row_length, dtype=np.int64))
        if self.starts is not None:
            low, high = np.searchsorted(self.starts, [begin, end])
            found.append(self.starts[low:high])
        return np.unique(np.concatenate(found))

    def last_start(self, position: int) -> int:
        """The source's last sequence start at or before `position`."""
        last = 0
        if self.row_length:
            last = position // self.row_length * self.row_length
        if self.starts is not None:
            index = int(np.searchsorted(self.starts, position, side="right"))
            last = max(last, int(self.starts[index - 1]) if index else 0)
        return last

    def _within(self, begin: int, end: int) -> Iterator[tuple[Part, int, int]]:
        first = int(np.searchsorted(self._ends, begin, side="right"))
        for index in range(first, len(self.parts)):
            offset = int(self._ends[index - 1]) if index else 0
            if offset >= end:
                return
            part = self.parts[index]
            low, high = max(begin - offset, 0), min(end - offset, part.size)
            if low < high:
                yield part, low, high


class Source(Protocol):
    """Where tokens come from."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def device(self) -> int | None:
        """The CUDA device that holds the tokens; None: host memory."""

    @property
    def vocab_size(self) -> int | None:
        """The number of token ids, where the source itself says it."""

    @property
    def total(self) -> int | None:
        """Tokens in all, where that is known before reading; for the progress bar only."""

    @property
    def inputs_only(self) -> bool:
        """Whether the last token of each row is only ever the second of a pair: it was predicted
        and never read, so it is left out of unigrams."""

    def streams(self) -> Iterator[Stream]:
        """The streams in order; a sequence never reaches from one into the next."""

    def describe(self) -> list[dict[str, Any]]:
        """Provenance: one entry a file or array (path, tokens, dtype, ...)."""

    def fingerprint(self) -> list[dict[str, Any]] | None:
        """JSON values that tell these tokens from others, with all settings that change them;
        None where that cannot be told, as for an iterable. See `fingerprint.py`."""


def join(streams: Iterator[Stream]) -> Stream:
    """All streams as one, in order, so that a sequence may reach from one into the next.

    The boundaries that the streams know themselves (offsets, rows) stay; their ends are none.

    Raises:
        SourceError: token types or row lengths differ between streams.
    """
    collected = [stream for stream in streams if len(stream)]
    starts, offset = [], 0
    for stream in collected:
        _check_same(collected[0], stream)
        if stream.starts is not None:
            starts.append(stream.starts + offset)
        offset += len(stream)
    return Stream(
        parts=tuple(part for stream in collected for part in stream.parts),
        starts=np.concatenate(starts) if starts else None,
        row_length=collected[0].row_length if collected else None,
    )


def _check_same(first: Stream, other: Stream) -> None:
    for what, expected, got in (
        ("token type", first.dtype, other.dtype),
        ("row length", first.row_length, other.row_length),
    ):
        if expected != got:
            raise SourceError(
                f"join_files: expected one {what} throughout, got {expected} in {first.name} "
                f"and {got} in {other.name}"
            )
