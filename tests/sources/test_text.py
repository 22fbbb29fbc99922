"""Text through a tokenizer: documents, subsets, threads, and memory."""

from __future__ import annotations

import io
import json
import pickle
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracle import check_counts, expect
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
)
from probsig_fast.sources import batches, text, tokenizing
from probsig_fast.sources.text import TextSource

V = len(WORDS)
__all__ = ["pile", "tokenizer"]  # fixtures


# What is read


def test_documents_are_sequences(pile: Path, tokenizer: Path, backend: str) -> None:
    source = TextSource(pile, tokenizer, threads=2)
    expected = [ids(document) for document, _ in DOCUMENTS]
    assert sequences_of(source) == expected
    (stream,) = source.streams()
    assert (stream.dtype, stream.first_sequence) == (np.uint16, 0)
    assert source.vocab_size == V
    check_counts(ps.count(source, backend=backend), expect(expected, ps.Next(), V))


def test_an_appended_eos_ends_each_document_the_empty_one_too(pile: Path, tokenizer: Path) -> None:
    source = TextSource([str(pile)], str(tokenizer), append_eos=0)
    assert sequences_of(source) == [[*ids(document), 0] for document, _ in DOCUMENTS]


@pytest.mark.parametrize("subsets", [["Github"], "DM Mathematics", ["DM Mathematics", "Github"]])
def test_subsets(pile: Path, tokenizer: Path, subsets: Any) -> None:
    source = TextSource(pile, tokenizer, subsets)
    names = [subsets] if isinstance(subsets, str) else subsets
    taken = [ids(document) for document, subset in DOCUMENTS if subset in names]
    assert sequences_of(source) == taken
    assert source.left_out == len(DOCUMENTS) - len(taken)
    assert source.describe()[0]["documents"] == len(taken)


def test_files_of_every_kind_in_the_order_given(tmp_path: Path, tokenizer: Path) -> None:
    data = lines(DOCUMENTS[:2])
    plain = tmp_path / "b.jsonl"
    plain.write_bytes(data.replace(b"\n", b"\r\n") + b'"the end"')
    zipped = write_gz(tmp_path / "a.json.gz", data[:30], data[30:])
    whole = tmp_path / "c.txt"
    whole.write_text('"a dog\nran"\n', encoding="utf-8")
    both = write_zst(tmp_path / "d.txt.zst", b"the ", b"cat")
    source = TextSource([plain, zipped, whole, both], tokenizer)
    two = [ids(document) for document, _ in DOCUMENTS[:2]]
    assert sequences_of(source) == [*two, ids("the end"), *two, [1, 8, 1], ids("the cat")]
    told = source.describe()
    assert [entry["documents"] for entry in told] == [3, 2, 1, 1]
    assert [entry["tokens"] for entry in told] == [11, 9, 3, 2]
    assert [entry["path"] for entry in told] == [str(each) for each in (plain, zipped, whole, both)]
    glob = TextSource(tmp_path / "*.txt*", tokenizer)
    assert sequences_of(glob) == [[1, 8, 1], ids("the cat")]


