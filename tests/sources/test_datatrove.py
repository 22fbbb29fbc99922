"""datatrove's pairs, of bytes written by hand: what is counted, and every rule they can break."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import check_counts, expect
from writers import flat, pack, write_datatrove

import probsig_fast as ps
from probsig_fast.errors import (
    ArgumentTypeError,
    ProbsigError,
    SourceError,
    SourceNotFoundError,
    TokenRangeError,
)
from probsig_fast.sources import DatatroveSource, datatrove, documents

V = 5
DOCUMENTS = [[0, 1, 2], [], [3], [4, 0, 1]]
corpora = st.lists(st.lists(st.integers(0, V - 1), max_size=5), max_size=6)


@given(data=st.data())
def test_documents_are_sequences(data: st.DataObject, tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.mktemp("datatrove")
    files = data.draw(st.lists(corpora, min_size=1, max_size=3))
    dtypes = [data.draw(st.sampled_from(["uint16", "uint32"])) for _ in files]
    paths = [
        write_datatrove(folder / f"{i}.ds", file, dtype)
        for i, (file, dtype) in enumerate(zip(files, dtypes, strict=True))
    ]
    asked = dtypes[0] if len(set(dtypes)) == 1 and data.draw(st.booleans()) else None
    block = data.draw(st.sampled_from([1, 2, 3, 2**21]))
    with pytest.MonkeyPatch.context() as patch:
        for module in (documents, datatrove):
            patch.setattr(module, "BLOCK", block)
        source = DatatroveSource(paths, asked)
        counts = ps.count(source, vocab_size=V, chunk_tokens=data.draw(st.integers(1, 9)))
    every = [document for file in files for document in file]
    check_counts(counts, expect(every, ps.Next(), V))
    assert counts == ps.count(every, vocab_size=V)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "int32", "int64"])
def test_types(backend: str, tmp_path: Path, dtype: str) -> None:
    path = write_datatrove(tmp_path / "x.ds", DOCUMENTS, dtype)
    source = DatatroveSource(path, dtype)
    counts = ps.count(source, vocab_size=V, backend=backend)
    check_counts(counts, expect(DOCUMENTS, ps.Next(), V))
    (entry,) = source.describe()
    assert (entry["path"], entry["index"]) == (str(path), f"{path}.index")
    assert (entry["tokens"], entry["documents"], entry["dtype"]) == (7, 4, dtype)


@pytest.mark.parametrize(("dtype", "found"), [("uint16", "uint16"), ("int32", "uint32")])
def test_the_width_is_what_the_index_says(tmp_path: Path, dtype: str, found: str) -> None:
    source = DatatroveSource(write_datatrove(tmp_path / "x.ds", DOCUMENTS, dtype))
    assert source.describe()[0]["dtype"] == found


def test_a_negative_id_shows(tmp_path: Path) -> None:
    path = write_datatrove(tmp_path / "x.ds", [[0, -1]], "int32")
    with pytest.raises(TokenRangeError, match="got id 4294967295 at position 1 of"):
        ps.count(DatatroveSource(path), vocab_size=V)


@pytest.mark.parametrize("dtype", [None, "uint32"])
@pytest.mark.parametrize("empty", [[], [[], []]], ids=["no document", "empty ones"])
def test_nothing_in_it(tmp_path: Path, dtype: str | None, empty: list[list[int]]) -> None:
    source = DatatroveSource(write_datatrove(tmp_path / "x.ds", empty), dtype)
    check_counts(ps.count(source, vocab_size=V), expect([], ps.Next(), V))


TOKENS = flat([0, 1, 2, 3, 4])
ERRORS: dict[str, tuple[bytes, bytes, str | None, str]] = {
    "index: odd size": (
        TOKENS,
        pack("Q", [2, 5])[:-1],
        None,
        "a multiple of 8 bytes, got 15 bytes",
    ),
    "index: falls": (
        TOKENS,
        pack("Q", [3, 2, 5]),
        None,
        "expected an end of document 1 from 3 on at byte 8 of x.ds.index, got 2",
    ),
    "index: past 2^63": (
        TOKENS,
        pack("Q", [3, 2**64 - 1, 5]),
        None,
        f"an end of document 2 from {2**64 - 1} on at byte 16 of x.ds.index, got 5",
    ),
    "index: ends past 2^63": (
        TOKENS,
        pack("Q", [3, 2**63]),
        None,
        f"expected {2**64} or {2**65} bytes in x.ds, {2**63} tokens of 2 or 4 bytes as x.ds.index",
    ),
    "truncated": (
        TOKENS[:-1],
        pack("Q", [2, 5]),
        None,
        "expected 10 or 20 bytes in x.ds, 5 tokens",
    ),
    "longer": (
        TOKENS + b"\0\0",
        pack("Q", [5]),
        None,
        "got 12: truncated, of another dtype, or of",
    ),
    "empty index": (TOKENS, b"", None, "expected 0 or 0 bytes in x.ds, 0 tokens of 2 or 4 bytes"),
    "empty tokens": (b"", pack("Q", [5]), None, "expected 10 or 20 bytes in x.ds, .* got 0"),
    "dtype": (
        TOKENS,
        pack("Q", [5]),
        "uint32",
        "expected 20 bytes in x.ds, 5 tokens of 4 bytes as",
    ),
}


@pytest.mark.parametrize("block", [1, 2**21])
@pytest.mark.parametrize("case", ERRORS)
def test_rules_that_files_break(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, block: int
) -> None:
    data, index, dtype, message = ERRORS[case]
    (tmp_path / "x.ds").write_bytes(data)
    (tmp_path / "x.ds.index").write_bytes(index)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datatrove, "BLOCK", block)
    with pytest.raises(SourceError, match=message):
        DatatroveSource("x.ds", dtype)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x.ds", "expected a file, got 'x.ds': no such file"),
        ("x.ds.index", "expected the index of x.ds, got 'x.ds.index': no such file"),
    ],
)
def test_a_file_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    write_datatrove(tmp_path / "x.ds", DOCUMENTS)
    (tmp_path / name).unlink()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceNotFoundError, match=f"^tokens: {re.escape(message)}$"):
        DatatroveSource("x.ds")


def test_no_token_type(tmp_path: Path) -> None:
    path = write_datatrove(tmp_path / "x.ds", DOCUMENTS)
    with pytest.raises(ArgumentTypeError, match="dtype: expected an integer token type, got float"):
        DatatroveSource(path, "float16")


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(TOKENS),
        lambda path: Path(f"{path}.index").write_bytes(pack("Q", [3, 3])),
        lambda path: Path(f"{path}.index").write_bytes(pack("Q", [3, 3, 2, 7])),
        lambda path: Path(f"{path}.index").write_bytes(pack("Q", [3, 3, 2**63, 7])),
        lambda path: Path(f"{path}.index").write_bytes(pack("Q", [3, 3, 4, 2**40])),
        lambda path: Path(f"{path}.index").write_bytes(pack("Q", [3, 3, 4, 6])),
    ],
    ids=["tokens", "short index", "falls", "past 2^63", "too far", "not far enough"],
)
def test_files_that_change_after_they_were_looked_at(
    tmp_path: Path, change: Callable[[Path], Any]
) -> None:
    path = write_datatrove(tmp_path / "x.ds", DOCUMENTS)
    source = DatatroveSource(path)
    change(path)
    with pytest.raises(SourceError, match="changed while it was counted"):
        ps.count(source, vocab_size=V)


def test_many_small_files_make_one_stream(tmp_path: Path) -> None:
    for i in range(20):
        write_datatrove(tmp_path / f"{i:02}.ds", [[i % V], [1, 2]])
    source = DatatroveSource(tmp_path / "*.ds")
    (stream,) = source.streams()
    assert len(stream) == 60
    every = [document for i in range(20) for document in ([i % V], [1, 2])]
    check_counts(ps.count(source, vocab_size=V), expect(every, ps.Next(), V))


def test_tokens_are_mapped_and_not_copied(tmp_path: Path) -> None:
    (stream,) = DatatroveSource(write_datatrove(tmp_path / "x.ds", DOCUMENTS)).streams()
    assert isinstance(stream.raw(1, 5), np.memmap)


@given(data=st.data())
def test_damaged_files_are_refused_or_read_as_they_are(
    data: st.DataObject, tmp_path_factory: Any
) -> None:
    folder = tmp_path_factory.mktemp("datatrove")
    path = write_datatrove(folder / "x.ds", DOCUMENTS)
    damaged = data.draw(st.sampled_from([path, Path(f"{path}.index")]))
    content = bytearray(damaged.read_bytes())
    at = data.draw(st.integers(0, len(content)))
    content[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    damaged.write_bytes(content)
    try:
        counts = ps.count(DatatroveSource(path), vocab_size=2**16)
    except ProbsigError:
        return
    ends = [end for (end,) in struct.iter_unpack("<Q", Path(f"{path}.index").read_bytes())]
    letter = "I" if path.stat().st_size == 4 * ends[-1] else "H"
    tokens = [token for (token,) in struct.iter_unpack("<" + letter, path.read_bytes())]
    plain = [tokens[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    check_counts(counts, expect(plain, ps.Next(), 2**16))
