"""Which source reads which files; and damaged `.npy` files."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import check_counts, expect
from writers import flat, write_datatrove, write_dolma, write_megatron, write_pythia

import probsig_fast as ps
from probsig_fast.errors import ArgumentError, ArgumentTypeError, ProbsigError, SourceError
from probsig_fast.sources import (
    FORMATS,
    DatatroveSource,
    DolmaSource,
    FileSource,
    MegatronSource,
    PythiaSource,
    format_of,
    open_source,
)

V = 5
DOCUMENTS = [[0, 1, 2], [3, 4, 0]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with files of every format."""
    monkeypatch.chdir(tmp_path)
    write_megatron(tmp_path / "mega", [[document] for document in DOCUMENTS])
    write_datatrove(tmp_path / "trove.ds", DOCUMENTS)
    write_dolma(tmp_path / "dolma.npy", DOCUMENTS)
    (tmp_path / "tokens.bin").write_bytes(flat([0, 1, 2, 3, 4, 0]))
    (tmp_path / "bare.npy").write_bytes(flat([0, 1, 2, 3, 4, 0]))
    np.save(tmp_path / "rows.npy", np.array(DOCUMENTS, np.uint16))
    np.save(tmp_path / "with_table.npy", np.array(DOCUMENTS, np.uint16))
    (tmp_path / "with_table.csv.gz").write_bytes(b"of something else")
    (tmp_path / "pythia").mkdir()
    write_pythia(tmp_path / "pythia", DOCUMENTS, [5])
    (tmp_path / "both").mkdir()
    write_pythia(tmp_path / "both", DOCUMENTS, [5])
    (tmp_path / "both" / "document.bin").write_bytes(flat([0, 1, 2, 3, 4, 0]))
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.jsonl.zst").write_bytes(b"")
    (tmp_path / "text.txt").write_bytes(b"")
    return tmp_path


FOUND: list[tuple[str, str, type]] = [
    ("mega.idx", "megatron", MegatronSource),
    ("trove.ds", "datatrove", DatatroveSource),
    ("dolma.npy", "dolma", DolmaSource),
    ("tokens.bin", "flat", FileSource),
    ("rows.npy", "npy", FileSource),
    ("with_table.npy", "npy", FileSource),
]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("name", "format", "kind"), FOUND)
def test_by_name(name: str, format: str, kind: type) -> None:
    assert format_of(name) == format
    one = [[0, 1, 2, 3, 4, 0]]
    plain = expect(one if format == "flat" else DOCUMENTS, ps.Next(), V)
    dtype = "uint16" if format == "flat" else None
    for tokens in (name, Path(name), [name], name[:-1] + "[" + name[-1] + "]"):
        source = open_source(tokens, dtype=dtype)
        assert type(source) is kind
        check_counts(ps.count(source, vocab_size=V), plain)
    assert type(open_source(name, dtype=dtype, format=format)) is kind
    assert type(open_source(name, dtype="uint16")) is kind
    check_counts(ps.count(name, vocab_size=V, dtype="uint16"), plain)


