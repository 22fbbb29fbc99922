"""`count` against the oracle: every backend, number of threads and chunk size."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import cycle
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import check_counts, expect, saved_bytes
from stream_cases import (
    CUT_OFFSETS,
    CUT_TOKENS,
    CUTTING_RULES,
    SIGNED,
    UNSIGNED,
    Case,
    cases,
    chunk_sizes,
)

import probsig_fast as ps
from probsig_fast import accumulator
from probsig_fast.errors import (
    ArgumentError,
    ArgumentTypeError,
)
from probsig_fast.kernels import host


@st.composite
def relations(draw: st.DrawFn) -> ps.Next | ps.Window:
    if draw(st.booleans()):
        return ps.Next()
    size = draw(st.integers(1, 6))
    weight = st.integers(0, 3) | st.fractions(0, 2, max_denominator=6)
    lists = st.lists(weight, min_size=size, max_size=size).filter(any)
    weighting = draw(st.sampled_from(["uniform", "harmonic"]) | lists)
    return ps.Window(size, weighting, draw(st.sampled_from(["forward", "backward", "symmetric"])))


@settings(max_examples=150)
@given(case=cases(relations()), threads=st.sampled_from([1, 2, 5]), data=st.data())
def test_any_stream(backend: str, case: Case, threads: int, data: st.DataObject) -> None:
    chunk_tokens = data.draw(st.sampled_from([None, *chunk_sizes(case.size)]))
    # So few tokens would otherwise never be spread over threads, nor their sums kept in ranges.
    small, ranges = data.draw(st.sampled_from([(2**16, 64), (1, 3)]))
    with (
        mock.patch.multiple(accumulator, _SMALL=small, RANGES=ranges),
        mock.patch.object(host, "SMALLEST_CHUNK", data.draw(st.sampled_from([1, 7]))),
    ):
        counts = case.count(backend=backend, threads=threads, chunk_tokens=chunk_tokens)
    check_counts(counts, case.expected())


RELATIONS = {
    "next": ps.Next(),
    "harmonic-symmetric": ps.Window(4, "harmonic", "symmetric"),
    "fractions-backward": ps.Window(3, [Fraction(1, 2), 0, Fraction(2, 3)], "backward"),
    "longer-than-the-stream": ps.Window(50),
}
STREAMS = {
    "empty": ([], 4),
    "one-token": ([2], 4),
    "one-token-vocabulary": ([0] * 9, 1),
    "all-one-token": ([3] * 12, 4),
    "all-distinct": (list(range(12)), 12),
    "eos-at-both-ends": ([0, 1, 2, 3, 1, 0], 4),
    "runs-of-eos": ([1, 0, 0, 0, 2, 3, 0, 0, 1], 4),
    "only-eos": ([0, 0, 0], 4),
}


@pytest.mark.parametrize("relation", RELATIONS.values(), ids=RELATIONS)
@pytest.mark.parametrize(("tokens", "vocab_size"), STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize("rules", [{}, {"eos": 0}, {"eos": 0, "count_eos": False}], ids=str)
def test_edge_streams(
    backend: str, tokens: list[int], vocab_size: int, relation: ps.Window, rules: dict[str, Any]
) -> None:
    case = Case(np.array(tokens, np.uint16), [tokens], vocab_size, relation, rules)
    expected = case.expected()
    for threads, chunk_tokens in zip(cycle((1, 2, 5)), chunk_sizes(len(tokens)), strict=False):
        counts = case.count(backend=backend, threads=threads, chunk_tokens=chunk_tokens)
        check_counts(counts, expected)


@pytest.mark.parametrize("rules", CUTTING_RULES, ids=str)
@pytest.mark.parametrize("offsets", [None, CUT_OFFSETS], ids=["stream", "offsets"])
def test_every_cut_position(
    backend: str, rules: dict[str, Any], offsets: list[int] | None, tmp_path: Path
) -> None:
    tokens = CUT_TOKENS
    documents = oracle.by_offsets(tokens, offsets or [0, 12])
    for relation in RELATIONS.values():
        case = Case(np.array(tokens, np.uint16), documents, 4, relation, rules, offsets)
        expected = case.expected()
        by_cut = [case.count(backend=backend, threads=2, chunk_tokens=n) for n in range(1, 14)]
        for counts in by_cut:
            check_counts(counts, expected)
        assert len({saved_bytes(counts, tmp_path) for counts in by_cut[::6]}) == 1


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
@pytest.mark.parametrize("vocab_size", [65_535, 65_536, 65_537])
@pytest.mark.parametrize("relation", [ps.Next(), ps.Window(3, "harmonic", "symmetric")], ids=repr)
def test_vocabularies_around_16_bits(
    backend: str, dtype: str, vocab_size: int, relation: ps.Window
) -> None:
    top = min(vocab_size - 1, np.iinfo(dtype).max)
    tokens = [0, top, top, top - 1, 0, 1, top, 0]
    case = Case(np.array(tokens, dtype), [tokens], vocab_size, relation, {"eos": top - 1})
    for chunk_tokens in (3, None):
        counts = case.count(backend=backend, threads=2, chunk_tokens=chunk_tokens)
        check_counts(counts, case.expected())


@pytest.mark.parametrize("dtype", UNSIGNED + SIGNED)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "view",
    [
        lambda a: a,
        lambda a: np.repeat(a, 2)[::2],
        lambda a: a[::-1].copy()[::-1],
        lambda a: np.concatenate([a[:1], a])[1:],
    ],
    ids=["plain", "strided", "reversed", "offset"],
)
def test_token_types_and_views(backend: str, dtype: str, order: str, view: Any) -> None:
    tokens = [4, 0, 1, 1, 0, 3, 2, 2, 0, 4]
    array = view(np.array(tokens, np.dtype(dtype).newbyteorder(order)))
    array.flags.writeable = False
    case = Case(array, [tokens], 5, ps.Window(2), {"eos": 0, "ignore_ids": [3, -1, 99]})
    check_counts(case.count(backend=backend, chunk_tokens=4), case.expected())
    assert array.tolist() == tokens


@pytest.mark.parametrize(
    ("dtype", "ignored"),
    [
        ("int8", -1),
        ("int16", -(2**15)),
        ("int32", -1),
        ("int32", -(2**31) + 1),
        ("int32", 2**31 - 1),
        ("int64", -1),
        ("int64", -(2**31) + 1),
        ("int64", 2**31 - 1),
        ("uint16", 65_535),
        ("uint32", 2**31),
        ("uint32", 2**32 - 1),
        ("uint64", 2**32 - 2),
    ],
)
def test_ignored_ids_may_lie_outside_the_vocabulary(backend: str, dtype: str, ignored: int) -> None:
    tokens = [0, 1, ignored, 1, 2, ignored, ignored, 0]
    case = Case(np.array(tokens, dtype), [tokens], 3, ps.Next(), {"ignore_ids": [ignored]})
    check_counts(case.count(backend=backend, chunk_tokens=3), case.expected())


def test_an_ignored_eos_is_one_that_is_not_counted(backend: str) -> None:
    tokens = [0, 1, 2, 0, 1]
    array = np.array(tokens, np.uint16)
    ignored = ps.count(array, vocab_size=3, eos=2, ignore_ids=[2], backend=backend)
    uncounted = ps.count(array, vocab_size=3, eos=2, count_eos=False, backend=backend)
    check_counts(ignored, expect([tokens], ps.Next(), 3, ignore_ids=[2]))
    assert ignored == uncounted


@pytest.mark.parametrize("relation", [ps.Next(), ps.Window(5, "harmonic", "symmetric")], ids=repr)
def test_zipfian_stream_like_the_reference(
    backend: str, relation: ps.Window, tmp_path: Path
) -> None:
    tokens = zipfian(300_000, vocab_size=5_000)
    rules: dict[str, Any] = {"vocab_size": 5_000, "eos": 0, "sequence_length": 1_000}
    reference = ps.count(tokens, relation, backend="reference", threads=1, **rules)
    expected = saved_bytes(reference, tmp_path)
    for threads, chunk_tokens in ((1, None), (2, 65_543), (5, 7_919)):
        counts = ps.count(
            tokens, relation, backend=backend, threads=threads, chunk_tokens=chunk_tokens, **rules
        )
        assert counts == reference
        assert saved_bytes(counts, tmp_path) == expected


def test_real_tokens_like_the_reference(backend: str, shared: Path, tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    with zstandard.open(shared / "data" / "docs.smollm2.u16.bin.zst", "rb") as file:
        tokens = np.frombuffer(file.read(2_000_000), "<u2")
    rules = {"vocab_size": 49_152, "eos": 0}
    reference = ps.count(tokens, backend="reference", **rules)
    counts = ps.count(tokens, backend=backend, threads=2, chunk_tokens=200_000, **rules)
    assert counts == reference
    assert counts.n_tokens == tokens.size
    assert counts.unigram.tolist() == np.bincount(tokens, minlength=49_152).tolist()


def test_counts_above_2_53_are_exact(backend: str) -> None:
    weights = [2**31 - 1, 2**31 - 3]
    n = 2_200_001
    for tokens in (np.zeros(n, np.uint16), np.zeros(n, np.uint32)):
        counts = ps.count(
            tokens, ps.Window(2, weights, "symmetric"), vocab_size=1, backend=backend, threads=2
        )
        expected = 2 * (weights[0] * (n - 1) + weights[1] * (n - 2))
        assert expected > 2**54
        assert int(float(expected)) != expected
        assert counts.data.tolist() == counts.row_sum.tolist() == [expected]


def zipfian(size: int, vocab_size: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    weights = 1 / np.arange(1, vocab_size + 1)
    return rng.choice(vocab_size, size, p=weights / weights.sum()).astype(np.uint16)


# Arguments


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"vocab_size": None}, ArgumentError, "vocab_size: expected the number of token ids, as "),
        ({"vocab_size": 0}, ArgumentError, "vocab_size: expected from 1 to 2147483647, got 0"),
        ({"vocab_size": 2**31}, ArgumentError, "vocab_size: expected from 1 to 2147483647, got 2"),
        ({"vocab_size": 4.0}, ArgumentTypeError, "vocab_size: expected an int, got float 4.0"),
        ({"vocab_size": True}, ArgumentTypeError, "vocab_size: expected an int, got bool True"),
        ({"threads": 0}, ArgumentError, "threads: expected at least 1, got 0"),
        ({"threads": 1.5}, ArgumentTypeError, "threads: expected an int, got float"),
        ({"chunk_tokens": 0}, ArgumentError, "chunk_tokens: expected from 1 to 2147483648, got 0"),
        (
            {"chunk_tokens": 2**31 + 1},
            ArgumentError,
            "chunk_tokens: expected from 1 to 2147483648, got",
        ),
        (
            {"chunk_tokens": 1e6},
            ArgumentTypeError,
            "chunk_tokens: expected an int, got float 1",
        ),
        (
            {"relation": "next"},
            ArgumentTypeError,
            "relation: expected Next(), Window(...), Prefix(...) or SameSequence(), got 'next'",
        ),
        (
            {"relation": ps.Next},
            ArgumentTypeError,
            "relation: expected Next(), Window(...), Prefix(...) or SameSequence(), got <class ",
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_unusable_arguments(arguments: dict[str, Any], error: type, message: str) -> None:
    tokens = np.array([0, 1], np.uint16)
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        ps.count(tokens, **{"vocab_size": 4, **arguments})


def test_progress_is_shown_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    tokens = np.zeros(1_000, np.uint16)
    ps.count(tokens, vocab_size=1, progress=True)
    shown = capsys.readouterr().err
    assert "counting" in shown
    assert "tok/s" in shown
    ps.count(tokens, vocab_size=1)
    ps.count(tokens, vocab_size=1, progress=False)
    assert capsys.readouterr().err == ""
