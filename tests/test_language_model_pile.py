"""The reader of the Pile's files."""

from __future__ import annotations

import io
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from probsig_fast.errors import (
    ArgumentError,
    MissingExtraError,
    SourceError,
    SourceNotFoundError,
)
from probsig_fast.sources.pile_text import PILE_SUBSETS, Document, check_subsets, read_pile


def line(text: Any, subset: str | None = None) -> bytes:
    value = {"text": text, "meta": {"pile_set_name": subset}} if subset else text
    return json.dumps(value).encode() + b"\n"


ODD = (
    line("one", "Github"),
    line("a bare string\nof two lines"),
    line({"text": "no meta"}),
    line({"text": "null", "meta": None}),
    line({"text": ["a", "b", "c"], "meta": {}}),
    b"\n",
    line({"text": "", "meta": "of another kind"}),
    line({"text": "caf\u00e9 \U0001f600", "meta": {"pile_set_name": 3}}),
    b'{"text": "half \\ud83d a character"}',  # and no line break at the end
)
READ = [
    Document("one", "Github"),
    Document("a bare string\nof two lines", None),
    Document("no meta", None),
    Document("null", None),
    Document("a\n\nb\n\nc", None),
    Document("", None),
    Document("caf\u00e9 \U0001f600", None),
    Document("half \N{REPLACEMENT CHARACTER} a character", None),
]


def zst(path: Path, *frames: bytes) -> Path:
    zstandard = pytest.importorskip("zstandard")
    path.write_bytes(b"".join(zstandard.ZstdCompressor().compress(frame) for frame in frames))
    return path


def test_odd_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(ODD))
    assert list(read_pile([path])) == READ


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_frames_cut_anywhere(tmp_path: Path, size: int) -> None:
    data = b"".join(ODD)
    frames = [data[i : i + size] for i in range(0, len(data), size)]
    path = zst(tmp_path / "a.jsonl.zst", *frames)
    assert list(read_pile([path])) == READ
    assert list(read_pile([path, str(path)])) == READ * 2  # no line joins two files


def test_lines_longer_than_a_block(tmp_path: Path) -> None:
    texts = ["x" * 3_000_000, "y", "z" * (2**20 - 20)]
    path = zst(tmp_path / "a.jsonl.zst", b"".join(line(text) for text in texts))
    assert [document.text for document in read_pile([path])] == texts


def test_real_odd_lines(shared: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    path = shared / "data" / "pile_sample" / "odd.jsonl.zst"
    if not path.exists():
        pytest.skip("no odd.jsonl.zst in the real data")
    with open(path, "rb") as file:
        reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        values = [json.loads(each) for each in io.TextIOWrapper(reader, "utf-8")]
    texts = [each if isinstance(each, str) else each["text"] for each in values]
    assert {type(text) for text in texts} == {str, list}
    expected = [text if isinstance(text, str) else "\n\n".join(text) for text in texts]
    assert list(read_pile([path])) == [(text, None) for text in expected]


def test_real_subsets(shared: Path) -> None:
    pytest.importorskip("zstandard")
    path = shared / "data" / "pile_sample" / "00.jsonl.zst"
    if not path.exists():
        pytest.skip("no 00.jsonl.zst in the real data")
    assert Counter(document.subset for document in read_pile([path])) == {
        "Github": 301,
        "DM Mathematics": 273,
        "Gutenberg (PG-19)": 3,
    }


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'"a"\n{"text": "b"\n', "expected JSON in line 2 of"),
        (b'"a"\n\n"\xff"\n', "expected JSON in line 3 of"),
        (b'{"meta": {}}\n', "expected a string or a list of strings as the text in line 1 .*None"),
        (b'{"text": ["a", 1]}', "expected a string or a list of strings .* got list"),
        (b"17\n", "expected a string or a list of strings .* got int"),
    ],
)
def test_bad_lines(tmp_path: Path, data: bytes, told: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=told):
        list(read_pile([path]))


def test_damaged_zstd(tmp_path: Path) -> None:
    path = zst(tmp_path / "a.jsonl.zst", line("a" * 50), line("b" * 50))
    whole = path.read_bytes()
    for missing in (1, 5, 20):
        path.write_bytes(whole[:-missing])
        with pytest.raises(SourceError, match=r"whole zstd frames in .*a\.jsonl\.zst, got a trunc"):
            list(read_pile([path]))
    path.write_bytes(whole + b"rubbish")
    with pytest.raises(SourceError, match="expected zstd data in"):
        list(read_pile([path]))


def test_missing_file_is_told_first(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"no JSON")
    with pytest.raises(SourceNotFoundError, match=r"expected a file, got '.*b\.jsonl'"):
        read_pile([tmp_path / "a.jsonl", tmp_path / "b.jsonl"])


def test_without_zstandard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zst(tmp_path / "a.jsonl.zst", line("a"))
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(MissingExtraError, match=r"a \.zst file needs zstandard.*fast\[text\]"):
        read_pile([path])


def test_subsets() -> None:
    assert len(set(PILE_SUBSETS)) == 22
    assert check_subsets(["Github", "DM Mathematics"]) == ("Github", "DM Mathematics")
    with pytest.raises(ArgumentError, match=r"subset: expected some of Pile-CC, .*; got 'GitHub'"):
        check_subsets(["GitHub"])
    with pytest.raises(ArgumentError, match="Enron Emails; got 'x'"):
        check_subsets(["x"])
    with pytest.raises(ArgumentError, match="subset: expected at least one"):
        check_subsets([])
