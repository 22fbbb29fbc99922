"""`probsig reproduce language-model`, with few steps."""

from __future__ import annotations

import csv
import json
import shlex
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_support import forbid_import, one_error

import probsig_fast as ps

pytest.importorskip("torch", reason="experiments need torch")
pytest.importorskip("tokenizers", reason="the corpus needs tokenizers")
with warnings.catch_warnings():
    # Of what transformers' own imports will drop.
    warnings.simplefilter("ignore", DeprecationWarning)
    warnings.simplefilter("ignore", FutureWarning)
    pytest.importorskip("transformers", reason="the model is transformers'")

from probsig_fast.alignment import cosine_correlation
from probsig_fast.alignment.embeddings import load_embedding
from probsig_fast.cli.reproduce import language_model as command
from probsig_fast.experiments.language_model import SETUPS, make_setup

FEW = ("--steps", 2, "--vocab-size", 300, "--draws", 2, "--threads", 1)
TABLES = {
    "language-model.json",
    "training.csv",
    "next.safetensors",
    "next.json",
    "tokenizer.json",
}


@pytest.fixture(autouse=True)
def smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"width": 16, "heads": 2, "inner_width": 24, "sequence_length": 16, "batch": 4}
    monkeypatch.setitem(SETUPS, "tiny", make_setup("tiny", **sizes, min_support=3))
    monkeypatch.setattr(command, "_draw", lambda folder, found: [])
    monkeypatch.setattr(command, "_write_report", lambda arguments, found: [])


#: A second or more of pictures: drawn where they are looked for.
DRAW, WRITE_REPORT = command._draw, command._write_report


