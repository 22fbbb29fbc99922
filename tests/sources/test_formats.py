"""Which source reads which files."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracle import check_counts, expect
from writers import flat, write_datatrove, write_dolma, write_megatron, write_pythia

import probsig_fast as ps
from probsig_fast.errors import ArgumentError, ArgumentTypeError, SourceError
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


@pytest.mark.parametrize("name", ["mega.idx", "trove.ds", "dolma.npy", "tokens.bin", "rows.npy"])
def test_sources_go_to_other_processes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Of another working folder."""
    dtype = "uint16" if name == "tokens.bin" else None
    expected = ps.count(open_source(name, dtype=dtype), vocab_size=V)
    source = open_source(name, dtype=dtype)
    data, mark = pickle.dumps(source), source.fingerprint()
    monkeypatch.chdir("/")
    assert source.fingerprint() == mark == pickle.loads(data).fingerprint()
    assert ps.count(pickle.loads(data), vocab_size=V) == expected


def test_rows_of_pythia_go_to_other_processes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = PythiaSource("pythia", rows=(1, 2), row_tokens=3)
    expected, data = ps.count(source, vocab_size=V), pickle.dumps(source)
    monkeypatch.chdir("/")
    assert ps.count(pickle.loads(data), vocab_size=V) == expected
    assert expected.data.tolist() == [1, 1]


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
