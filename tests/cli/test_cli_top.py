"""`probsig top`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_support import STRINGS, V, one_error

import probsig_fast as ps

# top


def test_top_by_id(probsig: Any, counted: Path) -> None:
    run = probsig("top", counted, 3)
    assert run.code == 0
    assert run.out.splitlines() == [
        "token 3: 3 occurrences, 3 pairs with it first (next)",
        "id  count  P(next | token)",
        " 1      2           0.6667",
        " 3      1           0.3333",
    ]


def test_top_by_string(probsig: Any, counted: Path, strings: Path) -> None:
    run = probsig("top", counted, " the", "--tokenizer", strings, "--side", "previous", "--k", 1)
    assert run.out.splitlines() == [
        "token 1 ' the': 3 occurrences, 2 pairs with it second (next)",
        "id  count  P(previous | token)  token",
        " 3      2               1.0000  '\\n'",
    ]
    # "7" is a string where strings are there; --id reads it as an id.
    assert probsig("top", counted, "7", "--tokenizer", strings).out.startswith("token 2 '7'")
    assert probsig("top", counted, "3", "--id", "--tokenizer", strings).out.startswith("token 3")
    for written in ("\n", r"\n"):
        assert probsig("top", counted, written, "--tokenizer", strings).out.startswith("token 3")
    for written in ("\u00e9", r"\u00e9"):
        run = probsig("top", counted, written, "--tokenizer", strings)
        assert run.out == "token 4 '\u00e9': 0 occurrences, 0 pairs with it first (next)\n"


@pytest.mark.parametrize(
    "content",
    [
        {str(i): text for i, text in enumerate(STRINGS)},
        {text: i for i, text in enumerate(STRINGS)},
    ],
)
def test_top_reads_mappings(
    probsig: Any, counted: Path, tmp_path: Path, content: dict[str, Any]
) -> None:
    path = tmp_path / "vocab.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    assert probsig("top", counted, " the", "--tokenizer", path).out.startswith("token 1 ' the'")


def test_top_reads_a_tokenizer_json(probsig: Any, counted: Path, tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4}
    path = tmp_path / "tokenizer.json"
    tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="zero")).save(str(path))
    run = probsig("top", counted, "three", "--tokenizer", path)
    assert run.out.startswith("token 3 'three': 3 occurrences")
    assert "'one'" in run.out


def test_top_json(probsig: Any, counted: Path, strings: Path) -> None:
    run = probsig("top", counted, "\n", "--tokenizer", strings, "--json", "--k", 1)
    assert json.loads(run.out) == {
        "token": 3,
        "string": "\n",
        "side": "next",
        "occurrences": 3,
        "support": 3,
        "weight_scale": 1,
        "top": [{"token": 1, "count": 2, "probability": 2 / 3, "string": " the"}],
    }


def test_top_of_weighted_counts_shows_weights(probsig: Any, tmp_path: Path) -> None:
    path = tmp_path / "window.safetensors"
    window = ps.Window(2, "harmonic")
    ps.count(np.array([[1, 2, 3]]), window, vocab_size=V, backend="reference").save(path)
    run = probsig("top", path, 1)
    assert run.out.splitlines() == [
        "token 1: 1 occurrences, 1.50 pairs with it first (window of 2, harmonic, forward)",
        "id  count  P(column | row)",
        " 2   1.00           0.6667",
        " 3   0.50           0.3333",
    ]


def test_top_bad_input(probsig: Any, counted: Path, strings: Path, tmp_path: Path) -> None:
    one_error(probsig("top", counted, "the"), "TOKEN: expected an id, got 'the'", "--tokenizer")
    one_error(probsig("top", counted, 5), "token: expected an id from 0 to 4, got 5")
    one_error(probsig("top", counted, 1, "--k", 0), "k: expected at least 1, got 0")
    with_strings = ("--tokenizer", strings)
    one_error(probsig("top", counted, "The", *with_strings), "no token is 'The'; there is ' the'")
    one_error(probsig("top", counted, "x\\", *with_strings), "no token is")
    one_error(probsig("top", tmp_path, 1), "path: expected a name ending in .safetensors")
    missing = tmp_path / "none.json"
    one_error(probsig("top", counted, 1, "--tokenizer", missing), "none.json", "no such file")


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("{", "--tokenizer: expected JSON"),
        ("3", "expected a tokenizer.json, or a JSON list or mapping of strings"),
        ('{"a": [1]}', "expected a tokenizer.json, or a JSON list or mapping of strings"),
        ('["a"]', "tokens: expected 5 strings, got 1"),
    ],
)
def test_top_bad_strings(
    probsig: Any, counted: Path, tmp_path: Path, content: str, part: str
) -> None:
    path = tmp_path / "strings.json"
    path.write_text(content)
    one_error(probsig("top", counted, "a", "--tokenizer", path), part)
