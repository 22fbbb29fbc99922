"""Peers for next-token pairs of one stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contender import Answer, Contender, Job, answer, answer_of_keys
from .peers import key_base, numpy_unique, packed, scipy_pairs

_NEXT = ("next",)


def next_peers() -> tuple[Contender, ...]:
    """The first is the baseline."""
    return (
        Contender(
            "numpy unique",
            _NEXT,
            lambda job, _: numpy_unique(job.tokens),
            _of_packed,
            bytes_needed=_a_token(20, 36),
        ),
        Contender(
            "numpy bincount, V x V bins",
            _NEXT,
            _bincount,
            _of_bins,
            bytes_needed=lambda job: 8 * (job.corpus.vocab_size**2 + job.tokens.size),
            most=100_000_000,
            slow=True,
        ),
        Contender(
            "scipy COO to CSR",
            _NEXT,
            lambda job, _: scipy_pairs(job.tokens[:-1], job.tokens[1:], job.corpus.vocab_size),
            of_scipy,
            bytes_needed=_a_token(32, 32),
        ),
        Contender(
            "polars group_by",
            _NEXT,
            _polars,
            _of_packed,
            prepare=_polars_threads,
            threads=None,
            package="polars",
            bytes_needed=_a_token(20, 40),
        ),
        Contender(
            "duckdb GROUP BY",
            _NEXT,
            _duckdb,
            _of_packed,
            threads=None,
            package="duckdb",
            bytes_needed=_a_token(12, 24),
        ),
        Contender(
            "numba dense V x V",
            _NEXT,
            _dense,
            _of_dense,
            bytes_needed=lambda job: 4 * job.corpus.vocab_size**2,
            slow=True,
        ),
        Contender(
            "torch.unique",
            _NEXT,
            _torch,
            _of_product,
            threads=None,
            package="torch",
            bytes_needed=_a_token(48, 48),
        ),
        Contender(
            "tokengrams",
            _NEXT,
            _tokengrams,
            lambda job, table: answer(*table),
            prepare=_token_file,
            threads=None,
            package="tokengrams",
            most=10_000_000,
        ),
    )


def _a_token(narrow: int, wide: int) -> Callable[[Job], float]:
    """Bytes for uint16 and for uint32 tokens."""
    return lambda job: job.tokens.size * (narrow if job.tokens.itemsize == 2 else wide)


def _of_packed(job: Job, result: tuple[NDArray[Any], NDArray[Any]]) -> Answer:
    return answer_of_keys(*result, key_base(job.tokens), job.corpus.vocab_size)


def _of_product(job: Job, result: tuple[NDArray[Any], NDArray[Any]]) -> Answer:
    return answer_of_keys(*result, job.corpus.vocab_size, job.corpus.vocab_size)


def of_scipy(job: Job, table: Any) -> Answer:
    table.sort_indices()
    return answer(table.indptr, table.indices, table.data)


def _keys(job: Job) -> NDArray[np.int64]:
    """s * V + s' in 64 signed bits, as `bincount` and torch take them."""
    keys = job.tokens[:-1].astype(np.int64)
    keys *= job.corpus.vocab_size
    keys += job.tokens[1:]
    return keys


def _bincount(job: Job, _: None) -> NDArray[np.int64]:
    """Fewer bins than the 2^32 of packed keys, so less memory."""
    return np.bincount(_keys(job), minlength=job.corpus.vocab_size**2)


def _of_bins(job: Job, bins: NDArray[np.int64]) -> Answer:
    return _of_dense(job, bins.reshape(job.corpus.vocab_size, -1))


def _of_dense(job: Job, table: NDArray[Any]) -> Answer:
    found = [np.flatnonzero(row) for row in table]
    counts = [row[columns] for row, columns in zip(table, found, strict=True)]
    indptr = np.concatenate([[0], np.cumsum([each.size for each in found])])
    return answer(indptr, np.concatenate(found), np.concatenate(counts))


def _polars_threads(job: Job) -> None:
    """Polars reads this once, when it is imported."""
    import os

    os.environ.setdefault("POLARS_MAX_THREADS", str(job.threads))


def _polars(job: Job, _: None) -> tuple[NDArray[Any], NDArray[Any]]:
    import polars

    keys = packed(job.tokens[:-1], job.tokens[1:])
    counted = polars.DataFrame({"key": keys}).group_by("key").len()
    return counted["key"].to_numpy(), counted["len"].to_numpy()


def _duckdb(job: Job, _: None) -> tuple[NDArray[Any], NDArray[Any]]:
    import duckdb

    with duckdb.connect(config={"threads": job.threads}) as connection:
        connection.register("pairs", {"key": packed(job.tokens[:-1], job.tokens[1:])})
        query = "SELECT key, count(*) AS n FROM pairs GROUP BY key"
        found = connection.sql(query).fetchnumpy()
    return np.asarray(found["key"]), np.asarray(found["n"])


def _dense(job: Job, _: None) -> NDArray[np.uint32]:
    from .loops import add_pairs

    size = job.corpus.vocab_size
    table = np.zeros((size, size), np.uint32)
    add_pairs(job.tokens, table)
    return table


def _torch(job: Job, _: None) -> tuple[NDArray[Any], NDArray[Any]]:
    import torch

    torch.set_num_threads(job.threads)
    keys, counts = torch.unique(torch.from_numpy(_keys(job)), return_counts=True)
    return keys.numpy(), counts.numpy()


def _token_file(job: Job) -> str:
    """Of the width that it takes a vocabulary of this size to have."""
    path = job.folder / f"tokengrams-{job.tokens.size}.bin"
    width = np.uint16 if job.corpus.vocab_size <= 2**16 else np.uint32
    job.tokens.astype(width, copy=False).tofile(path)
    return str(path)


def _tokengrams(job: Job, path: str) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """A suffix array, then what stands after each token's places. Its `count_next` gives a list as
    long as the vocabulary for each token, which takes 17 times as long for 1 M tokens."""
    from tokengrams import InMemoryIndex

    size = job.corpus.vocab_size
    index = InMemoryIndex.from_token_file(path, vocab=size)
    indptr = np.zeros(size + 1, np.int64)
    columns, counts = [], []
    for token in np.unique(job.tokens[:-1]).tolist():
        after = np.array(index.positions([token])) + 1
        found, times = np.unique(job.tokens[after[after < job.tokens.size]], return_counts=True)
        indptr[token + 1] = found.size
        columns.append(found)
        counts.append(times)
    return np.cumsum(indptr), np.concatenate(columns), np.concatenate(counts)
