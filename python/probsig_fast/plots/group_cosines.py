"""Cosines of an embedding beside those of a signature, for groups of tokens that a reader knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError
from .figures import new_figure, save
from .token_labels import FONT, drawable, drawable_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Two hues that the colour-blind tell apart, white at 0, as the embedding's cosines have a sign.
_SIGNED = "PuOr_r"
_UNSIGNED = "magma_r"
_INCHES_A_TOKEN = 0.135
_LEAST_INCHES, _MARGIN_INCHES, _BELOW_INCHES = 2.6, 1.5, 1.1
_SMALL, _NORMAL = 8, 10
#: What lies beyond has the colour of the bound: one pair of twins must not make the rest pale.
_QUANTILE = 0.995


def group_cosines(
    embedding: NDArray[np.float64],
    signature: NDArray[np.float64],
    labels: Sequence[str],
    groups: Mapping[str, int],
    names: tuple[str, str] = ("embedding", "signature"),
    path: str | Path | None = None,
) -> Figure:
    """Two heatmaps side by side of the cosines between the same tokens.

    Each has its own scale, as the two kinds of cosine differ in range: the embedding's goes as far
    below 0 as above, up to its 99.5th percentile. The diagonal, which is 1, is grey.

    Args:
        embedding, signature: cosines, [K, K].
        labels: the K tokens' texts.
        groups: how many tokens each group has, in order; in all K.
        names: the titles of both panels.

    Raises:
        MissingExtraError: Matplotlib is not installed.
        ArgumentError: no tokens, sizes that do not fit, or a format that Matplotlib lacks.
    """
    size = sum(groups.values())
    if size == 0:
        raise ArgumentError("groups: expected at least one token, got none")
    if not embedding.shape == signature.shape == (size, size) or len(labels) != size:
        raise ArgumentError(
            f"groups: expected as many tokens as cosines and labels have, got {size} for cosines "
            f"of shape {embedding.shape} and {signature.shape} and {len(labels)} labels"
        )
    side = max(_INCHES_A_TOKEN * size, _LEAST_INCHES)
    height = side + (_BELOW_INCHES if len(groups) > 1 else _BELOW_INCHES / 2)
    figure = new_figure("group_cosines()", 2 * (side + _MARGIN_INCHES), height)
    figure.set_layout_engine("constrained", wspace=0.04)
    left, right = figure.subplots(1, 2)
    shown = [drawable(label) for label in labels]
    bound = _bound(np.abs(embedding))
    _draw(left, embedding, (-bound, bound), _SIGNED, names[0])
    _draw(right, signature, (0.0, _bound(signature)), _UNSIGNED, names[1])
    for axes in (left, right):
        _mark(axes, shown, groups)
    return _finished(figure, path)


def _bound(cosines: NDArray[np.float64]) -> float:
    """Of the colours: what all but a few pairs stay below; 1 where there are none."""
    values = cosines[~np.eye(len(cosines), dtype=bool)]
    values = values[np.isfinite(values)]
    return max(float(np.quantile(values, _QUANTILE)), 1e-3) if values.size else 1.0


def _draw(
    axes: Axes,
    cosines: NDArray[np.float64],
    limits: tuple[float, float],
    colours: str,
    name: str,
) -> None:
    shown = np.array(cosines, np.float64)
    np.fill_diagonal(shown, np.nan)
    axes.set_facecolor("0.75")
    image = axes.imshow(shown, cmap=colours, vmin=limits[0], vmax=limits[1], aspect="equal")
    axes.set_title(name, fontsize=_NORMAL)
    assert axes.figure is not None
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.7, aspect=28, pad=0.015, extend="max")
    bar.set_label("cosine", fontsize=_SMALL)
    bar.ax.tick_params(labelsize=_SMALL)


def _mark(axes: Axes, labels: Sequence[str], groups: Mapping[str, int]) -> None:
    axes.set_yticks(range(len(labels)), labels, fontsize=_SMALL, family=FONT)
    sizes = np.array(list(groups.values()))
    ends = np.cumsum(sizes)
    names = [drawable_name(name) for name in groups]
    if len(names) > 1:
        axes.set_xticks(ends - sizes / 2 - 0.5, names, fontsize=_SMALL, rotation=35, ha="right")
    else:  # the caption names it
        axes.set_xticks([])
    axes.tick_params(length=0)
    for end in ends[:-1]:
        axes.axhline(end - 0.5, color="0.35", linewidth=0.6)
        axes.axvline(end - 0.5, color="0.35", linewidth=0.6)


def _finished(figure: Figure, path: str | Path | None) -> Figure:
    if path is not None:
        save(figure, path)
    return figure