@pytest.fixture
def drawn(smaller: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_draw", DRAW)
    monkeypatch.setattr(command, "_write_report", WRITE_REPORT)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "00.jsonl"
    random = np.random.default_rng(1)
    with open(path, "w") as file:
        for subset in ("DM Mathematics", "Github"):
            for _ in range(20):
                text = " ".join(f"{a}+{b}" for a, b in random.integers(0, 100, (60, 2)))
                print(json.dumps({"text": text, "meta": {"pile_set_name": subset}}), file=file)
    return path


@pytest.fixture
def reproduce(probsig: Any, tmp_path: Path, data: Path) -> Any:
    def call(*arguments: object, out: Path = tmp_path / "out") -> Any:
        return probsig(
            "reproduce", "language-model", "--out", out, "--data", data, *FEW, *arguments
        )

    return call


def test_prints_the_tables_and_writes_files(reproduce: Any, tmp_path: Path, drawn: None) -> None:
    pytest.importorskip("matplotlib")
    run = reproduce("--subset", "DM Mathematics")
    assert (run.code, run.err) == (0, "")
    assert "from DM Mathematics of 00.jsonl" in run.out.replace("\n", " ")
    assert "Does alignment rise early, and does it stay?" in run.out
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == TABLES | {"training.png", "report"}
    page = (out / "report" / "report.html").read_text()
    assert "Over training" in page
    assert "psi_pre and the output embedding" in page
    assert all(name in run.out.splitlines()[-1] for name in TABLES)
    assert (out / "training.png").read_bytes().startswith(b"\x89PNG")
    with open(out / "training.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    stored = json.loads((out / "language-model.json").read_text())
    assert [row["step"] for row in rows] == ["0", "1", "2"]
    assert [row["tokens_seen"] for row in rows] == ["0", "64", "128"]
    assert [float(row["input_r_raw"]) for row in rows] == stored["log"]["input_r_raw"]
    counts = ps.Counts.load(out / "next.safetensors")
    assert counts.total == stored["counts"]["pairs"]
    assert stored["setup"]["steps"] == 2


def test_what_it_writes_can_be_used(probsig: Any, reproduce: Any, tmp_path: Path) -> None:
    run = reproduce("--save-checkpoints")
    assert run.code == 0
    told = run.out
    out = tmp_path / "out"
    names = sorted(path.name for path in (out / "checkpoints").iterdir())
    assert names == ["step0", "step1", "step2"]
    run = probsig("top", out / "next.safetensors", "+", "--tokenizer", out / "tokenizer.json")
    assert run.code == 0
    stored = json.loads((out / "language-model.json").read_text())
    track = shlex.split(told.splitlines()[-1])[1:]
    assert probsig(*track, "--quick").code == 0
    tracked = json.loads((out / "tracked" / "trajectory.json").read_text())
    assert {row["step"] for row in tracked["rows"]} == {0, 1, 2}
    embedding = load_embedding(out / "checkpoints" / "step2", "output")
    psi = ps.Counts.load(out / "next.safetensors").psi_pre()
    found = cosine_correlation(embedding.weight, psi, stored["setup"]["min_support"])
    assert found.pearson == pytest.approx(stored["log"]["output_r_raw"][-1], abs=1e-9)


def test_an_earlier_run_is_replaced(reproduce: Any, tmp_path: Path) -> None:
    assert reproduce("--save-checkpoints").code == 0
    out = tmp_path / "out"
    (out / "notes.txt").write_text("mine")
    run = reproduce("--json")
    assert run.code == 0
    told = json.loads(run.out)
    assert told["corpus"]["origin"] == "all subsets of 00.jsonl"
    files = {name.rstrip("/") for name in told["files"]}
    assert files == {path.name for path in out.iterdir()} - {"notes.txt"}
    assert not (out / "checkpoints").exists()
    assert (out / "notes.txt").read_text() == "mine"


def test_a_killed_run_is_replaced(reproduce: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "checkpoints" / "step0").mkdir(parents=True)
    one_error(reproduce(), "--out: expected a new folder, an empty one or an earlier run's")
    (out / "language-model.json").write_text('{"finished": false}')
    assert reproduce().code == 0


def test_without_data(probsig: Any, tmp_path: Path) -> None:
    run = probsig(
        *("reproduce", "language-model", "--out", tmp_path / "out", *FEW, "--max-mb", 0.3),
        *("--min-support", 2, "--seed", 3, "--progress"),
    )
    assert run.code == 0
    assert "language model" in run.err
    assert "the Python standard library's source" in run.out
    assert "seen fewer than 2 times" in run.out.replace("\n", " ")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--subset", "Github", "Maths"), "NIH ExPorter, Enron Emails; got 'Maths'"),
        (("--subset", "ArXiv"), "data: expected documents of ArXiv, got DM Mathematics (20), Git"),
        (("--steps", 0), "steps: expected at least 1, got 0"),
        (("--size", "large"), "size: expected tiny or small, got 'large'"),
        (("--seed", -1), "--seed: expected at least 0, got -1"),
        (("--draws", -1), "--draws: expected at least 0, got -1"),
        (("--vocab-size", 100), "vocab_size: expected at least 257, got 100"),
        (("--max-mb", 0), "megabytes: expected above 0"),
        (("--min-support", 10**9), "min_support: expected at least 3 tokens with that support"),
        (("--device", "gpu"), "device: expected a torch device, got 'gpu'"),
        (("--data", "none.jsonl"), "text: expected a file, got 'none.jsonl': none"),
        (("--tokenizer", "none.json"), "tokenizer: expected a file, got 'none.json': none"),
    ],
)
def test_bad_input(reproduce: Any, tmp_path: Path, arguments: Any, part: str) -> None:
    one_error(reproduce(*arguments), part)
    assert not (tmp_path / "out").exists()


def test_subset_without_data(probsig: Any, tmp_path: Path) -> None:
    run = probsig("reproduce", "language-model", "--out", tmp_path / "out", "--subset", "Github")
    one_error(run, "--subset: expected --data beside it, got none")


def test_help(probsig: Any) -> None:
    run = probsig("reproduce", "language-model", "--help")
    assert run.code == 0
    assert "probsig reproduce language-model --data 00.jsonl.zst --subset" in run.out


def test_without_matplotlib(
    reproduce: Any, tmp_path: Path, drawn: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_import(monkeypatch, "matplotlib")
    run = reproduce()
    assert run.code == 0
    assert run.err.startswith("probsig: no picture: language_model_curves() needs matplotlib")
    assert {path.name for path in (tmp_path / "out").iterdir()} == TABLES


def test_without_transformers(
    reproduce: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    one_error(reproduce(), "needs transformers", "pip install 'probsig-fast[experiments]'")
    assert not (tmp_path / "out").exists()