def test_no_document_is_nothing(tmp_path: Path, tokenizer: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_bytes(b"\n \n")
    assert list(TextSource(path, tokenizer).streams()) == []
    assert ps.count(TextSource(path, tokenizer)).n_tokens == 0


@pytest.mark.parametrize("batch_tokens", [1, 5, 6, 1000])
def test_streams_of_any_size(
    pile: Path, tokenizer: Path, batch_tokens: int, monkeypatch: Any
) -> None:
    monkeypatch.setattr(batches, "BATCH_TOKENS", batch_tokens)
    monkeypatch.setattr(tokenizing, "BATCH_DOCUMENTS", 1)
    source = TextSource(pile, tokenizer, threads=1)
    assert sequences_of(source) == [ids(document) for document, _ in DOCUMENTS]
    streams = list(source.streams())
    assert max(map(len, streams)) <= max(batch_tokens, 6)
    # Errors number documents from 0, through all streams; the third one is empty.
    named = [stream.locate(p)[0] for stream in streams for p in range(len(stream))]
    numbers = [i for i, (document, _) in enumerate(DOCUMENTS) for _ in ids(document)]
    assert named == [f"sequence {i}" for i in numbers]
    check_counts(
        ps.count(source, backend="reference"),
        expect([ids(document) for document, _ in DOCUMENTS], ps.Next(), V),
    )


def test_threads_change_nothing(tmp_path: Path, tokenizer: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(tokenizing, "BATCH_CHARACTERS", 50)
    monkeypatch.setattr(batches, "BATCH_TOKENS", 300)
    rng = np.random.default_rng(5)
    documents = [
        (" ".join(rng.choice(WORDS[2:], rng.integers(0, 60))), "Github") for _ in range(200)
    ]
    path = write_zst(tmp_path / "a.jsonl.zst", lines(documents))
    expected = [ids(document) for document, _ in documents]
    made = []
    for threads in (1, 4):
        source = TextSource(path, tokenizer, threads=threads)
        assert sequences_of(source) == expected
        made.append([len(stream) for stream in source.streams()])
    assert made[0] == made[1]
    assert len(made[0]) > 10


# Tokenizers


def test_settings_of_the_tokenizer_cut_and_add_nothing(pile: Path) -> None:
    source = TextSource(pile, word_tokenizer(truncation=3, padding=5, special=True))
    assert sequences_of(source) == [ids(document) for document, _ in DOCUMENTS]


def test_the_tokenizer_given_stays_as_it_was(pile: Path) -> None:
    tokenizer = word_tokenizer(truncation=3)
    sequences_of(TextSource(pile, tokenizer))
    assert len(tokenizer.encode("the cat sat on").ids) == 3


def test_transformers_tokenizer(pile: Path) -> None:
    transformers = pytest.importorskip("transformers")
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=word_tokenizer())
    assert sequences_of(TextSource(pile, fast)) == [ids(document) for document, _ in DOCUMENTS]


@pytest.mark.parametrize(("size", "dtype"), [(65_536, "uint16"), (65_537, "uint32")])
def test_width_by_the_highest_id(tmp_path: Path, size: int, dtype: str) -> None:
    words = ("<unk>", *map(str, range(1, size)))
    (tmp_path / "a.jsonl").write_bytes(lines([(f"{size - 1} 1", None)]))
    source = TextSource(tmp_path / "a.jsonl", word_tokenizer(words=words))
    (stream,) = source.streams()
    assert (source.vocab_size, stream.dtype.name) == (size, dtype)
    assert stream.raw(0, 2).tolist() == [size - 1, 1]


def test_added_tokens_count_in_the_vocabulary(pile: Path) -> None:
    tokenizer = word_tokenizer()
    tokenizer.add_tokens(["zebra"])
    source = TextSource(pile, tokenizer)
    assert source.vocab_size == V + 1
    assert sequences_of(source)[-1] == [7, 7, V]


def test_a_vocabulary_that_is_too_small(pile: Path, tokenizer: Path) -> None:
    source = TextSource(pile, tokenizer)
    with pytest.raises(ArgumentError, match=rf"vocab_size: expected at least {V}.*got {V - 1}"):
        source.check_vocab_size(V - 1)
    with pytest.raises(ArgumentError, match=rf"vocab_size: expected at least {V}"):
        ps.count(source, vocab_size=V - 1)
    padded = ps.count(source, vocab_size=V + 3, backend="reference")
    assert padded.vocab_size == V + 3


# How it is read


def test_pickled_and_told_apart(pile: Path, tokenizer: Path, tmp_path: Path) -> None:
    source = TextSource(pile, tokenizer, ["Github"], append_eos=0, threads=1)
    again = pickle.loads(pickle.dumps(source))
    assert sequences_of(again) == sequences_of(source)
    first = source.fingerprint()
    assert again.fingerprint() == first == json.loads(json.dumps(first))
    other = word_tokenizer()
    other.add_tokens(["zebra"])
    for differing in (
        TextSource(pile, tokenizer, append_eos=0),
        TextSource(pile, tokenizer, ["Github"]),
        TextSource(pile, other, ["Github"], append_eos=0),
    ):
        assert differing.fingerprint() != first
    pile.write_bytes(pile.read_bytes() + write_zst(tmp_path / "x", b'"a"').read_bytes())
    assert source.fingerprint() != first


def test_time_and_bytes_are_told(pile: Path, tokenizer: Path) -> None:
    source = TextSource(pile, tokenizer)
    assert source.seconds.share is None
    for _ in range(2):  # of one run, not of all
        sequences_of(source)
        assert source.bytes_read == source.bytes == pile.stat().st_size
        assert source.seconds.reading > 0
        assert source.seconds.tokenizing > 0
        assert 0 < source.seconds.share < 1
        assert int(source.documents.sum()) == len(DOCUMENTS)


def test_memory_does_not_grow_with_the_text(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH_TOKENS", 2**14)
    monkeypatch.setattr(tokenizing, "BATCH_CHARACTERS", 2**14)
    rng = np.random.default_rng(6)
    peaks = []
    for documents in (300, 1200):  # of 4 kB each
        words = rng.choice(WORDS, (documents, 1200)).tolist()
        data = lines([(" ".join(each), None) for each in words])
        source = TextSource(write_zst(tmp_path / f"{documents}.jsonl.zst", data), tokenizer)
        del words, data
        tracemalloc.start()
        total = sum(len(stream) for stream in source.streams())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert total == documents * 1200
    assert peaks[1] < 1.2 * peaks[0]


def test_reading_waits_for_the_tokenizer(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenizing, "BATCH_DOCUMENTS", 1)
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'"a cat"\n' * 1000)
    read = 0
    documents = text.numbered_documents

    def counted(*arguments: Any) -> Iterator[Any]:
        nonlocal read
        for item in documents(*arguments):
            read += 1
            yield item

    monkeypatch.setattr(text, "numbered_documents", counted)
    source = TextSource(path, tokenizer, threads=2)
    next(iter(source.streams(batch_tokens=2)))
    assert read < 10
    assert sum(thread.name.startswith("probsig") for thread in threading.enumerate()) == 0


# Real text


@pytest.mark.slow
@pytest.mark.parametrize("subset", ["DM Mathematics", None], ids=["one", "all"])
def test_the_pile(shared: Path, subset: str | None) -> None:
    """Against a loop over the library's own decompressor, JSON and one document a call."""
    tokenizers = pytest.importorskip("tokenizers")
    paths = sorted((shared / "data" / "pile_sample").glob("*.jsonl.zst"))
    model = shared / "tokenizers" / "gpt-neox-20b.json"
    if not paths or not model.exists():
        pytest.skip("no sample of the Pile in the real data")
    limit = 150 if subset is None else 60
    tokenizer = tokenizers.Tokenizer.from_file(str(model))
    expected = []
    for document, name in independent(paths):
        if subset in (None, name) and len(expected) < limit:
            expected.append(tokenizer.encode(document, add_special_tokens=False).ids)
    source = TextSource(paths, model, subset, threads=2)
    found: list[list[int]] = []
    for stream in source.streams(batch_tokens=2**18):
        begin = 0
        for end in stream.starts.tolist():
            found.append(stream.raw(begin, end).tolist())
            begin = end
        if len(found) >= limit:
            break
    assert found[:limit] == expected


def independent(paths: list[Path]) -> Iterator[tuple[str, str | None]]:
    zstandard = pytest.importorskip("zstandard")
    for path in paths:
        with open(path, "rb") as file:
            reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
            for line in io.TextIOWrapper(reader, "utf-8", newline="\n"):
                value = json.loads(line)
                value = value if isinstance(value, dict) else {"text": value}
                document = value["text"]
                if isinstance(document, list):
                    document = "\n\n".join(document)
                yield document, (value.get("meta") or {}).get("pile_set_name")
