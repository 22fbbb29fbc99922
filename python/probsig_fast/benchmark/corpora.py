"""Token corpora to measure on: real ones given by path, else a synthetic one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..arguments import integer
from ..counts import Counts
from ..errors import ArgumentError, SourceError, SourceNotFoundError
from ..signature import Signature

#: Tokens of a synthetic corpus that are made at a time.
BLOCK = 2**22
#: A token of a synthetic corpus repeats one at most so many places before it.
_REACH = 49
#: Tokens between two ends of sequences, on average, in a synthetic corpus of a usual vocabulary.
_SEQUENCE = 1000
#: Equal parts of [0, 1), of which most belong to one token: no search for those.
_PARTS = 2**22


@dataclass(frozen=True)
class Corpus:
    """Tokens in memory, with what one must know to count them; `eos` None: nothing is cut; `path`
    None: no flat file holds them."""

    name: str
    tokens: NDArray[Any]
    vocab_size: int
    eos: int | None
    path: Path | None = None

    def first(self, limit: int | None) -> Corpus:
        """Its first tokens (a view), at most so many."""
        return replace(self, tokens=self.tokens[:limit])


def load(limit: int | None = None) -> Corpus:
    """The flat file named by PROBSIG_BENCH_TOKENS (uint16, eos 0; vocabulary in
    PROBSIG_BENCH_VOCAB, by default the 50,304 rows of the Pythia models), else `zipfian(100 M)`."""
    path = os.environ.get("PROBSIG_BENCH_TOKENS")
    if path is None:
        return zipfian(limit or 100_000_000)
    vocab_size = int(os.environ.get("PROBSIG_BENCH_VOCAB", "50304"))
    return flat(path, "uint16", vocab_size, eos=0, limit=limit)


def flat(
    path: str | Path,
    dtype: DTypeLike,
    vocab_size: int,
    eos: int | None = None,
    limit: int | None = None,
) -> Corpus:
    """The first tokens of a flat little-endian file, read into memory.

    Raises:
        ArgumentError: a width other than uint16 and uint32, or an id outside the vocabulary.
        SourceNotFoundError, SourceError: no such file; one without tokens, or not whole ones.
    """
    path, width = Path(path), np.dtype(dtype).newbyteorder("<")
    if width not in (np.dtype("<u2"), np.dtype("<u4")):
        raise ArgumentError(f"dtype: expected uint16 or uint32, got {np.dtype(dtype)}")
    if not path.is_file():
        raise SourceNotFoundError(f"tokens: expected a flat file of tokens, got {str(path)!r}")
    size = path.stat().st_size
    if not size or size % width.itemsize:
        raise SourceError(
            f"tokens: expected one or more tokens of {width.itemsize} bytes, "
            f"got {size} bytes in {path}"
        )
    tokens = np.fromfile(path, width, count=-1 if limit is None else limit)
    largest = int(tokens.max())
    if largest >= integer("vocab_size", vocab_size, 1):
        raise ArgumentError(
            f"vocab_size: expected more than {largest}, an id of {path}, got {vocab_size}"
        )
    return Corpus(path.name, tokens, vocab_size, eos, path)


def mapped() -> Corpus | None:
    """The whole file named by PROBSIG_BENCH_TOKENS, mapped rather than read; None without it."""
    path = os.environ.get("PROBSIG_BENCH_TOKENS")
    if path is None:
        return None
    vocab_size = int(os.environ.get("PROBSIG_BENCH_VOCAB", "50304"))
    return Corpus(Path(path).name, np.memmap(path, "<u2", mode="r"), vocab_size, eos=0)


def zipfian(size: int, vocab_size: int = 50_304, seed: int = 0, block: int = BLOCK) -> Corpus:
    """Tokens of frequency 1 / (rank + 2.7), each repeating one of the 49 before it one time in
    two: skewed and bursty as text is, though with more distinct pairs than text has.

    uint16 where the ids fit, else uint32; id 0 ends sequences of about 1,000. The tokens depend
    on vocabulary and seed alone: a short corpus is the beginning of a long one. Work memory is that
    of a block.

    Raises:
        ArgumentError, ArgumentTypeError: no token, or fewer than two ids.
    """
    tokens = np.empty(integer("tokens", size, 1), _width(integer("vocab_size", vocab_size, 2)))
    begin = 0
    for part in _blocks(size, vocab_size, seed, block):
        tokens[begin : begin + part.size] = part
        begin += part.size
    return Corpus(f"zipfian-{size:,}", tokens, vocab_size, eos=0)


def _width(vocab_size: int) -> type[np.unsignedinteger[Any]]:
    return np.uint16 if vocab_size <= 2**16 else np.uint32


def _blocks(size: int, vocab_size: int, seed: int, block: int) -> Iterator[NDArray[Any]]:
    """A generator for each thing drawn, and one draw a token: blocks of any size give the same."""
    random = np.random.default_rng(seed)
    draw = _Draw(vocab_size, random)
    fresh, again, distance = random.spawn(3)
    last = np.empty(0, _width(vocab_size))
    for begin in range(0, size, block):
        count = min(block, size - begin)
        # What is repeated is drawn tokens, not themselves repeats.
        drawn = np.concatenate([last, draw(fresh.random(count))])
        tokens = drawn[last.size :].copy()
        back = distance.integers(1, _REACH + 1, count, dtype=np.uint64).astype(np.int64)
        places = np.arange(count) + last.size
        repeats = np.flatnonzero((again.random(count) < 0.5) & (places >= _REACH))
        tokens[repeats] = drawn[places[repeats] - back[repeats]]
        yield tokens
        last = drawn[-_REACH:]


class _Draw:
    """Uniform numbers of [0, 1) to tokens, by the inverse of their distribution function."""

    def __init__(self, vocab_size: int, random: np.random.Generator) -> None:
        weights = 1 / (np.arange(1, vocab_size + 1) + 2.7)
        self._cumulative = np.cumsum(weights) / weights.sum()
        self._ids = random.permutation(vocab_size).astype(_width(vocab_size))
        ending = np.abs(weights / weights.sum() - 1 / _SEQUENCE).argmin()
        zero = np.flatnonzero(self._ids == 0)[0]
        self._ids[[ending, zero]] = self._ids[[zero, ending]]
        ranks = self._ranks(np.arange(_PARTS + 1) / _PARTS)
        self._first, self._sure = self._ids[ranks[:-1]], ranks[:-1] == ranks[1:]

    def __call__(self, uniform: NDArray[np.float64]) -> NDArray[Any]:
        parts = (uniform * _PARTS).astype(np.int64)
        tokens = self._first[parts]
        unsure = np.flatnonzero(~self._sure[parts])
        tokens[unsure] = self._ids[self._ranks(uniform[unsure])]
        return tokens

    def _ranks(self, uniform: NDArray[np.float64]) -> NDArray[np.intp]:
        ranks = np.searchsorted(self._cumulative, uniform)
        return np.minimum(ranks, self._ids.size - 1)


def continued(counts: Counts, pairs: int, seed: int = 0) -> Signature:
    """P(next | token) of these counts and of drawn pairs, which come in rounds until so many
    distinct ones are there.

    First and second tokens are drawn independently, each by its own marginal to the power 3/4, as
    rarer tokens gain pairs longest: frequent ones have met most partners already.
    """
    table = counts.to_scipy()
    size = counts.vocab_size
    rows = np.repeat(np.arange(size), np.diff(table.indptr))
    keys, values = rows * size + table.indices, table.data.astype(np.int64)
    random = np.random.default_rng(seed)
    first, second = (np.cumsum(np.asarray(table.sum(axis=axis)).ravel() ** 0.75) for axis in (1, 0))
    while keys.size < pairs:
        draws = 3 * (pairs - keys.size) // 2 + 1
        drawn = [
            np.searchsorted(weights, weights[-1] * random.random(draws), side="right")
            for weights in (first, second)
        ]
        drawn_keys, drawn_values = np.unique(drawn[0] * size + drawn[1], return_counts=True)
        keys = np.concatenate([keys, drawn_keys])
        order = np.argsort(keys, kind="stable")
        keys, values = keys[order], np.concatenate([values, drawn_values])[order]
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        keys, values = keys[starts], np.add.reduceat(values, starts)
    indptr = np.searchsorted(keys, np.arange(size + 1) * size).astype(np.int64)
    running = np.concatenate([[0], np.cumsum(values)])
    indices = (keys % size).astype(np.int32)
    support = running[indptr[1:]] - running[indptr[:-1]]
    return Signature("phi_next", "next | token", indptr, indices, values, support, size)


def on_device(size: int, vocab_size: int, dtype: Any) -> Any:
    """A torch tensor on the GPU: the file named by PROBSIG_BENCH_TOKENS, over and over, if its
    vocabulary is the one asked for; else `zipfian_on_device`."""
    import torch

    if "PROBSIG_BENCH_TOKENS" not in os.environ or vocab_size != load(1).vocab_size:
        return zipfian_on_device(size, vocab_size, dtype)
    tokens = torch.from_numpy(load(size).tokens).cuda()
    return tokens.repeat(-(-size // tokens.numel()))[:size].to(dtype)


def zipfian_on_device(size: int, vocab_size: int, dtype: Any, seed: int = 0) -> Any:
    """A torch tensor on the GPU by the law of `zipfian`, made there: billions in seconds."""
    import torch

    generator = torch.Generator(device="cuda").manual_seed(seed)
    weights = 1 / (torch.arange(1, vocab_size + 1, dtype=torch.float64, device="cuda") + 2.7)
    cumulative = torch.cumsum(weights, 0) / weights.sum()
    ids = torch.randperm(vocab_size, generator=generator, device="cuda")
    tokens = torch.empty(size, dtype=dtype, device="cuda")
    block = 2**26
    for begin in range(0, size, block):
        count = min(block, size - begin)
        uniform = torch.rand(count, dtype=torch.float64, generator=generator, device="cuda")
        drawn = ids[torch.searchsorted(cumulative, uniform).clamp_(max=vocab_size - 1)]
        repeats = torch.rand(count, generator=generator, device="cuda") < 0.5
        back = torch.randint(1, 50, (count,), generator=generator, device="cuda")
        places = torch.arange(count, device="cuda")
        source = torch.where(repeats & (places >= 50), places - back, places)
        tokens[begin : begin + count] = drawn[source].to(dtype)
    return tokens
