"""What backends that read host memory share: the parts of `contract.Kernels` about places."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contract import Each, Rows, RunningPairs, SetPairs, Summand, Tokens

__all__ = [
    "additions",
    "chunk_tokens",
    "load",
    "load_rows",
    "load_spans",
    "marginals",
    "prepared",
    "running_pairs",
    "spans_memory",
    "waiting_bytes",
]

#: Below so many tokens a further chunk costs more than a further thread gains.
SMALLEST_CHUNK = 2**20


def load(tokens: Tokens) -> Tokens:
    return tokens


def load_spans(spans: Summand) -> Summand:
    return spans


def load_rows(rows: Rows) -> Rows:
    return rows


def chunk_tokens(usual: int, total: int | None, threads: int) -> int:
    if total is None:
        return usual
    rounds = max(math.ceil(total / (threads * usual)), 1)  # equally many for each thread
    return max(math.ceil(total / (threads * rounds)), SMALLEST_CHUNK)


def spans_memory(share: float) -> float:
    return share


def running_pairs(
    vocab_size: int, weights: NDArray[np.int64], total: int | None
) -> RunningPairs | None:
    return None


def keep_memory(most: int) -> None:
    pass


def release() -> None:
    pass


def waiting_bytes(summand: Summand) -> int:
    return sum(array.nbytes for array in summand)


def prepared(parts: list[Any], each: Each) -> list[Any]:
    return parts


def marginals(summand: Summand) -> NDArray[np.int64] | None:
    if not isinstance(summand, SetPairs):
        return None
    return np.stack([summand.row_sums, summand.column_sums, summand.frequency])


def additions(spans: Summand) -> NDArray[np.int64]:
    if isinstance(spans, SetPairs):
        return spans.row_sums
    lengths = spans.bounds[:, 1] - spans.bounds[:, 0]
    running: NDArray[np.int64] = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    sums: NDArray[np.int64] = running[spans.indptr[1:]] - running[spans.indptr[:-1]]
    add_heads(sums, spans.head_ids)
    return sums


def add_heads(sums: NDArray[np.int64], head_ids: Tokens) -> None:
    """Each head is added up with itself and all larger ones."""
    sums[head_ids] += np.arange(head_ids.size, 0, -1)
