"""The machine's own limits, as contenders of a task of their own, `limits`: what no count of these
tokens can pass."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..budget import available
from .contender import Answer, Contender, Job, answer
from .tasks import LIMITS

READ, HISTOGRAM, INCREMENTS = "streaming read", "unigram histogram", "random increments"
#: What a core's own cache surely holds beside the stream.
_CACHED = 2**19
#: Bytes of the table for random increments, of all threads: many times a last-level cache.
_TABLE = 2**29


def limits(threads: int) -> tuple[Contender, ...]:
    """Each with all threads, and with one."""
    made = []
    for each in dict.fromkeys((None, 1) if threads > 1 else (1,)):
        made += [
            Contender(READ, (LIMITS,), _read, _told, _words, each),
            Contender(HISTOGRAM, (LIMITS,), _histogram, _counted, _tables, each),
            Contender(INCREMENTS, (LIMITS,), _increments, _added, _large_tables, each),
        ]
    return tuple(made)


def expected(job: Job, name: str) -> Answer:
    """What NumPy finds."""
    if name == READ:
        return Answer(int(np.add.reduce(_words(job).whole)))
    if name == HISTOGRAM:
        return _counted(job, np.bincount(job.tokens, minlength=job.corpus.vocab_size))
    return Answer(job.tokens.size)


class _Words(NamedTuple):
    """Tokens as words of 64 bits, and what is left of them."""

    whole: NDArray[np.uint64]
    rest: NDArray[Any]


def _words(job: Job) -> _Words:
    tokens = np.ascontiguousarray(job.tokens)
    a_word = 8 // tokens.itemsize
    end = tokens.size // a_word * a_word
    return _Words(tokens[:end].view(np.uint64), tokens[end:])


def _in_threads(job: Job, size: int, function: Callable[[int, int, int], Any]) -> list[Any]:
    """`function(thread, begin, end)` of equal parts of `size`, all at once."""
    cuts = [size * i // job.threads for i in range(job.threads + 1)]
    with ThreadPoolExecutor(job.threads) as pool:
        return list(pool.map(function, range(job.threads), cuts[:-1], cuts[1:]))


def _told(job: Job, total: int) -> Answer:
    return Answer(total)


def _counted(job: Job, counts: NDArray[np.int64]) -> Answer:
    ids = np.flatnonzero(counts)
    return answer(np.array([0, ids.size]), ids, counts[ids])


def _added(job: Job, tables: list[NDArray[np.uint32]]) -> Answer:
    total = sum(int(table.sum(dtype=np.int64)) for table in tables)
    for table in tables:
        table[:] = 0
    return Answer(total)


def _read(job: Job, words: _Words) -> int:
    from .loops import add_words

    whole = words.whole
    parts = _in_threads(job, whole.size, lambda _, begin, end: add_words(whole[begin:end]))
    return sum(map(int, parts)) % 2**64


def _tables(job: Job) -> NDArray[np.uint32]:
    """[threads, tables, V]: two tables a thread where its cache holds them."""
    # All 16-bit ids have a place, so that none needs to be checked.
    size = max(job.corpus.vocab_size, 2**16 if job.tokens.itemsize == 2 else 0)
    both = 2 * job.corpus.vocab_size * 4 <= _CACHED
    return np.zeros((job.threads, 1 + both, size), np.uint32)


def _histogram(job: Job, tables: NDArray[np.uint32]) -> NDArray[np.int64]:
    from .loops import histogram_16, histogram_32

    add = histogram_16 if job.tokens.itemsize == 2 else histogram_32
    tables[:] = 0
    whole, rest = _words(job)

    def part(thread: int, begin: int, end: int) -> None:
        add(whole[begin:end], tables[thread][0], tables[thread][-1])

    _in_threads(job, whole.size, part)
    counts: NDArray[np.int64] = tables.sum(axis=(0, 1), dtype=np.int64)
    np.add.at(counts, rest, 1)
    return counts


def _large_tables(job: Job) -> list[NDArray[np.uint32]]:
    """One a thread, a power of two long, together as large as `_TABLE` where memory allows."""
    share = max(min(_TABLE, available() // 16) // (4 * job.threads), 2)
    return [np.zeros(2 ** (share.bit_length() - 1), np.uint32) for _ in range(job.threads)]


def _increments(job: Job, tables: list[NDArray[np.uint32]]) -> list[NDArray[np.uint32]]:
    """As many as there are tokens."""
    from .loops import random_increments

    shift = np.uint64(65 - tables[0].size.bit_length())
    _in_threads(
        job,
        job.tokens.size,
        lambda thread, begin, end: random_increments(tables[thread], shift, begin, end),
    )
    return tables
