"""`Counts`: what can be read from them, how they add up, and that nothing changes them."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from oracle import ARRAYS, check_counts, expect

import probsig_fast as ps
from probsig_fast.errors import (
    ArgumentError,
    ArgumentTypeError,
    CountOverflowError,
    MergeError,
    SourceNotFoundError,
)

V = 6
#: Token 0 is followed by 3 and 4 twice, by 1 and 2 once: ties on both sides of k.
DOCUMENTS = [[0, 4, 0, 3, 0, 3], [0, 2, 0, 1], [0, 4], [5, 5]]
WORDS = ["zero", "one", "two", "three", "four", "five"]
RELATIONS = [
    ps.Next(),
    ps.Window(3, "harmonic", "symmetric"),
    ps.Prefix(2),
    ps.SameSequence(),
]


def counted(relation: Any = None, **arguments: Any) -> ps.Counts:
    return ps.count(DOCUMENTS, relation, vocab_size=V, **arguments)


def with_data(*values: int, vocab_size: int = 1) -> ps.Counts:
    """Counts of `Next` whose first cells, row by row, are `values`."""
    rows, columns = np.divmod(np.arange(len(values)), vocab_size)
    indptr = np.searchsorted(rows, np.arange(vocab_size + 1)).astype(np.int64)
    return ps.Counts.from_arrays(
        ps.Next(),
        counted().boundaries,
        indptr,
        columns.astype(np.int32),
        np.array(values, np.int64),
        np.zeros(vocab_size, np.int64),
        0,
    )


# The same counts by every way


@pytest.mark.parametrize("relation", RELATIONS, ids=repr)
@pytest.mark.parametrize(
    "way",
    [
        lambda counts, path: counts,
        lambda counts, path: ps.Counts.load(counts.save(path)),
        lambda counts, path: ps.Counts.load(counts.save(path), verify=True),
        lambda counts, path: pickle.loads(pickle.dumps(counts)),
        lambda counts, path: pickle.loads(pickle.dumps(ps.Counts.load(counts.save(path)))),
        lambda counts, path: copy.deepcopy(counts),
        lambda counts, path: ps.Counts.merge([counts]),
        lambda counts, path: counts.with_tokens(WORDS),
        lambda counts, path: counts + ps.count([], counts.relation, vocab_size=V),
    ],
    ids=["counted", "loaded", "verified", "pickled", "pickled-map", "copied", "merged", "strings",
         "plus-nothing"],
)  # fmt: skip
def test_every_way_to_the_same_counts(relation: Any, way: Any, tmp_path: Path) -> None:
    counts = counted(relation)
    other = way(counts, tmp_path / "c.safetensors")
    check_counts(other, expect(DOCUMENTS, relation, V))
    assert other == counts
    assert repr(other) == repr(counts)


def test_rules_and_third_order_make_counts_equal() -> None:
    prefix = counted(ps.Prefix(2))
    assert prefix != counted(ps.Prefix(3))
    assert counted(ps.Prefix(1)) != counted(ps.Next())
    assert prefix != counted(ps.Prefix(2), focus=[1])
    assert counted(ps.Prefix(2), focus=[1]) != counted(ps.Prefix(2), focus=[2])
    same = counted(ps.SameSequence())
    assert same != ps.count([d[::-1] for d in [*DOCUMENTS, [1]]], ps.SameSequence(), vocab_size=V)
    assert same == ps.count([d[::-1] for d in DOCUMENTS], ps.SameSequence(), vocab_size=V)


def test_equality_needs_the_same_rules_and_arrays() -> None:
    counts = counted()
    assert counts == counted(threads=1, chunk_tokens=2)  # provenance does not matter
    assert counts != counted(ps.Window(1))
    assert counts != counted(sequence_length=50)
    assert counts != ps.count(DOCUMENTS, vocab_size=V + 1)
    assert counts != ps.count([*DOCUMENTS, [1]], vocab_size=V)
    assert counts != "counts"
    with pytest.raises(TypeError, match="unhashable"):
        hash(counts)


def test_counts_cannot_be_changed() -> None:
    counts = counted()
    for name in (*ARRAYS, "vocab_size"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(counts, name, getattr(counts, name))
    for name in ARRAYS:
        with pytest.raises(ValueError, match="read-only"):
            getattr(counts, name)[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        counts.to_scipy().data[0] = 1
    counts.row(0)[1][:] = 0  # a copy
    assert counts == counted()


def test_repr() -> None:
    assert repr(counted()) == (
        "Counts(Next(), vocab_size=6, tokens=14, sequences=4, distinct pairs=8, total=10)"
    )


# Rows, columns, top


@pytest.mark.parametrize("relation", RELATIONS, ids=repr)
def test_rows_and_columns(relation: Any) -> None:
    counts = counted(relation)
    dense = counts.to_scipy().toarray()
    for token in range(V):
        for (ids, values), line in (
            (counts.row(token), dense[token]),
            (counts.column(np.int64(token)), dense[:, token]),
        ):
            assert ids.tolist() == np.flatnonzero(line).tolist()
            assert values.tolist() == line[line > 0].tolist()
            assert values.dtype == np.int64


def test_top_with_ties_and_strings() -> None:
    counts = counted()
    best = counts.top(0, k=3)
    assert best == [(3, 2, 2 / 6, None), (4, 2, 2 / 6, None), (1, 1, 1 / 6, None)]
    assert counts.top(0) == [*best, (2, 1, 1 / 6, None)]
    assert counts.top(0, side="previous") == [(2, 1, 1 / 3, None), (3, 1, 1 / 3, None),
                                              (4, 1, 1 / 3, None)]  # fmt: skip
    assert counts.top(1) == []
    named = counts.with_tokens(WORDS)
    assert named.top("zero", k=1) == named.top(0, k=1) == [ps.Neighbour(3, 2, 2 / 6, "three")]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda c: c.row(V), ArgumentError, "token: expected an id from 0 to 5, got 6"),
        (lambda c: c.column(-1), ArgumentError, "token: expected an id from 0 to 5, got -1"),
        (lambda c: c.row(1.0), ArgumentTypeError, "token: expected an int, got float 1.0"),
        (lambda c: c.top(True), ArgumentTypeError, "token: expected an int, got bool True"),
        (lambda c: c.top(0, k=0), ArgumentError, "k: expected at least 1, got 0"),
        (lambda c: c.top(0, k=1.5), ArgumentTypeError, "k: expected an int, got float 1.5"),
        (
            lambda c: c.top(0, side="left"),
            ArgumentError,
            "side: expected 'next' or 'previous', got 'left'",
        ),
        (
            lambda c: c.top("zero"),
            ArgumentError,
            "token: expected an id, as no token strings are attached, got 'zero'",
        ),
        (
            lambda c: c.with_tokens(WORDS).top("ten"),
            ArgumentError,
            "token: expected the string of one token, got 'ten', which no token has",
        ),
        (
            lambda c: c.with_tokens(list("ababab")).top("b"),
            ArgumentError,
            "token: expected the string of one token, got 'b', which tokens [1, 3, 5] have",
        ),
        (lambda c: ps.Counts.merge([]), ArgumentError, "counts: expected at least one, got none"),
        (lambda c: ps.Counts.merge([c, 1]), ArgumentTypeError, "counts: expected Counts, got int"),
    ],
)
def test_unusable_arguments(call: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        call(counted())


# Adding


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: counted(ps.Window(1)), "relation: expected {'name': 'next'} throughout"),
        (lambda: ps.count([[0]], vocab_size=V + 1), "vocab_size: expected 6 throughout, as in the "
         "first counts, got 7 in number 2"),
        (lambda: counted(eos=5), "boundaries: expected "),
        (lambda: counted(sequence_length=9), "boundaries: expected "),
    ],
    ids=["relation", "vocabulary", "eos", "sequence_length"],
)  # fmt: skip
def test_counts_of_other_rules_do_not_add(other: Any, message: str) -> None:
    with pytest.raises(MergeError, match=f"^{re.escape(message)}"):
        counted() + other()


def test_counts_of_sets_add_to_their_like_only() -> None:
    prefix = counted(ps.Prefix(2))
    for other, message in (
        (counted(ps.Prefix(3)), "relation: expected {'name': 'prefix', 'length': 2} throughout"),
        (counted(ps.SameSequence()), "relation: expected {'name': 'prefix', 'length': 2} through"),
        (counted(ps.Prefix(2), focus=[1]), "focus: expected None throughout"),
    ):
        with pytest.raises(MergeError, match=f"^{re.escape(message)}"):
            prefix + other


def test_windows_of_other_scale_do_not_add() -> None:
    with pytest.raises(MergeError, match=r"relation: expected .*'harmonic'.* got .*'uniform'"):
        counted(ps.Window(3, "harmonic")) + counted(ps.Window(3))


def test_adding_something_else() -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        counted() + 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((2**62,), (2**62,)),
        ((2**63 - 1,), (1,)),
        ((2**62, 2**61, 1), (2**61, 1, 1)),
    ],
    ids=["one-cell", "by-one", "total-only"],
)
def test_overflow(backend: str, first: tuple[int, ...], second: tuple[int, ...]) -> None:
    shards = [with_data(*values, vocab_size=len(values)) for values in (first, second)]
    with pytest.raises(CountOverflowError, match=re.escape("2^63 - 1")):
        ps.Counts.merge(shards, backend=backend)


def test_the_largest_total_is_kept(backend: str) -> None:
    shards = [with_data(2**62, 5, vocab_size=2), with_data(2**62 - 11, 5, vocab_size=2)]
    whole = ps.Counts.merge(shards, backend=backend)
    assert whole.total == 2**63 - 1
    assert whole.data.tolist() == [2**63 - 11, 10]


def test_a_total_past_63_bits_is_refused_at_once() -> None:
    with pytest.raises(CountOverflowError, match=re.escape("expected a total of at most 2^63 - 1")):
        with_data(2**62, 2**62, vocab_size=2)


def test_adding_up_many_shards_in_a_loop(tmp_path: Path) -> None:
    shard = counted()
    whole = shard
    for _ in range(1_200):
        whole = whole + shard
    assert whole.n_sequences == 1_201 * shard.n_sequences
    assert ps.Counts.load(whole.save(tmp_path / "c.safetensors")) == whole
    assert pickle.loads(pickle.dumps(whole)) == whole


# Other forms


@pytest.mark.parametrize("relation", RELATIONS, ids=repr)
def test_pointwise_mutual_information(relation: Any) -> None:
    counts = counted(relation)
    dense = counts.to_scipy().toarray().astype(float)
    rows, columns, total = dense.sum(axis=1), dense.sum(axis=0), dense.sum()
    got = counts.pmi().toarray()
    for x in range(V):
        for y in range(V):
            if dense[x, y]:
                expected = math.log(dense[x, y] * total / (rows[x] * columns[y]))
                assert got[x, y] == pytest.approx(expected, abs=1e-12)
            else:
                assert got[x, y] == 0
    positive = counts.pmi(positive=True)
    assert positive.toarray() == pytest.approx(np.maximum(got, 0))
    assert (positive.data > 0).all()
    assert counts.pmi().nnz == counts.to_scipy().nnz
    assert ps.count([], vocab_size=3).pmi().nnz == 0


def test_scipy_shares_memory() -> None:
    counts = counted()
    matrix = counts.to_scipy()
    assert isinstance(matrix, scipy.sparse.csr_array)
    assert matrix.shape == (V, V)
    assert matrix.data.dtype == np.int64
    assert matrix.indptr.dtype == matrix.indices.dtype == np.int32
    assert np.shares_memory(matrix.data, counts.data)
    assert np.shares_memory(matrix.indices, counts.indices)
    assert matrix.has_canonical_format
    matrix.check_format()


def test_coo() -> None:
    rows, columns, values = counted().to_coo()
    assert rows.dtype == columns.dtype == np.int32
    pairs = expect(DOCUMENTS, ps.Next(), V).pairs
    assert list(zip(rows, columns, values, strict=True)) == [(*p, pairs[p]) for p in sorted(pairs)]


@pytest.mark.parametrize("relation", RELATIONS, ids=repr)
def test_torch(relation: Any) -> None:
    torch = pytest.importorskip("torch")
    counts = counted(relation)
    tensor = counts.to_torch()
    assert tensor.dtype == torch.int64
    assert tensor.layout == torch.sparse_csr
    assert tensor.to_dense().tolist() == counts.to_scipy().toarray().tolist()
    assert ps.count([], vocab_size=3).to_torch().to_dense().tolist() == [[0] * 3] * 3


@pytest.mark.parametrize("words", [None, WORDS], ids=["ids", "strings"])
@pytest.mark.parametrize("loaded", [False, True], ids=["int64", "int32"])
def test_parquet(words: list[str] | None, loaded: bool, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    counts = counted(ps.Window(2, "harmonic"))
    if loaded:
        counts = ps.Counts.load(counts.save(tmp_path / "c.safetensors"))
        assert counts.stored.dtype == np.int32
    if words:
        counts = counts.with_tokens(words)
    counts.to_parquet(tmp_path / "c.parquet")
    table = parquet.read_table(tmp_path / "c.parquet")
    columns = {"row": "int32", "column": "int32", "count": "int64"}
    columns |= {"row_string": "string", "column_string": "string"} if words else {}
    assert {field.name: str(field.type) for field in table.schema} == columns
    assert table.schema.metadata[b"weight_scale"] == b"2"
    for name, array in zip(columns, counts.to_coo(), strict=False):
        assert table[name].to_pylist() == array.tolist()
    if words:
        assert table["row_string"].to_pylist() == [words[i] for i in table["row"].to_pylist()]
        assert table["column_string"].to_pylist() == [words[i] for i in table["column"].to_pylist()]


def test_parquet_has_both_halves_of_symmetric_counts(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    counts = counted(ps.SameSequence())
    counts.to_parquet(tmp_path / "c.parquet")
    columns = parquet.read_table(tmp_path / "c.parquet").to_pydict().values()
    pairs = expect(DOCUMENTS, ps.SameSequence(), V).pairs
    assert list(zip(*columns, strict=True)) == [(*pair, pairs[pair]) for pair in sorted(pairs)]


def test_parquet_of_nothing(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    ps.count([], vocab_size=3).to_parquet(tmp_path / "c.parquet")
    assert parquet.read_table(tmp_path / "c.parquet").num_rows == 0


# Strings


@pytest.fixture
def tokenizer() -> Any:
    """Knows ids 0 to 3; 3 is half of a character."""
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {"Ġzero": 0, "one": 1, "[SEP]": 2, "Ã": 3}
    model = tokenizers.models.BPE(vocabulary, [])
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens(["[SEP]"])
    return tokenizer


def test_strings_of_a_tokenizer(tokenizer: Any, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    for tokens in (tokenizer, path, str(path)):
        named = counted().with_tokens(tokens)
        assert named.token_strings == (" zero", "one", "[SEP]", "Ã", "<4>", "<5>")
        assert named.token_id("[SEP]") == 2


def test_a_leading_space_that_the_decoder_drops_is_kept() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    model = tokenizers.models.WordLevel({"▁": 0, "a": 1}, "a")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.decoder = tokenizers.decoders.Metaspace()
    assert tokenizer.decode([0]) == ""
    assert counted().with_tokens(tokenizer).token_strings[:2] == (" ", "a")


def test_strings_of_lists_and_mappings() -> None:
    assert counted().with_tokens(tuple(WORDS)).token_strings == tuple(WORDS)
    named = counted().with_tokens({0: "zero", 5: "five", 77: "padding"})
    assert named.token_strings == ("zero", "<1>", "<2>", "<3>", "<4>", "five")
    assert (named + counted()).token_strings == named.token_strings
    assert (counted() + named).token_strings == named.token_strings


@pytest.mark.parametrize(
    ("tokens", "error", "message"),
    [
        (WORDS[:5], ArgumentError, "tokens: expected 6 strings, got 5"),
        (7, ArgumentTypeError, "tokens: expected strings, a mapping, a tokenizer or the path of a"),
        ("no.json", SourceNotFoundError, "tokenizer: expected a file, got 'no.json'"),
        ("bad.json", ArgumentError, "tokenizer: expected a tokenizer.json, got 'bad.json'"),
        ({"zero": 0, "one": 1}, ArgumentError, "tokens: expected "),
    ],
)
def test_strings_that_do_not_fit(
    tokens: Any, error: type, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(tokens, str):
        pytest.importorskip("tokenizers")
    monkeypatch.chdir(tmp_path)
    Path("bad.json").write_text("{}")
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        counted().with_tokens(tokens)
