"""`probsig bench`: files in, a table out; what it refuses."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_support import forbid_import, one_error
from test_cli_examples import examples

from probsig_fast.benchmark import limits, tasks
from probsig_fast.benchmark.peers import numpy_unique
from probsig_fast.cli import bench
from probsig_fast.cli.entry import build_parser

SMALL = ("--backend", "reference", "--rounds", 1, "--threads", 1, "--no-peak-memory")


@pytest.fixture
def docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(limits, "_TABLE", 2**16)
    path = Path("docs.bin")
    np.random.default_rng(1).integers(0, 30, 2_000).astype(np.uint16).tofile(path)
    return path


def test_files(probsig: Any, docs: Path) -> None:
    pytest.importorskip("matplotlib")
    np.arange(500, dtype=np.uint32).tofile("code.bin")
    corpora = (docs, "code.bin", "--dtype", "uint16", "uint32", "--vocab-size", 30, 500)
    arguments = (*corpora, "--eos", 0, "--relation", "next", "window-2:1000", "--no-peers", *SMALL)
    run = probsig("bench", *arguments, "--out", "out")
    assert (run.code, run.err) == (0, "")
    assert run.out == Path("out/benchmark.md").read_text()
    assert shlex.join(map(str, ("probsig", "bench", *arguments, "--out", "out"))) in run.out
    assert "| docs.bin, V = 30 | next | reference | 1 | 2,000 | 1 |" in run.out
    assert "| docs.bin, V = 30 | window-2 | reference | 1 | 1,000 | 1 |" in run.out
    assert "| code.bin, V = 500 | window-2 | reference | 1 | 500 | 1 |" in run.out
    assert Path("out/benchmark.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(Path("out/benchmark.json").read_text())["rows"][0]["task"] == "limits"


def test_synthetic_tokens_with_peers(probsig: Any, docs: Path) -> None:
    synthetic = ("--tokens", "3k", "--vocab-size", 60, "--relation", "next", "same-sequence")
    run = probsig("bench", *synthetic, *SMALL, "--json")
    assert run.code == 0
    told = json.loads(run.out)
    assert told == json.loads(Path("probsig-bench/benchmark.json").read_text())
    timed = {row["contender"] for row in told["rows"] if row["seconds"]}
    assert timed >= {"numpy unique", "scipy A'A", "reference", "streaming read"}


def test_without_matplotlib(probsig: Any, docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_import(monkeypatch, "matplotlib")
    options = ("--tokens", 100, "--vocab-size", 9, "--relation", "next", "--no-peers", *SMALL)
    run = probsig("bench", *options)
    assert run.code == 0
    assert "no figure: benchmark_bars() needs matplotlib" in run.err
    assert not Path("probsig-bench/benchmark.png").exists()
    assert Path("probsig-bench/benchmark.md").exists()


def test_a_mismatch_ends_it(probsig: Any, docs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(tokens: Any) -> Any:
        keys, counts = numpy_unique(tokens)
        return keys, counts + 1

    monkeypatch.setattr("probsig_fast.benchmark.next_peers.numpy_unique", wrong)
    options = ("--tokens", 100, "--vocab-size", 9, "--relation", "next")
    run = probsig("bench", *options, *SMALL)
    one_error(run, "next, 100 tokens of zipfian-100: numpy unique (1 threads): expected", "got")
    assert list(Path("probsig-bench").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("--relation", "between"), ("relation: expected next, window-N", "got 'between'")),
        (("--tokens", "few"), ("tokens: expected a number such as", "got 'few'")),
        (("--rounds", 0), ("rounds: expected at least 1, got 0",)),
        (("--threads", 0), ("threads: expected at least 1, got 0",)),
        (("--backend", "abacus"), ("backend: expected of native_cuda", "got 'abacus'")),
        (("--vocab-size", 1), ("vocab_size: expected at least 2, got 1",)),
        (("--cooccur", "none"), ("cooccur: expected a program", "got 'none'")),
        (("--out", "a/b"), ("out: expected a folder", "got 'a/b'")),
    ],
)
def test_errors(
    probsig: Any, docs: Path, arguments: tuple[object, ...], parts: tuple[str, ...]
) -> None:
    one_error(probsig("bench", *arguments), *parts)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("docs.bin",), "files need --dtype"),
        (("docs.bin", "--dtype", "uint16"), "files need --vocab-size"),
        (("--dtype", "uint16"), "--dtype and --eos go with files"),
        (
            ("docs.bin", "--dtype", "uint16", "uint32", "--vocab-size", 30),
            "--dtype: expected one for all files or one for each of 1, got 2",
        ),
    ],
)
def test_usage(probsig: Any, docs: Path, arguments: tuple[object, ...], told: str) -> None:
    run = probsig("bench", *arguments)
    assert run.code == 2
    assert told in run.err


def test_quick_and_examples_are_understood(docs: Path) -> None:
    for each in examples(bench.EPILOG):
        if "--cooccur" in each:
            continue  # its program is not there
        for name in ("docs.u16.bin", "code.u32.bin"):
            Path(name).touch()
        settings = bench._settings(build_parser("bench").parse_args(each, namespace=_typed(each)))
        assert settings.command == shlex.join(["probsig", *each])
        names = [task.name for task in settings.tasks]
        assert len(settings.corpora) == max(sum(one.endswith(".bin") for one in each), 1) or (
            names == list(tasks.DEFAULT)
        )
        if settings.quick:
            assert (names, settings.rounds, settings.peak_memory) == (list(tasks.DEFAULT), 2, False)


def _typed(arguments: list[str]) -> Any:
    import argparse

    return argparse.Namespace(typed=arguments)
