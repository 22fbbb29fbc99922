"""What is counted, in plain Python, token by token: the oracle of the other tests.

Written from the definition ("What exactly is counted"), not from the package: no NumPy in the
counting, no code shared with it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import probsig_fast as ps

ARRAYS = ("indptr", "indices", "stored", "data", "unigram", "row_sum", "column_sum")


def by_offsets(tokens: Sequence[int], offsets: Sequence[int]) -> list[list[int]]:
    """The documents tokens[offsets[i]:offsets[i + 1]]."""
    return [list(tokens[a:b]) for a, b in pairwise(offsets)]


def joined(files: Iterable[Sequence[Sequence[int]]]) -> list[list[int]]:
    """The documents of several files read as one stream: a file's end is no boundary."""
    documents: list[list[int]] = [[]]
    for file in files:
        for index, document in enumerate(file):
            if index:
                documents.append([])
            documents[-1].extend(document)
    return documents


def sequences(
    documents: Iterable[Sequence[int]],
    eos: int | None = None,
    count_eos: bool = True,
    ignore_ids: Iterable[int] = (),
    sequence_length: int | None = None,
) -> list[list[int]]:
    """Non-empty sequences of counted tokens; documents lie between the source's boundaries."""
    absent = set(ignore_ids) | (set() if count_eos else {eos})
    result: list[list[int]] = []
    for document in documents:
        current: list[int] = []
        for token in [*document, None]:
            if token is not None and token not in absent:
                current.append(token)
            if token is None or token in absent or token == eos or len(current) == sequence_length:
                if current:
                    result.append(current)
                current = []
    return result


def weights_of(relation: ps.Next | ps.Window) -> list[Fraction]:
    """The weight of each distance 1, 2, ..."""
    if isinstance(relation, ps.Next):
        return [Fraction(1)]
    if relation.weighting == "uniform":
        return [Fraction(1)] * relation.size
    if relation.weighting == "harmonic":
        return [Fraction(1, d) for d in range(1, relation.size + 1)]
    return [Fraction(weight) for weight in relation.weighting]


@dataclass
class Expected:
    """What counts must be: `pairs` has no zeros, and is multiplied by `scale`."""

    vocab_size: int
    pairs: dict[tuple[int, int], int]
    unigram: dict[int, int]
    n_sequences: int
    scale: int


def expect(
    documents: Iterable[Sequence[int]],
    relation: ps.Next | ps.Window,
    vocab_size: int,
    **rules: Any,
) -> Expected:
    """The counts of `relation` over documents (lists between the source's boundaries)."""
    found = sequences(documents, **rules)
    weights = weights_of(relation)
    scale = math.lcm(*(weight.denominator for weight in weights))
    pairs: Counter[tuple[int, int]] = Counter()
    for sequence in found:
        for i, x in enumerate(sequence):
            for weight, y in zip(weights, sequence[i + 1 :], strict=False):
                if relation.direction in ("forward", "symmetric"):
                    pairs[x, y] += weight * scale
                if relation.direction in ("backward", "symmetric"):
                    pairs[y, x] += weight * scale
    return Expected(
        vocab_size,
        {pair: int(value) for pair, value in pairs.items() if value},
        dict(Counter(token for sequence in found for token in sequence)),
        len(found),
        scale,
    )


def check_counts(counts: ps.Counts, expected: Expected) -> None:
    """`counts` hold exactly what is expected, in canonical and read-only arrays."""
    check_canonical(counts)
    assert counts.vocab_size == expected.vocab_size
    assert counts.weight_scale == expected.scale
    rows, columns, values = counts.to_coo()
    got = dict(zip(zip(rows.tolist(), columns.tolist(), strict=True), values.tolist(), strict=True))
    assert got == expected.pairs
    assert counts.nnz == len(expected.pairs)
    assert counts.total == sum(expected.pairs.values())
    assert counts.n_sequences == expected.n_sequences
    assert counts.n_tokens == sum(expected.unigram.values())
    row_sum: Counter[int] = Counter()
    column_sum: Counter[int] = Counter()
    for (x, y), value in expected.pairs.items():
        row_sum[x] += value
        column_sum[y] += value
    for array, sums in (
        (counts.unigram, expected.unigram),
        (counts.row_sum, row_sum),
        (counts.column_sum, column_sum),
    ):
        assert array.size == expected.vocab_size
        assert {i: n for i, n in enumerate(array.tolist()) if n} == dict(sums)


def check_canonical(counts: ps.Counts) -> None:
    """Types, order and read-only arrays, whatever was counted."""
    for name in ARRAYS:
        array = getattr(counts, name)
        allowed = {"indices": {"int32"}, "stored": {"int32", "int64"}}.get(name, {"int64"})
        assert array.dtype.name in allowed, name
        assert array.dtype.isnative, name
        assert array.ndim == 1, name
        assert not array.flags.writeable, name
    indptr, indices = counts.indptr, counts.indices
    assert indptr.size == counts.vocab_size + 1
    assert indptr[0] == 0
    assert indptr[-1] == indices.size == counts.data.size == counts.stored.size
    assert (np.diff(indptr) >= 0).all()
    for begin, end in pairwise(indptr.tolist()):
        if end - begin > 1:
            assert (np.diff(indices[begin:end]) > 0).all()
    assert ((indices >= 0) & (indices < counts.vocab_size)).all()
    assert (counts.data > 0).all()


def saved_bytes(counts: ps.Counts, folder: Path) -> bytes:
    """The bytes of its counts file."""
    return counts.save(folder / "saved.safetensors").read_bytes()
