"""Options that say what the files hold: the source they make, and which do not go together."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probsig_fast.cli import source_options
from probsig_fast.sources import FileSource
from probsig_fast.sources.text import TextSource

TOKENS = np.array([1, 2, 3, 1], "<u2")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file of each kind, in which the test runs."""
    TOKENS.tofile(tmp_path / "a.bin")
    np.save(tmp_path / "a.npy", TOKENS)
    (tmp_path / "a.jsonl").write_text('{"text": "b a", "meta": {"pile_set_name": "Github"}}\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tokenizer(files: Path) -> str:
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "b": 1, "?": 2}, "?"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    made.save(str(files / "t.json"))
    return "t.json"


@pytest.fixture
def tables(files: Path) -> Path:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    rows = pa.array([[1, 2], [3]], pa.list_(pa.int32()))
    table = pa.table({"input_ids": rows, "other": pa.array([[0], [0]], pa.list_(pa.int32()))})
    pq.write_table(table, files / "a.parquet")
    folder = files / "saved"
    folder.mkdir()
    with (
        pa.OSFile(str(folder / "data.arrow"), "wb") as file,
        pa.ipc.new_stream(file, table.schema) as writer,
    ):
        writer.write_table(table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}]}))
    return files


def source_of(*words: str) -> Any:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("tokens", nargs="+")
    parser.add_argument("--join-files", action="store_true")
    parser.add_argument("--threads", type=int)
    source_options.add_arguments(parser)
    parser.set_defaults(parser=parser)
    return source_options.source_of(parser.parse_args(words))


def tokens_of(source: Any) -> list[int]:
    return [
        int(token)
        for stream in source.streams()
        for part in stream.parts
        for token in part.tokens()
    ]


def test_files_of_tokens(files: Path) -> None:
    for words in (["a.bin", "--dtype", "uint16"], ["a.npy"]):
        source = source_of(*words)
        assert isinstance(source, FileSource)
        assert tokens_of(source) == TOKENS.tolist()
        assert source_options.lines(source) == []
        assert source_options.fields(source) == {}
    joined = source_of("a.bin", "a.bin", "--dtype", "uint16", "--join-files")
    (stream,) = joined.streams()
    assert stream.starts is None


def test_text(tokenizer: str) -> None:
    words = ("a.jsonl", "--tokenizer", tokenizer, "--threads", "1")
    source = source_of(*words, "--subset", "Github", "--append-eos", "2")
    assert isinstance(source, TextSource)
    assert tokens_of(source) == [1, 0, 2]
    told = source_options.fields(source)
    assert (told["documents"], told["documents_left_out"]) == (1, 0)
    (documents, share) = source_options.lines(source)
    assert documents == ("documents", "1")
    assert share[0] == "tokenizer"
    assert "% of" in share[1]
    assert tokens_of(source_of(*words, "--format", "text")) == [1, 0]


def test_tables(tables: Path) -> None:
    for name, format in (("a.parquet", "parquet"), ("saved", "hugging-face")):
        assert tokens_of(source_of(name)) == [1, 2, 3]
        assert tokens_of(source_of(name, "--format", format, "--column", "other")) == [0, 0]
        assert source_of(name, "--inputs-only").inputs_only
        assert not source_of(name).inputs_only


USAGE = [
    ("a.bin --tokenizer t.json --dtype uint16", "--dtype goes with flat, npy, datatrove or dolma"),
    ("a.bin --tokenizer t.json --rows 0:2", "--rows goes with pythia, and the files are text"),
    (
        "a.bin --tokenizer t.json --join-files",
        "--join-files goes with flat or npy, and the files are text",
    ),
    ("a.jsonl --subset Github", "text needs --tokenizer, a tokenizer.json"),
    ("a.jsonl --append-eos 0", "text needs --tokenizer"),
    ("a.jsonl --format text", "text needs --tokenizer"),
    (
        "a.npy --format npy --column x",
        "--column goes with parquet or hugging-face, and the files a",
    ),
    (
        "a.parquet --dtype uint16",
        "--dtype goes with flat, npy, datatrove or dolma, and the files a",
    ),
    ("a.bin --rows 0:2 --steps 0:1", "--rows and --steps say the same: give one"),
    ("a.bin --rows 2", "expected A:B with 0 <= A < B, such as 0:1000, got '2'"),
    ("a.bin --rows 2:2", "expected A:B with 0 <= A < B"),
    ("a.bin --rows a:b", "expected A:B with 0 <= A < B"),
    ("a.bin --steps 3:", "expected A:B with 0 <= A < B"),
    ("a.bin --steps=-1:2", "expected A:B with 0 <= A < B"),
    ("a.bin --format guess", "--format: invalid choice: 'guess'"),
    ("saved saved", "hugging-face: give one folder of save_to_disk, not 2"),
]


@pytest.mark.parametrize(("words", "told"), USAGE, ids=[words for words, _ in USAGE])
def test_wrong_usage(
    files: Path, words: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "saved").mkdir()
    (files / "saved" / "state.json").write_text("{}")
    with pytest.raises(SystemExit) as stop:
        source_of(*words.split())
    assert stop.value.code == 2
    assert told in capsys.readouterr().err


def test_spans() -> None:
    assert source_options._span("3:10") == (3, 10)
    assert source_options._span(":10") == (0, 10)
