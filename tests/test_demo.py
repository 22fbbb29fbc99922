"""The demo: a tokeniser that loses nothing, a run on little text, and what it shows."""

from __future__ import annotations

import builtins
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import probsig_fast as ps
from probsig_fast.cli import main
from probsig_fast.demo import run_demo
from probsig_fast.demo.lexer import BASE, EOS, Vocabulary, tokenise
from probsig_fast.errors import ArgumentError, SourceNotFoundError
from probsig_fast.sources import stdlib_text

MAX_MB = 1.5
DIGITS = tuple("0123456789")


# The tokeniser


@pytest.fixture(scope="module")
def texts() -> list[str]:
    files = stdlib_text.source_files(stdlib_text.stdlib_folder(), 400_000)
    return list(stdlib_text.read_texts(files))


@pytest.fixture(scope="module")
def vocabulary(texts: list[str]) -> Vocabulary:
    return tokenise(texts, 2_000)[1]


def test_tokens_give_the_texts_back(texts: list[str]) -> None:
    tokens, vocabulary = tokenise(texts, 2_000)
    assert tokens.dtype == np.uint16
    assert tokens.max() < len(vocabulary.strings) == 2_000
    ends = np.flatnonzero(tokens == EOS)
    assert ends.size == len(texts)
    begin = 0
    for end, text in zip(ends, texts, strict=True):
        assert vocabulary.decode(tokens[begin:end]) == text
        begin = end + 1
    assert begin == tokens.size


def test_encode_is_what_tokenise_does(texts: list[str]) -> None:
    tokens, vocabulary = tokenise(texts, 2_000)
    alone = np.concatenate([[*vocabulary.encode(text), EOS] for text in texts])
    np.testing.assert_array_equal(tokens, alone)


@given(text=st.text(st.characters(codec=None)) | st.text("ab_A1 \n\t'\"<>=\u00e9\U0001f600"))
def test_any_text_comes_back(vocabulary: Vocabulary, text: str) -> None:
    assert vocabulary.decode(vocabulary.encode(text)) == text


def test_every_string_is_one_token(vocabulary: Vocabulary) -> None:
    assert len(set(vocabulary.strings)) == len(vocabulary.strings)
    lexemes = vocabulary.strings[len(BASE) :]
    assert all(vocabulary.spell(lexeme) == (vocabulary.ids[lexeme],) for lexeme in lexemes)


def test_lexemes() -> None:
    text = "def f(x):\n    return x1 + 23 != '\\n'  # not a  test\n"
    vocabulary = tokenise([text], 300)[1]
    assert [vocabulary.strings[token] for token in vocabulary.encode(text)] == [
        *("def", " f", "(", "x", ")", ":", "\n    ", "return", " x1", " +", " 2", "3", " !="),
        *(" '", "\\", "n", "'", " ", " #", " not", " a", " ", " test", "\n"),
    ]


def test_unknown_words_fall_into_known_ones() -> None:
    vocabulary = tokenise(["get file Name"], len(BASE) + 3)[1]
    spelled = vocabulary.encode("get_fileName2 x\u00e9")
    assert [vocabulary.strings[token] for token in spelled] == [
        *("get", "_", "f", "i", "l", "e", "N", "a", "m", "e", "2"),
        *(" ", "x", "<0xC3>", "<0xA9>"),
    ]
    known = [vocabulary.strings[token] for token in vocabulary.encode(" file_get Name")]
    assert known == [" file", "_", "get", " Name"]


def test_the_most_frequent_lexemes_are_kept() -> None:
    vocabulary = tokenise(["bb cc cc aa aa", "dd cc"], len(BASE) + 2)[1]
    assert vocabulary.strings[len(BASE) :] == (" cc", " aa")


@pytest.mark.parametrize("size", [len(BASE), 2**16 + 1])
def test_vocabulary_size_is_checked(size: int) -> None:
    with pytest.raises(ArgumentError, match=f"vocab_size: expected from 258 to 65536, got {size}"):
        tokenise([], size)


# The corpus


def test_corpus_is_an_even_sample(tmp_path: Path) -> None:
    for i in range(100):
        path = tmp_path / f"p{i // 10}" / f"{i:02}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text("x" * 10)
    for left_out in ("site-packages", "encodings"):
        (tmp_path / left_out).mkdir()
        (tmp_path / left_out / "a.py").write_text("x" * 10)
    everything = stdlib_text.source_files(tmp_path, 10**9)
    assert len(everything) == 100
    assert everything == sorted(everything)
    some = stdlib_text.source_files(tmp_path, 300)
    assert len(some) == 30
    assert some == [path for path in everything if path in set(some)]
    assert len({path.parent for path in some}) > 5
    assert len(stdlib_text.source_files(tmp_path, 1)) == 1  # never nothing


