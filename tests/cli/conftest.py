"""Files to run the command line on, and the command itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli_support import STRINGS, TOKENS, Run, V, X, Y

import probsig_fast as ps
from probsig_fast.cli import main


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


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "X.jsonl"
    path.write_text("".join(f"{json.dumps(ids)}\n" for ids in X))
    return path


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "y.txt"
    path.write_text("".join(f"{label}\n" for label in Y))
    return path
