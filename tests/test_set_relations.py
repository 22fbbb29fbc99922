"""`Prefix` and `SameSequence` against the oracle: every backend, chunk size and memory."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from fractions import Fraction
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from cuda_module import EMULATED
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import (
    Cells,
    Expected,
    Relation,
    by_offsets,
    check_counts,
    expect,
    joined,
    saved_bytes,
)
from stream_cases import CUT_OFFSETS, CUT_TOKENS, CUTTING_RULES, Case, cases, chunk_sizes

import probsig_fast as ps
from probsig_fast.counting import ranges
from probsig_fast.kernels import registry
from probsig_fast.sources import arrays

set_relations = st.just(ps.SameSequence()) | st.builds(
    ps.Prefix, st.integers(1, 6) | st.sampled_from([40, 2**20])
)
#: A relation, and the focus that it is counted with.
KINDS: dict[str, tuple[Relation, list[int] | None]] = {
    "same-sequence": (ps.SameSequence(), None),
    "prefix-1": (ps.Prefix(1), None),
    "prefix-3": (ps.Prefix(3), None),
    "longer-than-the-stream": (ps.Prefix(50), None),
    "focus": (ps.Prefix(3), [0, 2]),
}


def ranges_of(entries: int | None) -> AbstractContextManager[Any]:
    """Each chunk a batch, and row ranges of so few entries, as where memory is small; None: all
    that there is in one go."""
    if entries is None:
        return nullcontext()
    return mock.patch.multiple(ranges, _BATCH_SHARE=0.0, _RANGE_ENTRIES=entries)


def fits(kind: tuple[Relation, list[int] | None], vocab_size: int) -> Any:
    """The relation and those of its focus that are in the vocabulary."""
    relation, focus = kind
    return relation, None if focus is None else [x for x in focus if x < vocab_size]


@settings(max_examples=100)
@given(
    case=cases(set_relations),
    threads=st.integers(1, 3),
    chunk_tokens=st.none() | st.integers(1, 50),
    entries=st.sampled_from([None, 1, 2, 7]),
)
def test_any_stream(
    backend: str, case: Case, threads: int, chunk_tokens: int | None, entries: int | None
) -> None:
    with ranges_of(entries):
        counts = case.count(backend=backend, threads=threads, chunk_tokens=chunk_tokens)
    check_counts(counts, case.expected())


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
RULES: list[dict[str, Any]] = [{}, {"eos": 0}, {"eos": 0, "count_eos": False}]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("tokens", "vocab_size"), STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize("rules", RULES, ids=str)
def test_edge_streams(
    backend: str, tokens: list[int], vocab_size: int, kind: Any, rules: dict[str, Any]
) -> None:
    relation, focus = fits(kind, vocab_size)
    case = Case(np.array(tokens, np.uint16), [tokens], vocab_size, relation, rules, focus=focus)
    expected = case.expected()
    sizes = chunk_sizes(len(tokens))[::2]
    for threads, chunk_tokens in zip(cycle((1, 2, 3)), sizes, strict=False):
        counts = case.count(backend=backend, threads=threads, chunk_tokens=chunk_tokens)
        check_counts(counts, expected)


@pytest.mark.parametrize("rules", CUTTING_RULES, ids=str)
@pytest.mark.parametrize("offsets", [None, CUT_OFFSETS], ids=["stream", "offsets"])
def test_every_cut_position(
    backend: str, rules: dict[str, Any], offsets: list[int] | None, tmp_path: Path
) -> None:
    tokens = CUT_TOKENS
    documents = by_offsets(tokens, offsets or [0, 12])
    for kind in ("same-sequence", "prefix-3", "focus"):
        relation, focus = KINDS[kind]
        case = Case(np.array(tokens, np.uint16), documents, 4, relation, rules, offsets, focus)
        expected = case.expected()
        by_cut = []
        for chunk_tokens in (1, 2, 3, 4, 5, 7, 11, 12):
            with ranges_of([None, 1, 5][chunk_tokens % 3]):
                counts = case.count(backend=backend, threads=2, chunk_tokens=chunk_tokens)
            check_counts(counts, expected)
            by_cut.append(counts)
        assert len({saved_bytes(counts, tmp_path) for counts in by_cut[::3]}) == 1


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("long_first", [True, False])
def test_a_sequence_over_many_chunks(backend: str, kind: Any, long_first: bool) -> None:
    random = np.random.default_rng(2)
    long, short = random.integers(0, 9, 100).tolist(), random.integers(0, 9, (6, 5)).tolist()
    documents = [long, *short] if long_first else [*short[:3], long, *short[3:]]
    offsets = np.cumsum([0, *map(len, documents)])
    tokens = np.array([token for document in documents for token in document], np.uint32)
    relation, focus = kind
    case = Case(tokens, documents, 9, relation, {}, offsets.tolist(), focus)
    expected = case.expected()
    for chunk_tokens in (7, 99, 100, 101, 115):
        with ranges_of(9):
            check_counts(case.count(backend=backend, chunk_tokens=chunk_tokens), expected)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("width", [1, 4, 6])
def test_rows_that_end_where_chunks_do(backend: str, kind: Any, width: int) -> None:
    rows = np.random.default_rng(3).integers(0, 5, (7, width)).astype(np.uint16)
    relation, focus = kind
    case = Case(rows, rows.tolist(), 5, relation, {}, focus=focus)
    for chunk_tokens in (width, 2 * width, 2 * width + 1, 7 * width):
        counts = case.count(backend=backend, chunk_tokens=chunk_tokens, threads=3)
        check_counts(counts, case.expected())


FILES = {"b": [2, 2, 0, 1], "a": [0, 1], "c": [], "d": [3], "e": [1, 0, 3, 2, 2]}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("join_files", [False, True])
@pytest.mark.parametrize("chunk_tokens", [None, 1, 3])
def test_several_files(
    backend: str, kind: Any, join_files: bool, chunk_tokens: int | None, tmp_path: Path
) -> None:
    for name, tokens in FILES.items():
        np.array(tokens, "<u2").tofile(tmp_path / f"{name}.bin")
    documents = [FILES[name] for name in sorted(FILES)]
    if join_files:
        documents = joined([[document] for document in documents])
    relation, focus = kind
    counts = ps.count(
        tmp_path / "*.bin",
        relation,
        vocab_size=4,
        eos=2,
        dtype="uint16",
        join_files=join_files,
        backend=backend,
        chunk_tokens=chunk_tokens,
        focus=focus,
    )
    check_counts(counts, expect(documents, relation, 4, focus or (), eos=2))


@pytest.mark.parametrize("relation", [ps.Prefix(2), ps.SameSequence()], ids=repr)
def test_more_files_than_may_be_open(relation: Relation, tmp_path: Path) -> None:
    for name in range(100):
        np.array([0, 1], "<u2").tofile(tmp_path / f"{name:03}.bin")
    script = (
        "import resource, sys, probsig_fast as ps\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        f"counts = ps.count(sys.argv[1], ps.{relation!r}, vocab_size=2, dtype='uint16')\n"
        "assert counts.n_samples == counts.n_sequences == 100, counts\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "*.bin")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-500:]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("entries", "batch"), [(None, 1), (3, 2**24)])
def test_sequences_of_several_types(
    backend: str,
    kind: Any,
    entries: int | None,
    batch: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arrays, "BATCH_TOKENS", batch)
    documents = [[0, 2, 1], [70_000, 0, 2], [1, 1], [], [2, 70_000, 1, 0], [0]]
    types = ["uint16", "uint32", "int64", "uint8", "int32", "uint16"]
    relation, focus = kind
    with ranges_of(entries):
        counts = ps.count(
            (np.array(d, t) for d, t in zip(documents, types, strict=True)),
            relation,
            vocab_size=70_001,
            backend=backend,
            focus=focus,
        )
    check_counts(counts, expect(documents, relation, 70_001, focus or ()))


@pytest.mark.parametrize(
    ("vocab_size", "dtype"),
    [
        (65_536, "uint16"),
        (65_536, "uint32"),
        (65_537, "uint16"),
        (65_537, "uint32"),
        (150_000, "uint32"),
    ],
)
@pytest.mark.parametrize("kind", ["same-sequence", "prefix-3", "focus"])
def test_vocabularies_around_16_bits(backend: str, dtype: str, vocab_size: int, kind: str) -> None:
    top = min(vocab_size - 1, np.iinfo(dtype).max)
    tokens = [0, top, top, top - 1, 0, 1, top, 0]
    relation, focus = KINDS[kind]
    focus = focus and [top, 0]
    rules = {"eos": top - 1}
    case = Case(np.array(tokens, dtype), [tokens], vocab_size, relation, rules, focus=focus)
    check_counts(case.count(backend=backend, threads=2, chunk_tokens=3), case.expected())


def zipfian(size: int, vocab_size: int) -> np.ndarray:
    weights = 1 / np.arange(1, vocab_size + 1)
    random = np.random.default_rng(0)
    return random.choice(vocab_size, size, p=weights / weights.sum()).astype(np.uint16)


TOKENS = zipfian(30_000, vocab_size=8_000)
ZIPFIAN: dict[str, Any] = {"vocab_size": 8_000, "eos": 0, "sequence_length": 20}


@cache
def reference_of(kind: str) -> ps.Counts:
    relation, focus = KINDS[kind]
    return ps.count(TOKENS, relation, backend="reference", focus=focus, **ZIPFIAN)


@pytest.mark.parametrize("kind", ["same-sequence", "prefix-3", "focus"])
def test_small_memory_is_many_batches_of_the_same_counts(
    backend: str, kind: str, tmp_path: Path
) -> None:
    relation, focus = KINDS[kind]
    reference = reference_of(kind)
    expected = saved_bytes(reference, tmp_path)
    kernels = registry.choose(backend).load()
    with (
        mock.patch.object(ranges, "merged", wraps=ranges.merged) as merged,
        mock.patch.object(kernels, "spans_memory", lambda share: share),  # as if on the host
    ):
        counts = ps.count(
            TOKENS,
            relation,
            backend=backend,
            threads=2,
            chunk_tokens=111,
            memory="40MB" if focus else 2**24,
            focus=focus,
            **ZIPFIAN,
        )
    assert merged.called  # a range had been there before
    assert counts == reference
    assert saved_bytes(counts, tmp_path) == expected


def test_real_tokens_like_the_reference(backend: str, shared: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    with zstandard.open(shared / "data" / "docs.smollm2.u16.bin.zst", "rb") as file:
        # Thread by thread it takes long.
        tokens = np.frombuffer(file.read(15_000 if EMULATED else 60_000), "<u2")
    rules: dict[str, Any] = {"vocab_size": 49_152, "eos": 0, "sequence_length": 256}
    for relation in (ps.SameSequence(), ps.Prefix(16)):
        reference = ps.count(tokens, relation, backend="reference", **rules)
        counts = ps.count(tokens, relation, backend=backend, threads=2, chunk_tokens=7_000, **rules)
        assert counts == reference
        assert counts.n_tokens == tokens.size


def test_focus_in_any_order_and_type_is_the_same(backend: str) -> None:
    tokens = np.array([0, 1, 2, 0, 2, 1, 1, 3], np.uint16)
    expected = ps.count(tokens, ps.Prefix(2), vocab_size=4, focus=[0, 1, 3], backend=backend)
    for focus in ((3, 1, 0), {0, 1, 3}, np.array([1, 0, 3, 1], np.int8), iter([3, 0, 1, 0])):
        counts = ps.count(tokens, ps.Prefix(2), vocab_size=4, focus=focus, backend=backend)
        assert counts == expected
        assert counts.focus == (0, 1, 3)
        assert all(type(token) is int for token in counts.focus)
    assert (expected.third_order(np.int64(3)) != expected.third_order(3)).nnz == 0
    assert expected != ps.count(tokens, ps.Prefix(2), vocab_size=4, focus=[0, 1], backend=backend)
    assert expected != ps.count(tokens, ps.Prefix(2), vocab_size=4, backend=backend)


# Signatures


def quotients(cells: Cells, support: dict[int, int]) -> dict[tuple[int, int], float]:
    """Each count over the support of its row, rounded once."""
    return {(x, y): float(Fraction(n, support[x])) for (x, y), n in cells.items()}


def check_signature(
    signature: ps.Signature,
    name: str,
    cells: Cells,
    support: dict[int, int],
    shape: tuple[int, int],
) -> None:
    assert signature.name == name
    assert signature.shape == shape
    matrix = signature.to_scipy().tocoo()
    keys = zip(matrix.row.tolist(), matrix.col.tolist(), strict=True)
    got = dict(zip(keys, matrix.data.tolist(), strict=True))
    assert got == quotients(cells, support)
    assert {i: n for i, n in enumerate(signature.support.tolist()) if n} == support
    assert signature.tokens.tolist() == sorted({x for x, _ in cells})


def transposed(cells: Cells) -> Cells:
    return {(y, x): n for (x, y), n in cells.items()}


documents = st.lists(st.lists(st.integers(0, 5), max_size=9), max_size=6)


@given(documents=documents, length=st.integers(1, 5), least=st.integers(0, 3))
def test_signatures_of_prefixes(
    backend: str, documents: list[list[int]], length: int, least: int
) -> None:
    relation, focus = ps.Prefix(length), [1, 4]
    counts = ps.count(documents, relation, vocab_size=6, focus=focus, backend=backend)
    expected: Expected = expect(documents, relation, 6, focus)
    check_signature(counts.phi_y(), "phi_y", expected.pairs, expected.n_in, (6, 6))
    turned = transposed(expected.pairs)
    check_signature(counts.psi_X(), "psi_X", turned, expected.n_out, (6, 6))
    for token in focus:
        own = {nu: n for (x, nu), n in expected.pairs.items() if x == token}
        signature = counts.phi_X_given_y(token)
        check_signature(signature, "phi_X_given_y", expected.third[token], own, (6, 6))
        few = counts.phi_X_given_y(token, min_support=least)
        assert few.tokens.tolist() == sorted(nu for nu in own if own[nu] >= least)
    for few, support in (
        (counts.phi_y(least), expected.n_in),
        # A label that no prefix comes before has no row; every sample has a token before it.
        (counts.psi_X(min_support=least), expected.n_out),
    ):
        assert few.tokens.tolist() == sorted(x for x in support if support[x] >= least)


@given(documents=documents, least=st.integers(0, 3))
def test_signature_of_sequences(backend: str, documents: list[list[int]], least: int) -> None:
    counts = ps.count(documents, ps.SameSequence(), vocab_size=6, backend=backend)
    held = Counter(x for document in documents for x in set(document))
    pairs = Counter((x, y) for d in documents for x in set(d) for y in set(d))
    check_signature(counts.phi_X(), "phi_X", dict(pairs), dict(held), (6, 6))
    few = counts.phi_X(min_support=least)
    assert few.tokens.tolist() == sorted(x for x in held if held[x] >= least)


@given(documents=documents, length=st.integers(1, 5))
def test_top_is_of_the_signatures(backend: str, documents: list[list[int]], length: int) -> None:
    prefix = ps.count(documents, ps.Prefix(length), vocab_size=6, backend=backend)
    same = ps.count(documents, ps.SameSequence(), vocab_size=6, backend=backend)
    for token in range(6):
        assert lines(prefix, token, "next") == best(prefix.phi_y(), token)
        assert lines(prefix, token, "previous") == best(prefix.psi_X(), token)
        others = [line for line in best(same.phi_X(), token) if line[0] != token]
        assert lines(same, token, "next") == lines(same, token, "previous") == others


def lines(counts: ps.Counts, token: int, side: Any) -> list[tuple[int, float]]:
    return [(line.token, line.probability) for line in counts.top(token, k=9, side=side)]


def best(signature: ps.Signature, token: int) -> list[tuple[int, float]]:
    """The row, the largest first; ties: the lower id first."""
    ids, probabilities = (array.tolist() for array in signature.row(token))
    return sorted(zip(ids, probabilities, strict=True), key=lambda line: (-line[1], line[0]))


def test_strings_and_progress(capsys: pytest.CaptureFixture[str]) -> None:
    tokens = np.zeros(1_000, np.uint16)
    for relation, name in ((ps.Prefix(2), "phi_y"), (ps.SameSequence(), "phi_X")):
        counts = ps.count(tokens, relation, vocab_size=1, progress=True)
        assert "tok/s" in capsys.readouterr().err
        named = counts.with_tokens(["a"])
        assert getattr(named, name)().token_strings == ("a",)


def test_an_unknown_number_of_tokens_has_third_order_too() -> None:
    documents = [[0, 1, 2], [2, 2, 1]]
    counts = ps.count(iter(documents), ps.Prefix(2), vocab_size=3, focus=[1])
    check_counts(counts, expect(documents, ps.Prefix(2), 3, [1]))
