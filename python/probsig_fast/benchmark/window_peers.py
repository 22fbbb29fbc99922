"""Peers for windows and prefixes, whose sequences end at `eos`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contender import Answer, Contender, Job, answer_of_keys
from .next_peers import of_scipy
from .peers import key_base, packed, scipy_pairs, summed

#: Pairs, or entries of the samples' sets, in memory at once.
_ENTRIES = 2**24
#: Pairs that a peer counts at most: seconds of work.
_MOST = 50_000_000


def window_peers() -> tuple[Contender, ...]:
    """The first is the baseline."""
    return (
        Contender(
            "numpy unique",
            ("window",),
            _unique,
            _of_packed,
            bytes_needed=lambda job: 64 * max(job.tokens.size, _ENTRIES),
            most=_MOST,
        ),
        Contender(
            "scipy COO to CSR",
            ("window",),
            _scipy,
            of_scipy,
            bytes_needed=lambda job: 80 * max(job.tokens.size, _ENTRIES),
            most=_MOST,
        ),
    )


def prefix_peers() -> tuple[Contender, ...]:
    return (
        Contender(
            "scipy X'Y",
            ("prefix",),
            _prefix,
            of_scipy,
            bytes_needed=lambda job: 64 * _ENTRIES,
            most=_MOST,
        ),
    )


def _sequences(job: Job) -> NDArray[np.int32]:
    """The number of each token's sequence; an `eos` is its sequence's last."""
    if job.corpus.eos is None:
        return np.zeros(job.tokens.size, np.int32)
    ends = job.tokens == job.corpus.eos
    numbers: NDArray[np.int32] = np.cumsum(ends, dtype=np.int32) - ends
    return numbers


def _pairs(job: Job) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """First and second tokens, of as many distances at a time as there is room for."""
    sequence, tokens = _sequences(job), job.tokens
    farthest = min(job.task.reach, tokens.size - 1)
    step = max(_ENTRIES // tokens.size, 1)
    for begin in range(1, farthest + 1, step):
        distances = range(begin, min(begin + step, farthest + 1))
        inside = [sequence[:-d] == sequence[d:] for d in distances]
        first = [tokens[:-d][kept] for d, kept in zip(distances, inside, strict=True)]
        second = [tokens[d:][kept] for d, kept in zip(distances, inside, strict=True)]
        yield np.concatenate(first), np.concatenate(second)


def _unique(job: Job, _: None) -> tuple[NDArray[Any], NDArray[np.int64]]:
    keys, counts = packed(job.tokens[:0], job.tokens[:0]), np.empty(0, np.int64)
    for first, second in _pairs(job):
        more, times = np.unique(packed(first, second), return_counts=True)
        keys, counts = summed(np.concatenate([keys, more]), np.concatenate([counts, times]))
    return keys, counts


def _of_packed(job: Job, result: tuple[NDArray[Any], NDArray[Any]]) -> Answer:
    return answer_of_keys(*result, key_base(job.tokens), job.corpus.vocab_size)


def _scipy(job: Job, _: None) -> Any:
    size = job.corpus.vocab_size
    total = scipy_pairs(job.tokens[:0], job.tokens[:0], size)
    for first, second in _pairs(job):
        total = total + scipy_pairs(first, second, size)
    return total


def _prefix(job: Job, _: None) -> Any:
    """N = X'Y, for some samples at a time: X [samples, V] holds their sets, Y their labels."""
    import scipy.sparse

    sequence, length, size = _sequences(job), job.task.reach, job.corpus.vocab_size
    total = scipy.sparse.csr_array((size, size), dtype=np.int32)
    step = max(_ENTRIES // length, 1)
    for begin in range(1, job.tokens.size, step):
        samples = np.arange(begin, min(begin + step, job.tokens.size))
        before = samples[:, None] - np.arange(1, length + 1)
        inside = (before >= 0) & (sequence[before] == sequence[samples][:, None])
        row = np.broadcast_to((samples - begin)[:, None], before.shape)[inside]
        shape = (samples.size, size)
        sets = scipy.sparse.coo_array(
            (np.ones(row.size, np.int32), (row, job.tokens[before[inside]])), shape=shape
        ).tocsr()
        sets.data[:] = 1
        labels = scipy.sparse.csr_array(
            (np.ones(samples.size, np.int32), (samples - begin, job.tokens[samples])), shape=shape
        )
        total = total + sets.T @ labels
    return total.tocsr()
