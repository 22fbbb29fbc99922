"""Identities of sets, prefixes and labelled data that hold for all of them (THEORY, section 5)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import ARRAYS

import probsig_fast as ps

V, Q = 6, 4
INCIDENCES = ["presence", "multiplicity"]
#: So many identities, on each backend: a few examples of each find what one identity misses.
FEW = settings(max_examples=15)
documents = st.lists(st.lists(st.integers(0, V - 1), max_size=10), max_size=7)
samples = st.lists(
    st.tuples(st.lists(st.integers(0, V - 1), min_size=1, max_size=8), st.integers(0, Q - 1)),
    max_size=10,
)
by_incidence = pytest.mark.parametrize("incidence", INCIDENCES)
Samples = list[tuple[list[int], int]]


def labelled(samples: Samples, backend: str, **arguments: Any) -> ps.LabelledCounts:
    return ps.count_labelled(
        [X for X, _ in samples],
        [y for _, y in samples],
        vocab_size=V,
        n_labels=Q,
        backend=backend,
        **arguments,
    )


def count(documents: list[list[int]], relation: Any, backend: str, **arguments: Any) -> ps.Counts:
    arguments = {"chunk_tokens": 7, **arguments}
    return ps.count(documents, relation, vocab_size=V, backend=backend, **arguments)


def dense(table: Any) -> np.ndarray:
    return table.to_scipy().toarray()


def check_symmetric(matrix: np.ndarray) -> None:
    """Symmetric and positive semi-definite."""
    assert (matrix == matrix.T).all()
    if matrix.size:
        assert np.linalg.eigvalsh(matrix.astype(float)).min() >= -1e-9 * max(matrix.max(), 1)


def check_frechet(pairs: np.ndarray, single: np.ndarray, total: int) -> None:
    """max(0, N_x + N_x' - N) <= N_xx' <= min(N_x, N_x')."""
    first, second = single[:, None], single[None, :]
    assert (pairs <= np.minimum(first, second)).all()
    assert (pairs >= np.maximum(first + second - total, 0)).all()


# Labelled data


@by_incidence
@FEW
@given(samples=samples)
def test_marginals(backend: str, incidence: str, samples: Samples) -> None:
    counts = labelled(samples, backend, incidence=incidence)
    by_label = dense(counts.labels)
    assert (by_label.sum(axis=1) == counts.n_in).all()  # sum_nu N_{x,nu} = N_x
    assert counts.n_out.sum() == counts.n_samples == len(samples)  # sum_nu N_nu = N
    sizes = [len(set(X) if incidence == "presence" else X) for X, _ in samples]
    assert counts.n_in.sum() == sum(sizes)  # sum_x N_x = sum_i |X_i|
    pairs = dense(counts.pairs)
    check_symmetric(pairs)
    assert pairs.sum() == sum(size * size for size in sizes)
    assert (counts.pairs.row_sum == counts.pairs.column_sum).all()
    assert (counts.pairs.row_sum == pairs.sum(axis=1)).all()
    # Samples that hold a token are as many as that or more often hold it.
    assert (counts.n_out >= (by_label > 0).any(axis=0)).all()


@FEW
@given(samples=samples)
def test_presence(backend: str, samples: Samples) -> None:
    counts = labelled(samples, backend, third_order=True)
    pairs = dense(counts.pairs)
    assert (np.diagonal(pairs) == counts.n_in).all()  # N_xx = N_x
    check_frechet(pairs, counts.n_in, counts.n_samples)
    by_label = dense(counts.labels)
    for x in range(V):
        third = counts.third_order(x).toarray()
        assert (third[:, x] == by_label[x]).all()  # x' = x gives N_{x,nu}
        for label in range(Q):  # within one label, presence is presence in fewer samples
            low = np.maximum(by_label[x, label] + by_label[:, label] - counts.n_out[label], 0)
            assert (third[label] >= low).all()
            assert (third[label] <= np.minimum(by_label[x, label], by_label[:, label])).all()
    for signature in (counts.phi_y(), counts.psi_X(), counts.phi_X()):
        assert (signature.probabilities() <= 1).all()
    phi_y, phi_X = counts.phi_y(), counts.phi_X().to_scipy().toarray()
    sums = phi_y.to_scipy().toarray().sum(axis=1)
    assert sums[phi_y.tokens] == pytest.approx(1)
    assert np.diagonal(phi_X)[counts.n_in > 0] == pytest.approx(1)


@by_incidence
@FEW
@given(samples=samples)
def test_third_order(backend: str, incidence: str, samples: Samples) -> None:
    counts = labelled(samples, backend, incidence=incidence, third_order=True)
    third = np.stack([counts.third_order(x).toarray() for x in range(V)])  # [x, nu, x']
    assert (third == third.transpose(2, 1, 0)).all()  # symmetric in x, x'
    assert (third.sum(axis=1) == dense(counts.pairs)).all()  # its sum over nu is N_xx'
    for label in range(Q):
        check_symmetric(third[:, label])
        own = [(X, y) for X, y in samples if y == label]
        only = labelled(own, backend, incidence=incidence)
        assert (dense(only.pairs) == third[:, label]).all()
    # sum_nu phi_x^y[nu] phi_x^{X|y}[nu, x'] = phi_x^X[x']
    phi_y, phi_X = (s.to_scipy().toarray() for s in (counts.phi_y(), counts.phi_X()))
    for x in range(V):
        given_y = counts.phi_X_given_y(x).to_scipy().toarray()
        assert phi_y[x] @ given_y == pytest.approx(phi_X[x], abs=1e-12)
    focus = labelled(samples, backend, incidence=incidence, focus=[4, 1])
    for x in focus.focus:
        assert (focus.third_order(x).toarray() == third[x]).all()


@by_incidence
@FEW
@given(samples=samples)
def test_two_sides_of_one_table(backend: str, incidence: str, samples: Samples) -> None:
    counts = labelled(samples, backend, incidence=incidence)
    phi, psi = counts.phi_y(), counts.psi_X()
    by_label = dense(counts.labels)  # N_x phi_x^y[nu] = N_nu psi_nu[x] = N_{x,nu}
    assert phi.to_scipy().toarray() * counts.n_in[:, None] == pytest.approx(by_label)
    assert psi.to_scipy().toarray().T * counts.n_out[None, :] == pytest.approx(by_label)


@by_incidence
@FEW
@given(samples=samples, permutation=st.permutations(range(V)), turned=st.permutations(range(Q)))
def test_relabelling(
    backend: str, incidence: str, samples: Samples, permutation: list[int], turned: list[int]
) -> None:
    counts = labelled(samples, backend, incidence=incidence, focus=[2])
    other = labelled(
        [([permutation[x] for x in X], turned[y]) for X, y in samples],
        backend,
        incidence=incidence,
        focus=[permutation[2]],
    )
    assert (dense(other.labels)[np.ix_(permutation, turned)] == dense(counts.labels)).all()
    assert (dense(other.pairs)[np.ix_(permutation, permutation)] == dense(counts.pairs)).all()
    assert (other.n_in[permutation] == counts.n_in).all()
    assert (other.n_out[turned] == counts.n_out).all()
    third = other.third_order(permutation[2]).toarray()
    assert (third[np.ix_(turned, permutation)] == counts.third_order(2).toarray()).all()


@by_incidence
@FEW
@given(samples=samples, data=st.data())
def test_order_does_not_matter(
    backend: str, incidence: str, samples: Samples, data: st.DataObject
) -> None:
    shuffled = [(data.draw(st.permutations(X)), y) for X, y in data.draw(st.permutations(samples))]
    arguments: dict[str, Any] = {"incidence": incidence, "third_order": True}
    assert labelled(shuffled, backend, **arguments) == labelled(samples, backend, **arguments)


@FEW
@given(samples=samples)
def test_presence_is_multiplicity_where_nothing_repeats(backend: str, samples: Samples) -> None:
    once = [(sorted(set(X)), y) for X, y in samples]
    presence = labelled(samples, backend, third_order=True)
    multiplicity = labelled(once, backend, incidence="multiplicity", third_order=True)
    for mine, theirs in (
        (presence.labels, multiplicity.labels),
        (presence.pairs, multiplicity.pairs),
        (presence.third.table, multiplicity.third.table),  # type: ignore[union-attr]
    ):
        assert (mine.to_scipy() != theirs.to_scipy()).nnz == 0


@FEW
@given(samples=samples, data=st.data())
def test_probabilities_of_shards_are_weighted_by_counts(
    backend: str, samples: Samples, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(samples)))
    parts = [labelled(s, backend) for s in (samples[:cut], samples[cut:])]
    whole = labelled(samples, backend)
    assert parts[0] + parts[1] == parts[1] + parts[0] == whole
    weighted = sum(part.phi_y().to_scipy().toarray() * part.n_in[:, None] for part in parts)
    mean = weighted / np.maximum(whole.n_in, 1)[:, None]
    assert whole.phi_y().to_scipy().toarray() == pytest.approx(mean)


# Streams: SameSequence and Prefix


@FEW
@given(documents=documents)
def test_same_sequence(backend: str, documents: list[list[int]]) -> None:
    counts = count(documents, ps.SameSequence(), backend)
    pairs, held = dense(counts), counts.n_in
    check_symmetric(pairs)
    check_frechet(pairs, held, counts.n_sequences)
    assert (np.diagonal(pairs) == held).all()
    assert (counts.n_out == held).all()
    assert counts.n_samples == counts.n_sequences == len([d for d in documents if d])
    assert held.sum() == sum(len(set(document)) for document in documents)
    assert counts.total == sum(len(set(document)) ** 2 for document in documents)
    assert (held <= counts.unigram).all()
    phi = counts.phi_X()
    assert (phi.probabilities() <= 1).all()
    assert phi.to_scipy().toarray() * held[:, None] == pytest.approx(pairs)


@FEW
@given(documents=documents, data=st.data())
def test_same_sequence_knows_no_order(
    backend: str, documents: list[list[int]], data: st.DataObject
) -> None:
    counts = count(documents, ps.SameSequence(), backend)
    for other in (
        [document[::-1] for document in documents],
        [[token for token in document for _ in range(2)] for document in documents],
        data.draw(st.permutations(documents)),
    ):
        again = count(other, ps.SameSequence(), backend)
        assert (dense(again) == dense(counts)).all()


@FEW
@given(documents=documents, length=st.integers(1, 12))
def test_prefix(backend: str, documents: list[list[int]], length: int) -> None:
    counts = count(documents, ps.Prefix(length), backend)
    pairs, filled = dense(counts), [document for document in documents if document]
    assert (pairs.sum(axis=1) == counts.n_in).all()  # each sample has one label
    assert counts.n_samples == sum(len(document) - 1 for document in filled)
    assert counts.n_out.sum() == counts.n_samples
    firsts = np.bincount([document[0] for document in filled], minlength=V)
    assert (counts.n_out == counts.unigram - firsts).all()
    # sum_x N_x = sum of the sizes of the samples' sets
    assert counts.n_in.sum() == sum(
        len(set(document[max(t - length, 0) : t]))
        for document in filled
        for t in range(1, len(document))
    )
    assert (pairs <= np.minimum(counts.n_in[:, None], counts.n_out[None, :])).all()
    low = counts.n_in[:, None] + counts.n_out[None, :] - counts.n_samples
    assert (pairs >= np.maximum(low, 0)).all()
    phi, psi = counts.phi_y(), counts.psi_X()
    assert phi.to_scipy().toarray() * counts.n_in[:, None] == pytest.approx(pairs)
    assert psi.to_scipy().toarray().T * counts.n_out[None, :] == pytest.approx(pairs)
    assert phi.to_scipy().toarray().sum(axis=1)[phi.tokens] == pytest.approx(1)
    assert (phi.probabilities() <= 1).all()
    assert (psi.probabilities() <= 1).all()


@FEW
@given(documents=documents, length=st.integers(1, 12))
def test_third_order_of_prefixes(backend: str, documents: list[list[int]], length: int) -> None:
    counts = count(documents, ps.Prefix(length), backend, focus=range(V))
    third = np.stack([counts.third_order(x).toarray() for x in range(V)])  # [x, nu, x']
    assert (third == third.transpose(2, 1, 0)).all()
    pairs = dense(counts)
    assert (np.einsum("xnx->xn", third) == pairs).all()  # x' = x gives N_{x,nu}
    samples = third.sum(axis=1)  # N_xx', over the samples' sets
    assert (np.diagonal(samples) == counts.n_in).all()
    check_symmetric(samples)
    check_frechet(samples, counts.n_in, counts.n_samples)
    phi_y = counts.phi_y().to_scipy().toarray()
    for x in range(V):  # sum_nu phi_x^y[nu] phi_x^{X|y}[nu, x'] = phi_x^X[x']
        phi_X = samples[x] / max(counts.n_in[x], 1)
        given_y = counts.phi_X_given_y(x).to_scipy().toarray()
        assert phi_y[x] @ given_y == pytest.approx(phi_X, abs=1e-12)
    without = count(documents, ps.Prefix(length), backend)
    assert (dense(without) == pairs).all()


@FEW
@given(documents=documents, length=st.integers(1, 5))
def test_prefixes_are_labelled_data(backend: str, documents: list[list[int]], length: int) -> None:
    samples = [
        (document[max(t - length, 0) : t], document[t])
        for document in documents
        for t in range(1, len(document))
    ]
    counts = count(documents, ps.Prefix(length), backend, focus=[0, 3])
    same = ps.count_labelled(
        [X for X, _ in samples],
        [y for _, y in samples],
        vocab_size=V,
        n_labels=V,
        focus=[0, 3],
        backend=backend,
    )
    assert (dense(counts) == dense(same.labels)).all()
    assert (counts.n_in == same.n_in).all()
    assert (counts.n_out == same.n_out).all()
    assert counts.n_samples == same.n_samples
    for x in (0, 3):
        assert (counts.third_order(x) != same.third_order(x)).nnz == 0


@FEW
@given(documents=documents)
def test_sequences_are_labelled_data(backend: str, documents: list[list[int]]) -> None:
    counts = count(documents, ps.SameSequence(), backend)
    filled = [document for document in documents if document]
    same = ps.count_labelled(
        filled, [0] * len(filled), vocab_size=V, n_labels=1, backend=backend, third_order=True
    )
    assert (dense(counts) == dense(same.pairs)).all()
    assert (counts.phi_X().to_scipy() != same.phi_X().to_scipy()).nnz == 0
    for x in range(V):  # one label: X given y is X
        assert (same.third_order(x).toarray()[0] == dense(counts)[x]).all()


@FEW
@given(documents=documents)
def test_the_language_model_reduction(backend: str, documents: list[list[int]]) -> None:
    pairs, prefix = (count(documents, r, backend, focus=f) for r, f in (
        (ps.Next(), None), (ps.Prefix(1), range(V))
    ))  # fmt: skip
    for name in ARRAYS:  # Prefix(1) is Next()
        assert (getattr(prefix, name) == getattr(pairs, name)).all(), name
    assert prefix.n_sequences == pairs.n_sequences
    assert (prefix.n_in == pairs.n_in).all()
    assert (prefix.n_out == pairs.n_out).all()
    assert prefix.n_samples == pairs.n_samples == pairs.total
    assert prefix != pairs  # another relation
    samples = [([x], y) for d in documents for x, y in pairwise(d)]
    data = ps.count_labelled(
        [X for X, _ in samples],
        [y for _, y in samples],
        vocab_size=V,
        n_labels=V,
        backend=backend,
    )
    phi, psi = pairs.phi_next().to_scipy(), pairs.psi_pre().to_scipy()
    for other in (prefix, data):  # X = {w_t}, y = w_{t+1}
        assert (other.phi_y().to_scipy() != phi).nnz == 0
        assert (other.psi_X().to_scipy() != psi).nnz == 0
    seen = np.diag((data.n_in > 0).astype(float))
    assert (data.phi_X().to_scipy().toarray() == seen).all()  # phi_x^X = e_x
    for x in range(V):  # the set is {x}
        third = prefix.third_order(x).toarray()
        assert (third[:, x] == dense(pairs)[x]).all()
        assert third.sum() == pairs.row_sum[x]


@FEW
@given(documents=documents, length=st.integers(1, 11))
def test_longer_prefixes_hold_more(backend: str, documents: list[list[int]], length: int) -> None:
    shorter, longer = (count(documents, ps.Prefix(n), backend) for n in (length, length + 1))
    assert (dense(longer) >= dense(shorter)).all()
    assert (longer.n_out == shorter.n_out).all()
    # A window counts each occurrence, a set each token.
    window = count(documents, ps.Window(length), backend)
    assert (dense(shorter) <= dense(window)).all()
    assert ((dense(shorter) > 0) == (dense(window) > 0)).all()
    everything = count(documents, ps.Prefix(10), backend)  # documents are no longer
    assert (dense(everything) == dense(count(documents, ps.Prefix(2**20), backend))).all()


@FEW
@given(documents=documents)
def test_whole_prefixes_know_the_pairs_of_a_sequence(
    backend: str, documents: list[list[int]]
) -> None:
    """With unlimited prefixes, x is before some y exactly where N[x, y] > 0; so within one
    sequence of distinct tokens, prefixes and their mirror image are its pairs."""
    distinct = [list(dict.fromkeys(document)) for document in documents]
    prefix = dense(count(distinct, ps.Prefix(V), backend))
    pairs = dense(count(distinct, ps.SameSequence(), backend))
    np.fill_diagonal(pairs, 0)
    assert (prefix + prefix.T == pairs).all()
    turned = dense(count([d[::-1] for d in distinct], ps.Prefix(V), backend))
    assert (turned == prefix.T).all()  # reversing every document gives N'


@FEW
@given(
    documents=documents,
    relation=st.just(ps.SameSequence()) | st.builds(ps.Prefix, st.integers(1, 4)),
    permutation=st.permutations(range(V)),
)
def test_relabelling_of_streams(
    backend: str, documents: list[list[int]], relation: Any, permutation: list[int]
) -> None:
    counts = count(documents, relation, backend)
    other = count([[permutation[t] for t in d] for d in documents], relation, backend)
    assert (dense(other)[np.ix_(permutation, permutation)] == dense(counts)).all()
    assert (other.n_in[permutation] == counts.n_in).all()
    assert (other.n_out[permutation] == counts.n_out).all()


@FEW
@given(
    documents=documents,
    relation=st.just(ps.SameSequence()) | st.builds(ps.Prefix, st.integers(1, 4)),
    data=st.data(),
)
def test_shards_of_streams_add_exactly(
    backend: str, documents: list[list[int]], relation: Any, data: st.DataObject
) -> None:
    focus = [1, 5] if isinstance(relation, ps.Prefix) and data.draw(st.booleans()) else None
    whole = count(documents, relation, backend, focus=focus)
    shard = [data.draw(st.integers(0, 2)) for _ in documents]
    parts = [
        count(
            [d for d, s in zip(documents, shard, strict=True) if s == n],
            relation,
            backend,
            focus=focus,
        )
        for n in range(3)
    ]
    assert parts[0] + parts[1] + parts[2] == whole
    assert parts[2] + (parts[1] + parts[0]) == whole
    merged = ps.Counts.merge(parts, backend=backend)
    assert merged == whole
    assert merged.n_samples == whole.n_samples == sum(part.n_samples for part in parts)
    empty = count([], relation, backend, focus=focus)
    assert whole + empty == empty + whole == whole


@FEW
@given(
    stream=st.lists(st.integers(0, V - 1), min_size=2, max_size=14),
    cut=st.integers(1, 13),
    length=st.integers(1, 5),
)
def test_cutting_a_stream_loses_what_reaches_over_the_cut(
    backend: str, stream: list[int], cut: int, length: int
) -> None:
    cut = min(cut, len(stream) - 1)
    whole = dense(count([stream], ps.Prefix(length), backend))
    parts = dense(count([stream[:cut], stream[cut:]], ps.Prefix(length), backend))
    for t in range(cut, min(cut + length, len(stream))):
        inside = set(stream[max(t - length, cut) : t])
        for x in set(stream[max(t - length, 0) : t]) - inside:
            parts[x, stream[t]] += 1
    assert (whole == parts).all()
