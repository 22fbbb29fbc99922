"""What to count, all arguments checked; and what is summed beside the counts themselves."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..accumulator import ENTRY_BYTES
from ..arguments import integer
from ..boundaries import Boundaries
from ..errors import ArgumentError, ArgumentTypeError
from ..joined_rows import ENTRY_BYTES as JOINED_BYTES
from ..kernels.contract import Kernels
from ..kernels.registry import choose
from ..relations import Next, Prefix, Relation, SameSequence, Window
from ..sources import MAX_VOCAB_SIZE, Source
from ..third_order import checked_focus
from .plan import Scanned, Slice, plan

#: The share of the memory that chunks may take which are under way.
_CHUNK_SHARE = 0.25
#: See `row_ranges`.
_RANGES = 8
#: The share that one chunk of all tokens may take with all that comes of it, and its most tokens.
_ALONE_SHARE, _MOST_ALONE = 0.9, 2**28
#: Bytes a token, at most, of a chunk that is counted: itself, positions, what is read ahead.
_CHUNK_BYTES = 16
#: Tokens a chunk at most, by relation. Larger ones mean fewer merges but more work memory: for
#: `Next` 4 bytes a token. Chunks of `Window` are shared by all threads, and what they take is
#: mostly their result. For sets a chunk is a part of the rows to sum, 8 bytes for each occurrence
#: or token of a set.
CHUNK_TOKENS = {Next: 2**25, Window: 2**28, Prefix: 2**22, SameSequence: 2**23}


@dataclass(frozen=True)
class Job:
    """What to count."""

    source: Source
    relation: Relation
    vocab_size: int
    boundaries: Boundaries
    backend: str
    kernels: Kernels
    chunk_tokens: int
    focus: tuple[int, ...] = ()

    @classmethod
    def checked(
        cls,
        source: Source,
        relation: Relation,
        vocab_size: int | None,
        rules: dict[str, Any],
        backend: str | None,
        chunk_tokens: int | None,
        focus: Any,
        threads: int,
        memory: int,
    ) -> Job:
        if not isinstance(relation, (Next, Window, Prefix, SameSequence)):
            raise ArgumentTypeError(
                "relation: expected Next(), Window(...), Prefix(...) or SameSequence(), "
                f"got {relation!r}"
            )
        vocab_size = checked_vocab_size(source, vocab_size)
        if focus is not None and not isinstance(relation, Prefix):
            raise ArgumentError(f"focus: expected with Prefix(...) only, got {relation!r}")
        chosen = choose(backend, getattr(source, "device", None))
        kernels = chosen.load()
        focus = () if focus is None else checked_focus(focus, vocab_size)
        if focus and chunk_tokens is None:  # a chunk gives spans for each token of the focus
            chunk_tokens = max(CHUNK_TOKENS[Prefix] // (1 + len(focus)), 2**16)
        if getattr(source, "inputs_only", False):
            rules = {**rules, "count_row_ends": False}
        return cls(
            source,
            relation,
            vocab_size,
            Boundaries.checked(vocab_size, **rules),
            chosen.name,
            kernels,
            _checked_chunk_tokens(relation, chunk_tokens, source.total, threads, memory, kernels),
            focus,
        )

    def plan(self) -> dict[str, Any]:
        """JSON values that two runs of one count have in common; `sources` is None where the
        source cannot be told from others."""
        fingerprint = getattr(self.source, "fingerprint", lambda: None)()
        return {
            "relation": self.relation.to_dict(),
            "vocab_size": self.vocab_size,
            "boundaries": self.boundaries.to_dict(),
            "focus": list(self.focus),
            "chunk_tokens": self.chunk_tokens,
            "sources": fingerprint,
        }

    def in_one_chunk(self, memory: int, threads: int) -> Job:
        """This job with a chunk of all tokens, so that nothing has to be merged, if it counts
        windows of one stream whose pairs fit the memory though all were different; else as it is.
        """
        total, relation = self.source.total, self.relation
        if not isinstance(relation, Window) or total is None or total <= self.chunk_tokens:
            return self
        fits = total * _CHUNK_BYTES + _most_bytes(relation, total, self.vocab_size, threads)
        if fits > _ALONE_SHARE * memory or self.kernels.chunk_tokens(total, total, 1) < total:
            return self
        is_one = len(next(iter(self.source.streams()))) == total
        return replace(self, chunk_tokens=total) if is_one and total <= _MOST_ALONE else self

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "kernels"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, kernels=choose(state["backend"], None).load())

    def slices(self) -> Iterator[Slice]:
        """The chunks of all streams."""
        for stream in self.source.streams():
            if len(stream):
                yield from plan(stream, self.boundaries, self.chunk_tokens)

    def provenance(self, threads: int, seconds: float, tokens_read: int) -> dict[str, Any]:
        return {
            "sources": self.source.describe(),
            "tokens_read": tokens_read,
            **how(self.backend, threads, seconds),
        }


@dataclass
class Tally:
    """What is summed beside the counts.

    Attributes:
        unigram: int64 [V], how often each token was counted.
        starts: int64 [V], how often each was the first of its sequence.
        row_ends: int64 [V], how often each was the end of a row that unigrams leave out.
    """

    unigram: NDArray[np.int64]
    starts: NDArray[np.int64]
    row_ends: NDArray[np.int64]
    n_sequences: int = 0
    n_read: int = 0
    eos_seen: bool = False

    @classmethod
    def empty(cls, vocab_size: int) -> Tally:
        zeros = [np.zeros(vocab_size, np.int64) for _ in range(3)]
        return cls(zeros[0], zeros[1], zeros[2])

    def arrays(self) -> dict[str, NDArray[np.int64]]:
        return {"unigram": self.unigram, "starts": self.starts, "row_ends": self.row_ends}

    @property
    def counted(self) -> NDArray[np.int64]:
        """int64 [V], the unigrams as the rules want them."""
        return self.unigram - self.row_ends

    def add(self, scanned: Scanned) -> None:
        chunk = scanned.chunk
        self.unigram += chunk.histogram
        size = self.starts.size
        self.starts += np.bincount(chunk.tokens[scanned.starts], minlength=size)
        self.row_ends += np.bincount(scanned.row_ends, minlength=size)
        self.n_sequences += scanned.starts.size
        self.n_read += chunk.core
        self.eos_seen |= scanned.eos_seen


def how(backend: str, threads: int, seconds: float) -> dict[str, Any]:
    """The part of a provenance that says how it was counted."""
    from ..version import __version__

    return {
        "backend": backend,
        "threads": threads,
        "seconds": round(seconds, 3),
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "versions": {
            "probsig_fast": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
        "machine": platform.platform(),
    }


def checked_vocab_size(source: Source, vocab_size: int | None) -> int:
    known = source.vocab_size
    if vocab_size is None:
        if known is None:
            raise ArgumentError(
                f"vocab_size: expected the number of token ids, as {source.name} does not say it, "
                "got None"
            )
        return known
    vocab_size = integer("vocab_size", vocab_size, 1, MAX_VOCAB_SIZE)
    if known is not None and vocab_size < known:
        raise ArgumentError(
            f"vocab_size: expected at least {known}, as {source.name} has ids up to {known - 1}, "
            f"got {vocab_size}"
        )
    return vocab_size


def row_ranges(threads: int) -> int:
    """Row ranges that chunks of windows are counted in, at the least; each looks through all of a
    chunk's tokens."""
    return max(_RANGES, 2 * threads)


