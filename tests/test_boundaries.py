"""Boundary rules: their checks, their runs, and the warning for an eos that never occurs."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import by_offsets, check_counts, expect, sequences

import probsig_fast as ps
from probsig_fast.boundaries import Boundaries, find_runs
from probsig_fast.errors import ArgumentError, ArgumentTypeError, EosNeverOccursWarning


@pytest.mark.parametrize(
    ("rules", "error", "message"),
    [
        ({"eos": 4}, ArgumentError, "eos: expected an id from 0 to vocab_size - 1 = 3, got 4"),
        ({"eos": -1}, ArgumentError, "eos: expected an id from 0 to vocab_size - 1 = 3, got -1"),
        ({"eos": 1.0}, ArgumentTypeError, "eos: expected an int, got float 1.0"),
        ({"eos": True}, ArgumentTypeError, "eos: expected an int, got bool True"),
        (
            {"count_eos": False},
            ArgumentError,
            "count_eos: expected True where no eos is given, got False",
        ),
        ({"ignore_ids": ["1"]}, ArgumentTypeError, "ignore_ids: expected an int, got str '1'"),
        (
            {"ignore_ids": [2**32]},
            ArgumentError,
            "ignore_ids: expected from -2147483647 to 4294967295, got 4294967296",
        ),
        (
            {"ignore_ids": [-(2**31)]},
            ArgumentError,
            "ignore_ids: expected from -2147483647 to 4294967295, got -2147483648",
        ),
        ({"ignore_ids": None}, ArgumentTypeError, "ignore_ids: expected ints, got NoneType None"),
        ({"sequence_length": 0}, ArgumentError, "sequence_length: expected at least 1, got 0"),
        (
            {"sequence_length": 2.0},
            ArgumentTypeError,
            "sequence_length: expected an int, got float 2.0",
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_unusable_rules(rules: dict[str, Any], error: type, message: str) -> None:
    for call in (
        lambda: Boundaries.checked(4, **rules),
        lambda: ps.count(np.array([0, 1], np.uint16), vocab_size=4, **rules),
    ):
        with pytest.raises(error, match=f"^{re.escape(message)}$"):
            call()


@pytest.mark.parametrize(
    ("dtype", "token_id", "message"),
    [
        ("int64", 2**31, "from -2147483647 to 2147483647 for int64 tokens, got 2147483648"),
        ("uint64", 2**32 - 1, "from 0 to 4294967294 for uint64 tokens, got 4294967295"),
    ],
)
def test_ids_that_64_bit_tokens_cannot_ignore(dtype: str, token_id: int, message: str) -> None:
    with pytest.raises(ArgumentError, match=f"^ignore_ids: expected ids {message}$"):
        ps.count(np.array([0, token_id], dtype), vocab_size=4, ignore_ids=[token_id])


@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"eos": 0},
        {"eos": np.int64(3), "count_eos": False, "sequence_length": np.int32(7)},
        {"ignore_ids": np.array([9, -1, 9, 2**31])},
        {"ignore_ids": 5},
        {"eos": 1, "ignore_ids": {1, 2}},
    ],
    ids=str,
)
def test_rules_come_back_from_a_dict(rules: dict[str, Any]) -> None:
    boundaries = Boundaries.checked(4, **rules)
    assert Boundaries.checked(4, **boundaries.to_dict()) == boundaries
    assert all(type(i) is int for i in boundaries.ignore_ids)
    assert list(boundaries.ignore_ids) == sorted(set(boundaries.ignore_ids))


def test_an_ignored_eos_is_the_same_rule_as_an_uncounted_one() -> None:
    same = Boundaries.checked(4, eos=1, ignore_ids=[2, 1])
    assert same == Boundaries.checked(4, eos=1, count_eos=False, ignore_ids=[2])


@st.composite
def runs_cases(draw: st.DrawFn) -> tuple[list[int], list[int], dict[str, Any]]:
    tokens = draw(st.lists(st.integers(0, 4), max_size=30))
    inner = draw(st.lists(st.integers(0, len(tokens)), max_size=5))
    rules = {
        "eos": 0,
        "count_eos": draw(st.booleans()),
        "ignore_ids": draw(st.sampled_from([[], [1], [1, 2]])),
        "sequence_length": draw(st.none() | st.integers(1, 6)),
    }
    return tokens, sorted([0, *inner, len(tokens)]), rules


@given(case=runs_cases())
def test_runs_are_the_sequences(case: tuple[list[int], list[int], dict[str, Any]]) -> None:
    tokens, offsets, rules = case
    absent = {*rules["ignore_ids"], *([] if rules["count_eos"] else [0])}
    cutting = {0, *rules["ignore_ids"]}
    runs = find_runs(
        len(tokens),
        np.array(offsets, np.int64),
        np.array([i for i, t in enumerate(tokens) if t in cutting], np.int64),
        np.array([i for i, t in enumerate(tokens) if t in absent], np.int64),
        rules["sequence_length"],
    )
    assert runs.starts.dtype == runs.ends.dtype == np.int64
    found = [tokens[a:b] for a, b in zip(runs.starts, runs.ends, strict=True)]
    assert found == sequences(by_offsets(tokens, offsets), **rules)


@pytest.mark.parametrize("anchor", [0, -1, -2, -3, -4, -7])
def test_a_sequence_that_began_before_the_chunk_keeps_its_pieces(anchor: int) -> None:
    # The sequence's own positions 0, 3, 6, ... start pieces; the chunk sees it from -anchor on.
    none = np.empty(0, np.int64)
    runs = find_runs(8, none, none, none, 3, anchor)
    starts = [p for p in range(8) if p == 0 or (p - anchor) % 3 == 0]
    assert runs.starts.tolist() == starts
    assert runs.ends.tolist() == [*starts[1:], 8]


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("count_eos", [True, False])
def test_sequence_length_starts_anew_at_each_boundary(
    backend: str, length: int, count_eos: bool
) -> None:
    # Sequences as long as a piece, one longer, one shorter; boundaries next to each other.
    tokens = [1, 2, 0, 1, 2, 3, 0, 0, 1, 9, 2, 3, 1, 2, 3, 1, 0]
    offsets = [0, 5, 5, 11, len(tokens)]
    rules = {"eos": 0, "count_eos": count_eos, "ignore_ids": [9], "sequence_length": length}
    for relation in (ps.Next(), ps.Window(4, "harmonic")):
        expected = expect(by_offsets(tokens, offsets), relation, 4, **rules)
        for chunk_tokens in range(1, len(tokens) + 2):
            counts = ps.count(
                np.array(tokens, np.uint16),
                relation,
                vocab_size=4,
                offsets=offsets,
                backend=backend,
                chunk_tokens=chunk_tokens,
                **rules,
            )
            check_counts(counts, expected)


def test_the_definition_of_eos() -> None:
    # 0 closes its sequence: (1, 0) counts, (0, 2) does not; uncounted, it only cuts.
    tokens = np.array([1, 0, 2, 0, 0], np.uint16)
    closing = ps.count(tokens, vocab_size=3, eos=0)
    assert closing.to_scipy().toarray().tolist() == [[0, 0, 0], [1, 0, 0], [1, 0, 0]]
    assert closing.n_sequences == 3  # a lone counted eos is a sequence
    assert closing.unigram.tolist() == [3, 1, 1]
    cutting = ps.count(tokens, vocab_size=3, eos=0, count_eos=False)
    assert cutting.nnz == 0
    assert cutting.n_sequences == 2
    assert cutting.unigram.tolist() == [0, 1, 1]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int64"])
def test_warning_for_an_eos_that_never_occurs(backend: str, dtype: str) -> None:
    tokens = np.array([0, 1, 2, 1], dtype)
    with pytest.warns(EosNeverOccursWarning, match="eos: no token of tokens has id 300, ") as seen:
        ps.count(tokens, vocab_size=301, eos=300, backend=backend, chunk_tokens=2)
    assert seen[0].filename == __file__


@pytest.mark.parametrize(
    ("tokens", "rules"),
    [
        (np.empty(0, np.uint16), {"eos": 0}),
        ([], {"eos": 0}),
        ([[], []], {"eos": 0}),
        (np.array([1, 1, 1, 0], np.uint16), {"eos": 0}),
        (np.array([0, 1, 1, 1], np.uint16), {"eos": 0, "count_eos": False}),
        (np.array([1, 0, 1], np.int8), {"eos": 0, "ignore_ids": [0]}),
    ],
)
def test_no_warning(backend: str, tokens: Any, rules: dict[str, Any]) -> None:
    counts = ps.count(tokens, vocab_size=2, backend=backend, chunk_tokens=1, **rules)
    assert counts.boundaries.eos == 0
