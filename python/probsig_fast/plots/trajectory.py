"""A picture of how an embedding's geometry changes over a training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..errors import ArgumentError
from .figures import new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..alignment.trajectory import Trajectory, TrajectoryRow

#: Okabe and Ito's colours, told apart by the colour-blind.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
_STYLES: dict[bool, Literal["-", "--"]] = {True: "-", False: "--"}
_WORDS = {True: "mean-centred", False: "raw"}
_GREY = "0.6"
_SMALL, _NORMAL = 8, 9
#: Standard errors that hold 95 % of a normal distribution.
_WITHIN = 1.96


class _Panel(NamedTuple):
    """One figure over the steps.

    Attributes:
        title: above it.
        value: of a row.
        centrings: which rows.
        error: half the width of the band around the value; None: no band.
        level: of a row, what chance gives; None: no line for it.
    """

    title: str
    value: Callable[[TrajectoryRow], float]
    centrings: tuple[bool, ...]
    error: Callable[[TrajectoryRow], float] | None = None
    level: Callable[[TrajectoryRow], float] | None = None


def trajectory_curves(trajectory: Trajectory, path: str | Path | None = None) -> Figure:
    """Every figure of a trajectory over the steps: R_cos raw and mean-centred, each with the band
    of its jackknife (1.96 standard errors to each side), debiased CKA, and where they were measured
    strong pairs and neighbours in common.

    A colour is a signature; a dashed line is the raw embedding, a full one the mean-centred. Steps
    are linear up to the first one after 0 and logarithmic beyond. Dotted lines: the untrained
    model's R_cos, where there is a step 0, and what chance gives elsewhere.

    Args:
        path: where to write the picture too; its suffix says the format (.png, .pdf, .svg).

    Returns:
        A Matplotlib figure, tied to no window and no global state.

    Raises:
        MissingExtraError: Matplotlib is not installed.
        ArgumentError: no rows, or a format that Matplotlib lacks.
    """
    if not trajectory.rows:
        raise ArgumentError("trajectory: expected at least one row, got none")
    panels = _panels(trajectory)
    columns = 3 if len(panels) > 4 else len(panels) if len(panels) < 4 else 2
    rows = math.ceil(len(panels) / columns)
    figure = new_figure("trajectory_curves()", 3.9 * columns, 2.9 * rows + 0.6)
    all_axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, panel in zip(all_axes, panels, strict=False):
        _draw(axes, trajectory, panel)
    for axes in all_axes[len(panels) :]:
        axes.set_axis_off()
    _share_range([axes for axes in all_axes if axes.get_title().startswith("$R")])
    _add_legend(figure, trajectory)
    if path is not None:
        save(figure, path)
    return figure


def _panels(trajectory: Trajectory) -> list[_Panel]:
    centrings = tuple(sorted({row.centred for row in trajectory.rows}))
    panels = [
        _Panel(
            f"$R_{{\\cos}}$, {_WORDS[centred]}",
            lambda row: row.r_cos,
            (centred,),
            lambda row: _WITHIN * row.r_cos_error,
        )
        for centred in centrings
    ]
    panels.append(_Panel("debiased CKA", lambda row: row.debiased_cka, centrings))
    if trajectory.fraction is not None:
        top = f"top {100 * trajectory.fraction:g} % of pairs"
        panels += [
            _Panel(
                f"{top}: signature cosine over the mean",
                lambda row: row.strong_lift,
                centrings,
                level=lambda row: 1.0,
            ),
            _Panel(
                f"{top}: share at the top by both",
                lambda row: row.strong_overlap,
                centrings,
                level=lambda row: trajectory.fraction or 0.0,
            ),
        ]
    if trajectory.neighbours is not None:
        panels.append(
            _Panel(
                f"share of the {trajectory.neighbours} nearest in common",
                lambda row: row.neighbour_overlap,
                centrings,
                level=lambda row: row.neighbour_chance,
            )
        )
    return panels


def _draw(axes: Axes, trajectory: Trajectory, panel: _Panel) -> None:
    for name, colour in zip(trajectory.signatures, _colours(trajectory), strict=True):
        for centred in panel.centrings:
            rows = trajectory.curve(name, centred)
            steps = [row.step for row in rows]
            values = [panel.value(row) for row in rows]
            style = "-" if len(panel.centrings) == 1 else _STYLES[centred]
            axes.plot(
                steps, values, color=colour, linestyle=style, linewidth=1.4, marker="o", ms=2.5
            )
            if panel.error is not None:
                _shade(axes, steps, values, [panel.error(row) for row in rows], colour)
                if rows and rows[0].step == 0 and math.isfinite(values[0]):
                    axes.axhline(values[0], color=colour, linestyle=":", linewidth=0.9)
    if panel.level is not None:
        _draw_level(axes, (panel.level(row) for row in trajectory.rows))
    else:
        axes.axhline(0, color="0.85", linewidth=0.8, zorder=0)
    axes.set_title(panel.title, fontsize=_NORMAL)
    axes.tick_params(labelsize=_SMALL)
    axes.spines[["top", "right"]].set_visible(False)
    _dress_steps(axes, trajectory.steps)


def _shade(
    axes: Axes, steps: list[int], values: list[float], errors: list[float], colour: str
) -> None:
    pairs = list(zip(values, errors, strict=True))
    axes.fill_between(
        steps,
        [value - error for value, error in pairs],
        [value + error for value, error in pairs],
        color=colour,
        alpha=0.18,
        linewidth=0,
    )


def _draw_level(axes: Axes, levels: Iterable[float]) -> None:
    """Chance, which hardly differs from row to row: its largest."""
    level = max((each for each in levels if math.isfinite(each)), default=math.nan)
    if math.isfinite(level):
        axes.axhline(level, color=_GREY, linestyle=":", linewidth=1.1, zorder=0)


def _dress_steps(axes: Axes, steps: tuple[int, ...]) -> None:
    first = next((step for step in steps if step > 0), 1)
    last = max(steps[-1], first)
    axes.set_xscale("symlog", linthresh=first, linscale=0.5)
    margin = 1.06 if last > first else 2.0
    axes.set_xlim(-0.08 * first if steps[0] == 0 else steps[0] / margin, last * margin)
    ticks = [0] if steps[0] == 0 else []
    ticks += [each for each in _decades(first, last) if each not in ticks]
    axes.set_xticks(ticks, [_show(each) for each in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("step", fontsize=_NORMAL)


def _decades(first: int, last: int) -> list[int]:
    """The first step, the powers of ten well beyond it, and the last step if it is beyond these;
    at most about seven."""
    powers = [10**n for n in range(20) if 2.5 * first <= 10**n <= last]
    ticks = [first, *powers[:: max(1, math.ceil(len(powers) / 5))]]
    return [*ticks, last] if last > 2.5 * ticks[-1] else ticks


def _show(step: int) -> str:
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if step >= size:
            return f"{step / size:.3g}{letter}"
    return str(step)


def _share_range(several: list[Axes]) -> None:
    """Raw and mean-centred are to be compared."""
    ranges = [axes.get_ylim() for axes in several]
    for axes in several:
        axes.set_ylim(min(low for low, _ in ranges), max(high for _, high in ranges))


def _colours(trajectory: Trajectory) -> list[str]:
    return [_COLOURS[i % len(_COLOURS)] for i in range(len(trajectory.signatures))]


def _add_legend(figure: Figure, trajectory: Trajectory) -> None:
    from matplotlib.lines import Line2D

    sides = {row.signature: "tied" if row.tied else row.which for row in trajectory.rows}
    handles = [
        Line2D([], [], color=colour, linewidth=1.4, label=f"{name} ({sides[name]} embedding)")
        for name, colour in zip(trajectory.signatures, _colours(trajectory), strict=True)
    ]
    centrings = sorted({row.centred for row in trajectory.rows})
    if len(centrings) > 1:
        handles += [
            Line2D([], [], color=_GREY, linestyle=_STYLES[each], label=_WORDS[each])
            for each in centrings
        ]
    dotted = "untrained, or chance" if trajectory.untrained else "chance"
    if trajectory.untrained or trajectory.fraction or trajectory.neighbours:
        handles.append(Line2D([], [], color=_GREY, linestyle=":", label=dotted))
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(len(handles), 5),
        fontsize=_SMALL,
        frameon=False,
    )
