"""What `probsig count-labelled` refuses, and what it says then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_support import SIZES, V, X, Y, one_error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([*SIZES, "--focus", "1", "--third-order"], "not allowed with argument --focus"),
        ([*SIZES, "--incidence", "often"], "invalid choice: 'often'"),
        ([*SIZES, "--offsets", "offsets.npy"], "--offsets goes with a .npy array as X"),
        (["--vocab-size", "5"], "required: --n-labels"),
        (["--n-labels", "5"], "required: --vocab-size"),
    ],
)
def test_wrong_usage(
    probsig: Any, texts: Path, labels: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    run = probsig("count-labelled", texts, labels, *options, "--out", tmp_path / "a.safetensors")
    assert run.code == 2
    assert message in run.err


@pytest.mark.parametrize(
    ("line", "got"),
    [
        ("", "an empty line"),
        ("[]", "'[]'"),
        ("1 2", "'1 2'"),
        ("{}", "'{}'"),
        ("[1, true]", "'[1, true]'"),
        ("[1, 2.0]", "'[1, 2.0]'"),
        ("[[1]]", "'[[1]]'"),
        ("[1, 2", "'[1, 2'"),
        ("[" * 5000, repr("[" * 40) + " ..."),
        ("\udcff", "'\ufffd'"),
    ],
)
def test_bad_lines_of_x(
    probsig: Any, texts: Path, labels: Path, tmp_path: Path, line: str, got: str
) -> None:
    texts.write_bytes(f"[1]\n[2]\n{line}\n[3]\n[1]\n".encode(errors="surrogateescape"))
    run = probsig("count-labelled", texts, labels, *SIZES, "--out", tmp_path / "a.safetensors")
    one_error(run, f"X: expected a JSON list of token ids at line 3 of '{texts}', got {got}\n")
    assert not (tmp_path / "a.safetensors").exists()


@pytest.mark.parametrize("token", [-1, V, 2**70])
def test_ids_of_x_out_of_range(
    probsig: Any, texts: Path, labels: Path, tmp_path: Path, token: int
) -> None:
    texts.write_text(f"[1]\n[2, {token}]\n")
    run = probsig("count-labelled", texts, labels, *SIZES, "--out", tmp_path / "a.safetensors")
    one_error(run, f"= 4, got id {token} at position 1 of line 2 of '{texts}'")


@pytest.mark.parametrize("line", ["", "1.0", "one", "1 2", str(2**63)])
def test_bad_lines_of_y(probsig: Any, texts: Path, labels: Path, tmp_path: Path, line: str) -> None:
    labels.write_text(f"0\n{line}\n1\n")
    run = probsig("count-labelled", texts, labels, *SIZES, "--out", tmp_path / "a.safetensors")
    got = repr(line) if line else "an empty line"
    one_error(run, f"Y: expected an integer at line 2 of '{labels}', got {got}\n")


@pytest.mark.parametrize(
    ("x", "y", "options", "part"),
    [
        (X, Y[:4], [], "y: expected one label for each sequence of X"),
        (X, [0, 2, 3, 0, 1], [], "labels from 0 to n_labels - 1 = 2, got 3 at sample 2"),
        (X, [0, 2, -1, 0, 1], [], "labels from 0 to n_labels - 1 = 2, got -1 at sample 2"),
        (X, Y, ["--focus", "5"], "focus: expected an id from 0 to 4, got 5"),
        (X, Y, ["--memory", "1"], "memory: expected at least 16777216, got 1"),
        (X, Y, ["--backend", "gpu"], "backend: expected one of"),
        ([[1], []], [0, 1], [], "at line 2 of"),
        ([], [], ["--vocab-size", "0"], "vocab_size: expected from 1 to"),
        ([], [], ["--n-labels", "0"], "n_labels: expected from 1 to"),
    ],
)
def test_bad_samples(
    probsig: Any, tmp_path: Path, x: Any, y: Any, options: list[str], part: str
) -> None:
    (tmp_path / "X.jsonl").write_text("".join(f"{json.dumps(ids)}\n" for ids in x))
    (tmp_path / "y.txt").write_text("".join(f"{label}\n" for label in y))
    files, out = (tmp_path / "X.jsonl", tmp_path / "y.txt"), tmp_path / "a.safetensors"
    one_error(probsig("count-labelled", *files, *SIZES, *options, "--out", out), part)
    assert not out.exists()


def test_bad_files(probsig: Any, texts: Path, labels: Path, tmp_path: Path) -> None:
    def error(x: Path, y: Path, *options: object, name: str = "a.safetensors") -> Any:
        return probsig("count-labelled", x, y, *SIZES, "--out", tmp_path / name, *options)

    flat, missing = tmp_path / "flat.npy", tmp_path / "none.npy"
    np.save(flat, np.concatenate(X))
    one_error(error(labels, labels), "X: expected a .npy or .jsonl file, got", "y.txt")
    one_error(error(texts, texts), "Y: expected a .npy or .txt file, got", "X.jsonl")
    one_error(error(missing, labels), "X: expected a file, got", "no such file")
    one_error(error(texts, missing), "Y: expected a file, got", "no such file")
    one_error(error(flat, labels, "--offsets", missing), "--offsets: expected a file, got")
    one_error(error(flat, labels), "1-D array with offsets, got a 1-D array")
    one_error(error(texts, labels, name="a"), "--out: expected a name ending in .safetensors")
    one_error(error(texts, labels, name="a.bin"), "--out: expected a name ending in .safetensors")
    (tmp_path / "bad.npy").write_bytes(b"no array")
    one_error(error(tmp_path / "bad.npy", labels), "X: expected a .npy array in", "bad.npy")
    np.save(flat, np.ones((5, 2)))
    one_error(error(flat, labels), "expected integers, got float64")
