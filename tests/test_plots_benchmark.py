"""The picture of a benchmark's rates."""

from __future__ import annotations

from pathlib import Path

import pytest

from probsig_fast.errors import ArgumentError
from probsig_fast.plots import BenchmarkBar, benchmark_bars

PANELS = {
    "next": [
        BenchmarkBar("numpy unique", 5e7, 6e7, 4e7, False),
        BenchmarkBar("native_cpu", 4e8, 4e8, 4e8, True),
    ],
    "window-10": [BenchmarkBar("native_cpu", 5e7, 6e7, 4e7, True)],
    "limits": [BenchmarkBar("streaming read", 1e10, 2e10, 5e9, False)],
}


def test_bars(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    figure = benchmark_bars(PANELS, tmp_path / "bars.png")
    assert (tmp_path / "bars.png").read_bytes().startswith(b"\x89PNG")
    first, second, third, empty = figure.axes
    assert [each.get_title() for each in (first, second, third)] == list(PANELS)
    assert [bar.get_width() for bar in first.patches] == [50, 400]
    assert [label.get_text() for label in first.get_yticklabels()] == ["numpy unique", "native_cpu"]
    assert first.patches[0].get_facecolor() != first.patches[1].get_facecolor()
    assert first.get_xscale() == "log"
    assert not empty.axison


def test_bad_input(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(ArgumentError, match="panels: expected at least one bar, got none"):
        benchmark_bars({"next": []})
    with pytest.raises(ArgumentError, match="path: expected a name that ends in one of"):
        benchmark_bars(PANELS, tmp_path / "bars.doc")
