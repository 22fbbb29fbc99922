"""Signatures against dense division, SciPy's distances and a dense cosine."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

import probsig_fast as ps
from probsig_fast.errors import ArgumentError, ArgumentTypeError

V = 6
documents = st.lists(st.lists(st.integers(0, V - 1), max_size=10), max_size=8)
WINDOWS = [ps.Window(3), ps.Window(4, "harmonic", "symmetric"), ps.Window(2, [0, 3], "backward")]


def signatures(documents: list[list[int]]) -> list[tuple[ps.Signature, Any]]:
    """Each signature, and the dense counts whose rows it divides."""
    pairs = ps.count(documents, vocab_size=V)
    dense = pairs.to_scipy().toarray()
    result = [(pairs.phi_next(), dense), (pairs.psi_pre(), dense.T)]
    for window in WINDOWS:
        near = ps.count(documents, window, vocab_size=V)
        dense = near.to_scipy().toarray()
        result += [(near.row_conditional(), dense), (near.column_conditional(), dense.T)]
    return result


def rows_of(counts: np.ndarray) -> np.ndarray:
    """Each row divided by its sum; zero where there is nothing to divide."""
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


@given(documents=documents)
def test_probabilities_are_counts_over_row_sums(documents: list[list[int]]) -> None:
    for signature, counts in signatures(documents):
        expected = rows_of(counts)
        assert (signature.to_scipy().toarray() == expected).all()
        assert signature.support.tolist() == counts.sum(axis=1).tolist()
        assert signature.tokens.tolist() == np.flatnonzero(counts.sum(axis=1)).tolist()
        assert signature.shape == (V, V)
        for token in range(V):
            columns, values = signature.row(token)
            assert columns.tolist() == np.flatnonzero(expected[token]).tolist()
            assert values.tolist() == expected[token][columns].tolist()


@given(documents=documents, least=st.integers(0, 6))
def test_min_support_is_that_of_unscaled_counts(documents: list[list[int]], least: int) -> None:
    for signature, counts in signatures(documents):
        few = signature.with_min_support(least)
        kept = counts.sum(axis=1) / signature.weight_scale >= least
        assert (few.to_scipy().toarray() == rows_of(counts) * kept[:, None]).all()
        assert few.support.tolist() == signature.support.tolist()  # of all rows
        assert few.shape == signature.shape
        assert few.min_support == least
        fewer = few.with_min_support(least + 2)
        direct = signature.with_min_support(least + 2)
        assert (fewer.to_scipy() != direct.to_scipy()).nnz == 0
        assert few.with_min_support(0).tokens.tolist() == few.tokens.tolist()


def test_min_support_of_weighted_counts() -> None:
    # Row 0 has a weighted sum of 1 + 1/2, kept as 3 over the scale 2; row 1 has 1, kept as 2.
    counts = ps.count([[0, 1, 2]], ps.Window(2, "harmonic"), vocab_size=V)
    assert (counts.weight_scale, counts.row_sum.tolist()[:3]) == (2, [3, 2, 0])
    assert counts.row_conditional(min_support=1).tokens.tolist() == [0, 1]
    assert counts.row_conditional(min_support=2).tokens.tolist() == []
    assert counts.column_conditional(min_support=1).tokens.tolist() == [1, 2]


def test_min_support_is_an_argument_of_every_signature() -> None:
    counts = ps.count([[0, 1, 0, 1, 2]], vocab_size=V)
    assert counts.row_sum.tolist() == [2, 2, 0, 0, 0, 0]
    for form, tokens in (
        (counts.phi_next, [0, 1]),
        (counts.row_conditional, [0, 1]),
        (counts.psi_pre, [1]),
        (counts.column_conditional, [1]),
    ):
        assert form(min_support=2).tokens.tolist() == tokens
        assert form(min_support=3).tokens.tolist() == []


@given(documents=documents)
def test_entropy(documents: list[list[int]]) -> None:
    for signature, counts in signatures(documents):
        for token, value in enumerate(signature.entropy()):
            if counts[token].any():
                assert value == pytest.approx(entropy(counts[token]), abs=1e-12)
                assert math.copysign(1, value) == 1  # no -0.0
            else:
                assert math.isnan(value)


@given(documents=documents)
def test_jensen_shannon(documents: list[list[int]]) -> None:
    signature, counts = signatures(documents)[4]
    for first in range(V):
        for second in range(V):
            got = signature.jensen_shannon(first, second)
            if counts[first].any() and counts[second].any():
                # The square root makes 1e-8 of a rounding error of 1e-16.
                expected = jensenshannon(counts[first], counts[second])
                assert got == pytest.approx(np.nan_to_num(expected), abs=3e-8)
                assert 0 <= got <= math.sqrt(math.log(2)) + 1e-15
            else:
                assert math.isnan(got)


def test_jensen_shannon_of_rows_that_share_nothing() -> None:
    signature = ps.count([[0, 1], [2, 3]], vocab_size=V).phi_next()
    assert signature.jensen_shannon(0, 2) == pytest.approx(math.sqrt(math.log(2)))
    assert signature.jensen_shannon(0, 0) == 0


@given(documents=documents)
def test_nearest_by_dense_cosine(documents: list[list[int]]) -> None:
    for signature, counts in signatures(documents):
        rows = counts.astype(float)
        norms = np.linalg.norm(rows, axis=1)
        unit = rows / np.where(norms > 0, norms, 1)[:, None]
        cosines = unit @ unit.T
        for token in signature.tokens.tolist():
            got = signature.nearest(token, k=V)
            others = [i for i in range(V) if i != token and cosines[token, i] > 0]
            assert sorted(i for i, _ in got) == others
            values = [cosine for _, cosine in got]
            assert values == sorted(values, reverse=True)
            assert values == pytest.approx([cosines[token, i] for i, _ in got])
            assert signature.nearest(token, k=2) == got[:2]


def test_nearest_puts_the_lower_id_first() -> None:
    # Rows 1, 2 and 4 are the same distribution from different counts.
    sequences = [[1, 0], [1, 3], [2, 0], [2, 3], [2, 0], [2, 3], [4, 3], [4, 0], [5, 0]]
    nearest = ps.count(sequences, vocab_size=V).phi_next().nearest
    assert [i for i, _ in nearest(4)] == [1, 2, 5]
    assert [i for i, _ in nearest(5)] == [1, 2, 4]
    assert nearest(4, k=1) == [(1, pytest.approx(1))]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s: s.row(V), ArgumentError, "token: expected an id from 0 to 5, got 6"),
        (lambda s: s.row("a"), ArgumentTypeError, "token: expected an int, got str 'a'"),
        (lambda s: s.nearest(-1), ArgumentError, "token: expected an id from 0 to 5, got -1"),
        (
            lambda s: s.nearest(5),
            ArgumentError,
            "token: expected one with a row in phi_next, got 5",
        ),
        (lambda s: s.nearest(0, k=0), ArgumentError, "k: expected at least 1, got 0"),
        (lambda s: s.jensen_shannon(0, V), ArgumentError, "token: expected an id from 0 to 5, got"),
        (lambda s: s.with_min_support(-1), ArgumentError, "min_support: expected at least 0, got"),
        (
            lambda s: s.with_min_support(1.0),
            ArgumentTypeError,
            "min_support: expected an int, got float 1.0",
        ),
    ],
)
def test_unusable_arguments(call: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        call(ps.count([[0, 1]], vocab_size=V).phi_next())


@pytest.mark.parametrize(
    ("method", "instead"), [("phi_next", "row_conditional"), ("psi_pre", "column_conditional")]
)
def test_the_paper_s_signatures_are_of_next_only(method: str, instead: str) -> None:
    counts = ps.count([[0, 1]], ps.Window(2), vocab_size=V)
    message = (
        f"{method}(): expected counts of Next, got {counts.relation!r}, "
        "which has row_conditional(), column_conditional()"
    )
    with pytest.raises(ArgumentError, match=f"^{re.escape(message)}$"):
        getattr(counts, method)()
    getattr(counts, instead)()


def test_names_and_strings() -> None:
    counts = ps.count([[0, 1]], vocab_size=2).with_tokens(["a", "b"])
    for method in ("phi_next", "psi_pre", "row_conditional", "column_conditional"):
        signature = getattr(counts, method)()
        assert signature.name == method
        assert list(signature.token_strings) == ["a", "b"]
        assert list(signature.with_min_support(9).token_strings) == ["a", "b"]
    assert counts.phi_next().condition == "next | token"
    assert counts.psi_pre().condition == "previous | token"


def test_forming_phi_next_copies_nothing() -> None:
    counts = ps.count([[0, 1, 2]], vocab_size=V)
    signature = counts.phi_next()
    assert np.shares_memory(signature.counts, counts.stored)
    assert np.shares_memory(signature.indices, counts.indices)


def test_scipy_and_torch() -> None:
    signature = ps.count([[0, 1, 0, 2, 0, 2]], vocab_size=3).phi_next()
    matrix = signature.to_scipy()
    assert isinstance(matrix, scipy.sparse.csr_array)
    assert matrix.data.dtype == np.float64
    assert matrix.has_canonical_format
    assert matrix.toarray().tolist() == [[0, 1 / 3, 2 / 3], [1, 0, 0], [1, 0, 0]]


def test_torch() -> None:
    torch = pytest.importorskip("torch")
    tensor = ps.count([[0, 1, 0, 2, 0, 2]], vocab_size=3).psi_pre().to_torch()
    assert tensor.dtype == torch.float64
    assert tensor.to_dense().tolist() == [[0, 0.5, 0.5], [1, 0, 0], [1, 0, 0]]
