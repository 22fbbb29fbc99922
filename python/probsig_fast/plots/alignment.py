"""Pictures of how an embedding's geometry follows a signature.

Each is drawn small enough that its text can be read on a phone, and takes what `alignment` returns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .figures import new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..alignment import NeighbourOverlap, Null, PerToken, Stratum, StrongPairs

#: Okabe and Ito's blue and vermilion, told apart by the colour-blind; print has the shapes.
RAW, CENTRED = "#0072B2", "#D55E00"
_LOOKS = {False: (RAW, "o", "raw"), True: (CENTRED, "s", "mean-centred")}
_CHANCE = "0.45"
_WIDTH, _HEIGHT = 4.8, 3.4
_SMALL, _NORMAL = 8, 9
_HEXAGONS = 55
#: Shares of the pairs, in order of one cosine, between which the mean of the other is drawn: groups
#: of equal number, and finer ones at the end, where the strong pairs are.
_SLICES = (*np.arange(0.025, 0.99, 0.025), 0.99, 0.995, 0.999, 0.9995)


def pair_density(
    embedding: NDArray[np.floating],
    signature: NDArray[np.floating],
    strong: StrongPairs | None = None,
    name: str = "signature",
    path: str | Path | None = None,
) -> Figure:
    """How often pairs of tokens have each combination of two cosines: hexagons on a log scale.

    Over them the mean signature cosine of pairs of like embedding cosine (groups of 2.5 % of the
    pairs; the last one cut into five), and where the strong pairs begin by either cosine.

    Args:
        embedding, signature: the cosines of the pairs, [n] each.
        strong: draws the two bounds beyond which pairs are at the top.
        name: of the signature.

    Raises:
        MissingExtraError: Matplotlib is not installed.
        ArgumentError: a format that Matplotlib lacks.
    """
    figure, axes = _panel("pair_density()", height=3.7)
    hexagons = axes.hexbin(
        embedding,
        signature,
        gridsize=_HEXAGONS,
        bins="log",
        mincnt=1,
        cmap="Blues",
        linewidths=0.1,
        vmin=0.3,  # so that a single pair is not white on white
    )
    bar = figure.colorbar(hexagons, ax=axes, pad=0.02)
    bar.set_label("pairs in a hexagon", fontsize=_SMALL)
    bar.ax.tick_params(labelsize=_SMALL)
    x, y = _sliced_means(embedding, signature)
    axes.plot(x, y, color=CENTRED, linewidth=1.8, label="mean signature cosine")
    if strong is not None and math.isfinite(strong.by_embedding.least):
        label = f"top {strong.fraction:.3g} of pairs"
        look: dict[str, Any] = {"color": "0.25", "linewidth": 0.9, "linestyle": "--"}
        axes.axvline(strong.by_embedding.least, label=label, **look)
        axes.axhline(strong.by_signature.least, **look)
    axes.legend(fontsize=_SMALL, loc="upper left", framealpha=0.9)
    _labels(axes, "cosine of embeddings", f"cosine of {name}")
    return _finished(figure, path)


def null_draws(
    observed: float, free: Null, banded: Null | None = None, path: str | Path | None = None
) -> Figure:
    """R_cos beside its values for permuted tokens: one point a draw.

    Args:
        observed: R_cos of the tokens as they are.
        free, banded: permutations among all tokens, and within groups of like support.

    Raises:
        MissingExtraError: Matplotlib is not installed.
        ArgumentError: a format that Matplotlib lacks.
    """
    figure, axes = _panel("null_draws()", height=2.6)
    nulls = [null for null in (free, banded) if null is not None]
    for row, null in enumerate(nulls):
        values = np.asarray(null.values)
        # Spread up and down in a fixed pattern: draws of like value would hide each other.
        heights = row + 0.18 * np.sin(2.4 * np.arange(values.size))
        label = "permuted tokens" if row == 0 else None
        axes.plot(values, heights, "o", color=_CHANCE, markersize=4.5, alpha=0.7, label=label)
    if math.isfinite(observed):
        axes.axvline(observed, color=CENTRED, linewidth=1.8, label=f"observed, {observed:.4f}")
    axes.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(nulls)), [_null_name(null) for null in nulls], fontsize=_SMALL)
    axes.set_ylim(len(nulls) - 0.4, -0.9)
    axes.legend(fontsize=_SMALL, loc="upper center", ncols=2, frameon=False)
    _labels(axes, r"$R_{\cos}$", "")
    return _finished(figure, path)


def neighbours_by_k(overlaps: Sequence[NeighbourOverlap], path: str | Path | None = None) -> Figure:
    """The share of a token's k nearest tokens that both geometries have, over k, beside chance.

    Raises:
        MissingExtraError: Matplotlib is not installed.
        ArgumentError: a format that Matplotlib lacks.
    """
    figure, axes = _panel("neighbours_by_k()")
    for each in overlaps:
        colour, marker, label = _LOOKS[each.centred]
        axes.plot(each.k, each.overlap, color=colour, marker=marker, markersize=5, label=label)
    for each in overlaps[:1]:
        axes.plot(
            each.k,
            each.chance,
            color=_CHANCE,
            linestyle="--",
            marker=".",
            label="chance, k / (K - 1)",
        )
    ks = sorted({k for each in overlaps for k in each.k})
    if ks:
        axes.set_xscale("log")
        axes.set_xticks(ks, [str(k) for k in ks], fontsize=_SMALL)
        axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=_SMALL, frameon=False)
    _labels(axes, "k", "share of k nearest in common")
    return _finished(figure, path)


def correlation_by_support(
    strata: Sequence[tuple[bool, Sequence[Stratum]]], path: str | Path | None = None
) -> Figure:
    """R_cos among tokens of like support, the rarest first.

    Args:
        strata: for the embedding as it is (False) and mean-centred (True).

    Raises:
        MissingExtraError: Matplotlib is not installed.
        ArgumentError: a format that Matplotlib lacks.
    """
    figure, axes = _panel("correlation_by_support()")
    for centred, each in strata:
        colour, marker, label = _LOOKS[centred]
        values = [stratum.pearson for stratum in each]
        axes.plot(range(len(values)), values, color=colour, marker=marker, label=label)
    for _, each in strata[:1]:
        names = [f"{_short(s.least_support)}\nto {_short(s.most_support)}" for s in each]
        axes.set_xticks(range(len(names)), names, fontsize=_SMALL)
    axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    axes.margins(x=0.12)
    axes.legend(fontsize=_SMALL, frameon=False)
    _labels(axes, "support of the tokens", r"$R_{\cos}$ within the stratum")
    return _finished(figure, path)


def token_correlations(
    figures: Sequence[tuple[bool, PerToken]], path: str | Path | None = None
) -> Figure:
    """How the correlations of single tokens are spread: outlines, with their medians dashed.

    Args:
        figures: for the embedding as it is (False) and mean-centred (True).

    Raises:
        MissingExtraError: Matplotlib is not installed.
        ArgumentError: a format that Matplotlib lacks.
    """
    figure, axes = _panel("token_correlations()")
    kept = [(centred, each.correlation[np.isfinite(each.correlation)]) for centred, each in figures]
    values = np.concatenate([np.empty(0), *(each for _, each in kept)])
    low, high = (values.min(), values.max()) if values.size else (-1.0, 1.0)
    bins = np.linspace(low, max(high, low + 1e-6), 50).tolist()
    for centred, each in kept:
        colour, _, label = _LOOKS[centred]
        axes.hist(each, bins, color=colour, alpha=0.18)
        axes.hist(each, bins, color=colour, histtype="step", linewidth=1.3, label=label)
        if each.size:
            axes.axvline(float(np.median(each)), color=colour, linestyle="--", linewidth=1)
    axes.legend(fontsize=_SMALL, frameon=False)
    _labels(axes, "correlation of one token's cosines", "tokens")
    return _finished(figure, path)


def _panel(purpose: str, height: float = _HEIGHT) -> tuple[Figure, Axes]:
    figure = new_figure(purpose, _WIDTH, height)
    axes = figure.subplots()
    axes.tick_params(labelsize=_SMALL)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _labels(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, fontsize=_NORMAL)
    axes.set_ylabel(y, fontsize=_NORMAL)


def _null_name(null: Null) -> str:
    return "among all\ntokens" if null.bands is None else f"within {null.bands}\nbands of\nsupport"


def _short(support: float) -> str:
    """1,234,567 as 1.23M: the names of strata stand side by side."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if support >= size:
            return f"{support / (1e3 if unit == 'k' else size):.3g}{unit}"
    return f"{support:,.4g}"


def _sliced_means(
    x: NDArray[np.floating], y: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The means of both in groups of pairs, in order of x."""
    order = np.argsort(x, kind="stable")
    cuts = (np.array(_SLICES) * order.size).astype(np.int64)
    parts = [part for part in np.split(order, cuts) if part.size]
    means = [(x[part].mean(dtype=np.float64), y[part].mean(dtype=np.float64)) for part in parts]
    across, up = np.array(means).reshape(-1, 2).T
    return across, up


def _finished(figure: Figure, path: str | Path | None) -> Figure:
    if path is not None:
        save(figure, path)
    return figure
