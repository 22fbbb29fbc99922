"""Peers for tokens in one sequence: A'A of an incidence matrix, which is given; only the product is
timed."""

from __future__ import annotations

from typing import Any

import numpy as np

from .contender import Answer, Contender, Job
from .next_peers import of_scipy
from .peers import incidence, scipy_same_sequence
from .tasks import ROW

_SETS = ("same-sequence",)


def set_peers() -> tuple[Contender, ...]:
    """The first is the baseline."""
    return (
        Contender(
            "scipy A'A",
            _SETS,
            lambda job, matrix: scipy_same_sequence(matrix),
            _of_symmetric,
            prepare=lambda job: incidence(job.tokens, job.corpus.vocab_size, ROW),
            bytes_needed=lambda job: 200 * job.tokens.size,
        ),
        Contender(
            "scikit-learn X'X",
            _SETS,
            _product,
            _of_symmetric,
            prepare=_vectorized,
            package="sklearn",
            bytes_needed=lambda job: 280 * job.tokens.size,
            most=5_000_000,
        ),
    )


def _vectorized(job: Job) -> Any:
    """By CountVectorizer, each row a document."""
    from sklearn.feature_extraction.text import CountVectorizer

    rows = (row.tolist() for row in np.split(job.tokens, range(ROW, job.tokens.size, ROW)))
    vectorizer = CountVectorizer(
        analyzer=lambda row: row,
        binary=True,
        dtype=np.int32,
        vocabulary={token: token for token in range(job.corpus.vocab_size)},
    )
    return vectorizer.transform(rows)


def _product(job: Job, matrix: Any) -> Any:
    from sklearn.utils.extmath import safe_sparse_dot

    return safe_sparse_dot(matrix.T, matrix)


def _of_symmetric(job: Job, table: Any) -> Answer:
    """Of its upper triangle, as our backends have it; `scipy.sparse.triu` takes three times as
    long."""
    import scipy.sparse

    size = job.corpus.vocab_size
    rows = np.repeat(np.arange(size, dtype=np.int32), np.diff(table.indptr))
    kept = table.indices >= rows
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows[kept], minlength=size))])
    upper = (table.data[kept], table.indices[kept], indptr)
    return of_scipy(job, scipy.sparse.csr_array(upper, shape=(size, size)))
