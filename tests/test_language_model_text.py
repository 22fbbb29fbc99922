"""What becomes of text: a tokenizer, tokens, rows and counts."""

from __future__ import annotations

import itertools
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probsig_fast.errors import ArgumentError, MissingExtraError, SourceNotFoundError

pytest.importorskip("torch", reason="experiments need torch")
pytest.importorskip("tokenizers", reason="the corpus needs tokenizers")

from probsig_fast.experiments.language_model import (
    Corpus,
    Texts,
    library_texts,
    make_corpus,
    make_setup,
    pile_texts,
)
from probsig_fast.experiments.language_model.tokenizer import (
    encode,
    end_token,
    strings_of,
    train_tokenizer,
)
from probsig_fast.experiments.language_model.training import rows_of

SAMPLE = (
    "What is 12 + 345? 357\n",
    "It's   a test, don't\n\n  worry 2025!",
    "caf\u00e9 <|endoftext|>",
)


def test_tokenizer() -> None:
    coder = train_tokenizer(SAMPLE * 50, 300)
    strings = strings_of(coder)
    assert strings[0] == "<|endoftext|>"
    assert set("0123456789") <= set(strings)
    assert not any(len(s) > 1 and any(c.isdigit() for c in s) for s in strings)
    for text, ids in zip(SAMPLE, encode(coder, SAMPLE), strict=True):
        assert coder.decode(ids, skip_special_tokens=False) == text
        assert 0 not in ids  # written in the text, it ends nothing
    assert [strings[i] for i in next(encode(coder, ["345"]))] == ["3", "4", "5"]
    again = train_tokenizer(SAMPLE * 50, 300)
    assert again.to_str() == coder.to_str()


def test_tokenizer_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArgumentError, match="vocab_size: expected at least 257, got 256"):
        train_tokenizer(SAMPLE, 256)
    coder = train_tokenizer(SAMPLE, 257)
    assert end_token(coder, None) == 0
    with pytest.raises(ArgumentError, match=r"end: expected a token of the tokenizer .*'</doc>'"):
        end_token(coder, "</doc>")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtraError, match=r"tokenizer needs tokenizers.*fast\[experiments\]"):
        train_tokenizer(SAMPLE, 300)


def test_rows_share_a_token() -> None:
    tokens = np.arange(11, dtype=np.uint16)
    np.testing.assert_array_equal(rows_of(tokens, 5), [[0, 1, 2, 3, 4, 5], [5, 6, 7, 8, 9, 10]])
    np.testing.assert_array_equal(rows_of(tokens, 4), [[0, 1, 2, 3, 4], [4, 5, 6, 7, 8]])
    np.testing.assert_array_equal(rows_of(tokens[:3], 4), [[0, 1, 2]])
    assert rows_of(tokens[:1], 4).shape == (0, 1)


def documents(n: int = 40) -> Texts:
    random = np.random.default_rng(5)
    words = ["alpha", "beta", "7", "42", "x = 1\n", "def f():\n    return"]
    texts = (" ".join(random.choice(words, random.integers(3, 30))) for _ in range(n))
    return Texts(tuple(texts), "a test")


def corpus(**changes: Any) -> Corpus:
    sizes = {"vocab_size": 270, "sequence_length": 8, "batch": 2, "steps": 30, **changes}
    return make_corpus(documents(), make_setup("tiny", **sizes), seed=0)


def test_what_is_counted_is_what_is_predicted() -> None:
    found = corpus()
    predicted = Counter(
        (int(a), int(b))
        for row in rows_of(found.tokens, 8)
        for a, b in itertools.pairwise(row)
        if a != found.end
    )
    counts = found.count()
    table = counts.to_scipy().tocoo()
    assert predicted == {
        (int(a), int(b)): int(n) for a, b, n in zip(table.row, table.col, table.data, strict=True)
    }
    assert counts.token_strings == found.token_strings
    assert found.tokens.size == 30 * 2 * 8 + 1  # no more than the training reaches
    assert found.notes["tokens_left"] > 0
    assert found.notes["documents"] == (found.tokens == found.end).sum() + (found.tokens[-1] != 0)


