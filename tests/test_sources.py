"""Tokens in memory: arrays of all kinds, rows, sequences, and what is said of all else."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracle import check_counts, expect

import probsig_fast as ps
from probsig_fast.errors import ArgumentError, ArgumentTypeError, SourceError
from probsig_fast.sources import ArraySource, FileSource, SequencesSource, arrays

V = 5


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "int64"])
@pytest.mark.parametrize("view", [slice(None), slice(None, None, -2)], ids=["whole", "strided"])
def test_torch_tensors(dtype: str, view: slice) -> None:
    torch = pytest.importorskip("torch")
    tokens = np.array([4, 0, 1, 1, 0, 3], dtype)
    step = view.step or 1
    tensor = torch.from_numpy(tokens)[:: abs(step)]
    documents = [tokens[:: abs(step)].tolist()]
    check_counts(ps.count(tensor, vocab_size=V), expect(documents, ps.Next(), V))
    rows = torch.from_numpy(tokens).reshape(2, 3).T
    check_counts(ps.count(rows, vocab_size=V), expect(rows.tolist(), ps.Next(), V))
    check_counts(ps.count([tensor, tensor], vocab_size=V), expect(documents * 2, ps.Next(), V))


def test_arrow_arrays() -> None:
    pa = pytest.importorskip("pyarrow")
    expected = expect([[0, 1, 1, 3]], ps.Next(), V)
    array = pa.array([9, 0, 1, 1, 3], pa.uint16())[1:]
    check_counts(ps.count(array, vocab_size=V), expected)
    chunked = pa.chunked_array([pa.array([0, 1], pa.int64()), pa.array([1, 3], pa.int64())])
    check_counts(ps.count(chunked, vocab_size=V), expected)


# NumPy asks a second time, in the old way, where Arrow refuses.
@pytest.mark.filterwarnings("ignore:Exporting an unversioned DLPack capsule:DeprecationWarning")
def test_arrow_arrays_with_missing_values() -> None:
    pa = pytest.importorskip("pyarrow")
    with pytest.raises(SourceError, match=r"tokens: expected integers in CPU memory, got .*Array"):
        ps.count(pa.array([0, None, 1], pa.uint16()), vocab_size=V)


def test_a_memory_map_is_not_copied(tmp_path: Path) -> None:
    path = tmp_path / "t"
    np.array([0, 1, 2], "<u2").tofile(path)
    mapped = np.memmap(path, "<u2", "r")
    (stream,) = ArraySource(mapped).streams()
    assert np.shares_memory(stream.read(0, 3), mapped)
    (stream,) = FileSource([path], "uint16").streams()
    assert isinstance(stream.raw(1, 3), np.memmap)


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (5, 1), (1, 5), (0, 0)], ids=str)
def test_rows(backend: str, shape: tuple[int, int]) -> None:
    rows = np.zeros(shape, np.uint16)
    counts = ps.count(rows, vocab_size=1, backend=backend, chunk_tokens=2)
    check_counts(counts, expect(rows.tolist(), ps.Next(), 1))


def test_a_transposed_array_is_read_by_its_rows(backend: str) -> None:
    rows = np.array([[0, 1, 2], [3, 4, 0]], np.uint16).T
    counts = ps.count(rows, ps.Window(2), vocab_size=V, backend=backend)
    check_counts(counts, expect(rows.tolist(), ps.Window(2), V))


def mixed_sequences() -> Iterator[Any]:
    yield []
    yield [0, 1, 2]
    yield np.array([3, 4], np.uint16)
    yield np.array([], np.uint32)
    yield (1, 1)
    yield np.array([2, 2, 0], np.int8)[::-1]


@pytest.mark.parametrize("batch_tokens", [1, 4, 2**24])
def test_a_generator_of_sequences(
    backend: str, batch_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "BATCH_TOKENS", batch_tokens)
    documents = [list(map(int, sequence)) for sequence in mixed_sequences()]
    for chunk_tokens in (1, 3, None):
        counts = ps.count(
            mixed_sequences(), vocab_size=V, backend=backend, chunk_tokens=chunk_tokens, threads=2
        )
        check_counts(counts, expect(documents, ps.Next(), V))
        assert counts.provenance["sources"] == [{"name": "sequences", "sequences": 6}]


@pytest.mark.parametrize(
    "tokens",
    [[], (), iter(()), [[]], np.empty(0, np.uint16)],
    ids=["list", "tuple", "iterator", "empty sequence", "array"],
)
def test_nothing_counts_to_nothing(backend: str, tokens: Any) -> None:
    counts = ps.count(tokens, ps.Window(3, "harmonic"), vocab_size=3, backend=backend)
    check_counts(counts, expect([], ps.Window(3, "harmonic"), 3))


def test_a_source_may_be_given_and_says_its_vocabulary() -> None:
    class Own(SequencesSource):
        vocab_size = 7

    check_counts(ps.count(Own([[0, 6]])), expect([[0, 6]], ps.Next(), 7))
    with pytest.raises(ArgumentError, match="offsets: expected None for a source"):
        ps.count(Own([[0, 6]]), offsets=[0, 2])


MEMORY_ERRORS = [
    (np.zeros(3), {}, ArgumentTypeError, "tokens: expected integers, got float64 as tokens"),
    (np.zeros(3, bool), {}, ArgumentTypeError, "tokens: expected integers, got bool as tokens"),
    (np.zeros(3, "m8[s]"), {}, ArgumentTypeError, "tokens: expected integers, got timedelta64"),
    (np.array(["a"]), {}, ArgumentTypeError, "tokens: expected integers, got <U1 as tokens"),
    (
        np.zeros((1, 1, 1), int),
        {},
        SourceError,
        "tokens: expected a 1-D or 2-D array, got 3-D as tokens",
    ),
    (np.array(3), {}, SourceError, "tokens: expected a 1-D or 2-D array, got 0-D as tokens"),
    (
        np.zeros(3, np.uint16),
        {"dtype": "uint32"},
        ArgumentTypeError,
        "dtype: expected uint16, as the tokens are, got uint32",
    ),
    ([0, 1], {}, ArgumentTypeError, "tokens: expected an array or a list of sequences, got a flat"),
    ({0: [1]}, {}, ArgumentTypeError, "tokens: expected an integer array, a path, a glob or an it"),
    (7, {}, ArgumentTypeError, "tokens: expected an integer array, a path, a glob or an iterable"),
    ([[0.5]], {}, ArgumentTypeError, "tokens: expected integers, got float64 as sequence 0"),
    ([[0], [True]], {}, ArgumentTypeError, "tokens: expected integers, got bool as sequence 1"),
    ([[0], None], {}, ArgumentTypeError, "tokens: expected an integer array or a list of ids, g"),
    ([[0], b"x"], {}, ArgumentTypeError, "tokens: expected sequences of token ids, got bytes as"),
    ([[0], [[1]]], {}, SourceError, "tokens: expected 1-D sequences, got 2-D as sequence 1"),
    ([[[1], [2, 3]]], {}, SourceError, "tokens: expected a flat list of ids, got sequence 0"),
    ([[1, 2**63]], {}, SourceError, "tokens: expected ids that int64 holds, got 92233720368547"),
    (
        [[1], [2, 300, 301]],
        {"dtype": "uint8"},
        SourceError,
        "tokens: expected ids that uint8 holds, got 300 at position 1 of sequence 1",
    ),
    ([[0]], {"join_files": True}, ArgumentError, "join_files: expected False for tokens that are"),
    ([[0]], {"offsets": [0, 1]}, ArgumentError, "offsets: expected None for an iterable of seque"),
    (
        np.zeros((1, 2), int),
        {"offsets": [0, 2]},
        ArgumentError,
        "offsets: expected None for 2-D tokens, whose rows are the sequences",
    ),
    *(
        (np.zeros(3, int), {"offsets": offsets}, ArgumentError, f"offsets: expected {message}")
        for offsets, message in (
            ([], "a 1-D integer array that starts with 0, got 1-D float64 of 0"),
            ([0.0, 3.0], "a 1-D integer array that starts with 0, got 1-D float64 of 2"),
            ([[0, 3]], "a 1-D integer array that starts with 0, got 2-D int64 of 2"),
            ([1, 3], "the first to be 0 and the last 3, the number of tokens, got 1 and 3"),
            ([0, 2], "the first to be 0 and the last 3, the number of tokens, got 0 and 2"),
            ([0, 2, 1, 3], "never to fall, got 2 then 1 at index 2"),
        )
    ),
]


@pytest.mark.parametrize(("tokens", "arguments", "error", "message"), MEMORY_ERRORS, ids=str)
def test_tokens_that_cannot_be_counted(
    tokens: Any, arguments: dict[str, Any], error: type, message: str
) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        ps.count(tokens, vocab_size=V, **arguments)


@pytest.mark.parametrize(
    ("dtype", "message"),
    [
        ("bool", "tokens: expected integers, got bool as tokens"),
        ("float32", "tokens: expected integers, got float32 as tokens"),
        ("bfloat16", "tokens: expected integers in CPU memory, got Tensor as tokens on device cpu"),
    ],
)
def test_torch_tensors_that_hold_no_ids(dtype: str, message: str) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.zeros(2, dtype=getattr(torch, dtype))
    with pytest.raises((ArgumentTypeError, SourceError), match=re.escape(message)):
        ps.count(tensor, vocab_size=V)


class OnCuda:
    """A tensor of any library in CUDA memory."""

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0


def test_a_cuda_tensor_where_there_are_no_cuda_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "probsig_fast._cuda", None)
    monkeypatch.delattr(ps, "_cuda", raising=False)
    with pytest.raises(SourceError, match=r"has no CUDA kernels .*: pass tokens.cpu\(\)$"):
        ps.count(OnCuda(), vocab_size=3)
