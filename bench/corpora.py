"""Token corpora to measure on: real ones given by path, else a synthetic one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probsig_fast import Counts, Signature


@dataclass(frozen=True)
class Corpus:
    """Tokens in memory, with what one must know to count them."""

    name: str
    tokens: NDArray
    vocab_size: int
    eos: int


def load(limit: int | None = None) -> Corpus:
    """The flat file named by PROBSIG_BENCH_TOKENS (uint16, eos 0; vocabulary in
    PROBSIG_BENCH_VOCAB, by default the 50,304 rows of the Pythia models), else `zipfian(100 M)`."""
    path = os.environ.get("PROBSIG_BENCH_TOKENS")
    if path is None:
        return zipfian(limit or 100_000_000)
    tokens = np.fromfile(path, np.dtype("<u2"), count=-1 if limit is None else limit)
    vocab_size = int(os.environ.get("PROBSIG_BENCH_VOCAB", "50304"))
    return Corpus(Path(path).name, tokens, vocab_size, eos=0)


def mapped() -> Corpus | None:
    """The whole file named by PROBSIG_BENCH_TOKENS, mapped rather than read; None without it."""
    path = os.environ.get("PROBSIG_BENCH_TOKENS")
    if path is None:
        return None
    vocab_size = int(os.environ.get("PROBSIG_BENCH_VOCAB", "50304"))
    return Corpus(Path(path).name, np.memmap(path, "<u2", mode="r"), vocab_size, eos=0)


def zipfian(size: int, vocab_size: int = 50_304, seed: int = 0) -> Corpus:
    """Tokens of frequency 1 / (rank + 2.7), each repeating one of the 50 before it one time in
    two: skewed and bursty as text is, though with more distinct pairs than text has."""
    random = np.random.default_rng(seed)
    weights = 1 / (np.arange(1, vocab_size + 1) + 2.7)
    ranks = np.searchsorted(np.cumsum(weights) / weights.sum(), random.random(size))
    ids = random.permutation(vocab_size).astype(np.uint16)
    tokens = ids[np.minimum(ranks, vocab_size - 1)]
    repeats = np.flatnonzero(random.random(size) < 0.5)
    repeats = repeats[repeats >= 50]
    tokens[repeats] = tokens[repeats - random.integers(1, 50, repeats.size)]
    return Corpus(f"zipfian-{size:,}", tokens, vocab_size, eos=0)


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
