"""Identities that hold for every corpus (THEORY.md, section 5), whatever counts it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import probsig_fast as ps

V = 6
documents = st.lists(st.lists(st.integers(0, V - 1), max_size=12), max_size=8)
windows = st.builds(
    ps.Window, st.integers(1, 5), st.sampled_from(["uniform", "harmonic"]), st.just("forward")
)
relations = st.just(ps.Next()) | windows


def count(documents: list[list[int]], relation: ps.Next | ps.Window, backend: str) -> ps.Counts:
    return ps.count(documents, relation, vocab_size=V, backend=backend, chunk_tokens=7)


def dense(counts: ps.Counts) -> np.ndarray:
    return counts.to_scipy().toarray()


@given(documents=documents)
def test_next_pairs_and_document_edges(backend: str, documents: list[list[int]]) -> None:
    counts = count(documents, ps.Next(), backend)
    filled = [document for document in documents if document]
    first = Counter(document[0] for document in filled)
    last = Counter(document[-1] for document in filled)
    assert counts.row_sum.tolist() == [int(counts.unigram[s]) - last[s] for s in range(V)]
    assert counts.column_sum.tolist() == [int(counts.unigram[s]) - first[s] for s in range(V)]
    assert counts.total == sum(map(len, documents)) - len(filled)
    assert counts.n_sequences == len(filled)


@given(documents=documents, relation=relations)
def test_reversing_every_document_transposes(
    backend: str, documents: list[list[int]], relation: ps.Next | ps.Window
) -> None:
    counts = count(documents, relation, backend)
    turned = count([document[::-1] for document in documents], relation, backend)
    assert (dense(turned) == dense(counts).T).all()


@given(documents=documents, relation=relations, permutation=st.permutations(range(V)))
def test_relabelling_tokens(
    backend: str,
    documents: list[list[int]],
    relation: ps.Next | ps.Window,
    permutation: list[int],
) -> None:
    counts = count(documents, relation, backend)
    relabelled = count([[permutation[t] for t in d] for d in documents], relation, backend)
    assert (dense(relabelled)[np.ix_(permutation, permutation)] == dense(counts)).all()
    assert (relabelled.unigram[permutation] == counts.unigram).all()


@given(documents=documents, relation=relations, data=st.data())
def test_shards_add_exactly(
    backend: str, documents: list[list[int]], relation: ps.Next | ps.Window, data: st.DataObject
) -> None:
    whole = count(documents, relation, backend)
    shard = [data.draw(st.integers(0, 2)) for _ in documents]
    parts = [
        count([d for d, s in zip(documents, shard, strict=True) if s == n], relation, backend)
        for n in range(3)
    ]
    assert parts[0] + parts[1] + parts[2] == whole
    assert parts[2] + (parts[1] + parts[0]) == whole
    assert ps.Counts.merge(parts, backend=backend) == whole
    empty = count([], relation, backend)
    assert whole + empty == empty + whole == whole


@given(stream=st.lists(st.integers(0, V - 1), min_size=2, max_size=20), cut=st.integers(1, 19))
def test_cutting_a_stream_loses_one_pair(backend: str, stream: list[int], cut: int) -> None:
    cut = min(cut, len(stream) - 1)
    whole = dense(count([stream], ps.Next(), backend))
    parts = dense(count([stream[:cut], stream[cut:]], ps.Next(), backend))
    parts[stream[cut - 1], stream[cut]] += 1
    assert (whole == parts).all()


@given(
    documents=documents,
    size=st.integers(1, 5),
    weighting=st.sampled_from(["uniform", "harmonic"]),
)
def test_directions(backend: str, documents: list[list[int]], size: int, weighting: str) -> None:
    forward, backward, symmetric = (
        dense(count(documents, ps.Window(size, weighting, direction), backend))
        for direction in ("forward", "backward", "symmetric")
    )
    assert (backward == forward.T).all()
    assert (symmetric == forward + forward.T).all()


@given(documents=documents)
def test_a_window_of_one_is_next(backend: str, documents: list[list[int]]) -> None:
    pairs = count(documents, ps.Next(), backend)
    window = count(documents, ps.Window(1), backend)
    for name in ("indptr", "indices", "data", "unigram", "row_sum", "column_sum"):
        assert (getattr(window, name) == getattr(pairs, name)).all()
    assert window.n_sequences == pairs.n_sequences
    assert window != pairs  # another relation


@given(documents=documents, size=st.integers(1, 4))
def test_a_window_is_the_sum_of_its_distances(
    backend: str, documents: list[list[int]], size: int
) -> None:
    weights = [3, 0, 5, 2][:size]
    whole = dense(count(documents, ps.Window(size, weights), backend))
    single = np.zeros((V, V), np.int64)
    for distance, weight in enumerate(weights, 1):
        only = ps.Window(distance, [0] * (distance - 1) + [1])
        single += weight * dense(count(documents, only, backend))
    assert (whole == single).all()


@pytest.mark.parametrize("scale", [2, 7])
@given(documents=documents)
def test_weights_scale_counts(backend: str, scale: int, documents: list[list[int]]) -> None:
    once = count(documents, ps.Window(3, [2, 1, 3]), backend)
    times = count(documents, ps.Window(3, [2 * scale, scale, 3 * scale]), backend)
    assert (times.data == scale * once.data).all()
    assert (times.indices == once.indices).all()
    ours, theirs = once.row_conditional(), times.row_conditional()
    assert (ours.probabilities() == theirs.probabilities()).all()


@given(documents=documents)
def test_signatures_are_distributions_over_next_and_previous(
    backend: str, documents: list[list[int]]
) -> None:
    counts = count(documents, ps.Next(), backend)
    phi, psi = counts.phi_next(), counts.psi_pre()
    for signature in (phi, psi):
        sums = signature.to_scipy().toarray().sum(axis=1)
        assert sums[signature.tokens] == pytest.approx(1)
        assert not sums[signature.support == 0].any()
    # N_x phi_x[y] = N_y psi_y[x] = N[x, y]: the two are one table seen from two sides.
    pairs = dense(counts)
    assert phi.to_scipy().toarray() * phi.support[:, None] == pytest.approx(pairs)
    assert psi.to_scipy().toarray().T * psi.support[None, :] == pytest.approx(pairs)