def test_text_that_is_no_utf8_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"# \xe9")
    (tmp_path / "b.py").write_text("# \u00e9", encoding="utf-8")
    files = stdlib_text.source_files(tmp_path, 10**9)
    assert list(stdlib_text.read_texts(files)) == ["# \u00e9"]


def test_no_source_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match=r"found no \.py file"):
        stdlib_text.source_files(tmp_path, 10**9)


# The whole


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "probsig-demo"
    run_demo(folder, max_mb=MAX_MB, vocab_size=4_096, backend="reference", progress=False)
    return folder


def loaded(demo: Path, name: str) -> ps.Counts:
    strings = json.loads((demo / "tokens.json").read_text(encoding="utf-8"))
    return ps.Counts.load(demo / name, verify=True).with_tokens(strings)


def test_files(demo: Path) -> None:
    tokens = np.fromfile(demo / "tokens.u16.bin", "<u2")
    expected = ps.count(tokens, vocab_size=4_096, eos=EOS, backend="reference")
    assert loaded(demo, "next.safetensors") == expected
    assert loaded(demo, "window.safetensors").relation == ps.Window(5, direction="symmetric")
    assert loaded(demo, "next.safetensors").token_id("import") > len(BASE)


def test_digits_are_nearest_to_digits(demo: Path) -> None:
    counts = loaded(demo, "next.safetensors")
    strings = counts.token_strings
    assert strings is not None
    signature = counts.phi_next(50)
    for digit in "247":
        nearest = signature.nearest(counts.token_id(digit), 4)
        found = [strings[token] for token, _ in nearest if strings[token].strip() in DIGITS]
        assert len(found) >= 3, f"nearest of {digit!r}: {[strings[t] for t, _ in nearest]}"


def test_keywords_are_preceded_alike(demo: Path) -> None:
    counts = loaded(demo, "next.safetensors")
    strings = counts.token_strings
    assert strings is not None
    nearest = counts.psi_pre(50).nearest(counts.token_id("if"), 8)
    statements = {"for", "while", "else", "elif", "return", "try", "except", "with", "raise", "del"}
    assert len(statements.intersection(strings[token] for token, _ in nearest)) >= 4


def test_what_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a folder"
    arguments = ["demo", "--out", str(folder), "--max-mb", str(MAX_MB), "--backend", "reference"]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""  # no bars: this is no terminal
    for part in (
        "reference, threads: ",
        " M tokens/s, ",
        " distinct pairs",
        "  'import'   then    ",
        "  'self'     then    '.' 0.",
        "bits given the token before it",
        "Nearest tokens by cosine of phi_next",
        "  digits ",
    ):
        assert part in out
    commands = [shlex.split(line) for line in out.splitlines() if line.startswith("  probsig ")]
    assert len(commands) == 3
    for program, *arguments in commands:  # what it tells one to try works
        assert program == "probsig"
        assert (
            main([*arguments, *(["--backend", "reference"] if "count" in arguments else [])]) == 0
        )
    assert ps.Counts.load(folder / "harmonic.safetensors").relation == ps.Window(10, "harmonic")
    assert main(["demo", "--out", str(folder), "--max-mb", "0.1", "--backend", "reference"]) == 0


def test_picture(demo: Path) -> None:
    pytest.importorskip("matplotlib")
    assert (demo / "signature_cosines.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "matplotlib":
            raise ImportError("No module named 'matplotlib'")
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    run_demo(tmp_path / "demo", max_mb=0.3, backend="reference")
    assert "pip install 'probsig-fast[plot]'" in capsys.readouterr().out
    assert not (tmp_path / "demo" / "signature_cosines.png").exists()


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--max-mb", "0"], "max_mb: expected above 0, got 0"),
        (["--max-mb", "nan"], "max_mb: expected above 0, got nan"),
        (["--vocab-size", "100"], "vocab_size: expected from 258"),
        (["--backend", "abacus"], "backend: expected one of"),
    ],
)
def test_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], part: str
) -> None:
    assert main(["demo", "--out", str(tmp_path / "demo"), *arguments]) == 1
    err = capsys.readouterr().err
    assert err.startswith("probsig: error: ")
    assert err.count("\n") == 1
    assert part in err
    assert not (tmp_path / "demo").exists()


def test_other_folders_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    for folder, part in (
        (tmp_path, "a new folder, an empty one or an earlier demo's"),
        (tmp_path / "thesis.txt", "a folder in an existing one"),
        (tmp_path / "none" / "demo", "a folder in an existing one"),
    ):
        assert main(["demo", "--out", str(folder)]) == 1
        assert f"--out: expected {part}" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
