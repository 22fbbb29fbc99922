"""Pictures of the cosines between signatures, token by token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError
from ..signature import Signature
from .figures import new_figure, save
from .token_labels import FONT, drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

#: Light where rows have nothing in common, dark where they agree; even in lightness, so that it
#: reads the same in print and to the colour-blind.
COLOUR_MAP = "magma_r"
_INCHES_A_TOKEN = 0.115
_MARGIN_INCHES = 1.3


def signature_cosines(signature: Signature, tokens: Sequence[int]) -> NDArray[np.float64]:
    """The cosines [K, K] of the rows of K tokens. O(K^2 x entries a row).

    Raises:
        ArgumentError: a token outside the rows, or one whose row was dropped or never seen.
    """
    import scipy.sparse

    rows = [signature.row(token) for token in tokens]
    for token, (columns, _) in zip(tokens, rows, strict=True):
        if not columns.size:
            raise ArgumentError(
                f"tokens: expected tokens with a row in {signature.name}, got {token}"
            )
    values = [probabilities / np.linalg.norm(probabilities) for _, probabilities in rows]
    columns = np.concatenate([np.empty(0, np.int32), *(columns for columns, _ in rows)])
    unit = scipy.sparse.csr_array(
        (
            np.concatenate([np.empty(0), *values]),
            columns,
            np.cumsum([0, *(each.size for each in values)]),
        ),
        shape=(len(rows), signature.n_columns),
    )
    cosines: NDArray[np.float64] = (unit @ unit.T).toarray()
    return cosines


def signature_heatmap(
    signature: Signature | Sequence[Signature],
    groups: Mapping[str, Sequence[int]],
    path: str | Path | None = None,
) -> Figure:
    """A picture of the cosines between the signatures of tokens, group by group.

    Args:
        signature: one, or several to be drawn side by side.
        groups: token ids by the name of their group, in the order in which they are drawn.
        path: where to write the picture too; its suffix says the format (.png, .pdf, .svg).

    Returns:
        A Matplotlib figure, tied to no window and no global state.

    Raises:
        MissingExtraError: Matplotlib is not installed.
        ArgumentError: no tokens, a token without a row, or a format that Matplotlib lacks.
    """
    signatures = [signature] if isinstance(signature, Signature) else list(signature)
    tokens = [token for group in groups.values() for token in group]
    if not signatures or not tokens:
        raise ArgumentError("groups: expected at least one signature and one token, got none")
    side = _MARGIN_INCHES + max(_INCHES_A_TOKEN * len(tokens), 2.0)
    figure = new_figure("signature_heatmap()", side * len(signatures) + 0.6, side)
    panels = figure.subplots(1, len(signatures), squeeze=False)[0]
    image = None
    for axes, each in zip(panels, signatures, strict=True):
        image = _draw(axes, each, tokens, groups)
    _add_colour_bar(figure, image, panels)
    if path is not None:
        save(figure, path)
    return figure


def _draw(
    axes: Axes, signature: Signature, tokens: list[int], groups: Mapping[str, Sequence[int]]
) -> AxesImage:
    image = axes.imshow(
        signature_cosines(signature, tokens), cmap=COLOUR_MAP, vmin=0, vmax=1, aspect="equal"
    )
    labels = [_label(signature, token) for token in tokens]
    axes.set_yticks(range(len(tokens)), labels, fontsize=6, family=FONT)
    ends = np.cumsum([len(group) for group in groups.values()])
    middles = ends - np.array([len(group) for group in groups.values()]) / 2 - 0.5
    axes.set_xticks(middles, list(groups), fontsize=7, rotation=35, ha="right")
    axes.tick_params(length=0)
    for end in ends[:-1]:
        axes.axhline(end - 0.5, color="0.6", linewidth=0.5)
        axes.axvline(end - 0.5, color="0.6", linewidth=0.5)
    axes.set_title(f"{signature.name}: P({signature.condition})", fontsize=9)
    return image


def _add_colour_bar(figure: Figure, image: Any, panels: Any) -> None:
    bar = figure.colorbar(image, ax=list(panels), shrink=0.6, aspect=25, pad=0.01)
    bar.set_label("cosine of signatures", fontsize=8)
    bar.ax.tick_params(labelsize=7)


def _label(signature: Signature, token: int) -> str:
    """The token's string with its blanks visible; its id where it has none."""
    if signature.token_strings is None:
        return str(token)
    return drawable(signature.token_strings[token])
