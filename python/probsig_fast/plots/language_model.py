"""A picture of how a language model's embeddings come to follow the counts of its text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .figures import new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..experiments.language_model import LanguageModelRun

#: Okabe and Ito's blue and vermilion, told apart by the colour-blind.
_COLOURS = {"input": "#0072B2", "output": "#D55E00"}
_GREY = "0.45"
#: From the rarest tokens to the most frequent: even in lightness, without the palest end.
_STRATA = ("#9ecae1", "#6baed6", "#2171b5", "#08306b")
_STRATA_LABELS = ("rarest quarter", "second", "third", "most frequent")
_SMALL, _NORMAL = 8, 9


def language_model_curves(run: LanguageModelRun, path: str | Path | None = None) -> Figure:
    """The loss, R_cos, strong pairs, strata and the digits' order over the steps of a training.

    Args:
        run: of `experiments.language_model.reproduce`.
        path: where to write the picture; None writes none.

    Raises:
        MissingExtraError: Matplotlib is not installed.
        ArgumentError: a format that Matplotlib lacks.
    """
    figure = new_figure("language_model_curves()", 12.5, 7.4)
    panels = figure.subplots(2, 4)
    _draw_loss(panels[0, 0], run)
    _draw_correlations(panels[0, 1], run)
    _draw_strong(panels[0, 2], run)
    _draw_lift(panels[0, 3], run)
    _draw_digits(panels[1, 0], run)
    _draw_digit_cosines(panels[1, 1], run)
    for axes, prefix in zip(panels[1, 2:], run.sides, strict=True):
        _draw_strata(axes, run, prefix)
    for axes in panels.ravel():
        _dress(axes, int(run.steps[-1]))
    figure.suptitle(
        f"Embeddings and counts over {run.steps[-1]:,} steps, {run.counts.total:,} pairs of "
        f"{run.corpus['origin']}",
        fontsize=_NORMAL + 2,
    )
    if path is not None:
        save(figure, path)
    return figure


def _draw_loss(axes: Axes, run: LanguageModelRun) -> None:
    axes.plot(run.steps, run.log["loss"], color="black", label="training text")
    axes.plot(run.steps, run.log["held_out_loss"], color=_GREY, linestyle="--", label="held out")
    axes.set_ylim(bottom=0)
    axes.set_title("loss, nats a token", fontsize=_NORMAL)


def _draw_correlations(axes: Axes, run: LanguageModelRun) -> None:
    for prefix, side in run.sides.items():
        colour, name = _COLOURS[prefix], _name(run, prefix)
        axes.plot(run.steps, run.log[f"{prefix}_r_centred"], color=colour, label=f"{name}, centred")
        axes.plot(
            run.steps,
            run.log[f"{prefix}_r_raw"],
            color=colour,
            linestyle=":",
            label="raw",
        )
        if side.null is not None:
            low, high = (side.null.mean + sign * 2 * side.null.deviation for sign in (-1, 1))
            axes.axhspan(low, high, color=colour, alpha=0.12, linewidth=0)
    told = "; shaded: tokens permuted" if any(side.null for side in run.sides.values()) else ""
    axes.set_title(rf"$R_{{\cos}}${told}", fontsize=_NORMAL)


def _draw_strong(axes: Axes, run: LanguageModelRun) -> None:
    for prefix, side in run.sides.items():
        colour, name = _COLOURS[prefix], _name(run, prefix)
        values = run.log[f"{prefix}_top_0_1_percent"]
        axes.plot(run.steps, values, color=colour, label=f"{name}: closest 0.1 %")
        values = run.log[f"{prefix}_top_1_percent"]
        axes.plot(run.steps, values, color=colour, linestyle="--", label="closest 1 %")
        axes.axhline(side.mean_signature_cosine, color=colour, linestyle=":", label="all pairs")
    axes.set_ylim(0, 1)
    axes.set_title("signature cosine of pairs close in W", fontsize=_NORMAL)


def _draw_lift(axes: Axes, run: LanguageModelRun) -> None:
    for prefix in run.sides:
        for key, style, told in (("top_0_1", "-", "0.1 %"), ("top_1", "--", "1 %")):
            values = run.log[f"{prefix}_{key}_percent_lift"]
            label = f"{_name(run, prefix)}, {told}"
            axes.plot(run.steps, values, color=_COLOURS[prefix], linestyle=style, label=label)
    axes.axhline(1, color=_GREY, linewidth=0.8, zorder=0)
    axes.set_ylim(bottom=0)
    axes.set_title("the same over that of all pairs", fontsize=_NORMAL)


def _draw_digits(axes: Axes, run: LanguageModelRun) -> None:
    for prefix, side in run.sides.items():
        colour = _COLOURS[prefix]
        axes.plot(run.steps, run.log[f"{prefix}_digits"], color=colour, label=f"${side.matrix}$")
        own = side.digits.spearman
        if np.isfinite(own):
            label = rf"${_signature(side.signature)}$ itself"
            axes.axhline(own, color=colour, linestyle=":", label=label)
    axes.axhline(0, color=_GREY, linewidth=0.8, zorder=0)
    axes.set_ylim(-1, 1)
    axes.set_title("digits: rank correlation with $-|a-b|$", fontsize=_NORMAL)


def _draw_digit_cosines(axes: Axes, run: LanguageModelRun) -> None:
    for prefix, side in run.sides.items():
        for key, style, told in (("near", "-", "= 1"), ("far", "--", r"\geq 4")):
            label = f"${side.matrix}$, $|a-b| {told}$"
            values = run.log[f"{prefix}_digits_{key}"]
            axes.plot(run.steps, values, color=_COLOURS[prefix], linestyle=style, label=label)
    axes.axhline(0, color=_GREY, linewidth=0.8, zorder=0)
    axes.set_title("digits: mean cosine", fontsize=_NORMAL)


def _draw_strata(axes: Axes, run: LanguageModelRun, prefix: str) -> None:
    for i, (colour, label) in enumerate(zip(_STRATA, _STRATA_LABELS, strict=True), start=1):
        values = run.log[f"{prefix}_stratum_{i}"]
        axes.plot(run.steps, values, color=colour, label=f"{label} of tokens" if i == 1 else label)
    values = run.log[f"{prefix}_r_centred"]
    axes.plot(run.steps, values, color=_COLOURS["output"], linestyle=":", label="all")
    axes.axhline(0, color=_GREY, linewidth=0.8, zorder=0)
    axes.set_title(rf"$R_{{\cos}}$ by frequency: {_name(run, prefix)}", fontsize=_NORMAL)


def _name(run: LanguageModelRun, prefix: str) -> str:
    side = run.sides[prefix]
    return f"${side.matrix}$, ${_signature(side.signature)}$"


def _signature(name: str) -> str:
    """phi_next in Matplotlib's mathematics."""
    letter, _, condition = name.partition("_")
    return rf"\{letter}^{{\mathrm{{{condition}}}}}"


def _dress(axes: Any, last: int) -> None:
    axes.set_xlabel("step", fontsize=_SMALL)
    # Logarithmic beyond 1, with room for step 0: much happens within the first hundred.
    axes.set_xscale("symlog", linthresh=1, linscale=0.5)
    axes.set_xlim(0, last)
    axes.set_xticks([0, *(10**k for k in range(7) if 10**k <= last)])
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_locator(_no_ticks())
    axes.tick_params(labelsize=_SMALL)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=_SMALL - 1.5, frameon=False, loc="best", handlelength=2.2)


def _no_ticks() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()
