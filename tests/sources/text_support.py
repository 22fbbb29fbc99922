"""A small tokenizer, and files of text written by hand."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

WORDS = ("<end>", "<unk>", "the", "cat", "sat", "on", "a", "mat", "dog", "ran")
IDS = {word: i for i, word in enumerate(WORDS)}
#: The text of each document, and its subset.
DOCUMENTS = [
    ("the cat sat on a mat", "Github"),
    ("a dog ran", "DM Mathematics"),
    ("", "Github"),
    ("the dog sat on the cat", None),
    ("mat mat zebra", "DM Mathematics"),
]


def ids(text: str) -> list[int]:
    return [IDS.get(word, 1) for word in text.split()]


def word_tokenizer(*, words: tuple[str, ...] = WORDS, **settings: Any) -> Any:
    """One id a word. `settings`: truncation=N, padding=N as a tokenizer.json may hold them."""
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {word: i for i, word in enumerate(words)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, "<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    if "truncation" in settings:
        tokenizer.enable_truncation(settings["truncation"])
    if "padding" in settings:
        tokenizer.enable_padding(length=settings["padding"], pad_id=7)
    if "special" in settings:  # what BERT's family adds at both ends of a text
        tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
            single="<end> $A <end>", special_tokens=[("<end>", 0)]
        )
    return tokenizer


def lines(documents: list[tuple[str, str | None]]) -> bytes:
    """The Pile's form."""
    values = [
        {"text": text, "meta": {"pile_set_name": subset} if subset else {}}
        for text, subset in documents
    ]
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def write_zst(path: Path, *frames: bytes) -> Path:
    zstandard = pytest.importorskip("zstandard")
    path.write_bytes(b"".join(zstandard.ZstdCompressor().compress(frame) for frame in frames))
    return path


def write_gz(path: Path, *members: bytes) -> Path:
    path.write_bytes(b"".join(gzip.compress(member) for member in members))
    return path


def sequences_of(source: Any) -> list[list[int]]:
    """All sequences of a source, by its streams' own boundaries."""
    found = []
    for stream in source.streams():
        tokens = [int(token) for part in stream.parts for token in part.tokens()]
        assert len(tokens) == len(stream)
        begin = 0
        for end in [] if stream.starts is None else stream.starts.tolist():
            found.append(tokens[begin:end])
            begin = end
        if begin < len(tokens):
            found.append(tokens[begin:])
    return found


@pytest.fixture
def pile(tmp_path: Path) -> Path:
    data = lines(DOCUMENTS)
    return write_zst(tmp_path / "00.jsonl.zst", data[:40], data[40:41], data[41:])


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    path = tmp_path / "tokenizer.json"
    word_tokenizer().save(str(path))
    return path
