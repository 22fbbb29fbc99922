"""Loops compiled by Numba: the machine's limits, and the dense loop that people write."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernels.numba_cpu._jit import kernel, prefetch

_MASK = np.uint64(0xFFFF)
_WIDE_MASK = np.uint64(0xFFFFFFFF)
_16, _32, _48 = np.uint64(16), np.uint64(32), np.uint64(48)
#: Odd, of 64 bits, its ones and zeros well mixed: the golden ratio's.
_STEP = np.uint64(0x9E3779B97F4A7C15)
#: Increments that are on their way to memory at once.
AHEAD = 64


@kernel
def add_pairs(tokens: NDArray[Any], table: NDArray[np.uint32]) -> None:
    """Into `table` [V, V]: as one writes it, without prefetch."""
    for i in range(1, tokens.size):
        table[tokens[i - 1], tokens[i]] += 1


@kernel
def add_words(words: NDArray[np.uint64]) -> np.uint64:
    """The sum modulo 2^64: every byte is read."""
    total = np.uint64(0)
    for word in words:
        total += word
    return total


@kernel
def histogram_16(words: NDArray[np.uint64], one: NDArray[Any], other: NDArray[Any]) -> None:
    """Four uint16 tokens a word. `other` may be another table, so that equal neighbours need not
    wait for each other's stores; their sum is the histogram."""
    for word in words:
        one[word & _MASK] += 1
        other[(word >> _16) & _MASK] += 1
        one[(word >> _32) & _MASK] += 1
        other[word >> _48] += 1


@kernel
def histogram_32(words: NDArray[np.uint64], one: NDArray[Any], other: NDArray[Any]) -> None:
    """The same for two uint32 tokens a word."""
    for word in words:
        one[word & _WIDE_MASK] += 1
        other[word >> _32] += 1


@kernel
def random_increments(table: NDArray[np.uint32], shift: np.uint64, begin: int, end: int) -> None:
    """One at a place mixed from each number, of so many high bits; fetched ahead of time."""
    ahead = np.uint64(AHEAD) * _STEP
    number = np.uint64(begin) * _STEP
    for _ in range(begin, end):
        later = number + ahead
        prefetch(table, ((later ^ (later >> _32)) * _STEP) >> shift)
        table[((number ^ (number >> _32)) * _STEP) >> shift] += np.uint32(1)
        number += _STEP