@pytest.mark.usefixtures("folder")
def test_pythia_by_its_folder_or_index(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(
        PythiaSource, "__init__", lambda self, paths: made.append(paths) or _as_rows(self, paths)
    )
    for path in ("pythia", Path("pythia"), "pythia/", "pythia/document.idx"):
        assert format_of(path) == "pythia"
        assert isinstance(open_source(path), PythiaSource)
    shards = "pythia/document-*.bin"
    assert isinstance(open_source(shards, format="pythia"), PythiaSource)
    assert len(made) == 5


def _as_rows(source: PythiaSource, paths: Any, made: Any = PythiaSource.__init__) -> None:
    made(source, paths, row_tokens=3)


@pytest.mark.usefixtures("folder")
def test_an_index_with_shards_and_the_whole() -> None:
    message = "format: expected 'megatron' .* or 'pythia' .* for both/document.idx, got None"
    with pytest.raises(ArgumentError, match=message):
        open_source("both/document.idx")
    source = open_source("both/document.idx", format="megatron")
    check_counts(ps.count(source, vocab_size=V), expect(DOCUMENTS, ps.Next(), V))


@pytest.mark.usefixtures("folder")
def test_a_format_that_is_asked_for() -> None:
    one = expect([[0, 1, 2, 3, 4, 0]], ps.Next(), V)
    for name in ("bare.npy", "dolma.npy", "trove.ds"):
        source = open_source(name, dtype="uint16", format="flat")
        check_counts(ps.count(source, vocab_size=V), one)
    Path("rows.tokens").write_bytes(Path("rows.npy").read_bytes())
    source = open_source("rows.tokens", format="npy")
    check_counts(ps.count(source, vocab_size=V), expect(DOCUMENTS, ps.Next(), V))
    source = open_source("mega.bin", format="megatron")
    check_counts(ps.count(source, vocab_size=V), expect(DOCUMENTS, ps.Next(), V))
    source = open_source(["tokens.bin", "rows.npy"], dtype="uint16")
    check_counts(
        ps.count(source, vocab_size=V), expect([[0, 1, 2, 3, 4, 0], *DOCUMENTS], ps.Next(), V)
    )


def test_parquet_and_hugging_face(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    table = pa.table({"input_ids": pa.array(DOCUMENTS, pa.list_(pa.int32()))})
    pyarrow.parquet.write_table(table, tmp_path / "x.parquet")
    assert format_of(tmp_path / "x.parquet") == "parquet"
    counts = ps.count(tmp_path / "x.parquet", vocab_size=V)
    check_counts(counts, expect(DOCUMENTS, ps.Next(), V))
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_dict({"input_ids": DOCUMENTS})
    data.save_to_disk(tmp_path / "saved")
    assert format_of(tmp_path / "saved") == "hugging-face"
    for tokens in (tmp_path / "saved", data):
        check_counts(ps.count(tokens, vocab_size=V), expect(DOCUMENTS, ps.Next(), V))


ERRORS: list[tuple[Any, dict[str, Any], type, str]] = [
    (
        "tokens.bin",
        {"format": "bin"},
        ArgumentError,
        f"format: expected one of {', '.join(FORMATS)}, ",
    ),
    (
        "mega.bin",
        {},
        ArgumentError,
        "dtype: expected the token type of mega.bin (flat files do not say "
        "it), such as 'uint16' or 'uint32', got None; mega.idx lies beside it: pass that",
    ),
    (
        "tokens.bin",
        {},
        ArgumentError,
        "dtype: expected the token type of tokens.bin (flat files do not "
        "say it), such as 'uint16' or 'uint32', got None",
    ),
    (
        "pythia/*.bin",
        {},
        ArgumentError,
        "dtype: expected the token type of pythia/document-00000-of-"
        "00001.bin (flat files do not say it), such as 'uint16' or 'uint32', got None; if it is a",
    ),
    ("bare.npy", {}, SourceError, "tokens: expected a .npy array, got 'bare.npy': "),
    (
        "text.jsonl.zst",
        {},
        ArgumentError,
        "tokens: expected files of token ids, got text, text.jsonl.zst"
        ": give TextSource(paths, tokenizer), or --tokenizer on the command line",
    ),
    (
        "text.txt",
        {"dtype": "uint16"},
        ArgumentError,
        "tokens: expected files of token ids, got text",
    ),
    (
        "empty",
        {},
        SourceError,
        "tokens: expected a file or a glob, got the folder 'empty', which holds",
    ),
    (
        ["mega.idx", "trove.ds"],
        {},
        ArgumentError,
        "tokens: expected files of one format, got megatron (mega.idx), datatrove (trove.ds)",
    ),
    (
        ["tokens.bin", "trove.ds"],
        {"dtype": "uint16"},
        ArgumentError,
        "tokens: expected files of one for",
    ),
    (
        "mega.idx",
        {"offsets": [0, 6]},
        ArgumentError,
        "offsets: expected none for files of format megat",
    ),
    (
        "mega.idx",
        {"join_files": True},
        ArgumentError,
        "join_files: expected none for files of format m",
    ),
    (
        "trove.ds",
        {"join_files": True},
        ArgumentError,
        "join_files: expected none for files of format d",
    ),
    (
        "mega.idx",
        {"dtype": "uint32"},
        ArgumentError,
        "dtype: expected uint16, as mega.bin says, got uin",
    ),
    (
        "mega.idx",
        {"dtype": "float"},
        ArgumentTypeError,
        "dtype: expected an integer token type, got flo",
    ),
    (
        np.zeros(2, int),
        {"format": "flat"},
        ArgumentError,
        "format: expected None for tokens that are no",
    ),
    (
        [[1]],
        {"format": "flat"},
        ArgumentError,
        "format: expected None for tokens that are no files, got",
    ),
    (["mega.idx", 3], {}, ArgumentTypeError, "tokens: expected paths throughout, got int 3"),
]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("tokens", "arguments", "error", "message"), ERRORS, ids=[str(i) for i in range(len(ERRORS))]
)
def test_what_does_not_go_together(
    tokens: Any, arguments: dict[str, Any], error: type, message: str
) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        open_source(tokens, **arguments)


@pytest.mark.usefixtures("folder")
def test_a_source_takes_no_format() -> None:
    with pytest.raises(
        ArgumentError, match="format: expected None for a source, which knows these"
    ):
        open_source(open_source("mega.idx"), format="flat")


def saved(array: Any, version: tuple[int, int] | None = None) -> bytes:
    with io.BytesIO() as file:
        np.lib.format.write_array(file, array, version)
        return file.getvalue()


def header(text: str) -> bytes:
    """A `.npy` file of a header alone."""
    data = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(data).to_bytes(2, "little") + data


HOSTILE: dict[str, bytes] = {
    "2^60 items": header(
        "{'descr': '<u2', 'fortran_order': False, 'shape': (1152921504606846976,)}"
    ),
    "2^70 items": header(
        "{'descr': '<u2', 'fortran_order': False, 'shape': (1180591620717411303424,)}"
    ),
    "2^80 in rows": header(
        "{'descr': '<u2', 'fortran_order': False, 'shape': (1099511627776, 1099511627776)}"
    ),
    "negative": header("{'descr': '<u2', 'fortran_order': False, 'shape': (-1,)}"),
    "two negatives": header("{'descr': '<u2', 'fortran_order': False, 'shape': (-1, -1)}"),
    "objects": header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"),
    "no dict": header("[1]"),
    "no Python": header("{'descr': "),
    "no UTF-8": b"\x93NUMPY\x03\x00\x04\x00\x00\x00\xff\xff\xff\n",
    "deep": header("(" * 5000),
    "version": b"\x93NUMPY\x09\x00" + bytes(64),
    "nothing": b"",
    "half a header": saved(np.zeros(3, np.uint16))[:20],
    "half the tokens": saved(np.zeros(3, np.uint16))[:-3],
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_npy_files(tmp_path: Path, case: str) -> None:
    (tmp_path / "x.npy").write_bytes(HOSTILE[case])
    with pytest.raises(ProbsigError, match=r"tokens: expected"):
        ps.count(tmp_path / "x.npy", vocab_size=V)


@given(data=st.data())
def test_damaged_npy_files_are_refused_or_read_as_they_are(
    data: st.DataObject, tmp_path_factory: Any
) -> None:
    array = np.arange(6, dtype=data.draw(st.sampled_from(["<u2", ">u2", "<i4", "<u8"])))
    make: Callable[[Any], Any] = data.draw(
        st.sampled_from([np.copy, lambda a: a.reshape(2, 3), lambda a: a.reshape(2, 3).T])
    )
    content = bytearray(saved(make(array)))
    at = data.draw(st.integers(0, len(content)))
    content[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    path = tmp_path_factory.mktemp("npy") / "x.npy"
    path.write_bytes(content)
    try:
        counts = ps.count(path, vocab_size=2**16)
    except ProbsigError:
        return
    read = np.load(io.BytesIO(content))
    rows = read.tolist() if read.ndim == 2 else [read.tolist()]
    check_counts(counts, expect(rows, ps.Next(), 2**16))


SIDECAR = {"dtype": "uint32", "tokens": 6, "vocab_size": V, "append_eos": None}


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A flat file with its sidecar, in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.bin").write_bytes(flat([0, 1, 2, 3, 4, 0], "uint32"))
    (tmp_path / "x.json").write_text(json.dumps(SIDECAR))
    return tmp_path


def test_a_sidecar_says_type_and_vocabulary(told: Path) -> None:
    plain = expect([[0, 1, 2, 3, 4, 0]], ps.Next(), V)
    check_counts(ps.count("x.bin"), plain)
    check_counts(ps.count(FileSource(["x.bin"])), plain)
    assert open_source("x.bin", dtype="uint16").vocab_size is None  # it is not looked at then
    (told / "y.bin").write_bytes(flat([0], "uint32"))
    (told / "y.json").write_text(json.dumps({**SIDECAR, "tokens": 1, "vocab_size": 9}))
    assert open_source("*.bin").vocab_size is None
    assert open_source("*.bin").total == 7


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        "{",
        "\xff",
        '{"dtype": "uint32"}',
        '{"tokens": 6}',
        '{"sources": []}',
        "[" * 10**6,
    ],
    ids=lambda text: text[:20],
)
def test_json_of_other_kinds_is_left_alone(told: Path, text: str) -> None:
    (told / "x.json").write_text(text, encoding="latin-1")
    with pytest.raises(ArgumentError, match=r"dtype: expected the token type of x\.bin"):
        open_source("x.bin")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"tokens": 7},
            r"expected 7 tokens of uint32 in x\.bin, as x\.json says, got 24 bytes: tr",
        ),
        ({"tokens": 6.0}, r"expected 6\.0 tokens of uint32 in x\.bin"),
        ({"tokens": None}, r"expected None tokens of uint32 in x\.bin"),
        ({"dtype": "uint16"}, r"expected 6 tokens of uint16 in x\.bin, as x\.json says, got 24"),
        ({"dtype": "float32"}, r"expected one of uint8, .* in x\.json, got 'float32'"),
        ({"dtype": [1]}, r"expected one of uint8, .* in x\.json"),
        ({"dtype": {"names": 3}}, r"expected one of uint8, .* in x\.json"),
    ],
    ids=str,
)
def test_a_sidecar_that_says_otherwise_than_the_file(
    told: Path, change: dict[str, Any], message: str
) -> None:
    (told / "x.json").write_text(json.dumps({**SIDECAR, **change}))
    with pytest.raises(SourceError, match=message):
        open_source("x.bin")


@pytest.mark.parametrize("vocab_size", [0, -1, 2**31, "5", None, True, 5.0], ids=str)
def test_no_vocabulary_in_a_sidecar(told: Path, vocab_size: Any) -> None:
    (told / "x.json").write_text(json.dumps({**SIDECAR, "vocab_size": vocab_size}))
    assert open_source("x.bin").vocab_size is None
