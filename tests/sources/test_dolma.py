"""dolma's pairs, of bytes written by hand: what is counted, and every rule they can break."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import check_counts, expect
from writers import dolma_rows, dolma_table, flat, write_dolma

import probsig_fast as ps
from probsig_fast.errors import ProbsigError, SourceError, SourceNotFoundError
from probsig_fast.sources import DolmaSource, documents
from probsig_fast.sources import dolma_table as table_module

V = 5
DOCUMENTS = [[0, 1, 2], [], [3], [4, 0, 1]]
TOKENS = flat([token for document in DOCUMENTS for token in document])
corpora = st.lists(st.lists(st.integers(0, V - 1), max_size=5), max_size=6)


@given(data=st.data())
def test_documents_are_sequences(data: st.DataObject, tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.mktemp("dolma")
    files = data.draw(st.lists(corpora, min_size=1, max_size=3))
    dtype = data.draw(st.sampled_from(["uint16", "uint32"]))
    paths = [write_dolma(folder / f"{i}.npy", file, dtype) for i, file in enumerate(files)]
    block = data.draw(st.sampled_from([1, 2, 3, 2**21]))
    with pytest.MonkeyPatch.context() as patch:
        for module in (documents, table_module):
            patch.setattr(module, "BLOCK", block)
        patch.setattr(table_module, "MAX_LINE", data.draw(st.sampled_from([90, 200, 2**20])))
        quoted = data.draw(st.booleans())
        for path, file in zip(paths, files, strict=True):
            rows = [
                row if quoted and i % 3 == 2 else plain(row)
                for i, row in enumerate(dolma_rows(file))
            ]
            path.with_suffix(".csv.gz").write_bytes(table(*rows))
        source = DolmaSource(paths, data.draw(st.sampled_from([None, dtype])))
        counts = ps.count(source, vocab_size=V, chunk_tokens=data.draw(st.integers(1, 9)))
    every = [document for file in files for document in file]
    check_counts(counts, expect(every, ps.Next(), V))
    assert counts == ps.count(every, vocab_size=V)


def plain(row: list[object]) -> list[object]:
    """The same document, of an id without quotes."""
    return [row[0], row[1], "an id", *row[3:]]


def test_what_is_told_of_it(backend: str, tmp_path: Path) -> None:
    path = write_dolma(tmp_path / "x.npy", DOCUMENTS, "uint32")
    counts = ps.count(DolmaSource(path), vocab_size=V, backend=backend)
    check_counts(counts, expect(DOCUMENTS, ps.Next(), V))
    (entry,) = counts.provenance["sources"]
    assert (entry["path"], entry["table"]) == (str(path), str(tmp_path / "x.csv.gz"))
    assert (entry["tokens"], entry["documents"], entry["dtype"]) == (7, 4, "uint32")


def test_a_line_that_names_the_columns(tmp_path: Path) -> None:
    path = write_dolma(tmp_path / "x.npy", DOCUMENTS)
    rows = [["start", "end", "id", "src", "loc"], *dolma_rows(DOCUMENTS)]
    (tmp_path / "x.csv.gz").write_bytes(dolma_table(rows))
    check_counts(ps.count(DolmaSource(path), vocab_size=V), expect(DOCUMENTS, ps.Next(), V))


def test_several_gzip_members(tmp_path: Path) -> None:
    path = write_dolma(tmp_path / "x.npy", DOCUMENTS)
    rows = dolma_rows(DOCUMENTS)
    (tmp_path / "x.csv.gz").write_bytes(dolma_table(rows[:1]) + dolma_table(rows[1:]))
    check_counts(ps.count(DolmaSource(path), vocab_size=V), expect(DOCUMENTS, ps.Next(), V))


@pytest.mark.parametrize("dtype", [None, "uint32"])
def test_nothing_in_it(tmp_path: Path, dtype: str | None) -> None:
    source = DolmaSource(write_dolma(tmp_path / "x.npy", []), dtype)
    check_counts(ps.count(source, vocab_size=V), expect([], ps.Next(), V))


def table(*rows: Sequence[Any]) -> bytes:
    return dolma_table(rows)


def npy() -> bytes:
    with io.BytesIO() as file:
        np.save(file, np.array([0, 1], np.uint16))
        return file.getvalue()


def text(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


END = ("a", "s3://b", 1)
GOOD = table((0, 3, *END), (3, 7, *END))
ERRORS: dict[str, tuple[bytes, bytes, str]] = {
    "a header": (npy(), GOOD, "tokens without a header at byte 0 of x.npy, got NumPy's magic"),
    "truncated": (
        TOKENS[:-2],
        GOOD,
        "expected 14 or 28 bytes in x.npy, 7 tokens of 2 or 4 bytes as",
    ),
    "longer": (
        TOKENS * 3,
        GOOD,
        r"as x.csv.gz says, got 42: truncated, of another dtype, or of an",
    ),
    "no gzip": (TOKENS, b"0,7,a,b,1\n", "expected whole gzip data in x.csv.gz: Not a gzipped file"),
    "half a gzip": (TOKENS, GOOD[:-9], "expected whole gzip data in x.csv.gz: Compressed file end"),
    "damaged gzip": (
        TOKENS,
        GOOD[:-8] + bytes(8),
        "expected whole gzip data in x.csv.gz: CRC check",
    ),
    "damaged blocks": (
        TOKENS,
        GOOD[:10] + b"\xff" * (len(GOOD) - 20) + GOOD[-8:],
        "expected whole gzip data in x.csv.gz: Error -3",
    ),
    "rubbish after it": (TOKENS, GOOD + b"more", "expected whole gzip data in x.csv.gz: Not a gz"),
    "starts late": (
        TOKENS,
        table((1, 7, *END)),
        "expected start 0 in line 1 of x.csv.gz, got 1: do",
    ),
    "a gap": (
        TOKENS,
        table((0, 3, *END), (4, 7, *END)),
        "expected start 3 in line 2 of x.csv.gz, got 4: documents that leave tokens out or overlap",
    ),
    "an overlap": (
        TOKENS,
        table((0, 3, *END), (2, 7, *END)),
        "expected start 3 in line 2 of x.csv",
    ),
    "backwards": (
        TOKENS,
        table((0, 7, *END), (7, 3, *END)),
        "expected an end from 7 on in line 2 of x.csv.gz, got 3",
    ),
    "ends early": (
        TOKENS,
        table((0, 3, *END)),
        "expected 6 or 12 bytes in x.npy, 3 tokens of 2 or",
    ),
    "ends late": (
        TOKENS,
        table((0, 8, *END)),
        "expected 16 or 32 bytes in x.npy, 8 tokens of 2 or",
    ),
    "far away": (
        TOKENS,
        table((0, 10**18 - 1, *END)),
        f"{10**18 - 1} tokens of 2 or 4 bytes as x.cs",
    ),
    "past 63 bits": (
        TOKENS,
        table((0, 10**18, *END)),
        "expected a place in tokens in line 1 of x.csv.gz, got '1000000000000000000'",
    ),
    "thousands of digits": (
        TOKENS,
        table((0, "9" * 6000, *END)),
        r"a place in tokens in line 1 of x.csv.gz, got '9{40}\.\.\.'$",
    ),
    "a negative": (
        TOKENS,
        table((0, -7, *END)),
        "a place in tokens in line 1 of x.csv.gz, got '-7'",
    ),
    "a float": (
        TOKENS,
        table((0, "7.0", *END)),
        "a place in tokens in line 1 of x.csv.gz, got '7.0",
    ),
    "other digits": (TOKENS, table((0, "७", *END)), "a place in tokens in line 1 of x.csv.gz, got"),
    "nothing": (TOKENS, table(("", 7, *END)), "a place in tokens in line 1 of x.csv.gz, got ''"),
    "columns": (
        TOKENS,
        table((0, 3, *END), (3, 7, "a", "b")),
        "expected start, end, id, src, loc in line 2 of x.csv.gz, got 4 values",
    ),
    "an empty line": (
        TOKENS,
        text(b"0,3,a,b,1\n\n3,7,a,b,1\n"),
        "loc in line 2 of .*, got 0 values",
    ),
    "names of columns later": (
        TOKENS,
        table((0, 7, *END), ("start", "end", "id", "src", "loc")),
        "expected a place in tokens in line 2 of x.csv.gz, got 'start'",
    ),
    "no UTF-8": (
        TOKENS,
        text(b"0,7,\xff,b,1\n"),
        "a table of text in x.csv.gz, got, in line 1: .*utf",
    ),
    "an open quote": (
        TOKENS,
        text(b'0,7,"a,b,1\n'),
        "a table of text in x.csv.gz, got, in line 2: ",
    ),
    "a broken quote": (
        TOKENS,
        text(b'0,7,"a"b",b,1\n'),
        "a table of text in x.csv.gz, got, in line ",
    ),
    "a value too long": (
        TOKENS,
        text(b'0,7,"' + b"a" * (2**17 + 1) + b'",b,1\n'),
        "a table of text in x.csv.gz, got, in line 2: field larger than",
    ),
    "a line too long": (
        TOKENS,
        text(b"0,7," + b"a," * 2**20 + b"b,1\n"),
        "expected lines shorter than 1048576 bytes in x.csv.gz, got line 1",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_rules_that_files_break(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    data, rows, message = ERRORS[case]
    (tmp_path / "x.npy").write_bytes(data)
    (tmp_path / "x.csv.gz").write_bytes(rows)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=message):
        DolmaSource("x.npy")


def test_a_line_of_gigabytes_is_not_held(tmp_path: Path) -> None:
    """64 MiB of one line, from 64 KiB of gzip: refused after the first of them."""
    import tracemalloc

    path = write_dolma(tmp_path / "x.npy", DOCUMENTS)
    (tmp_path / "x.csv.gz").write_bytes(text(b"0" * 2**26))
    tracemalloc.start()
    try:
        with pytest.raises(SourceError, match="expected lines shorter than"):
            DolmaSource(path)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x.npy", "expected a file, got 'x.npy': no such file"),
        ("x.csv.gz", "expected the table of x.npy, got 'x.csv.gz': no such file"),
    ],
)
def test_a_file_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    write_dolma(tmp_path / "x.npy", DOCUMENTS)
    (tmp_path / name).unlink()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceNotFoundError, match=f"^tokens: {re.escape(message)}$"):
        DolmaSource("x.npy")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "x.npy").write_bytes(TOKENS[:-2]),
        lambda folder: (folder / "x.csv.gz").write_bytes(table((0, 6, *END))),
        lambda folder: (folder / "x.csv.gz").write_bytes(table((0, 8, *END))),
        lambda folder: (folder / "x.csv.gz").write_bytes(table()),
    ],
    ids=["tokens", "ends early", "ends late", "empty"],
)
def test_files_that_change_after_they_were_looked_at(
    tmp_path: Path, change: Callable[[Path], Any]
) -> None:
    source = DolmaSource(write_dolma(tmp_path / "x.npy", DOCUMENTS))
    change(tmp_path)
    with pytest.raises(SourceError, match="changed while it was counted"):
        ps.count(source, vocab_size=V)


@given(data=st.data())
def test_damaged_tables_are_refused_or_read_as_they_are(
    data: st.DataObject, tmp_path_factory: Any
) -> None:
    folder = tmp_path_factory.mktemp("dolma")
    path = write_dolma(folder / "x.npy", DOCUMENTS)
    content = bytearray(gzip.decompress((folder / "x.csv.gz").read_bytes()))
    packed = data.draw(st.booleans())
    if packed:
        content = bytearray((folder / "x.csv.gz").read_bytes())
    at = data.draw(st.integers(0, len(content)))
    content[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    (folder / "x.csv.gz").write_bytes(content if packed else text(bytes(content)))
    try:
        counts = ps.count(DolmaSource(path), vocab_size=2**16)
    except ProbsigError:
        return
    assert counts.n_tokens == 7
    # Whatever the table says of documents, they are runs of these tokens.
    every = expect([[*chain(*DOCUMENTS)]], ps.Next(), 2**16).pairs
    assert counts.data.sum() <= sum(every.values())
