"""`probsig count --at-steps` and `--at-tokens`, and `probsig merge --as-of`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_support import one_error

import probsig_fast as ps

V = 20


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.npy"
    np.save(path, np.random.default_rng(6).integers(0, V, (30, 10)))
    return path


def test_counted_and_merged(probsig: Any, rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "steps"
    command = ("count", rows, "--vocab-size", V, "--at-tokens", 0, 50, 200, "--out", out)
    run = probsig(*command)
    assert (run.code, run.err) == (0, "")
    lines = [line.split() for line in run.out.splitlines()]
    assert lines[0][:3] == ["step", "tokens", "before"]
    assert [line[:4] for line in lines[1:4]] == [
        ["0", "0", "0", "0"],
        ["50", "50", "50", "5"],
        ["200", "200", "150", "15"],
    ]
    whole = tmp_path / "whole.safetensors"
    assert probsig("merge", out, "--as-of", 200, "--out", whole).code == 0
    assert ps.Counts.load(whole) == ps.count(np.load(rows)[:20], vocab_size=V)
    again = probsig(*command, "--resume", "--json")
    told = json.loads(again.out)
    assert [row["tokens"] for row in told["steps"]] == [0, 50, 150]
    assert told["bytes"] == sum(path.stat().st_size for path in out.glob("delta-*/*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "x.safetensors"], "--at-steps and --at-tokens go with --out FOLDER"),
        (["--out", "x", "--scheduler", "tcp://a:1"], "--scheduler does not go with --at-steps"),
    ],
)
def test_wrong_usage(
    probsig: Any, rows: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    run = probsig("count", rows, "--vocab-size", V, "--at-tokens", 50, *options)
    assert run.code == 2
    assert message in run.err
    assert list(tmp_path.iterdir()) == [rows]


def test_bad_input(probsig: Any, rows: Path, tmp_path: Path) -> None:
    common = ("count", rows, "--vocab-size", V, "--out", tmp_path / "out")
    one_error(probsig(*common, "--at-tokens", 55), "cuts: expected places between two sequences")
    run = probsig(*common[:-1], tmp_path / "other", "--at-steps", 5)
    one_error(run, "steps: expected a source that knows training steps")
    run = probsig("merge", rows, rows, "--as-of", 5, "--out", tmp_path / "m.safetensors")
    assert run.code == 2
    assert "--as-of goes with one folder" in run.err
    run = probsig("merge", tmp_path, "--as-of", 5, "--out", tmp_path / "m.safetensors")
    one_error(run, "folder: expected one of counts at steps")
