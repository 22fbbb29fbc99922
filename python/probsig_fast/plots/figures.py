"""What all pictures share: a figure without global state, and its file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ArgumentError, missing_extra
from ..files import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(purpose: str, width: float, height: float) -> Figure:
    """A Matplotlib figure of so many inches, tied to no window and no global state.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_extra("matplotlib", "plot", purpose) from error
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, path: str | Path) -> None:
    """Write the picture; the suffix says the format.

    Raises:
        ArgumentError: a format that Matplotlib lacks, or no folder to write to.
    """
    path = Path(path)
    kind = path.suffix.lstrip(".")
    known = figure.canvas.get_supported_filetypes()
    if kind not in known:
        raise ArgumentError(
            f"path: expected a name that ends in one of {', '.join(sorted(known))}, "
            f"got {str(path)!r}"
        )
    with atomic_write(path) as file:
        figure.savefig(file, format=kind, dpi=150)