def _token_bytes(relation: Relation) -> int:
    """About what a chunk and its result take for each token, at most."""
    return _CHUNK_BYTES + (ENTRY_BYTES * relation.size if isinstance(relation, Window) else 0)


def _most_bytes(relation: Window, total: int, vocab_size: int, threads: int) -> float:
    """What windows of a single chunk take in the end, were all pairs different: the result, and
    blocks on their way into it. Only of weighted pairs can many have counts past 32 bits."""
    entry_bytes = JOINED_BYTES * (1 if max(relation.weights) == 1 else 2)
    copies = 1 + threads / row_ranges(threads) if relation.direction == "forward" else 4
    return min(total * relation.size, vocab_size**2) * entry_bytes * copies


def _checked_chunk_tokens(
    relation: Relation,
    chunk_tokens: int | None,
    total: int | None,
    threads: int,
    memory: int,
    kernels: Kernels,
) -> int:
    """Small enough for the memory, and that no count of one chunk can pass 63 bits."""
    if chunk_tokens is None:
        shared = isinstance(relation, Window)
        chunk_tokens = kernels.chunk_tokens(
            CHUNK_TOKENS[type(relation)], total, 1 if shared else threads
        )
        each = _CHUNK_SHARE * memory / (1 if shared else threads + 2)  # see `WorkerPool.map`
        chunk_tokens = max(min(chunk_tokens, int(each / _token_bytes(relation))), 2**12)
    chunk_tokens = integer("chunk_tokens", chunk_tokens, 1, 2**31)
    return min(chunk_tokens, max((2**63 - 1) // sum(relation.weights), 1))
