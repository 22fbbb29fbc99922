"""`probsig tokenize`: the file, what is said of it, and what can go wrong."""

from __future__ import annotations

import hashlib
import itertools
import json
import shlex
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_support import forbid_import, one_error

import probsig_fast as ps
from probsig_fast.cli import tokenize

DOCUMENTS = [("the cat sat", "Github"), ("", "ArXiv"), ("a cat", "ArXiv"), ("the mat", None)]
WORDS = ("<end>", "<unk>", "the", "cat", "sat", "a")


def ids(text: str) -> list[int]:
    return [WORDS.index(word) if word in WORDS else 1 for word in text.split()]


@pytest.fixture
def pile(tmp_path: Path) -> Path:
    path = tmp_path / "00.jsonl"
    values = [{"text": text, "meta": {"pile_set_name": name}} for text, name in DOCUMENTS]
    path.write_text("".join(f"{json.dumps(value)}\n" for value in values))
    return path


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {word: i for i, word in enumerate(WORDS)}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, "<unk>"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    path = tmp_path / "tokenizer.json"
    made.save(str(path))
    return path


def test_the_file_and_what_is_said_of_it(
    probsig: Any, pile: Path, tokenizer: Path, tmp_path: Path
) -> None:
    out = tmp_path / "it's.u16.bin"
    run = probsig("tokenize", pile, "--tokenizer", tokenizer, "--append-eos", 0, "--out", out)
    assert (run.code, run.err) == (0, "")
    tokens = [token for text, _ in DOCUMENTS for token in [*ids(text), 0]]
    assert out.read_bytes() == struct.pack(f"<{len(tokens)}H", *tokens)
    told = json.loads((tmp_path / "it's.u16.json").read_bytes())
    assert (told["tokens"], told["documents"], told["vocab_size"]) == (len(tokens), 4, len(WORDS))
    assert (told["dtype"], told["append_eos"], told["subsets"]) == ("uint16", 0, None)
    assert told["sources"][0]["path"] == str(pile)
    assert told["sources"][0]["bytes"] == pile.stat().st_size
    assert told["sources"][0]["documents"] == 4
    assert told["tokenizer"] == str(tokenizer)
    from tokenizers import Tokenizer

    text = Tokenizer.from_file(str(tokenizer)).to_str()
    assert told["tokenizer_sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert "documents   4\n" in run.out
    assert "% of" in run.out
    assert f"to count    {told['count']}\n" in run.out
    # The command it tells works, and counts each document alone.
    command = shlex.split(told["count"])
    assert command[0] == "probsig"
    assert probsig(*command[1:]).code == 0
    counts = ps.Counts.load(Path(command[-1]))
    expected = np.zeros((len(WORDS), len(WORDS)), int)
    for document, _ in DOCUMENTS:
        sequence = [*ids(document), 0]
        for first, second in itertools.pairwise(sequence):
            expected[first, second] += 1
    assert (counts.to_scipy().toarray() == expected).all()


@pytest.mark.filterwarnings("always::probsig_fast.errors.SubsetNeverOccursWarning")
def test_without_append_eos_the_ends_are_lost(
    probsig: Any, pile: Path, tokenizer: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x.bin"
    arguments = ("tokenize", pile, "--tokenizer", tokenizer, "--out", out)
    run = probsig(*arguments, "--subset", "ArXiv", "Github", "--dtype", "uint32", "--json")
    assert run.code == 0
    assert run.err == (
        "probsig: warning: a flat file has no document boundaries, so pairs will be counted across "
        "documents: --append-eos ID keeps them apart\n"
    )
    tokens = [token for text, name in DOCUMENTS if name for token in ids(text)]
    assert out.read_bytes() == struct.pack(f"<{len(tokens)}I", *tokens)
    told = json.loads(run.out)
    assert (told["documents"], told["documents_left_out"]) == (3, 1)
    assert 0 < told["tokenizer_share"] < 1
    assert told["subsets"] == ["ArXiv", "Github"]
    assert "--eos" not in told["count"]
    run = probsig(*arguments, "--subset", "Books3", "Github", "--force")
    assert run.code == 0
    assert "warning: subset: no document of Books3 in" in run.err


def test_a_file_given_twice(probsig: Any, pile: Path, tokenizer: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.bin"
    arguments = ("--tokenizer", tokenizer, "--append-eos", 0, "--out", out)
    run = probsig("tokenize", pile, tmp_path / "0*.jsonl", *arguments)
    assert run.code == 0
    assert f"warning: {pile} is given 2 times and counts as often" in run.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--out", "x"), "--out: expected a name ending in .bin, got 'x'"),
        (("--out", "no/x.bin"), "--out: expected a path in an existing folder that can be written"),
        (("--out", "x.u32.bin"), "expected a name that does not say uint32, as tokens are uint16"),
        (("--out", "there.bin"), "there.json exists already: give --force to replace it"),
        (("--out", "x.bin", "--append-eos", "6"), "append_eos: expected an id from 0 to 5, got 6"),
        (("--out", "x.bin", "--subset", "arxiv"), "subset: expected some of Pile-CC, PubMed Centr"),
        (
            ("--out", "x.bin", "--subset", "Books3"),
            "subset: expected some documents, got no docume",
        ),
        (("--out", "x.bin", "--threads", "0"), "threads: expected at least 1, got 0"),
    ],
    ids=["suffix", "folder", "name", "there", "eos", "subset", "no document", "threads"],
)
def test_errors(
    probsig: Any,
    pile: Path,
    tokenizer: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.json").write_text("{}")
    before = sorted(path.name for path in tmp_path.iterdir())
    if "--append-eos" not in arguments:
        arguments = (*arguments, "--append-eos", "0")
    one_error(probsig("tokenize", pile, "--tokenizer", tokenizer, *arguments), told)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_ids_that_need_32_bits(probsig: Any, pile: Path, tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {"<unk>": 0, **{str(i): i for i in range(1, 65_537)}}
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, "<unk>"))
    model.save(str(tmp_path / "t.json"))
    arguments = ("tokenize", pile, "--tokenizer", tmp_path / "t.json", "--append-eos", 65_536)
    run = probsig(*arguments, "--out", tmp_path / "x.bin", "--dtype", "uint16")
    one_error(run, "--dtype: expected uint32, as ids go up to 65536, got uint16")
    one_error(probsig(*arguments, "--out", tmp_path / "x.u16.bin"), "expected a name that does not")
    assert probsig(*arguments, "--out", tmp_path / "x.u32.bin").code == 0
    assert np.fromfile(tmp_path / "x.u32.bin", "<u4").tolist() == [
        token for text, _ in DOCUMENTS for token in ([0, 65_536] if text else [65_536])
    ]


def test_a_damaged_text_leaves_no_file(
    probsig: Any, pile: Path, tokenizer: Path, tmp_path: Path
) -> None:
    with open(pile, "a") as file:
        file.write('{"text": 3}\n')
    out = tmp_path / "x.bin"
    out.write_bytes(b"before")
    (tmp_path / "x.json").write_text("{}")
    arguments = ("--tokenizer", tokenizer, "--append-eos", 0, "--out", out, "--force")
    one_error(probsig("tokenize", pile, *arguments), f"as the text in line 5 of {pile}, got int")
    assert out.read_bytes() == b"before"
    assert (tmp_path / "x.json").read_text() == "{}"
    assert len(list(tmp_path.iterdir())) == 4
    pile.write_text("\n")
    one_error(probsig("tokenize", pile, *arguments), "text: expected documents, got none in")
    assert out.read_bytes() == b"before"


def test_it_is_written_as_it_comes(
    probsig: Any, pile: Path, tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from probsig_fast.sources import tokenizing

    monkeypatch.setattr(tokenize, "_BATCH", 3)
    monkeypatch.setattr(tokenizing, "BATCH_DOCUMENTS", 1)
    pile.write_text('"the cat"\n' * 500)
    arguments = ("--tokenizer", tokenizer, "--append-eos", 0, "--out", tmp_path / "x.bin")
    run = probsig("tokenize", pile, *arguments, "--progress")
    assert run.code == 0
    assert "tokenizing:" in run.err
    assert np.fromfile(tmp_path / "x.bin", "<u2").tolist() == [2, 3, 0] * 500


def test_usage(probsig: Any, pile: Path, tokenizer: Path, tmp_path: Path) -> None:
    assert probsig("tokenize", pile, "--out", "x.bin").code == 2
    assert probsig("tokenize", pile, "--tokenizer", tokenizer).code == 2
    missing = probsig("tokenize", tmp_path / "a.txt", "--tokenizer", tokenizer, "--out", "x.bin")
    one_error(missing, "text: expected a file, got")


def test_without_tokenizers(
    probsig: Any, pile: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_import(monkeypatch, "tokenizers")
    run = probsig("tokenize", pile, "--tokenizer", tokenizer, "--out", "x.bin")
    one_error(run, "needs tokenizers, which is not installed: pip install 'probsig-fast[text]'")
