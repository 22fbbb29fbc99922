"""What is counted, in plain Python, token by token: the oracle of the other tests.

Written from the definition ("What exactly is counted"), not from the package: no NumPy in the
counting, no code shared with it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import probsig_fast as ps
from probsig_fast.table import Table

ARRAYS = ("indptr", "indices", "stored", "data", "unigram", "row_sum", "column_sum")
Relation = ps.Next | ps.Window | ps.Prefix | ps.SameSequence
Cells = dict[tuple[int, int], int]


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
    """What counts must be: `pairs` has no zeros, and is multiplied by `scale`.

    `n_in` and `n_out` have no zeros; `third` has (label, other token) for each token of the focus.
    """

    vocab_size: int
    pairs: Cells
    unigram: dict[int, int]
    n_sequences: int
    scale: int
    n_in: dict[int, int]
    n_out: dict[int, int]
    n_samples: int
    is_triangle: bool = False
    third: dict[int, Cells] = field(default_factory=dict)


def expect(
    documents: Iterable[Sequence[int]],
    relation: Relation,
    vocab_size: int,
    focus: Iterable[int] = (),
    **rules: Any,
) -> Expected:
    """The counts of `relation` over documents (lists between the source's boundaries)."""
    found = sequences(documents, **rules)
    unigram = dict(Counter(token for sequence in found for token in sequence))
    scale = 1
    third: dict[int, Cells] = {}
    if isinstance(relation, ps.SameSequence):
        pairs = Counter((x, y) for s in found for x in set(s) for y in set(s))
        n_in = n_out = {x: pairs[x, x] for x in unigram}
        n_samples = len(found)
    elif isinstance(relation, ps.Prefix):
        samples = list(prefixes(found, relation.length))
        pairs = Counter((x, label) for held, label in samples for x in held)
        n_in = Counter(x for held, _ in samples for x in held)
        n_out = Counter(label for _, label in samples)
        n_samples = len(samples)
        for x in focus:
            third[x] = Counter((nu, y) for held, nu in samples if x in held for y in held)
    else:
        weights = weights_of(relation)
        scale = math.lcm(*(weight.denominator for weight in weights))
        pairs = pairs_at_a_distance(found, weights, relation.direction, scale)
        n_in, n_out = marginals(pairs)
        n_samples = sum(pairs.values())
    return Expected(
        vocab_size,
        {pair: int(value) for pair, value in pairs.items() if value},
        unigram,
        len(found),
        scale,
        dict(n_in),
        dict(n_out),
        n_samples,
        isinstance(relation, ps.SameSequence),
        {x: dict(cells) for x, cells in third.items()},
    )


def prefixes(found: Iterable[Sequence[int]], length: int) -> Iterable[tuple[set[int], int]]:
    """Samples of `Prefix`: the up to `length` tokens before each token that has one, and it."""
    for sequence in found:
        for position in range(1, len(sequence)):
            before = [sequence[i] for i in range(position) if position - i <= length]
            yield set(before), sequence[position]


def pairs_at_a_distance(
    found: Iterable[Sequence[int]], weights: list[Fraction], direction: str, scale: int
) -> Counter[tuple[int, int]]:
    """Weighted pairs x ... y of each sequence, times `scale`; those of weight 0 too."""
    pairs: Counter[tuple[int, int]] = Counter()
    for sequence in found:
        for i, x in enumerate(sequence):
            for weight, y in zip(weights, sequence[i + 1 :], strict=False):
                if direction in ("forward", "symmetric"):
                    pairs[x, y] += int(weight * scale)
                if direction in ("backward", "symmetric"):
                    pairs[y, x] += int(weight * scale)
    return +pairs


def marginals(cells: Cells) -> tuple[dict[int, int], dict[int, int]]:
    """The sums of rows and of columns that have entries."""
    row_sum: Counter[int] = Counter()
    column_sum: Counter[int] = Counter()
    for (x, y), value in cells.items():
        row_sum[x] += value
        column_sum[y] += value
    return dict(row_sum), dict(column_sum)


def check_counts(counts: ps.Counts, expected: Expected) -> None:
    """`counts` hold exactly what is expected, in canonical and read-only arrays."""
    check_canonical(counts)
    assert counts.vocab_size == expected.vocab_size
    assert counts.weight_scale == expected.scale
    check_table(counts, expected.pairs, (expected.vocab_size,) * 2, expected.is_triangle)
    assert counts.n_sequences == expected.n_sequences
    assert counts.n_tokens == sum(expected.unigram.values())
    assert counts.n_samples == expected.n_samples
    for array, sums in (
        (counts.unigram, expected.unigram),
        (counts.n_in, expected.n_in),
        (counts.n_out, expected.n_out),
    ):
        check_vector(array, sums, expected.vocab_size)
    assert counts.focus == tuple(sorted(expected.third))
    check_third_order(counts, expected.third, (expected.vocab_size,) * 2)


def check_table(
    table: Table, cells: Cells, shape: tuple[int, int], is_triangle: bool = False
) -> None:
    """A table has exactly these cells; what it keeps is its upper triangle if that is asked."""
    assert table.shape == shape
    assert table.is_triangle == is_triangle
    kept = {(x, y): n for (x, y), n in cells.items() if x <= y or not is_triangle}
    assert cells_of(table.indptr, table.indices, table.data) == kept
    rows, columns, values = table.to_coo()
    got = list(zip(rows.tolist(), columns.tolist(), values.tolist(), strict=True))
    assert got == [(*pair, cells[pair]) for pair in sorted(cells)]
    assert table.nnz == len(kept)
    assert table.total == sum(cells.values())
    for array, sums, size in zip(
        (table.row_sum, table.column_sum), marginals(cells), shape, strict=True
    ):
        check_vector(array, sums, size)


def check_third_order(
    counts: ps.Counts | ps.LabelledCounts, third: dict[int, Cells], shape: tuple[int, int]
) -> None:
    for token, cells in third.items():
        matrix = counts.third_order(token)
        assert matrix.shape == shape
        assert matrix.data.dtype == np.int64
        assert matrix.has_canonical_format
        assert cells_of(matrix.indptr, matrix.indices, matrix.data) == cells


def check_vector(array: NDArray[np.int64], expected: dict[int, int], size: int) -> None:
    """An int64 array with these values, and zeros elsewhere; it cannot be written."""
    assert array.dtype == np.int64
    assert array.size == size
    assert {i: n for i, n in enumerate(array.tolist()) if n} == expected


def cells_of(indptr: NDArray[Any], indices: NDArray[Any], data: NDArray[Any]) -> Cells:
    """The entries of CSR arrays, none of them twice."""
    keys = [
        (row, column)
        for row, (begin, end) in enumerate(pairwise(indptr.tolist()))
        for column in indices[begin:end].tolist()
    ]
    assert len(set(keys)) == len(keys) == data.size
    return dict(zip(keys, data.tolist(), strict=True))


def check_canonical(counts: ps.Counts) -> None:
    """Types, order and read-only arrays, whatever was counted."""
    check_csr(counts)
    assert counts.unigram.dtype == np.int64
    assert not counts.unigram.flags.writeable
    assert counts.indptr.size == counts.unigram.size + 1


def check_csr(table: Table) -> None:
    """Types, order and read-only arrays of a table."""
    for name in ARRAYS:
        if name == "unigram":
            continue
        array = getattr(table, name)
        allowed = {"indices": {"int32"}, "stored": {"int32", "int64"}}.get(name, {"int64"})
        assert array.dtype.name in allowed, name
        assert array.dtype.isnative, name
        assert array.ndim == 1, name
        assert not array.flags.writeable, name
    indptr, indices = table.indptr, table.indices
    assert indptr.size == table.shape[0] + 1
    assert indptr[0] == 0
    assert indptr[-1] == indices.size == table.data.size == table.stored.size
    assert (np.diff(indptr) >= 0).all()
    for begin, end in pairwise(indptr.tolist()):
        if end - begin > 1:
            assert (np.diff(indices[begin:end]) > 0).all()
    assert ((indices >= 0) & (indices < table.shape[1])).all()
    assert (table.data > 0).all()


def saved_bytes(counts: ps.Counts | ps.LabelledCounts, folder: Path) -> bytes:
    """The bytes of its counts file."""
    return counts.save(folder / "saved.safetensors").read_bytes()


# Labelled data


@dataclass
class ExpectedLabelled:
    """What labelled counts must be; no zeros anywhere."""

    vocab_size: int
    n_labels: int
    incidence: str
    n_samples: int
    labels: Cells
    pairs: Cells
    n_in: dict[int, int]
    n_out: dict[int, int]
    third: dict[int, Cells]


def expect_labelled(
    X: Iterable[Sequence[int]],
    y: Iterable[int],
    vocab_size: int,
    n_labels: int,
    incidence: str = "presence",
    focus: Iterable[int] = (),
) -> ExpectedLabelled:
    """The counts of samples (X, y), with c_ix as `incidence` says."""
    labels: Counter[tuple[int, int]] = Counter()
    pairs: Counter[tuple[int, int]] = Counter()
    n_in: Counter[int] = Counter()
    n_out: Counter[int] = Counter()
    third: dict[int, Counter[tuple[int, int]]] = {x: Counter() for x in focus}
    for sequence, label in zip(X, y, strict=True):
        c = {x: 1 if incidence == "presence" else sequence.count(x) for x in sequence}
        n_out[label] += 1
        for x in c:
            n_in[x] += c[x]
            labels[x, label] += c[x]
            for other in c:
                pairs[x, other] += c[x] * c[other]
                if x in third:
                    third[x][label, other] += c[x] * c[other]
    return ExpectedLabelled(
        vocab_size,
        n_labels,
        incidence,
        sum(n_out.values()),
        dict(labels),
        dict(pairs),
        dict(n_in),
        dict(n_out),
        {x: dict(cells) for x, cells in third.items()},
    )


def check_labelled(counts: ps.LabelledCounts, expected: ExpectedLabelled) -> None:
    """`counts` hold exactly what is expected, in canonical and read-only arrays."""
    V, Q = expected.vocab_size, expected.n_labels
    assert (counts.vocab_size, counts.n_labels, counts.incidence) == (V, Q, expected.incidence)
    assert counts.n_samples == expected.n_samples
    check_table(counts.labels, expected.labels, (V, Q))
    check_table(counts.pairs, expected.pairs, (V, V), is_triangle=True)
    check_vector(counts.n_in, expected.n_in, V)
    check_vector(counts.n_out, expected.n_out, Q)
    assert counts.focus == tuple(sorted(expected.third))
    check_third_order(counts, expected.third, (Q, V))
    for table in (counts.labels, counts.pairs):
        check_csr(table)
    assert not counts.n_in.flags.writeable
    assert not counts.n_out.flags.writeable
