"""`probsig reproduce`, with few steps."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_support import forbid_import, one_error

from probsig_fast.cli import main
from probsig_fast.cli.reproduce import composite_addition as command

FEW = ("--steps", 2, "--seeds", 1, "--tasks", "xor", "modular")
TABLES = {"composite-addition.json", "table.csv", "training.csv"}
PICTURES = {
    "training.png",
    "signatures.png",
    "cosines_modular_linear.png",
    "cosines_xor_linear.png",
    "cosines_xor_gelu.png",
}


@pytest.fixture
def reproduce(probsig: Any, tmp_path: Path) -> Any:
    pytest.importorskip("torch")

    def call(*arguments: object, out: Path = tmp_path / "out") -> Any:
        return probsig("reproduce", "composite-addition", "--out", out, *arguments)

    return call


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the pictures, which take seconds."""
    monkeypatch.setattr(command, "_draw", lambda folder, results: [])


def test_prints_the_table_and_writes_files(reproduce: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    run = reproduce(*FEW)
    assert (run.code, run.err) == (0, "")
    lines = run.out.splitlines()
    assert lines[0] == "2 steps, mean over 1 seed; in brackets: an earlier reimplementation"
    (modular,) = (line for line in lines if line.startswith("modular "))
    assert "2.303 (2.30)  undefined (undefined)" in modular
    assert any(line.startswith("xor   gelu") for line in lines)
    checked = [" ".join(line.split()) for line in lines if "|N Q S|" in line]
    assert checked == ["ok modular, linear: largest |N Q S| 0.000 expected 0"]
    assert " assertions hold" in run.out
    assert {path.name for path in (tmp_path / "out").iterdir()} == TABLES | PICTURES
    assert all(name in lines[-1] for name in TABLES | PICTURES)
    for name in PICTURES:
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")


def test_tables(reproduce: Any, tmp_path: Path, undrawn: None) -> None:
    reproduce(*FEW)
    table = rows(tmp_path / "out" / "table.csv")
    (loss,) = (row for row in table if (row["task"], row["figure"]) == ("modular", "loss"))
    assert float(loss["lowest"]) == float(loss["mean"]) == pytest.approx(2.3026, abs=1e-3)
    assert float(loss["expected"]) == pytest.approx(2.302585)
    log = rows(tmp_path / "out" / "training.csv")
    assert [row["step"] for row in log if row["task"] == "modular"] == ["0", "1", "2"]
    assert {row["r_embedding"] for row in log if row["task"] == "modular"} == {"nan"}
    assert {row["cos_within_class"] for row in log if row["task"] == "modular"} == {""}
    stored = json.loads((tmp_path / "out" / "composite-addition.json").read_text())
    assert stored["rows"][0]["mean"]["loss"] == float(loss["mean"])
    assert stored["rows"][0]["mean"]["r_embedding"] is None


def test_json(reproduce: Any, tmp_path: Path, undrawn: None) -> None:
    run = reproduce("--json", *FEW)
    told = json.loads(run.out)
    assert told["experiment"] == "composite-addition"
    assert (told["seeds"], told["steps"]) == ([0], 2)
    assert [(row["task"], row["model"]) for row in told["rows"]][1:] == [
        ("xor", "linear"),
        ("xor", "gelu"),
    ]
    assert {"name", "value", "wanted", "holds"} == set(told["checks"][0])
    assert set(told["files"]) == {path.name for path in (tmp_path / "out").iterdir()}


def test_progress(reproduce: Any, undrawn: None) -> None:
    assert "composite addition" in reproduce("--progress", *FEW[:4], "--tasks", "modular").err


def test_an_earlier_run_is_replaced(reproduce: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "out"
    out.mkdir()
    for name in (*PICTURES, "composite-addition.json"):  # by which it is known as an earlier run's
        (out / name).touch()
    assert reproduce("--steps", 1, "--seeds", 1, "--tasks", "modular").code == 0
    left = {path.name for path in (tmp_path / "out").glob("cosines_*")}
    assert left == {"cosines_modular_linear.png"}  # none that would pass for this run's


def test_other_folders_are_left_alone(reproduce: Any, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    for folder, part in (
        (tmp_path, "a new folder, an empty one or an earlier run's"),
        (tmp_path / "thesis.txt", "a folder in an existing one"),
        (tmp_path / "none" / "out", "a folder in an existing one"),
    ):
        one_error(reproduce(*FEW, out=folder), f"--out: expected {part}")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--steps", 0), "--steps: expected at least 1, got 0"),
        (("--seeds", 0), "--seeds: expected at least 1, got 0"),
        (("--tasks", "add", "sum"), "tasks: expected some of add, permuted"),
    ],
)
def test_bad_input(reproduce: Any, tmp_path: Path, arguments: Any, part: str) -> None:
    one_error(reproduce(*arguments), part)
    assert not (tmp_path / "out").exists()


def test_usage(probsig: Any) -> None:
    run = probsig("reproduce")
    assert run.code == 2
    assert "composite-addition" in run.out
    assert probsig("reproduce", "guess").code == 2
    run = probsig("reproduce", "composite-addition", "--help")
    assert run.code == 0
    assert "probsig reproduce composite-addition --tasks add xor" in run.out


@pytest.mark.parametrize("before", [True, False])
def test_debug_raises(tmp_path: Path, before: bool) -> None:
    pytest.importorskip("torch")
    arguments = ["composite-addition", "--steps", "0", "--out", str(tmp_path / "out")]
    arguments = ["--debug", *arguments] if before else [*arguments, "--debug"]
    with pytest.raises(ValueError, match="--steps: expected at least 1"):
        main(["reproduce", *arguments])


def test_without_matplotlib(
    reproduce: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_import(monkeypatch, "matplotlib")
    run = reproduce(*FEW)
    assert run.code == 0
    assert run.err.startswith("probsig: no pictures: training_curves() needs matplotlib")
    assert "pip install 'probsig-fast[plot]'" in run.err
    assert "modular" in run.out
    assert {path.name for path in (tmp_path / "out").iterdir()} == TABLES


def test_without_torch(probsig: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("probsig_fast.experiments")]:
        monkeypatch.delitem(sys.modules, name)
    forbid_import(monkeypatch, "torch")
    run = probsig("reproduce", "composite-addition", "--out", tmp_path / "out", *FEW)
    one_error(run, "needs torch, which is not installed: pip install 'probsig-fast[torch]'")
    assert not (tmp_path / "out").exists()
