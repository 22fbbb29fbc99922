"""The command line: what it prints, exit codes, one-line errors, and the files it leaves."""

from __future__ import annotations

import builtins
import json
import os
import re
import shlex
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import probsig_fast as ps
from probsig_fast.cli import main
from probsig_fast.cli.entry import COMMANDS, build_parser
from probsig_fast.cli.info import EXTRAS

TOKENS = np.array([1, 2, 3, 1, 2, 0, 2, 3, 3, 1, 0], np.uint16)
STRINGS = ["<eos>", " the", "7", "\n", "\u00e9"]
V = len(STRINGS)


class Run:
    """What one call of the command gave."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def probsig(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PROBSIG_BACKEND", "reference")

    def call(*arguments: object) -> Run:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Run(code, captured.out, captured.err)

    return call


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.bin"
    TOKENS.tofile(path)
    return path


@pytest.fixture
def counted(tmp_path: Path) -> Path:
    path = tmp_path / "next.safetensors"
    ps.count(TOKENS, vocab_size=V, eos=0, backend="reference").save(path)
    return path


@pytest.fixture
def strings(tmp_path: Path) -> Path:
    path = tmp_path / "strings.json"
    path.write_text(json.dumps(STRINGS), encoding="utf-8")
    return path


def one_error(run: Run, *parts: str) -> None:
    """The command failed with one line that has these parts, and printed nothing else."""
    assert run.code == 1
    assert run.out == ""
    assert run.err.startswith("probsig: error: ")
    assert run.err.count("\n") == 1
    for part in parts:
        assert part in run.err


# All commands


@pytest.mark.parametrize("command", [command.NAME for command in COMMANDS])
def test_help_has_examples(probsig: Any, command: str) -> None:
    run = probsig(command, "--help")
    assert run.code == 0
    assert "example" in run.out
    assert f"probsig {command}" in run.out


def test_help_and_version(probsig: Any) -> None:
    run = probsig("--help")
    assert run.code == 0
    assert all(command.NAME in run.out for command in COMMANDS)
    assert probsig("--version").out == f"probsig {ps.__version__}\n"


def test_usage_errors(probsig: Any, tokens: Path) -> None:
    assert probsig().code == 2
    assert probsig("guess").code == 2
    run = probsig("count", tokens)
    assert run.code == 2
    assert "--out" in run.err
    # No abbreviations: a script must not break once a longer name joins them.
    assert probsig("count", tokens, "--out", "a.safetensors", "--vocab", "5").code == 2


def test_interrupted(probsig: Any, counted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ps.Counts, "load", interrupt)
    run = probsig("top", counted, "1")
    assert (run.code, run.out, run.err) == (130, "", "probsig: interrupted\n")


def test_interrupted_count_leaves_no_file(
    probsig: Any, tokens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("probsig_fast.files.os.replace", interrupt)
    out = tmp_path / "out.safetensors"
    run = probsig("count", tokens, "--dtype", "uint16", "--vocab-size", V, "--out", out)
    assert run.code == 130
    assert list(tmp_path.iterdir()) == [tokens]


def test_debug_raises(counted: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        main(["top", str(tmp_path / "none.safetensors"), "1", "--debug"])


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError(), "probsig: error: not enough memory\n"),
        (MemoryError("8 GiB"), "probsig: error: not enough memory: 8 GiB\n"),
        (OSError("disk\nfull"), "probsig: error: disk full\n"),
        (OSError(), "probsig: error: OSError\n"),
    ],
)
def test_failures_of_the_machine(
    probsig: Any,
    counted: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    line: str,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(ps.Counts, "load", fail)
    run = probsig("top", counted, "1")
    assert (run.code, run.err) == (1, line)


def environment() -> dict[str, str]:
    """This process's, with the package that it tests."""
    paths = [str(Path(ps.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PROBSIG_BACKEND": "reference",
    }


def test_as_a_module(tokens: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    command = [sys.executable, "-m", "probsig_fast", "count", str(tokens), "--dtype", "uint16"]
    run = subprocess.run(
        [*command, "--vocab-size", str(V), "--out", str(out), "--json"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")  # no progress bar: this is no terminal
    assert json.loads(run.stdout)["tokens"] == TOKENS.size
    assert ps.Counts.load(out, verify=True).n_tokens == TOKENS.size


@pytest.mark.skipif(os.name == "nt", reason="a broken pipe reads differently on Windows")
def test_a_reader_that_goes_away_is_no_error(counted: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as gone:
        run = subprocess.run(
            [sys.executable, "-m", "probsig_fast", "top", str(counted), "1"],
            env=environment(),
            stdout=gone,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (run.returncode, run.stderr) == (141, b"")


def test_start_is_light() -> None:
    heavy = ("torch", "scipy", "numba", "matplotlib", "tokenizers", "tqdm")
    script = (
        "import sys; from probsig_fast.cli import main; main(['--version']); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={key: value for key, value in environment().items() if key != "PROBSIG_BACKEND"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.splitlines()[-1] == "[]"


# count


def test_count(probsig: Any, tokens: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    run = probsig(
        *("count", tokens, "--dtype", "uint16", "--vocab-size", V, "--eos", 0, "--out", out)
    )
    assert (run.code, run.err) == (0, "")
    lines = dict(line.split("  ", 1) for line in run.out.splitlines())
    threads = json.loads(out.with_suffix(".json").read_text())["threads"]
    assert {name: text.strip() for name, text in lines.items() if name != "time"} == {
        "relation": "next",
        "backend": f"reference, threads: {threads}",
        "tokens": "11",
        "sequences": "2",
        "distinct pairs": "6",
        "written": f"{out} ({out.stat().st_size} bytes)",
    }
    assert ps.Counts.load(out, verify=True) == ps.count(
        TOKENS, vocab_size=V, eos=0, backend="reference"
    )


def test_count_json(probsig: Any, tokens: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    run = probsig(
        *("count", tokens, "--dtype", "uint16", "--vocab-size", V, "--out", out, "--json"),
        *("--eos", 0, "--no-count-eos", "--threads", 1),
    )
    told = json.loads(run.out)
    assert told["tokens_per_second"] is None or told["tokens_per_second"] > 0
    assert told["seconds"] >= 0
    del told["seconds"], told["tokens_per_second"]
    assert told == {
        "relation": {"name": "next"},
        "backend": "reference",
        "threads": 1,
        "tokens_read": 11,
        "tokens": 9,
        "sequences": 2,
        "distinct_pairs": 4,
        "total": 7,
        "weight_scale": 1,
        "file": str(out),
        "bytes": out.stat().st_size,
    }


@pytest.mark.parametrize(
    ("options", "relation"),
    [
        (["--size", "3"], ps.Window(3)),
        (["--size", "2", "--weighting", "harmonic"], ps.Window(2, "harmonic")),
        (["--weighting", "1,1/2,0.25"], ps.Window(3, [1, Fraction(1, 2), Fraction(1, 4)])),
        (["--size", "2", "--direction", "symmetric"], ps.Window(2, direction="symmetric")),
    ],
)
def test_count_windows(
    probsig: Any, tokens: Path, tmp_path: Path, options: list[str], relation: ps.Window
) -> None:
    out = tmp_path / "out.safetensors"
    common = ("--dtype", "uint16", "--vocab-size", V, "--out", out)
    run = probsig("count", tokens, *common, "--relation", "window", *options)
    assert run.code == 0
    assert f"window of {relation.size}, " in run.out
    assert ps.Counts.load(out) == ps.count(TOKENS, relation, vocab_size=V, backend="reference")


def test_count_options_reach_the_count(probsig: Any, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    for name, part in (("b.bin", TOKENS[5:]), ("a.bin", TOKENS[:5])):
        part.tofile(tmp_path / name)
    run = probsig(
        *("count", tmp_path / "*.bin", "--join-files", "--dtype", "uint16", "--vocab-size", V),
        *("--ignore-ids", 3, 77, "--sequence-length", 4, "--chunk-tokens", 3, "--threads", 2),
        *("--out", out, "--progress"),
    )
    assert run.code == 0
    assert "counting" in run.err
    assert "8 (3 left out)" in run.out
    expected = ps.count(
        TOKENS, vocab_size=V, ignore_ids=[3, 77], sequence_length=4, backend="reference"
    )
    assert ps.Counts.load(out) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "3"], "--size goes with --relation window"),
        (["--weighting", "harmonic"], "--weighting goes with --relation window"),
        (["--relation", "window"], "--relation window needs --size"),
        (["--relation", "window", "--weighting", "1,x"], "weights such as 1,1/2,1/3, got '1,x'"),
        (["--relation", "window", "--weighting", "1/0"], "weights such as 1,1/2,1/3, got '1/0'"),
        (["--relation", "near"], "invalid choice: 'near'"),
    ],
)
def test_count_wrong_usage(
    probsig: Any, tokens: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    out = tmp_path / "out.safetensors"
    run = probsig("count", tokens, "--dtype", "uint16", "--vocab-size", V, "--out", out, *options)
    assert run.code == 2
    assert message in run.err
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ([], ["vocab_size: expected", "got None"]),
        (["--vocab-size", "3"], ["got id 3 at position 2 of", "tokens.bin"]),
        (["--vocab-size", "0"], ["vocab_size: expected", "got 0"]),
        (["--vocab-size", "5", "--backend", "gpu"], ["backend: expected one of", "got 'gpu'"]),
        (["--vocab-size", "5", "--eos", "5"], ["eos: expected", "got 5"]),
        (["--vocab-size", "5", "--threads", "0"], ["threads: expected at least 1, got 0"]),
        (["--vocab-size", "5", "--dtype", "float32"], ["dtype: expected an integer", "float32"]),
        (["--vocab-size", "5", "--dtype", "uint32"], ["multiple of 4 bytes", "22 bytes in"]),
        (
            [
                "--vocab-size",
                "5",
                "--relation",
                "window",
                "--size",
                "23",
                "--weighting",
                "harmonic",
            ],
            ["weighting: expected a common denominator of at most 2^28"],
        ),
    ],
)
def test_count_bad_input(
    probsig: Any, tokens: Path, tmp_path: Path, options: list[str], parts: list[str]
) -> None:
    out = tmp_path / "out.safetensors"
    dtype = [] if "--dtype" in options else ["--dtype", "uint16"]
    one_error(probsig("count", tokens, "--out", out, *dtype, *options), *parts)
    assert list(tmp_path.iterdir()) == [tokens]  # no output, not even a part of one


def test_count_missing_files_and_dtype(probsig: Any, tokens: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    common = ("--vocab-size", V, "--out", out)
    missing = tmp_path / "none.bin"
    one_error(probsig("count", missing, "--dtype", "uint16", *common), "no such file", "none.bin")
    one_error(probsig("count", tmp_path / "*.txt", "--dtype", "uint16", *common), "*.txt")
    one_error(probsig("count", tokens, *common), "dtype: expected the token type of", "got None")


def test_count_of_nothing_is_valid(probsig: Any, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    np.save(tmp_path / "empty.npy", np.empty(0, np.uint16))
    run = probsig("count", tmp_path / "empty.npy", "--vocab-size", V, "--out", out)
    assert (run.code, run.err) == (0, "")
    assert ps.Counts.load(out).nnz == 0


def test_count_warns_in_one_line(probsig: Any, tokens: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    run = probsig("count", tokens, "--dtype", "uint16", "--vocab-size", V, "--eos", 4, "--out", out)
    assert run.code == 0
    assert run.err.startswith("probsig: warning: eos: no token of")
    assert run.err.count("\n") == 1


# Where the output goes


def test_output_is_checked_before_counting(
    probsig: Any, tokens: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("counted before the output was checked")

    monkeypatch.setattr("probsig_fast.counting.count", never)
    for out, part in (
        (tmp_path / "counts.bin", "ending in .safetensors, got"),
        (tmp_path / "none" / "counts.safetensors", "in an existing folder"),
    ):
        run = probsig("count", tokens, "--dtype", "uint16", "--vocab-size", V, "--out", out)
        one_error(run, "--out: expected", part)


def test_output_is_not_replaced_without_force(
    probsig: Any, tokens: Path, counted: Path, tmp_path: Path
) -> None:
    before = counted.read_bytes()
    common = ("count", tokens, "--dtype", "uint16", "--vocab-size", V, "--out", counted)
    one_error(probsig(*common), f"{counted} exists already: give --force")
    assert counted.read_bytes() == before
    assert probsig(*common, "--force").code == 0
    assert counted.read_bytes() != before


def test_provenance_replaces_no_other_file(probsig: Any, tokens: Path, tmp_path: Path) -> None:
    other = tmp_path / "tokenizer.json"
    other.write_text("precious")
    out = tmp_path / "tokenizer.safetensors"
    run = probsig("count", tokens, "--dtype", "uint16", "--vocab-size", V, "--out", out)
    one_error(run, "tokenizer.json exists already: give --force")
    assert other.read_text() == "precious"


# merge


def test_merge(probsig: Any, counted: Path, tmp_path: Path) -> None:
    other, out = tmp_path / "other.safetensors", tmp_path / "sum.safetensors"
    ps.count(TOKENS[:6], vocab_size=V, eos=0, backend="reference").save(other)
    run = probsig("merge", counted, other, "--out", out)
    assert (run.code, run.err) == (0, "")
    assert "2 files of relation next" in run.out
    assert "tokens          17\n" in run.out
    assert ps.Counts.load(out, verify=True) == ps.Counts.load(counted) + ps.Counts.load(other)
    told = json.loads(probsig("merge", other, counted, "--out", out, "--force", "--json").out)
    assert (told["tokens"], told["files"]) == (17, [str(other), str(counted)])


def test_merge_bad_input(probsig: Any, counted: Path, tmp_path: Path) -> None:
    out, window = tmp_path / "sum.safetensors", tmp_path / "window.safetensors"
    ps.count(TOKENS, ps.Window(2), vocab_size=V, eos=0, backend="reference").save(window)
    one_error(probsig("merge", counted, window, "--out", out), "relation: expected", "'window'")
    one_error(probsig("merge", counted, tmp_path / "no.safetensors", "--out", out), "no such file")
    damaged = tmp_path / "damaged.safetensors"
    content = bytearray(counted.read_bytes())
    content[-1] ^= 0x40  # the last bytes are counts or ids: only a whole reading shows it
    damaged.write_bytes(content)
    one_error(probsig("merge", counted, damaged, "--out", out), "damaged")
    damaged.write_bytes(counted.read_bytes()[:-8])
    one_error(probsig("merge", counted, damaged, "--out", out), "damaged", "truncated")
    assert not out.exists()


def test_merge_warns_of_a_file_given_twice(probsig: Any, counted: Path, tmp_path: Path) -> None:
    run = probsig("merge", counted, counted, "--out", tmp_path / "sum.safetensors")
    assert run.code == 0
    assert run.err == f"probsig: warning: {counted} is given 2 times and counts as often\n"


def test_count_warns_of_a_file_given_twice(probsig: Any, tokens: Path, tmp_path: Path) -> None:
    run = probsig(
        *("count", tokens, tmp_path / "tok*.bin", "--dtype", "uint16", "--vocab-size", V),
        *("--out", tmp_path / "out.safetensors"),
    )
    assert run.err == f"probsig: warning: {tokens} is given 2 times and counts as often\n"


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


# align


@pytest.fixture
def corpus_counts(tmp_path: Path) -> Path:
    pytest.importorskip("torch")
    path = tmp_path / "corpus.safetensors"
    corpus = np.random.default_rng(1).integers(0, 8, 500).astype(np.uint16)
    ps.count(corpus, vocab_size=8, backend="reference").save(path)
    return path


def embedding_of(rows: int = 8, seed: int = 2) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=(rows, 5)).astype(np.float32)


def brute_force(embedding: np.ndarray[Any, Any], signature: ps.Signature, centre: bool) -> float:
    matrices = [embedding.astype(np.float64), signature.to_scipy().toarray()]
    if centre:
        matrices[0] = matrices[0] - matrices[0].mean(axis=0)
    off_diagonal = ~np.eye(len(embedding), dtype=bool)
    cosines = []
    for matrix in matrices:
        unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
        cosines.append((unit @ unit.T)[off_diagonal])
    return float(np.corrcoef(*cosines)[0, 1])


@pytest.mark.parametrize("name", ["phi_next", "psi_pre", "row", "column"])
def test_align_against_brute_force(
    probsig: Any, corpus_counts: Path, tmp_path: Path, name: str
) -> None:
    np.save(tmp_path / "embedding.npy", embedding_of())
    run = probsig(
        *("align", corpus_counts, tmp_path / "embedding.npy", "--signature", name, "--json"),
        *("--threads", 1),
    )
    told = json.loads(run.out)
    counts = ps.Counts.load(corpus_counts)
    signature = counts.phi_next() if name in ("phi_next", "row") else counts.psi_pre()
    assert told["raw"]["tokens"] == told["mean_centred"]["tokens"] == 8
    assert told["raw"]["pairs"] == 28
    for kind in ("raw", "mean_centred"):
        expected = brute_force(embedding_of(), signature, kind == "mean_centred")
        assert told[kind]["r_cos"] == pytest.approx(expected, abs=1e-9)


def test_align_prints_both_side_by_side(probsig: Any, corpus_counts: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "embedding.npy", embedding_of(rows=10))
    run = probsig("align", corpus_counts, tmp_path / "embedding.npy", "--min-support", 3)
    assert (run.code, run.err) == (0, "")
    lines = run.out.splitlines()
    assert "10 x 5; the last 2 rows, beyond the vocabulary, dropped" in lines[0]
    assert "phi_next: P(next | token), support at least 3" in lines[1]
    assert lines[3].split() == ["raw", "mean-centred"]
    assert lines[4].startswith("R_cos (Pearson)")
    assert lines[7].split() == ["tokens", "8", "8"]
    one = probsig("align", corpus_counts, tmp_path / "embedding.npy", "--centre")
    assert one.out.splitlines()[3].split() == ["mean-centred"]


def test_align_undefined_is_null_in_json(probsig: Any, corpus_counts: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "same.npy", np.ones((8, 3), np.float32))
    assert "nan" in probsig("align", corpus_counts, tmp_path / "same.npy").out
    told = json.loads(probsig("align", corpus_counts, tmp_path / "same.npy", "--json").out)
    assert told["raw"]["r_cos"] is None


def test_align_reads_safetensors(probsig: Any, corpus_counts: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    save_file = pytest.importorskip("safetensors.torch").save_file
    embedding = torch.from_numpy(embedding_of()).bfloat16()  # which NumPy does not have
    path = tmp_path / "model.safetensors"
    save_file(
        {
            "model.embed_tokens.weight": embedding,
            "lm_head.weight": torch.from_numpy(embedding_of(seed=3)),
            "model.norm.weight": torch.ones(5),
        },
        path,
    )
    signature = ps.Counts.load(corpus_counts).phi_next()
    told = json.loads(probsig("align", corpus_counts, path, "--json").out)
    expected = brute_force(embedding.float().numpy(), signature, False)
    assert told["raw"]["r_cos"] == pytest.approx(expected, abs=1e-9)
    assert told["embedding"].endswith("model.embed_tokens.weight")
    other = json.loads(
        probsig("align", corpus_counts, path, "--key", "lm_head.weight", "--json").out
    )
    expected = brute_force(embedding_of(seed=3), signature, False)
    assert other["raw"]["r_cos"] == pytest.approx(expected, abs=1e-9)
    one_error(
        probsig("align", corpus_counts, path, "--key", "wte"),
        "--key: expected one of 'lm_head.weight', 'model.embed_tokens.weight'",
        "got 'wte'",
    )
    one_error(probsig("align", corpus_counts, path, "--key", "model.norm.weight"), "1 dimensions")
    save_file({"h.0.weight": torch.ones(8, 5)}, path)
    one_error(probsig("align", corpus_counts, path), "no input embeddings by name", "'h.0.weight'")
    path.write_bytes(b"no tensors here")
    one_error(probsig("align", corpus_counts, path), "EMBEDDING: expected tensors in")


def test_align_bad_input(probsig: Any, corpus_counts: Path, tmp_path: Path) -> None:
    path = tmp_path / "embedding.npy"
    one_error(probsig("align", corpus_counts, path), "EMBEDDING: expected a file", "no such file")
    one_error(probsig("align", corpus_counts, corpus_counts.with_suffix(".json")), ".npy or")
    path.write_bytes(b"no array")
    one_error(probsig("align", corpus_counts, path), "EMBEDDING: expected a .npy array")
    np.save(path, embedding_of(rows=7))
    one_error(probsig("align", corpus_counts, path), "each of the 8 tokens counted, got 7 rows")
    np.save(path, np.ones(8, np.float32))
    one_error(probsig("align", corpus_counts, path), "EMBEDDING: expected [V, d], got 1 dimensions")
    np.save(path, np.ones((8, 2), np.int64))
    one_error(probsig("align", corpus_counts, path), "int64")
    np.save(path, embedding_of())
    one_error(probsig("align", corpus_counts, path, "--key", "x"), "--key: expected none")
    one_error(probsig("align", corpus_counts, path, "--min-support", -1), "min_support: expected")


def test_align_without_torch_names_the_extra(
    probsig: Any, counted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("probsig_fast.alignment")]:
        monkeypatch.delitem(sys.modules, name)
    forbid_import(monkeypatch, "torch")
    np.save(tmp_path / "embedding.npy", embedding_of(rows=V))
    run = probsig("align", counted, tmp_path / "embedding.npy")
    one_error(run, "needs torch, which is not installed: pip install 'probsig-fast[torch]'")


def forbid_import(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    imported = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == package:
            raise ImportError(f"No module named {package!r}")
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)


# info


def test_info(probsig: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = probsig("info")
    assert (run.code, run.err) == (0, "")
    assert ps.__version__ in run.out
    for line in ps.show_backends().splitlines():
        assert f"  {line}\n" in run.out
    monkeypatch.setitem(EXTRAS, "text", ("pytest", "no-such-package"))
    assert "missing no-such-package: pip install 'probsig-fast[text]'" in probsig("info").out


def test_info_json(probsig: Any) -> None:
    told = json.loads(probsig("info", "--json").out)
    assert [backend["name"] for backend in told["backends"] if backend["chosen"]] == ["reference"]
    assert told["fault"] is None
    assert set(told["extras"]) == set(EXTRAS)


def test_info_with_a_wrong_backend_tells_all_the_same(
    probsig: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROBSIG_BACKEND", "abacus")
    run = probsig("info")
    assert run.code == 1
    assert "PROBSIG_BACKEND: expected one of" in run.out
    assert "extras" in run.out
    run = probsig("info", "--json")
    assert run.code == 1
    assert "got 'abacus'" in json.loads(run.out)["fault"]


def test_extras_are_those_of_the_project() -> None:
    tomllib = pytest.importorskip("tomllib")
    project = Path(__file__).parent.parent / "pyproject.toml"
    declared = tomllib.loads(project.read_text())["project"]["optional-dependencies"]
    assert set(EXTRAS) == set(declared) - {"test", "bench", "dev"}
    for extra, packages in EXTRAS.items():
        names = [requirement.split(">")[0].strip() for requirement in declared[extra]]
        assert set(names) <= set(packages)


# What the README says

README = Path(__file__).parent.parent / "README.md"


def blocks(language: str) -> list[str]:
    """The README's code blocks in that language, in order."""
    if not README.is_file():
        pytest.skip("no README.md beside the tests")
    found = re.findall(rf"^```{language}\n(.*?)^```$", README.read_text("utf-8"), re.M | re.S)
    assert found
    return found


def test_readme_commands_are_understood() -> None:
    text = "\n".join(blocks("bash")).replace("\\\n", " ").replace("&&", "\n")
    lines = [shlex.split(line) for line in text.splitlines() if line.strip()]
    commands = [arguments for program, *arguments in lines if program == "probsig"]
    assert {arguments[0] for arguments in commands} >= {"demo", "count", "top", "align", "merge"}
    for arguments in commands:
        build_parser().parse_args(arguments)


def test_readme_python_runs(
    probsig: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(7)
    rng.integers(0, 50, 30_000).astype(np.uint16).tofile("docs.u16.bin")
    np.save("embedding.npy", rng.normal(size=(49_152, 4)).astype(np.float32))
    vocabulary = {"<eos>": 0, " should": 1, " must": 2}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<eos>"))
    tokenizer.save("tokenizer.json")
    for block in blocks("python"):
        exec(block, {})
    assert "R_cos(W, phi_next)" in capsys.readouterr().out