def test_held_out_documents_are_others() -> None:
    found = corpus(steps=10_000, held_out_share=0.3)

    def texts(tokens: Any) -> list[str]:
        cuts = np.split(tokens, np.flatnonzero(tokens == found.end) + 1)
        return [found.tokenizer.decode(each[:-1].tolist()) for each in cuts if each.size]

    training, held_out = texts(found.tokens), texts(found.held_out)
    assert len(held_out) == found.notes["held_out_documents"] > 5
    together = Counter(training[:-1]) + Counter(held_out)  # the last may be cut
    assert not together - Counter(documents().documents)


def test_corpora_depend_on_the_seed_alone() -> None:
    setup = make_setup("tiny", vocab_size=270, sequence_length=8, steps=10_000)
    same = [make_corpus(documents(), setup, seed=3) for _ in range(2)]
    np.testing.assert_array_equal(same[0].tokens, same[1].tokens)
    other = make_corpus(documents(), setup, seed=4)
    assert not np.array_equal(other.tokens[:200], same[0].tokens[:200])


def test_a_tokenizer_of_ones_own(tmp_path: Path) -> None:
    coder = train_tokenizer(SAMPLE, 280)
    coder.save(str(tmp_path / "own.json"))
    setup = make_setup("tiny", sequence_length=8)
    found = make_corpus(documents(), setup, 0, tmp_path / "own.json")
    assert found.tokenizer.to_str() == coder.to_str()
    assert found.notes["tokenizer"] == "own.json"
    with pytest.raises(ArgumentError, match="end: expected a token of the tokenizer"):
        make_corpus(documents(), setup, 0, tmp_path / "own.json", end="</s>")
    with pytest.raises(SourceNotFoundError, match="tokenizer: expected a file"):
        make_corpus(documents(), setup, 0, tmp_path / "none.json")


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ((), "expected at least 2 documents with text, got 0"),
        (("all there is",), "expected at least 2 documents with text, got 1"),
        (("a", "b"), "expected more than sequence_length = 128 tokens to train on, got 2 of a te"),
    ],
)
def test_too_little_text(texts: tuple[str, ...], told: str) -> None:
    with pytest.raises(ArgumentError, match=f"corpus: {told}"):
        make_corpus(Texts(texts, "a test"), make_setup("tiny", vocab_size=260), 0)


def test_pile_texts(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    named = [("g1", "Github"), ("m1", "DM Mathematics"), ("bare", None), ("g2", "Github")]
    with open(path, "w") as file:
        for text, subset in (*named, ("", "Github"), ("f" * 100, "FreeLaw")):
            print(json.dumps({"text": text, "meta": {"pile_set_name": subset}}), file=file)
    found = pile_texts([path], ["Github"], 1)
    assert (found.documents, found.empty, found.others, found.cut) == (("g1", "g2"), 1, 3, False)
    assert found.origin == "Github of a.jsonl"
    assert len(pile_texts([path], [], 1).documents) == 5
    some = pile_texts([path], ["Github", "DM Mathematics"], 3e-6)
    assert (some.documents, some.cut) == (("g1", "m1"), True)
    with pytest.raises(
        ArgumentError,
        match=r"data: expected documents of ArXiv, got DM Mathematics \(1\), FreeLaw \(1\), "
        r"Github \(3\), none named \(1\)",
    ):
        pile_texts([path], ["ArXiv"], 1)
    with pytest.raises(ArgumentError, match=r"subset: expected some of .*; got 'arxiv'"):
        pile_texts([path], ["arxiv"], 1)


def test_no_documents(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_bytes(b"\n")
    with pytest.raises(ArgumentError, match="expected documents of all subsets, got no documents"):
        pile_texts([tmp_path / "empty.jsonl"], [], 1)


def test_library_texts() -> None:
    found = library_texts(0.2)
    assert found.cut
    assert 100_000 < sum(map(len, found.documents)) < 300_000
