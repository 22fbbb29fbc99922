"""Each fuzzer for a moment, always with the same inputs; `run.py` goes on from there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fuzz_table import FUZZERS, PLANTED
from run import main, run

#: Inputs that take about two seconds.
INPUTS = {
    "streams": 12,
    "labelled": 16,
    "kernels": 80,
    "counts-file": 150,
    "counts-folder": 70,
    "count-steps": 30,
}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded on Linux only")


@pytest.mark.parametrize("name", FUZZERS)
def test_nothing_is_found(name: str, tmp_path: Path) -> None:
    for needed in FUZZERS[name].needs:
        pytest.importorskip(needed)
    inputs = INPUTS.get(name, 80)
    result = run(name, 0, 0, inputs, tmp_path)
    assert result.seed is None, result.told
    assert result.inputs == inputs


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("planted-error", "Finding: planted"),
        ("planted-crash", "ended by SIGSEGV"),
        ("planted-memory", "MemoryError"),
    ],
)
def test_what_is_planted_is_found(name: str, told: str, tmp_path: Path) -> None:
    assert name in PLANTED
    result = run(name, 3, 0, 200, tmp_path)
    assert result.seed is not None
    assert result.seed - 3 == result.inputs < 200
    assert told in result.told
    kept = tmp_path / f"{name}-{result.seed}"
    assert f"--only {name} --seed {result.seed} --inputs 1" in (kept / "finding.txt").read_text()
    assert (kept / "input" / "wrong").is_file() == (name == "planted-error")


def test_the_seed_printed_is_tried_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = run("planted-error", 3, 0, 200, tmp_path)
    again = ["0", "--only", "planted-error", "--seed", str(first.seed), "--failures", str(tmp_path)]
    assert main(again) == 1
    assert f"FOUND by planted-error, seed {first.seed}\n" in capsys.readouterr().out
    assert main(["0", "--only", "planted-error", "--seed", "3", "--inputs", "1"]) == 0


def test_names_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["1", "--list"]) == 0
    assert set(capsys.readouterr().out.split()) == set(FUZZERS)
