"""The progress bar: one way to show how far a long call is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(
    total: int | None,
    unit: str,
    progress: bool | None,
    name: str = "counting",
    scaled: bool = True,
) -> Iterator[Callable[[int], object]]:
    """A function that advances a bar on standard error by so many units.

    Args:
        total: of units; None where it is not known.
        progress: None shows the bar if standard error is a terminal.
        scaled: whether large numbers are told as 1.2M.
    """
    shown = sys.stderr is not None and sys.stderr.isatty() if progress is None else progress
    if not shown:
        yield lambda done: None
        return
    from tqdm import tqdm

    with tqdm(total=total, unit=unit, unit_scale=scaled, desc=name, leave=False) as bar:
        yield bar.update
