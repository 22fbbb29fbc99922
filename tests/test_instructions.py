"""The check of instruction counts: what it calls a fault, and what it skips."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

from instructions import check

BASELINE = {"next": 100.0, "scan": 4.0}


@pytest.mark.parametrize("moved", [100.0, 104.9, 95.1])
def test_small_moves_are_no_fault(moved: float) -> None:
    assert not check.compare({"next": moved, "scan": 4.0}, BASELINE)


@pytest.mark.parametrize(
    ("figures", "fault"),
    [
        ({"next": 106.0, "scan": 4.0}, "next: from 100 to 106, 6.0% more instructions"),
        ({"next": 100.0, "scan": 2.0}, "scan: from 4 to 2, 50.0% fewer instructions: renew"),
        ({"next": 100.0}, "scan: gone"),
        ({**BASELINE, "merge": 9.0}, "merge: not in the baseline"),
    ],
)
def test_faults_name_kernel_and_figures(figures: dict[str, float], fault: str) -> None:
    (told,) = check.compare(figures, BASELINE)
    assert told.startswith(fault)


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """`check.main` of kernels that take these instructions, with a baseline of gcc-12."""
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps({"gcc-12": BASELINE}))
    monkeypatch.setattr(check, "BASELINE", path)
    monkeypatch.setattr(check, "missing", lambda: None)
    monkeypatch.setattr(check, "build", lambda folder: folder)

    def run(compiler: str, figures: dict[str, float], *words: str) -> int:
        monkeypatch.setattr(check, "output_of", lambda command: f"{compiler}\nnext\nscan\n")
        monkeypatch.setattr(check, "measure", lambda program, kernels: figures)
        return check.main(words)

    return run


def test_the_check(checked: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert checked("gcc-12", BASELINE) == 0
    capsys.readouterr()
    assert checked("gcc-12", {"next": 120.0, "scan": 4.0}) == 1
    out = capsys.readouterr().out
    assert "+20.0%" in out
    assert "python bench/instructions/check.py --update" in out
    assert checked("gcc-13", {"next": 1.0}) == 0
    assert "nothing is compared: there is no baseline of gcc-13" in capsys.readouterr().out


def test_the_baseline_is_renewed(checked: Any) -> None:
    assert checked("gcc-12", {"next": 120.0}, "--update") == 0
    assert checked("gcc-13", {"next": 9.0}, "--update") == 0
    expected = {"gcc-12": {"next": 120.0}, "gcc-13": {"next": 9.0}}
    assert json.loads(check.BASELINE.read_text()) == expected
    assert checked("gcc-12", {"next": 120.0}) == 0


def test_without_valgrind_it_is_skipped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert check.main([]) == 0
    assert capsys.readouterr().out == "skipped: no valgrind, cmake, ninja on PATH\n"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert check.missing() == "needs Linux, this is darwin"


def test_baselines_are_of_the_same_kernels() -> None:
    baselines = json.loads(check.BASELINE.read_text())
    assert len({tuple(sorted(figures)) for figures in baselines.values()}) == 1
    for figures in baselines.values():
        assert all(figure > 0 for figure in figures.values())
