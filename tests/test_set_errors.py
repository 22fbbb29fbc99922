"""Bad input to `Prefix`, `SameSequence` and `count_labelled`: what is said, word for word."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from error_support import TOKENS, V, labelled, raises

import probsig_fast as ps
from probsig_fast.errors import (
    ArgumentError,
    ArgumentTypeError,
    CountsFileError,
    MemoryLimitError,
    TokenRangeError,
)

# Relations


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: ps.Prefix(0), ArgumentError, "length: expected from 1 to 1048576, got 0"),
        (lambda: ps.Prefix(-1), ArgumentError, "length: expected from 1 to 1048576, got -1"),
        (
            lambda: ps.Prefix(2**20 + 1),
            ArgumentError,
            "length: expected from 1 to 1048576, got 1048577",
        ),
        (lambda: ps.Prefix(1.5), ArgumentTypeError, "length: expected an int, got float 1.5"),
        (lambda: ps.Prefix(True), ArgumentTypeError, "length: expected an int, got bool True"),
        (lambda: ps.Prefix("3"), ArgumentTypeError, "length: expected an int, got str '3'"),
        (
            lambda: ps.Prefix(3, incidence="multiplicity"),
            ArgumentError,
            "incidence: expected 'presence', as Prefix counts sets, got 'multiplicity': "
            "multiplicities are counted by count_labelled(X, y, incidence='multiplicity')",
        ),
        (
            lambda: ps.SameSequence(incidence="multiplicity"),
            ArgumentError,
            "incidence: expected 'presence', as SameSequence counts sets, got 'multiplicity': "
            "multiplicities are counted by count_labelled(X, y, incidence='multiplicity')",
        ),
        (
            lambda: ps.SameSequence(incidence=None),
            ArgumentError,
            "incidence: expected 'presence', as SameSequence counts sets, got None",
        ),
    ],
)
def test_unusable_relations(make: Any, error: type, message: str) -> None:
    with raises(error, message):
        make()


@pytest.mark.parametrize(
    ("relation", "focus", "error", "message"),
    [
        (ps.Prefix(2), [4], ArgumentError, "focus: expected an id from 0 to 3, got 4"),
        (ps.Prefix(2), [0, -1], ArgumentError, "focus: expected an id from 0 to 3, got -1"),
        (ps.Prefix(2), [], ArgumentError, "focus: expected at least one token id, got none"),
        (ps.Prefix(2), 1, ArgumentTypeError, "focus: expected token ids, got int 1"),
        (ps.Prefix(2), "1", ArgumentTypeError, "focus: expected token ids, got str '1'"),
        (ps.Prefix(2), [1.0], ArgumentTypeError, "focus: expected an int, got float 1.0"),
        (ps.Prefix(2), [True], ArgumentTypeError, "focus: expected an int, got bool True"),
        (ps.Prefix(2), [[1]], ArgumentTypeError, "focus: expected an int, got list [1]"),
        (
            ps.Prefix(2),
            np.array([[1]]),
            ArgumentTypeError,
            "focus: expected an int, got list [1]",
        ),
        (ps.Next(), [1], ArgumentError, "focus: expected with Prefix(...) only, got Next()"),
        (
            ps.SameSequence(),
            [1],
            ArgumentError,
            "focus: expected with Prefix(...) only, got SameSequence()",
        ),
        (ps.Window(2), [1], ArgumentError, "focus: expected with Prefix(...) only, got Window("),
    ],
)
def test_unusable_focus(relation: Any, focus: Any, error: type, message: str) -> None:
    with raises(error, message):
        ps.count(TOKENS, relation, vocab_size=V, focus=focus)
    if isinstance(relation, ps.Prefix):
        with raises(error, message):
            labelled(focus=focus)


def test_the_wrong_signature_names_the_right_ones() -> None:
    prefix = ps.count(TOKENS, ps.Prefix(2), vocab_size=V)
    same = ps.count(TOKENS, ps.SameSequence(), vocab_size=V)
    pairs = ps.count(TOKENS, vocab_size=V)
    window = ps.count(TOKENS, ps.Window(2), vocab_size=V)
    of_prefix = "got Prefix(length=2), which has phi_y(), psi_X(), phi_X_given_y()"
    of_same = "got SameSequence(), which has phi_X()"
    of_pairs = "got Next(), which has phi_next(), psi_pre()"
    of_window = (
        "got Window(size=2, weighting='uniform', direction='forward'), "
        "which has row_conditional(), column_conditional()"
    )
    for method, wanted, others in (
        ("phi_next", "Next", [(prefix, of_prefix), (same, of_same), (window, of_window)]),
        ("psi_pre", "Next", [(prefix, of_prefix), (same, of_same), (window, of_window)]),
        ("phi_y", "Prefix", [(pairs, of_pairs), (same, of_same), (window, of_window)]),
        ("psi_X", "Prefix", [(pairs, of_pairs), (same, of_same), (window, of_window)]),
        ("phi_X", "SameSequence", [(pairs, of_pairs), (prefix, of_prefix), (window, of_window)]),
        ("row_conditional", "Next or Window", [(prefix, of_prefix), (same, of_same)]),
        ("column_conditional", "Next or Window", [(prefix, of_prefix), (same, of_same)]),
    ):
        for counts, got in others:
            with raises(ArgumentError, f"{method}(): expected counts of {wanted}, {got}"):
                getattr(counts, method)()


@pytest.mark.parametrize("relation", [ps.Next(), ps.SameSequence(), ps.Prefix(2)], ids=repr)
def test_third_order_has_to_be_asked_for(relation: Any) -> None:
    counts = ps.count(TOKENS, relation, vocab_size=V)
    assert counts.focus == ()
    for method in ("third_order", "phi_X_given_y"):
        with raises(
            ArgumentError,
            f"{method}(): expected counts made with focus=[tokens], got none: "
            "count(tokens, Prefix(length), focus=[...])",
        ):
            getattr(counts, method)(1)


@pytest.mark.parametrize(
    ("token", "error", "message"),
    [
        (3, ArgumentError, "token: expected one of those counted with focus, [0, 1], got 3"),
        (99, ArgumentError, "token: expected one of those counted with focus, [0, 1], got 99"),
        (True, ArgumentTypeError, "token: expected an int, got bool True"),
        (1.0, ArgumentTypeError, "token: expected an int, got float 1.0"),
        (None, ArgumentTypeError, "token: expected an int, got NoneType None"),
    ],
)
def test_tokens_that_are_not_in_the_focus(token: Any, error: type, message: str) -> None:
    counts = ps.count(TOKENS, ps.Prefix(2), vocab_size=V, focus=[1, 0])
    for method in (counts.third_order, counts.phi_X_given_y):
        with raises(error, message):
            method(token)


@pytest.mark.parametrize("min_support", [-1, 1.5])
def test_unusable_min_support(min_support: Any) -> None:
    prefix = ps.count(TOKENS, ps.Prefix(2), vocab_size=V, focus=[1])
    same = ps.count(TOKENS, ps.SameSequence(), vocab_size=V)
    error = ArgumentError if min_support == -1 else ArgumentTypeError
    for call in (
        prefix.phi_y,
        prefix.psi_X,
        lambda least: prefix.phi_X_given_y(1, least),
        same.phi_X,
    ):
        with raises(error, "min_support: expected a"):
            call(min_support)


# Tokens outside the vocabulary


@pytest.mark.parametrize("kind", ["same-sequence", "prefix", "focus"])
@pytest.mark.parametrize("threads", [1, 3])
def test_the_lowest_position_of_a_bad_token(backend: str, kind: str, threads: int) -> None:
    relation = ps.SameSequence() if kind == "same-sequence" else ps.Prefix(4)
    focus = [1] if kind == "focus" else None
    rows = np.array([[0, 1, 2], [3, 1, 0], [2, 7, 0], [0, 0, 9], [1, 8, 1]], np.uint32)
    message = "tokens: expected ids from 0 to vocab_size - 1 = 3, got id 7 at position 7 of tokens"
    for chunk_tokens in (1, 2, 3, 4, 8, 15):
        for tokens in (rows, rows.ravel()):
            with pytest.raises(TokenRangeError, match=f"^{re.escape(message)}$"):
                ps.count(
                    tokens,
                    relation,
                    vocab_size=V,
                    backend=backend,
                    threads=threads,
                    chunk_tokens=chunk_tokens,
                    focus=focus,
                )


@pytest.mark.parametrize(
    ("X", "got"),
    [
        (np.array([[0, 1], [2, 4], [5, 0]]), "got id 4 at position 3 of X"),
        (np.array([[0, 1], [2, -1], [5, 0]]), "got id -1 at position 3 of X"),
        (np.array([[0, 1], [2, 2**40], [5, 0]]), f"got id {2**40} at position 3 of X"),
        (lambda: iter([[0, 1], [2, 4], [5]]), "got id 4 at position 1 of sequence 1"),
        ([[0, 1], np.array([9], np.uint16), [5]], "got id 9 at position 0 of sequence 1"),
    ],
    ids=["rows", "negative", "64-bit", "iterable", "types"],
)
def test_bad_tokens_of_samples(backend: str, X: Any, got: str) -> None:
    message = f"tokens: expected ids from 0 to vocab_size - 1 = 3, {got}"
    with pytest.raises(TokenRangeError, match=f"^{re.escape(message)}$"):
        labelled(X() if callable(X) else X, [0, 1, 2], backend=backend, third_order=True)


def test_bad_tokens_by_offsets(backend: str) -> None:
    with raises(TokenRangeError, "tokens: expected ids from 0 to vocab_size - 1 = 3, got id 6 at "):
        labelled(np.array([0, 1, 6]), [0, 1], offsets=[0, 1, 3], backend=backend)


# Memory


def test_third_order_that_cannot_fit_is_refused_before_it_is_counted() -> None:
    rows, y = np.zeros((30_000, 3), np.uint16), np.zeros(30_000, np.uint16)
    message = (
        r"^memory: expected room for third-order counts of 5,000 tokens \(x 5,000 tokens x 5,000 "
        r"labels\), up to 60\d\.\d MB, got 6\.\d MB as their share: give fewer tokens as focus=, "
        r"or more memory=$"
    )
    with pytest.raises(MemoryLimitError, match=message):
        ps.count_labelled(
            rows, y, vocab_size=5_000, n_labels=5_000, third_order=True, memory="20MB"
        )
    few = ps.count_labelled(rows, y, vocab_size=5_000, n_labels=5_000, focus=[0], memory="20MB")
    assert few.third_order(0).nnz == 1
    with pytest.raises(MemoryLimitError, match=r"third-order counts of 9 tokens \(x 70,000 tokens"):
        ps.count(TOKENS, ps.Prefix(2), vocab_size=70_000, focus=range(9), memory="20MB")


@pytest.mark.parametrize("given", ["rows", "sequences"])
def test_counts_that_turn_out_not_to_fit(backend: str, given: str) -> None:
    rows = np.random.default_rng(0).integers(0, 3_000, (100, 200)).astype(np.uint16)
    X = rows if given == "rows" else list(rows)
    with pytest.raises(
        MemoryLimitError,
        match=r"^memory: expected room for the counts, got 8\.4 MB as their share, half of it for "
        r"counts: they took \d\.\d MB at row [0-9,]+ of 3,000; give more memory=$",
    ):
        ps.count_labelled(X, [0] * 100, vocab_size=3_000, n_labels=1, memory=2**24, backend=backend)


def test_third_order_of_an_iterable_is_checked_while_it_is_counted(backend: str) -> None:
    random = np.random.default_rng(0)
    arguments: dict[str, Any] = {"vocab_size": 3_000, "n_labels": 3_000, "backend": backend}
    X = random.integers(0, 3_000, (300, 100))
    X[:, 0] = 5
    y = random.integers(0, 3_000, 300)
    fits = ps.count_labelled(iter(X[:9]), y[:9], focus=[5], memory="20MB", **arguments)
    assert fits == ps.count_labelled(X[:9], y[:9], focus=[5], **arguments)
    with pytest.raises(
        MemoryLimitError,
        match=r"^memory: expected room for the counts, got \d+\.\d kB as their share, half of it "
        r"for counts: they took .* of 3,000; give fewer tokens as focus=, or more memory=$",
    ):
        # The share of one of eighty tokens of the focus is small; that of the pairs is not.
        ps.count_labelled(iter(X[:60]), y[:60], focus=range(80), memory="20MB", **arguments)


# Files


def test_files_of_another_kind(tmp_path: Path) -> None:
    pairs = ps.count(TOKENS, ps.SameSequence(), vocab_size=V).save(tmp_path / "p.safetensors")
    data = labelled().save(tmp_path / "l.safetensors")
    with raises(
        CountsFileError,
        f"{data}: expected counts of a relation, got labelled counts: open it with "
        "LabelledCounts.load",
    ):
        ps.Counts.load(data)
    with raises(
        CountsFileError,
        f"{pairs}: expected labelled counts, got counts of a relation: open it with Counts.load",
    ):
        ps.LabelledCounts.load(pairs)


def test_counts_of_prefixes_need_the_samples_of_each_label() -> None:
    counts = ps.count(TOKENS, ps.Prefix(2), vocab_size=V)
    arrays = (counts.indptr, counts.indices, counts.data, counts.unigram, counts.n_sequences)
    with raises(ArgumentError, "label_count: expected the samples of each label, got None"):
        ps.Counts.from_arrays(counts.relation, counts.boundaries, *arrays)
    again = ps.Counts.from_arrays(
        counts.relation, counts.boundaries, *arrays, label_count=counts.label_count
    )
    assert again == counts
