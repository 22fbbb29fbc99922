"""A token stream of any length that goes on as a real one does, written to a flat file.

How it is made. The stream is a sequence of blocks of 2^21 tokens, each made of one stretch of as
many tokens of the real corpus: first all stretches once in random order, then stretches that begin
anywhere. So a block has the topics and the habits of one place, as text has. A block is chains of
4,096 tokens, and a chain copies the stretch from a random place on, but

- with probability `JUMP` a token, it goes on behind another occurrence of the token that it has
  just copied, each as likely: so neighbours keep the stretch's counts (by jumps alone it would be
  an order-1 Markov chain), while longer phrases are new;
- with probability `escape`, the next token is one drawn from the whole corpus, and it goes on
  behind an occurrence of that: such pairs no stretch has, and they are why the number of distinct
  pairs never stops growing. `escape` is tuned so that a stream as long as the real corpus has as
  many distinct pairs.

What it does not keep: the lengths of documents, and the real corpus's repeats of whole files.

A block depends on its number and the corpus only: a short stream is the beginning of a long one.
Memory: a few times a block, and the corpus where it is (a mapped file).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import numba
import numpy as np
from numpy.typing import NDArray

import probsig_fast as ps
from probsig_fast.benchmark.corpora import Corpus

BLOCK = 2**21
#: With it, windows of 10 of code grow as they should, too: 5 to 10 % more distinct pairs at 10 and
#: 30 M tokens; with 0.1 it is 35 to 40 %, by jumps alone 80 to 90 %.
JUMP = 0.02
#: Chains a block, which are walked side by side and stand one after the other.
_CHAINS = 512


class Continuation:
    """The stream of a corpus whose ids fit 16 bits."""

    def __init__(self, corpus: Corpus, escape: float, jump: float = JUMP, seed: int = 0) -> None:
        self._tokens, self._vocab_size = np.asarray(corpus.tokens), corpus.vocab_size
        # Of 32 random bits: from 0 to the first number a token escapes, from there to the second it
        # jumps.
        self._chances = np.array([escape, escape + jump]) * 2**32
        self._seed = seed

    def block(self, number: int) -> NDArray[np.uint16]:
        """Block `number`: BLOCK tokens."""
        stretch = self._tokens[self._stretch(number)]
        random = np.random.default_rng([self._seed, number])
        states = random.integers(1, 2**64, _CHAINS, np.uint64)
        tokens = np.empty((_CHAINS, BLOCK // _CHAINS), np.uint16)
        _walk(
            stretch,
            *_occurrences(stretch, self._vocab_size),
            self._tokens,
            self._chances.astype(np.uint64),
            states,
            tokens,
        )
        return tokens.reshape(-1)

    def write(self, file: BinaryIO, begin: int, end: int) -> None:
        """Append tokens [begin, end) to a flat file, little-endian uint16."""
        for number in range(begin // BLOCK, -(-end // BLOCK)):
            first = number * BLOCK
            block = self.block(number)[max(begin - first, 0) : end - first]
            file.write(block.astype("<u2", copy=False).data)

    def _stretch(self, number: int) -> slice:
        size = self._tokens.size
        once = max(size // BLOCK, 1)
        if number < once:
            begin = int(np.random.default_rng(self._seed).permutation(once)[number]) * BLOCK
        else:
            random = np.random.default_rng([self._seed, number, 1])
            begin = int(random.integers(max(size - BLOCK, 1)))
        return slice(begin, begin + BLOCK)


def growth(
    tokens: NDArray[np.uint16], relation: ps.Window, vocab_size: int, lengths: list[int]
) -> list[int]:
    """Distinct pairs of the first so many tokens."""
    return [ps.count(tokens[:length], relation, vocab_size=vocab_size).nnz for length in lengths]


def tuned_escape(corpus: Corpus, folder: Path, rounds: int = 4) -> float:
    """The escape probability that gives as many distinct pairs as the corpus has, to 1 %."""
    expected = ps.count(corpus.tokens, vocab_size=corpus.vocab_size).nnz
    low, high = 0.0, 0.1
    escape, found = 0.01, 0
    floor = _distinct(corpus, 0.0, folder)
    for _ in range(rounds):
        found = _distinct(corpus, escape, folder)
        if abs(found / expected - 1) < 0.01:
            break
        low, high = (escape, high) if found < expected else (low, escape)
        # What escapes add grows a little slower than they do.
        guess = escape * (expected - floor) / max(found - floor, 1)
        escape = guess if low < guess < high else (low + high) / 2
    return escape


def _distinct(corpus: Corpus, escape: float, folder: Path) -> int:
    path = folder / "tuning.bin"
    with path.open("wb") as file:
        Continuation(corpus, escape).write(file, 0, corpus.tokens.size)
    found = ps.count(np.memmap(path, "<u2", mode="r"), vocab_size=corpus.vocab_size).nnz
    path.unlink()
    return found


@numba.njit(nogil=True)
def _occurrences(stretch: NDArray[np.uint16], vocab_size: int) -> tuple[Any, Any]:
    """Where each token stands: `places[indptr[x] : indptr[x + 1]]`."""
    indptr = np.zeros(vocab_size + 1, np.uint64)
    for token in stretch:
        indptr[token + 1] += 1
    for token in range(vocab_size):
        indptr[token + 1] += indptr[token]
    ends = indptr[:-1].copy()
    places = np.empty(stretch.size, np.uint32)
    for place, token in enumerate(stretch):
        places[ends[token]] = place
        ends[token] += np.uint64(1)
    return indptr, places


@numba.njit(nogil=True)
def _next(state: int) -> int:
    """xorshift64."""
    state ^= state << np.uint64(13)
    state ^= state >> np.uint64(7)
    return state ^ state << np.uint64(17)


@numba.njit(nogil=True)
def _bits(state: int) -> int:
    """64 bits of which both halves are good."""
    mixed = state * np.uint64(0x9E3779B97F4A7C15)
    return mixed ^ mixed >> np.uint64(32)


@numba.njit(nogil=True)
def _below(size: int, bits: int) -> int:
    """A number below `size` of the upper 32 of these random bits."""
    return (bits >> np.uint64(32)) * np.uint64(size) >> np.uint64(32)


@numba.njit(nogil=True)
def _occurrence(indptr: Any, places: Any, token: int, bits: int) -> int:
    """A random place of a token; any place at all if the stretch has none."""
    begin = indptr[token]
    size = indptr[np.uint64(token) + np.uint64(1)] - begin
    return places[begin + _below(size, bits)] if size else _below(places.size, bits)


@numba.njit(nogil=True)
def _walk(
    stretch: Any,
    indptr: Any,
    places: Any,
    corpus: Any,
    chances: Any,
    states: Any,
    tokens: Any,
) -> None:
    chains, length = tokens.shape
    current = np.empty(chains, np.uint64)  # the place in the stretch of the chain's last token
    for chain in range(chains):
        states[chain] = _next(states[chain])
        current[chain] = _below(stretch.size, _bits(states[chain]))
    for i in range(length):
        # Side by side: the chains' look-ups do not wait for each other.
        for chain in range(chains):
            states[chain] = _next(states[chain])
            bits = _bits(states[chain])
            chance = bits & np.uint64(0xFFFFFFFF)
            if chance < chances[0]:
                token = corpus[_below(corpus.size, bits)]
                states[chain] = _next(states[chain])
                place = _occurrence(indptr, places, token, _bits(states[chain]))
            else:
                place = current[chain]
                if chance < chances[1]:
                    place = _occurrence(indptr, places, stretch[place], bits)
                place += np.uint64(1)
                if place == np.uint64(stretch.size):
                    place = np.uint64(0)
                token = stretch[place]
            tokens[chain, i] = token
            current[chain] = place
