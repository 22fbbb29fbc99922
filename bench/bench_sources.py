"""Reading: files in the page cache beside the same tokens in memory, and text beside its tokenizer
alone; verified before timing.

PROBSIG_BENCH_TOKENS=corpus.u16.bin python -m pytest bench/bench_sources.py

For text, PROBSIG_BENCH_TEXT names .jsonl.zst files as the Pile has them (a glob), whose lines are
all objects with a text, and PROBSIG_BENCH_TOKENIZER a tokenizer.json. Data sets are written by what
the tests write theirs with, never by the package.
"""

from __future__ import annotations

import glob
import io
import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from conftest import LIMIT, ROUNDS

import probsig_fast as ps
from probsig_fast.benchmark import corpora
from probsig_fast.sources import MegatronSource

sys.path.append(str(Path(__file__).parents[1] / "tests" / "sources"))
import writers


class Files(NamedTuple):
    """One corpus in memory, with where its documents begin and end, and in files."""

    corpus: corpora.Corpus
    offsets: np.ndarray
    flat: Path
    npy: Path
    index: Path


@pytest.fixture(scope="session")
def files(tmp_path_factory) -> Files:
    corpus = corpora.load(LIMIT)
    folder = tmp_path_factory.mktemp("sources")
    ends = np.flatnonzero(corpus.tokens == corpus.eos) + 1
    offsets = np.unique(np.concatenate([[0], ends, [corpus.tokens.size]])).astype(np.int64)
    corpus.tokens.astype("<u2", copy=False).tofile(folder / "pair.bin")
    lengths = np.diff(offsets).tolist()
    index = writers.megatron_index(lengths, range(len(lengths) + 1))
    (folder / "pair.idx").write_bytes(index)
    corpus.tokens.astype("<u2", copy=False).tofile(folder / "flat.bin")
    np.save(folder / "rows.npy", corpus.tokens)
    made = Files(corpus, offsets, folder / "flat.bin", folder / "rows.npy", folder / "pair.idx")
    for contenders in (by_eos(made), by_document(made)):  # which brings all into the page cache
        expected, *others = (count() for count in contenders.values())
        assert all(each == expected for each in others)
    return made


def by_eos(files: Files):
    """One stream, which an id cuts."""
    rules = {"vocab_size": files.corpus.vocab_size, "eos": files.corpus.eos}
    return {
        "in memory": lambda: ps.count(files.corpus.tokens, **rules),
        "flat file": lambda: ps.count(files.flat, dtype="uint16", **rules),
        ".npy": lambda: ps.count(files.npy, **rules),
    }


def by_document(files: Files):
    """Documents that bounds tell."""
    rules = {"vocab_size": files.corpus.vocab_size}
    return {
        "in memory": lambda: ps.count(files.corpus.tokens, offsets=files.offsets, **rules),
        "Megatron pair": lambda: ps.count(MegatronSource(files.index), **rules),
    }


@pytest.mark.parametrize("contender", ["in memory", "flat file", ".npy"])
@pytest.mark.parametrize("number", range(ROUNDS))
def test_one_stream(timed, files, contender, number):
    size = files.corpus.tokens.size
    group = f"next-token pairs, {size:,} tokens, cut by eos"
    timed(group, contender, "tokens", size, by_eos(files)[contender])


@pytest.mark.parametrize("contender", ["in memory", "Megatron pair"])
@pytest.mark.parametrize("number", range(ROUNDS))
def test_documents(timed, files, contender, number):
    size = files.corpus.tokens.size
    group = f"next-token pairs, {size:,} tokens in {files.offsets.size - 1:,} documents"
    timed(group, contender, "tokens", size, by_document(files)[contender])


class Texts(NamedTuple):
    """Files of text; the documents in them, and how many tokens they are."""

    paths: list[Path]
    tokenizer: Path
    documents: list[str]
    tokens: int
    vocab_size: int


@pytest.fixture(scope="session")
def texts() -> Texts:
    pytest.importorskip("zstandard", reason="the text is compressed")
    tokenizers = pytest.importorskip("tokenizers", reason="text needs a tokenizer")
    for name in ("PROBSIG_BENCH_TEXT", "PROBSIG_BENCH_TOKENIZER"):
        if name not in os.environ:
            pytest.skip(f"{name} is not set")
    paths = sorted(map(Path, glob.glob(os.environ["PROBSIG_BENCH_TEXT"])))
    tokenizer = Path(os.environ["PROBSIG_BENCH_TOKENIZER"])
    documents = [document for path in paths for document in _documents(path)]
    plain = tokenizers.Tokenizer.from_file(str(tokenizer))
    vocab_size = 1 + max(plain.get_vocab(with_added_tokens=True).values())
    made = Texts(paths, tokenizer, documents, 0, vocab_size)
    ids = [np.array(each.ids, np.uint32) for each in _tokenized(made)]
    counted, _ = _counted(made)
    assert counted == ps.count(ids, vocab_size=vocab_size, dtype="uint32")
    return made._replace(tokens=sum(each.size for each in ids))


def _documents(path: Path) -> list[str]:
    import zstandard

    with path.open("rb") as file:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), "utf-8")
        return [json.loads(line)["text"] for line in lines if line.strip()]


def _tokenized(texts: Texts):
    """By the library alone, with threads of its own: texts in memory, all at once."""
    import tokenizers

    plain = tokenizers.Tokenizer.from_file(str(texts.tokenizer))
    return plain.encode_batch_fast(texts.documents, add_special_tokens=False)


def _counted(texts: Texts):
    from probsig_fast.sources.text import TextSource

    source = TextSource(texts.paths, str(texts.tokenizer))
    return ps.count(source, vocab_size=texts.vocab_size), source.seconds


@pytest.mark.parametrize("contender", ["tokenizers, texts in memory", "text files, counted"])
@pytest.mark.parametrize("number", range(ROUNDS))
def test_text(timed, note, texts, contender, number):
    group = f"Pile text, {len(texts.documents):,} documents, {texts.tokens:,} tokens"
    if contender.startswith("tokenizers"):
        timed(group, contender, "tokens", texts.tokens, lambda: _tokenized(texts))
        return
    counts, seconds = timed(group, contender, "tokens", texts.tokens, lambda: _counted(texts))
    assert counts.n_tokens == texts.tokens
    if number == ROUNDS - 1:
        note(
            f"text: {seconds.tokenizing:.2f} s of all threads in the tokenizer, "
            f"{seconds.reading:.2f} s in reading: the tokenizer's share is {seconds.share:.0%}"
        )
