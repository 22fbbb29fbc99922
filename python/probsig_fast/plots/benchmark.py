"""A picture of rates: what a benchmark measured, task by task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import ArgumentError
from .figures import new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 2
_PANEL_INCHES, _BAR_INCHES = 6.5, 0.24
#: Ours, and the others: apart in lightness, too.
_OURS, _OTHERS = "#1b5e91", "#b8bec4"


class BenchmarkBar(NamedTuple):
    """Tokens a second of one contender: the median, and the best and the worst round."""

    label: str
    rate: float
    best: float
    worst: float
    is_ours: bool


def benchmark_bars(
    panels: Mapping[str, Sequence[BenchmarkBar]], path: str | Path | None = None
) -> Figure:
    """Bars of rates on a logarithmic axis, a panel a task, with lines from the worst round to the
    best.

    Args:
        panels: the bars of each task, from top to bottom.
        path: where to write the picture too; its suffix says the format (.png, .pdf, .svg).

    Returns:
        A Matplotlib figure, tied to no window and no global state.

    Raises:
        MissingExtraError: Matplotlib is not installed.
        ArgumentError: no bars, or a format that Matplotlib lacks.
    """
    if not any(panels.values()):
        raise ArgumentError("panels: expected at least one bar, got none")
    lines = -(-len(panels) // _COLUMNS)
    most = max(map(len, panels.values()))
    height = lines * (0.9 + _BAR_INCHES * most)
    figure = new_figure("benchmark_bars()", _COLUMNS * _PANEL_INCHES, height)
    grid = figure.subplots(lines, _COLUMNS, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    for axes, (title, bars) in zip(grid, panels.items(), strict=False):
        _draw(axes, title, bars)
    if path is not None:
        save(figure, path)
    return figure


def _draw(axes: Axes, title: str, bars: Sequence[BenchmarkBar]) -> None:
    places = range(len(bars))
    rates = [bar.rate / 1e6 for bar in bars]
    spread = [
        [(bar.rate - bar.worst) / 1e6 for bar in bars],
        [(bar.best - bar.rate) / 1e6 for bar in bars],
    ]
    colours = [_OURS if bar.is_ours else _OTHERS for bar in bars]
    axes.barh(places, rates, color=colours, xerr=spread, ecolor="0.35", height=0.75)
    axes.set_xscale("log")
    axes.set_xlim(min(rates) / 2, max(rates) * 6)
    for place, rate, bar in zip(places, rates, bars, strict=True):
        axes.annotate(
            f"{rate:,.3g}",
            (bar.best / 1e6, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
        )
    axes.set_yticks(places, [bar.label for bar in bars], fontsize=7)
    axes.invert_yaxis()
    axes.tick_params(axis="x", labelsize=7)
    axes.set_xlabel("M tokens/s", fontsize=8)
    axes.set_title(title, fontsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
