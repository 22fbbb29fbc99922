"""Text that cannot be read, and tokenizers that cannot be used."""

from __future__ import annotations

import re
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from text_support import (
    DOCUMENTS,
    WORDS,
    ids,
    lines,
    pile,
    sequences_of,
    tokenizer,
    word_tokenizer,
    write_gz,
    write_zst,
)

import probsig_fast as ps
from probsig_fast.errors import (
    ArgumentError,
    ArgumentTypeError,
    MissingExtraError,
    SourceError,
    SourceNotFoundError,
    SubsetNeverOccursWarning,
)
from probsig_fast.sources import pile_text, tokenizing
from probsig_fast.sources.text import TextSource
from probsig_fast.sources.tokenizing import Coder

V = len(WORDS)
__all__ = ["pile", "tokenizer"]  # fixtures


class Panic(BaseException):
    """Rust's reach Python as such."""


@pytest.mark.parametrize("error", [RuntimeError, Panic])
def test_a_failure_in_a_thread_reaches_the_caller(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch, error: type
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'"a"\n' * 6 + b'"BREAK"\n' + b'"a"\n' * 50)
    encode = Coder.encode

    def fail(self: Coder, document: str) -> Any:
        if document == "BREAK":
            raise error("out of words")
        return encode(self, document)

    monkeypatch.setattr(Coder, "encode", fail)
    monkeypatch.setattr(tokenizing, "BATCH_DOCUMENTS", 2)
    source = TextSource(path, tokenizer, threads=3)
    with pytest.raises(SourceError, match=r"takes in line 7 of .*a\.jsonl: out of words"):
        ps.count(source)
    assert not any(thread.name.startswith("probsig") for thread in threading.enumerate())


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("a.jsonl", b'"a"\n"b"\n{"text": "b"\n', "expected JSON in line 3 of"),
        ("a.jsonl", b'"a"\n"\xff"\n', "expected JSON in line 2 of"),
        ("a.jsonl", b"[" * 100_000, "expected JSON in line 1 of"),
        ("a.jsonl", b'{"meta": {}}', "expected a string or a list of strings as the text in line"),
        ("a.txt", b"caf\xe9", "expected UTF-8 in .*a.txt, got byte 0xe9 at byte 3"),
    ],
    ids=["json", "utf-8", "nested", "no text", "latin-1"],
)
def test_bad_text(tmp_path: Path, tokenizer: Path, name: str, data: bytes, told: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(SourceError, match=told):
        ps.count(TextSource(path, tokenizer))


def test_damaged_frames_are_told_with_their_place(tmp_path: Path, tokenizer: Path) -> None:
    path = write_zst(tmp_path / "a.jsonl.zst", lines(DOCUMENTS), lines(DOCUMENTS))
    whole = path.read_bytes()
    second = len(whole) // 2
    path.write_bytes(whole[:-3])
    with pytest.raises(
        SourceError,
        match=rf"whole zstd frames in .*got a truncated one at byte {second}: the file ends at "
        rf"byte {len(whole) - 3}",
    ):
        ps.count(TextSource(path, tokenizer))
    path.write_bytes(whole[:second] + b"rubbish")
    with pytest.raises(
        SourceError, match=rf"zstd data in the frame at byte {second} of .*a\.jsonl"
    ):
        ps.count(TextSource(path, tokenizer))


def test_damaged_gzip(tmp_path: Path, tokenizer: Path) -> None:
    path = write_gz(tmp_path / "a.jsonl.gz", lines(DOCUMENTS), lines(DOCUMENTS))
    whole = path.read_bytes()
    for damaged in (whole[:-3], whole[:-40], whole + b"rubbish", b"rubbish"):
        path.write_bytes(damaged)
        with pytest.raises(SourceError, match=r"whole gzip members in .*a\.jsonl\.gz"):
            ps.count(TextSource(path, tokenizer))


def test_frames_to_skip_are_skipped(tmp_path: Path, tokenizer: Path) -> None:
    """Parallel compressors write the sizes of frames into such."""
    frame = write_zst(tmp_path / "x", b'"a cat"\n').read_bytes()
    skipped = (0x184D2A50).to_bytes(4, "little") + (5).to_bytes(4, "little") + b"hello"
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(skipped + frame + skipped + frame)
    assert sequences_of(TextSource(path, tokenizer)) == [ids("a cat")] * 2


def test_subsets_that_are_not_there(pile: Path, tokenizer: Path) -> None:
    with pytest.raises(ArgumentError, match=r"subset: expected some of Pile-CC, .*; got 'github'"):
        TextSource(pile, tokenizer, ["github"])
    told = r"no document of ArXiv in .*, which has DM Mathematics \(2\), Github \(2\), none named"
    with pytest.raises(SourceError, match=rf"subset: expected some documents, got {told}"):
        ps.count(TextSource(pile, tokenizer, ["ArXiv"]))
    with pytest.warns(SubsetNeverOccursWarning, match=told):
        assert len(sequences_of(TextSource(pile, tokenizer, ["ArXiv", "Github"]))) == 2


def test_arguments(pile: Path, tokenizer: Path, tmp_path: Path) -> None:
    cases: list[tuple[Any, dict[str, Any], type, str]] = [
        ([], {}, ArgumentError, "paths: expected at least one path, got none"),
        (7, {}, ArgumentTypeError, "paths: expected paths, got int"),
        ([pile, 7], {}, ArgumentTypeError, "paths: expected paths throughout, got int 7"),
        (tmp_path / "no.jsonl", {}, SourceNotFoundError, "text: expected a file, got "),
        (tmp_path / "*.ndjson", {}, SourceNotFoundError, "expected a glob that names files"),
        (tmp_path / "a.bin", {}, ArgumentError, "tokenizer: expected files of text (.jsonl, "),
        (pile, {"tokenizer": 7}, ArgumentTypeError, "tokenizer: expected the path of a tok"),
        (pile, {"tokenizer": tmp_path / "no"}, SourceNotFoundError, "tokenizer: expected a file"),
        (pile, {"tokenizer": pile}, ArgumentError, "tokenizer: expected a tokenizer.json, got"),
        (pile, {"append_eos": V}, ArgumentError, f"append_eos: expected an id from 0 to {V - 1}"),
        (pile, {"append_eos": 0.0}, ArgumentTypeError, "append_eos: expected an int"),
        (pile, {"threads": 0}, ArgumentError, "threads: expected at least 1"),
        (pile, {"subsets": []}, ArgumentError, "subset: expected at least one, got none"),
    ]
    for paths, arguments, error, told in cases:
        with pytest.raises(error, match=f"^.*{re.escape(told)}"):
            TextSource(paths, **{"tokenizer": tokenizer, **arguments})
    whole = tmp_path / "a.txt"
    whole.write_bytes(b"a")
    with pytest.raises(ArgumentError, match=r"subset: expected None for .*a\.txt, as a whole file"):
        TextSource([pile, whole], tokenizer, ["Github"])


def test_a_tokenizer_without_tokens(pile: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    with pytest.raises(
        ArgumentError, match="tokenizer: expected tokens, got none in the tokenizer"
    ):
        TextSource(pile, tokenizers.Tokenizer(tokenizers.models.WordLevel({}, "x")))


@pytest.mark.parametrize("package", ["tokenizers", "zstandard"])
def test_without_an_extra(
    pile: Path, tokenizer: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"needs {package}.*probsig-fast\[text\]"):
        TextSource(pile, tokenizer)


@pytest.mark.parametrize("name", ["long.jsonl", "long.jsonl.zst", "long.jsonl.gz", "long.txt.zst"])
def test_a_document_without_end(name: str, tmp_path: Path) -> None:
    """A few kB that say hundreds of MB: refused before the tokenizer gets them."""
    text = b'{"text": "a"}\n{"text": "' + b"a" * (pile_text.LONGEST + 100) + b'"}\n'
    path = tmp_path / name
    if name.endswith(".zst"):
        write_zst(path, text)
    elif name.endswith(".gz"):
        write_gz(path, text)
    else:
        path.write_bytes(text)
    where = str(path) if ".txt" in name else f"line 2 of {path}"
    message = f"text: expected at most 67,108,864 bytes as a document, got more in {where}: "
    with pytest.raises(SourceError, match=f"^{re.escape(message)}"):
        sequences_of(TextSource(path, word_tokenizer()))
