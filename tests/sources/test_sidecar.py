"""`X.json` beside `X.bin`: token type and vocabulary of a flat file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from oracle import check_counts, expect
from writers import flat

import probsig_fast as ps
from probsig_fast.errors import ArgumentError, SourceError
from probsig_fast.sources import (
    FileSource,
    open_source,
)

V = 5
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
